"""The reporter: pulls incidents from the keeper into the outbox, and sends them out of the site. It parses no traffic.

The keeper tells the latest revision of whatever changed after a mark; the mark is kept in the outbox with what was pulled. What
is lost, and why, stands in `reporter.json` in the runtime directory, for `status` and the metrics.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import appliance
from appliance.config.report import NAME, Report
from appliance.errors import LiveError, ReportError
from appliance.host.clock import now_ns
from appliance.host.courier import Courier
from appliance.host.outbox import DamagedError, Outbox
from appliance.host.reported import SNAPSHOT
from appliance.host.senders.making import sender_for
from appliance.report.event import About, checked
from appliance.report.redact import Redaction

OUTBOX, KEY, MARK = "reporter.sqlite", "reporter.key", "reporter.mark"  # in the state directory
PULL_S, SAY_S, PATIENCE_S = 1.0, 2.0, 10.0
LIMIT = 100  # incidents of one pull
LATE_S = 600.0  # that something may wait before it is a problem

Json = dict[str, Any]


@dataclass(slots=True)
class Reporter:
    """Outbox, couriers and the keeper they are fed from.

    ask   asks the keeper; raises LiveError where it does not answer
    """

    report: Report
    directory: Path
    runtime: Path
    language: str
    ask: Callable[[Json], Json]
    note: Callable[[str], None]
    outbox: Outbox = field(init=False)
    couriers: list[Courier] = field(default_factory=list)
    skipped: int = 0  # records that had not their form
    _problems: dict[str, tuple[float, str, str]] = field(default_factory=dict)  # name -> since, what, advice
    _behind: int = 0  # the keeper's mark up to where every destination has everything: from there a lost outbox begins
    _pull: float = 0.0
    _say: float = 0.0

    def start(self) -> None:
        """Open the outbox and begin to send. Raises ReportError."""
        self._open()
        key = site_key(self.directory / KEY)
        about = About(gateway_name(self.report), appliance.__version__, self.language)
        for destination in self.report.destinations:
            redaction = Redaction(frozenset(destination.redact), key)
            courier = Courier(destination, sender_for(destination.target), self.outbox, about, redaction, self.note)
            self.couriers.append(courier)
            courier.start()

    def _open(self) -> None:
        names = [destination.name for destination in self.report.destinations]
        path = self.directory / OUTBOX
        self._behind = mark = marked(self.directory / MARK)
        fresh = not path.exists()
        self.outbox = Outbox(path, names, self.report.outbox_bytes, self.report.when_full, now=now_ns())
        if self.outbox.aside:
            self._wrong("aside", f"the outbox was damaged; it was put aside as {self.outbox.aside}", "what waited in it is lost")
            self.note(f"reporter: {path}: damaged, put aside as {self.outbox.aside}; what waited in it is pulled again")
        if (fresh or self.outbox.aside) and mark:
            self.outbox.put([], mark, now_ns())

    def stop(self) -> None:
        """Let batches under way end, say how it stands, close."""
        for courier in self.couriers:
            courier.over.set()
        for courier in self.couriers:
            courier.stop(PATIENCE_S)
        self.couriers_saved()
        self.say()
        self.outbox.close()

    def couriers_saved(self) -> None:
        """Cursors that could not be written are tried again."""
        try:
            self.outbox.save()
            self._fine("disk")
        except ReportError as error:
            self._disk(error)

    def turn(self) -> float:
        """Do what is due; seconds until something is again."""
        now = time.monotonic()
        if now >= self._pull:
            self._pull = now + (0.0 if self.pull() else PULL_S)
        if now >= self._say:
            self.couriers_saved()
            self.say()
            self._say = now + SAY_S
        return max(0.0, min(self._pull, self._say) - time.monotonic())

    def pull(self) -> bool:
        """Take what the keeper has for us; whether there may be more."""
        try:
            mark = self.outbox.mark("pulled")
            answer = self.ask({"verb": "since", "after": mark, "limit": LIMIT})
            self._fine("keeper")
            events, last = answer.get("events"), answer.get("last")
            if not isinstance(events, list) or not isinstance(last, int):
                raise LiveError("the keeper's answer has another form; is it of this version?")
            if not events:
                if 0 < last < mark:  # its file was lost and its clock was set back: what we know is left out anyway
                    self.outbox.put([], 0, now_ns())
                return False
            taken = self.outbox.put(self._complete(events), events[-1]["seq"], now_ns())
            self._fine("disk")
            if taken:
                for courier in self.couriers:
                    courier.call.set()
            return True
        except LiveError as error:
            self._wrong("keeper", str(error), "incidents are reported when it answers")
        except DamagedError as error:
            self.note(f"reporter: {error}; it is begun anew")
            raise
        except ReportError as error:
            self._disk(error)
        return False

    def _complete(self, events: list[Any]) -> list[tuple[Json, tuple[Json, ...]]]:
        """Incidents with their findings, in the order of their changes; what has not their form is left out and counted."""
        found = []
        for event in events:
            try:
                if not isinstance(event, dict) or not isinstance(event.get("seq"), int):
                    raise LiveError("the keeper's answer has another form; is it of this version?")
                record, _ = checked(event.get("record"), [])
                findings = self._findings(record["id"]) if self.report.findings else []
                found.append(checked(record, findings[: self.report.findings]))
            except ValueError as error:
                self.skipped += 1
                self._wrong(
                    "form", f"{self.skipped} records had not their form ({error})", "they are not reported; please report it"
                )
        return found

    def _findings(self, name: str) -> list[Any]:
        try:
            findings = self.ask({"verb": "incident", "id": name}).get("findings")
        except LiveError:
            return []  # it is gone meanwhile: reported without evidence
        return findings if isinstance(findings, list) else []

    def _disk(self, error: ReportError) -> None:
        self._wrong("disk", str(error), "the keeper keeps what is not taken; nothing is lost while it has room")

    def _wrong(self, name: str, what: str, advice: str) -> None:
        since = self._problems.get(name, (now_ns() * 1e-9,))[0]
        self._problems[name] = since, what, advice

    def _fine(self, name: str) -> None:
        self._problems.pop(name, None)

    def snapshot(self) -> Json:
        """How it stands. Raises ReportError where the outbox cannot be read."""
        waiting = self.outbox.waiting()
        pulled = self.outbox.mark("pulled")
        told = [courier.told(*waiting[courier.destination.name]) for courier in self.couriers]
        now = now_ns() * 1e-9
        problems = [{"what": w, "since": s, "advice": a} for s, w, a in self._problems.values()]
        for one in told:
            if one["oldest"] is not None and now - one["oldest"] > LATE_S and one["last_error"]:
                what = f"{one['name']}: {one['waiting']} reports wait: {one['last_error']}"
                problems.append(
                    {"what": what, "since": one["oldest"], "advice": "try it with: sekisho reporter --test " + one["name"]}
                )
        return {
            "version": 1,
            "time": now,
            "pulled": pulled,
            "destinations": told,
            "dropped": sum(one["dropped"] for one in told),
            "outbox": {"bytes": self.outbox.size(), "cap": self.report.outbox_bytes, "skipped": self.skipped},
            "problems": problems,
        }

    def _note_mark(self, pulled: int) -> None:
        """Every destination has everything up to there."""
        if pulled != self._behind:
            _replace(self.directory / MARK, str(pulled), 0o600)
            self._behind = pulled

    def say(self) -> None:
        """Write the snapshot where others read it; what cannot be written is told the next time."""
        with contextlib.suppress(OSError, ReportError):
            snapshot = self.snapshot()
            _replace(self.runtime / SNAPSHOT, json.dumps(snapshot, separators=(",", ":")), 0o644)
            if not any(one["waiting"] for one in snapshot["destinations"]):
                self._note_mark(snapshot["pulled"])


def gateway_name(report: Report) -> str:
    """The configured name, else the host's, else a word."""
    name = report.gateway or socket.gethostname().partition(".")[0]
    return name if NAME.fullmatch(name) else "sekisho"


def _replace(path: Path, text: str, mode: int) -> None:
    """A small file, whole or as it was. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="ascii")
    new.chmod(mode)
    new.replace(path)


def marked(path: Path) -> int:
    """From where a lost outbox begins; 0, the keeper's first incident, where nobody knows."""
    try:
        with path.open("rb") as file:
            return max(0, int(file.read(32)))
    except (OSError, ValueError):
        return 0


def site_key(path: Path) -> bytes:
    """The key of the names that stand for addresses, made at first use. Raises ReportError."""
    try:
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) != 32:
                raise ReportError(f"{path}: no key of ours; remove it, then a new one is made") from None
            return key
        with os.fdopen(number, "wb") as file:
            key = os.urandom(32)
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return key
    except OSError as error:
        raise ReportError(f"{path}: cannot be made or read ({error.strerror}); check disk and owner") from error

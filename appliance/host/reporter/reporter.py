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
from appliance.host.keeper.reported import SNAPSHOT
from appliance.host.reporter.courier import Courier
from appliance.host.reporter.outbox import DamagedError, Outbox
from appliance.host.reporter.senders.making import sender_for
from appliance.report.event import About, checked
from appliance.report.problems import Problems, told
from appliance.report.redact import Redaction

OUTBOX, KEY, MARK = "reporter.sqlite", "reporter.key", "reporter.mark"  # in the state directory
PULL_S, SAY_S, PATIENCE_S = 1.0, 2.0, 10.0
LIMIT = 100  # incidents of one pull
LATE_S = 600.0  # that something may wait before it is a problem
LONG_S = 10.0  # that one pull may take
AGAIN_S = 15.0  # a snapshot that did not change is written again
_OTHER_FORM = "the keeper's answer has another form; is it of this version?"

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
    _problems: Problems = field(default_factory=Problems)
    _said: tuple[float, Json] = field(default_factory=lambda: (0.0, {}))  # the last snapshot, and when
    _history: bool = False  # of what the keeper had before, only what is open is reported
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
            self._wrong("report-aside", self.outbox.aside)
            self.note(f"reporter: {path}: damaged, put aside as {self.outbox.aside}; what waited in it is pulled again")
        if (fresh or self.outbox.aside) and mark:
            self.outbox.put([], mark, now_ns())
        self._history = fresh and not mark

    def stop(self) -> None:
        """Let batches under way end, say how it stands, close."""
        for courier in self.couriers:
            courier.over.set()
        for courier in self.couriers:
            courier.stop(PATIENCE_S)
        self.save()
        self.say()
        self.outbox.close()

    def save(self) -> None:
        """Cursors that could not be written are tried again."""
        try:
            if self.outbox.save():
                self._problems.fine("report-disk")
        except ReportError as error:
            self._wrong("report-disk", str(error))

    def turn(self) -> float:
        """Do what is due; seconds until something is again."""
        now = time.monotonic()
        if now >= self._pull:
            self._pull = now + (0.0 if self.pull() else PULL_S)
        if now >= self._say:
            self.save()
            self.say()
            self._say = now + SAY_S
        return max(0.0, min(self._pull, self._say) - time.monotonic())

    def pull(self) -> bool:
        """Take what the keeper has for us; whether there may be more. Raises DamagedError."""
        try:
            mark = self.outbox.mark("pulled")
            answer = self.ask({"verb": "since", "after": mark, "limit": LIMIT})
            self._problems.fine("report-keeper")
            events, last = answer.get("events"), answer.get("last")
            if not isinstance(events, list) or not isinstance(last, int):
                raise LiveError(_OTHER_FORM)
            if not events:
                self._history = False
                if 0 < last < mark:  # its file was lost and its clock was set back: what we know is left out anyway
                    self.outbox.put([], 0, now_ns())
                return False
            complete, mark = self._complete(events)
            taken = self.outbox.put(complete, mark, now_ns())
            self._problems.fine("report-disk")
            if taken:
                for courier in self.couriers:
                    courier.call.set()
            return True
        except LiveError as error:
            self._wrong("report-keeper", str(error))
        except DamagedError:
            raise
        except ReportError as error:
            self._wrong("report-disk", str(error))
        return False

    def _complete(self, events: list[Any]) -> tuple[list[tuple[Json, tuple[Json, ...]]], int]:
        """Incidents with their findings, in the order of their changes, and up to where; not all, where it takes long.

        What has not its form is left out and counted; so is, at the very first, what was closed before anybody was to be told.
        """
        found, end = [], time.monotonic() + LONG_S
        for event in events:
            if not isinstance(event, dict) or not isinstance(event.get("seq"), int):
                raise LiveError(_OTHER_FORM)
            mark: int = event["seq"]
            try:
                record, _ = checked(event.get("record"), [])
                if not (self._history and record["state"] == "closed"):
                    found.append(checked(record, self._findings(record["id"])))
            except ValueError as error:
                self.skipped += 1
                self._wrong("report-form", f"{self.skipped} ({error})")
            if time.monotonic() > end:
                break
        return found, mark

    def _findings(self, name: str) -> list[Any]:
        if not self.report.findings:
            return []
        try:
            findings = self.ask({"verb": "incident", "id": name}).get("findings")
        except LiveError as error:
            if "no such incident" not in str(error):
                raise
            return []  # gone since: reported without evidence
        return findings[: self.report.findings] if isinstance(findings, list) else []

    def _wrong(self, name: str, why: str) -> None:
        self._problems.wrong(name, why, now_ns() * 1e-9)

    def snapshot(self) -> Json:
        """How it stands. Raises ReportError where the outbox cannot be read."""
        waiting = self.outbox.waiting()
        pulled = self.outbox.mark("pulled")
        destinations = [courier.told(*waiting[courier.destination.name]) for courier in self.couriers]
        now = now_ns() * 1e-9
        return {
            "version": 1,
            "time": now,
            "pulled": pulled,
            "destinations": destinations,
            "dropped": sum(one["dropped"] for one in destinations),
            "outbox": {"bytes": self.outbox.size(), "cap": self.report.outbox_bytes, "skipped": self.skipped},
            "problems": self._told(destinations, now),
        }

    def _told(self, destinations: list[Json], now: float) -> list[Json]:
        """Problems in words, those of destinations included."""
        found = self._problems.all()
        for one in destinations:
            if one["oldest"] is not None and now - one["oldest"] > LATE_S and one["last_error"]:
                found.append(("report-waits", one["oldest"], f"{one['name']}, {one['waiting']}: {one['last_error']}"))
            if one["dropped"] and one["waiting"]:
                found.append(("report-dropped", one["oldest"] or now, f"{one['name']}, {one['dropped']}"))
        return told(found, self.language)

    def _note_mark(self, pulled: int) -> None:
        """Every destination has everything up to there."""
        if pulled != self._behind:
            _replace(self.directory / MARK, str(pulled), 0o600)
            self._behind = pulled

    def say(self) -> None:
        """Write the snapshot where others read it, when it changed or was written long ago; a failure is tried again."""
        with contextlib.suppress(OSError, ReportError):
            snapshot = self.snapshot()
            said, now = {**snapshot, "time": 0}, time.monotonic()
            if said != self._said[1] or now - self._said[0] >= AGAIN_S:
                _replace(self.runtime / SNAPSHOT, json.dumps(snapshot, separators=(",", ":")), 0o644)
                self._said = now, said
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

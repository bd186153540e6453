"""Incidents are answered: records in, the ladder's choice, a lease asked of the enforcer, records of it out.

Lives in the keeper's process as a thread of its own: `take` never waits, and what finds no room in its queue is counted. The
policy and the baseline are read when they change. An enforcer that does not answer is asked again for a minute; a lease
carries the time at which it ends, so a late one is a shorter one. What an earlier keeper put in force is adopted.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

from appliance.config import Config, Enforce
from appliance.decide.answering import Answering
from appliance.decide.ladder import Decision
from appliance.decide.records import lease_from, lease_json
from appliance.decide.rules import Lease, Mode
from appliance.errors import AwayError, RulesError, SekishoError
from appliance.host.clock import now_ns
from appliance.host.control import ENFORCER, ask
from appliance.host.keeper.site_files import SiteFiles
from appliance.incident.incident import Cause
from appliance.report.problems import told
from appliance.report.reading import finding_from
from appliance.report.response import Act, ResponseRecord, end_record, response_record

ROOM, SAID = 4096, 4096  # records that wait to be looked at; records of ours that wait to be collected
TURN_S, LOOK_S, ANSWER_S = 0.5, 5.0, 3.0  # between looks at the enforcer while leases are in force; otherwise; for an answer
PATIENCE_NS = 60 * 1_000_000_000  # an enforcer that is away is asked again for so long
BY = "response"
Json = dict[str, Any]


@dataclass(slots=True)
class Asked:
    """A step that the enforcer has not answered yet."""

    decision: Decision
    lease: Lease
    since: int


@dataclass(slots=True)
class Response:
    """Use `take` for every record that is stored, `collect` when `fileno` can be read, `snapshot` when asked, `close` once.

    config   its [enforce] must be there; note: one line for a person
    left     records of leases that were in force when an earlier keeper ended, by id
    """

    config: Config
    note: Callable[[str], None]
    left: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    answering: Answering = field(default_factory=Answering)
    _queue: Queue[Mapping[str, Any] | None] = field(default_factory=lambda: Queue(ROOM))
    _said: deque[ResponseRecord] = field(default_factory=lambda: deque(maxlen=SAID))
    _counts: Counter[str] = field(default_factory=Counter)
    _asked: deque[Asked] = field(default_factory=lambda: deque(maxlen=64))
    _held: dict[str, Lease] = field(default_factory=dict)
    _adopted: bool = False
    _files: SiteFiles = field(default_factory=SiteFiles)
    _enforcer: Json | None = None
    _problem: str = ""
    _since: float = 0.0
    _looked: float = field(default_factory=time.monotonic)  # the enforcer may be starting
    _event: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="response", daemon=True)
        self._thread.start()

    def take(self, record: Mapping[str, Any]) -> None:
        """A finding or an incident that was stored; others are passed over. Never waits."""
        if record.get("type") in ("finding", "incident"):
            try:
                self._queue.put_nowait(record)
            except Full:
                self._counts["lost"] += 1

    def fileno(self) -> int:
        """Readable while there is something to collect."""
        return self._event

    def collect(self) -> list[ResponseRecord]:
        """Records of what was done since the last call."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return []
        return [self._said.popleft() for _ in range(len(self._said))]

    def snapshot(self) -> Json:
        """What the keeper's snapshot says: `enforcer` (its status, None where it does not answer) and `response`."""
        counts = {str(act): self._counts[str(act)] for act in Act}
        site = self.answering.site
        problems = told([("response", self._since, self._problem)], self.config.output.language)
        return {
            "enforcer": self._enforcer,
            "response": {
                "posture": str(self._enforce.posture),
                "policy": site.policy.name if site is not None else "",
                "blocks": counts["applied"],
                "acts": counts,
                "lost": self._counts["lost"],
            },
            "problems": problems if self._problem else [],
        }

    def change(self, config: Config) -> None:
        """The configuration was read anew; one without [enforce] takes a new start."""
        if config.enforce is not None:
            self.config = config

    def close(self, seconds: float = 2.0) -> None:
        """End; what waits is not answered any more."""
        try:
            self._queue.put_nowait(None)
        except Full:
            self._queue.get_nowait()
            self._queue.put(None)
        self._thread.join(seconds)

    @property
    def _enforce(self) -> Enforce:
        assert self.config.enforce is not None  # noqa: S101  # a keeper without the table has no response
        return self.config.enforce

    def _run(self) -> None:
        while True:
            try:
                record = self._queue.get(timeout=TURN_S)
            except Empty:
                record = {}
            if record is None:
                return
            try:
                self._turn(record)
            except Exception as error:  # one record must not end all answers; it is counted and told
                self._counts["failed"] += 1
                self._wrong(f"an incident could not be answered ({type(error).__name__}: {error}); please report this")

    def _turn(self, record: Mapping[str, Any]) -> None:
        self._read_site()
        if not self._adopted:
            self._adopt()
        for decision in self._decisions(record, now_ns()):
            self._answer(decision, str(record.get("incident") or record.get("id")))
        if self._asked:
            self._again()
        if self._enforce.posture is Mode.ENFORCE:
            for lease in self.answering.due(now_ns()):
                self._renew(lease)
        if time.monotonic() - self._looked >= (TURN_S if self._held else LOOK_S):
            self._look()

    def _decisions(self, record: Mapping[str, Any], now: int) -> list[Decision]:
        if record.get("type") == "finding":
            try:
                finding = finding_from(record)
            except ValueError:
                self._counts["malformed"] += 1
                return []
            return self.answering.found(str(record["incident"]), finding, now)
        if record.get("type") == "incident":
            cause = Cause(str(record["cause"])) if record.get("cause") in set(map(str, Cause)) else Cause.UNKNOWN
            return self.answering.told(str(record["id"]), cause, float(record.get("confidence", 0.0)), now)
        return []

    def _answer(self, decision: Decision, incident: str) -> None:
        lease = decision.lease
        if lease is None:
            self._say(incident, Act.NONE, decision)
        elif self._enforce.posture is Mode.OBSERVE:
            self._say(incident, Act.WOULD, decision)
        else:
            self._ask(Asked(decision, lease, now_ns()))

    def _ask(self, asked: Asked) -> None:
        verb = "lease" if self._enforce.posture is Mode.ENFORCE else "try"
        try:
            self._enforcer = self._speak(verb=verb, lease=lease_json(asked.lease), by=BY)
        except AwayError as error:
            self._enforcer = None
            if now_ns() - asked.since < PATIENCE_NS:
                self._asked.append(asked)
            else:
                self._refused(asked, str(error))
        except RulesError as error:
            self._refused(asked, str(error))
        else:
            if verb == "lease":
                self._held[asked.lease.id] = asked.lease
            self._say(asked.lease.incident, Act.APPLIED if verb == "lease" else Act.WOULD, asked.decision)

    def _refused(self, asked: Asked, why: str) -> None:
        self.answering.ended(asked.lease)
        self._say(asked.lease.incident, Act.REFUSED, asked.decision, why)

    def _again(self) -> None:
        """Those that could not be asked are asked again, while their lease has time left."""
        for _ in range(len(self._asked)):
            self._ask(self._asked.popleft())
            if self._enforcer is None:
                return

    def _adopt(self) -> None:
        """Leases that an earlier keeper asked for are followed here: not asked for twice, renewed, and told when they end.

        Those that are over since are told with the time at which the enforcer saw them end.
        """
        try:
            self._enforcer, ends = self._speak(verb="status"), self._ends()
        except RulesError:
            return  # it may be starting; where it stays away, `_look` says so
        self._adopted = True
        found = [lease_from(x | {"target": x["target"] or None}) for x in self._enforcer["leases"] if x["incident"]]
        self._held = {lease.id: lease for lease in found}
        self.answering.adopt(found, self._enforcer["made"])
        for lease in found:
            self._tell(Act.ADOPTED, lease, lease.reason)
        self._tell_ends(ends)

    def _ends(self) -> dict[str, tuple[int, bool]]:
        """Of leases that were in force when the last keeper ended: when (ns) each was over, and whether an operator ended it."""
        if not self.left:
            return {}
        after = min(record["time"] for record in self.left.values()) - 1.0
        rows = self._speak(verb="ends", after=int(max(0.0, after) * 1e9))["ends"]
        return {name: (at, undone) for name, at, undone in reversed(rows)}  # the latest first: of one name it counts

    def _tell_ends(self, ends: Mapping[str, tuple[int, bool]]) -> None:
        """What became of leases that are in force no more; where the enforcer does not know, it was their time."""
        for name, record in self.left.items():
            if name not in self._held:
                at, undone = ends.get(name, (0, False))
                if at < record["time"] * 1e9:  # of an earlier one with this name
                    at, undone = min(int(record["lease"]["until"] * 1e9), now_ns()), False
                self._put(end_record(record, at, Act.UNDONE if undone else Act.ENDED))
        self.left = {}

    def _renew(self, lease: Lease) -> None:
        """What a lease stops goes on: it ends later, where the enforcer agrees."""
        try:
            self._enforcer = self._speak(verb="renew", id=lease.id, until=lease.until, by=BY)
        except AwayError:
            self._enforcer = None  # it is due again at the next turn
        except RulesError as error:
            self.answering.holding.last.add(lease.id)
            self._tell(Act.REFUSED, lease, str(error))
        else:
            self._held[lease.id] = lease
            self.answering.renewed(lease, now_ns())
            self._tell(Act.RENEWED, lease, lease.reason)

    def _look(self) -> None:
        """What the enforcer has in force; leases that are gone were undone where they had time left."""
        self._looked = time.monotonic()
        try:
            self._enforcer = self._speak(verb="status")
        except RulesError as error:
            self._enforcer = None
            if self._enforce.posture is not Mode.OBSERVE:
                self._wrong(str(error))
            return
        for lease in [x for x in self._held.values() if x.id not in self.answering.taken]:
            del self._held[lease.id]
            self.answering.ended(lease)
            self._tell(Act.ENDED if now_ns() >= lease.until else Act.UNDONE, lease, lease.reason)

    def _speak(self, **request: Any) -> Json:
        answer = ask(Path(self.config.runtime) / ENFORCER.socket, request, ENFORCER, ANSWER_S)
        if self._problem.startswith(self.config.runtime):
            self._problem = ""
        if "leases" in answer:
            self.answering.taken = {str(x["id"]) for x in answer["leases"]}
        return answer

    def _say(self, incident: str, act: Act, decision: Decision, *more: str) -> None:
        effect = str(decision.effect.harm) if decision.effect is not None else ""
        reasons = (*more, *decision.reasons)
        lease = decision.lease
        self._put(response_record(incident, now_ns(), self._enforce.posture, act, decision.step, lease, effect, reasons))

    def _tell(self, act: Act, lease: Lease, why: str) -> None:
        """What became of a lease in force."""
        self._put(response_record(lease.incident, now_ns(), self._enforce.posture, act, lease.step, lease, "", (why,)))

    def _put(self, record: ResponseRecord) -> None:
        self._counts[record["act"]] += 1
        self._said.append(record)
        os.eventfd_write(self._event, 1)

    def _read_site(self) -> None:
        """Policy, baseline and work plans, where one of them changed; a bad one is told and what was known goes on."""
        try:
            site = self._files.read(self.config)
        except SekishoError as error:
            self._wrong(str(error))
            return
        if site is not None:
            self.answering.site, self._problem = site, ""

    def _wrong(self, why: str) -> None:
        if why != self._problem:
            self._problem, self._since = why, now_ns() / 1e9
            self.note(f"response: {why}")

"""The sensor on several cores: it learns by itself; once it watches, its shares judge and it tells, as one (ADR 0028)."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.commands import TellFinding
from appliance.detect.sharing import partition_of
from appliance.host.capture.rounds import Read
from appliance.host.child import environment_of
from appliance.host.sensor.sensor import Sensor
from appliance.host.sensor.shares import SHORT_S, Found, Shares
from appliance.packets.frames import Frames
from appliance.pipeline import tell

if TYPE_CHECKING:
    from appliance.detect.finding import Finding
    from appliance.host.sensor.watcher import Watching
    from appliance.report.status import StatusRecord

MOST_KEPT = 64  # excerpts that wait for the disk


@dataclass(slots=True)
class Head(Sensor):
    """`path`: of the configuration."""

    path: str = field(kw_only=True)
    shares: Shares | None = None
    _digest: str = ""
    _excerpts: list[tuple[str, Frames]] = field(default_factory=list)
    _missed: int = 0
    _told: Found | None = None  # what a share found and is being told

    def _watch(self) -> None:
        """Load the baseline and begin; all that comes is judged here until every share can."""
        Sensor._watch(self)
        cores = self.config.capture.cores
        self.shares = Shares(self.path, cores, environment_of({}), self.note, self._keep)

    def _divide(self, watching: Watching) -> None:
        if self._digest != watching.digest:
            self._digest = watching.digest
            partition = partition_of(watching.state.detector.model, self.config.capture.cores)
            self.interfaces.divide(partition)
            self.note(f"{partition.shares} shares judge what comes; {len(partition.pins)} pairs of addresses are kept together")

    def _reload(self) -> None:
        """As one sensor, and so do the shares."""
        Sensor._reload(self)
        if self.shares is not None:
            self.shares.reload()

    def _more(self) -> list[int]:
        return self.shares.descriptors() if self.shares is not None else []

    def _heard(self, ready: list[int]) -> None:
        """What shares found is told at once where all of them have come so far."""
        if self.shares is not None and ready:
            self.shares.hear(ready)
            self._tell_findings(self.shares)
            self.out.flush()

    def _tell_findings(self, shares: Shares, *, all_: bool = False) -> None:
        watching = self.watching
        if watching is None:
            return
        for self._told in shares.findings(all_=all_):
            commands = tell(watching.state, [self._told.finding])
            self._carry_out(watching, commands)
            for command in commands:
                if isinstance(command, TellFinding):
                    shares.named(self._told, command.incident)
        self._told = None
        shares.say_names()

    def _keep_packets(self, watching: Watching, finding: Finding, incident: str) -> None:
        """The frames of what a share found are in its memory, not here."""
        if self._told is None:
            Sensor._keep_packets(self, watching, finding, incident)

    def _keep(self, incident: str, frames: Frames) -> None:
        """A share hands over frames of an incident."""
        if len(self._excerpts) >= MOST_KEPT:
            self._missed += len(frames)
        else:
            self._excerpts.append((incident, frames))
        self._write_excerpts()

    def _write_excerpts(self) -> None:
        while self.watching is not None and self._excerpts and not self.watching.excerpts.files.busy():
            self.watching.excerpts.files.put(*self._excerpts.pop(0))

    def _pass_time(self, watching: Watching) -> None:
        """Each share knows what did not come to it; here they are looked after."""
        if self.shares is not None:
            self.shares.turn(self.interfaces.watched.values(), watching.digest)
            if not self.shares.away():
                self._divide(watching)
            self._tell_findings(self.shares)
            self._write_excerpts()

    def read(self) -> Read:
        """What was learned, or judged by all."""
        read = Sensor.read(self)
        if self.shares is None:
            return read
        more = (self.shares.total(key) for key in ("frames", "bytes", "damaged", "memory"))
        return Read(*(own + other for own, other in zip(read, more, strict=True)))

    def status(self) -> StatusRecord:
        """As one sensor, with packets that shares could not keep; frames that nobody judges are a problem of every interface."""
        record = Sensor.status(self)
        problem = self.shares.problem() if self.shares is not None else ""
        if record["packets"] is not None and self.shares is not None:
            record["packets"]["missed"] += self._missed + self.shares.total("missed")
        for interface in record["interfaces"]:
            interface["problem"] = interface["problem"] or problem
        return record

    def _finish(self, watching: Watching) -> None:
        """The shares say what they still have, and what is missing; then the excerpts."""
        if self.shares is None:
            return
        if not self._digest:  # all was judged here
            Sensor._finish(self, watching)
        end = time.monotonic() + SHORT_S
        for excerpts in (False, True):
            self.shares.ask_to_end()
            while self.shares.waits(excerpts=excerpts) and (left := end - time.monotonic()) > 0:
                ready = select.select(self._more(), [], [], min(left, 1.0))[0]
                self.shares.hear(ready)
                self._write_excerpts()
                self.notifier.alive()
            self._tell_findings(self.shares, all_=True)
        first, last = self.shares.span()
        state = watching.state
        state.first = first if state.first < 0 else min(state.first, first) if first >= 0 else state.first
        state.last = max(state.last, last)
        self.shares.close()

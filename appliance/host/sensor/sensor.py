"""The sensor: rings -> batches -> learning or watching -> JSON lines. One loop, no privilege.

Every `latency_ms` the rings are read empty. While there is no baseline, what they hold goes to the spool (`school`); once the
learner has one, what still waits in the spool is judged, then what comes. Commands of the pipeline are carried out here.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.commands import Command, OpenIncident, TellFinding
from appliance.config import Config
from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import decode
from appliance.errors import SekishoError
from appliance.host.capture.interfaces import Interfaces
from appliance.host.capture.rounds import QUIET_NS, ROUNDS, Read, Rounds, busy, let_hand_over, read_empty
from appliance.host.clock import SetClock
from appliance.host.memory import give_back, resident
from appliance.host.notify import Notifier
from appliance.host.sensor.feed import WATCH
from appliance.host.sensor.learner import BASELINE, SPOOL
from appliance.host.sensor.outlet import Outlet
from appliance.host.sensor.school import School
from appliance.host.sensor.state import state_of
from appliance.host.sensor.watcher import Watching
from appliance.pipeline import finish, step, tick
from appliance.report.records import finding_record, incident_record, summary_record

if TYPE_CHECKING:
    from appliance.detect.finding import Finding
    from appliance.packets.batch import PacketBatch
    from appliance.report.status import StatusRecord

SECOND = 1_000_000_000
AT_ONCE_S, LEAVE_S = 0.2, 30.0  # what is left of learning is judged for so long between two looks; before it ends
FEED_S = 5.0  # at the end, for the keeper's last receipt
TIDY_NS = 10 * SECOND  # memory that was freed is given back so often: 2 ms each time


@dataclass(slots=True)
class Sensor:
    """One run of the daemon's sensor.

    config   what holds now; `read_config` reads the file anew (SIGHUP) and raises SekishoError
    out      where records go; note: one line for a person
    """

    config: Config
    interfaces: Interfaces
    read_config: Callable[[], tuple[Config, str]]
    out: Outlet
    note: Callable[[str], None]
    notifier: Notifier = field(default_factory=Notifier)
    frames: int = 0
    left_out: int = 0  # frames that learning, which is over, had no room for
    since: int = 0  # ns since the epoch: it began to learn, or to watch
    learning: School | None = None
    watching: Watching | None = None
    rounds: Rounds = field(default_factory=Rounds)
    clock: SetClock = field(default_factory=SetClock)
    _over: bool = False
    _status: int = 0
    _tidied: int = 0
    _behind: Iterator[DecodedBatch] = field(default_factory=lambda: iter(()))

    def begin(self) -> None:
        """Watch if there is a baseline, learn otherwise. Raises SekishoError."""
        directory = Path(self.config.directory)
        if (directory / BASELINE).exists():
            self._watch()
            for left in (directory / SPOOL).glob("*"):  # a baseline was put here, or its learning was killed at the very end
                left.unlink()
        else:
            self.learning = School(directory, self.config.learning, self.note)
            self.since = time.time_ns()
            self.note("learning; nothing is judged yet")

    def _watch(self) -> None:
        """Load the baseline and begin."""
        self.watching = Watching.begin(self.config, f"i-{self.out.feed.run}-", self.note)
        self.since = self.watching.since

    def run(self, signals: int) -> None:
        """Until SIGTERM; `signals` is the descriptor that signal numbers arrive at."""
        look = time.monotonic()
        while not self._over:
            self.notifier.alive()
            self.interfaces.connect(time.monotonic())
            self._wait(signals, max(0.0, look - time.monotonic()))
            if time.monotonic() >= look:
                busy = self.look()
                look = time.monotonic() + (0.0 if busy else self.config.capture.latency_ms / 1000)
        self.leave()

    def _wait(self, signals: int, seconds: float) -> None:
        channel = self.interfaces.channel
        learner = self.learning.descriptor() if self.learning is not None else None
        sources = [signals, *self._more()]
        sources += [channel.fileno()] if channel is not None else []
        sources += [learner] if learner is not None else []
        ready = select.select(sources, [], [], seconds)[0]
        if signals in ready:
            self._signals(os.read(signals, 64))
        if channel is not None and channel.fileno() in ready:
            self.interfaces.hear()
        if learner is not None and learner in ready and self.learning is not None:
            self.learning.hear(time.monotonic_ns())
        self._heard(ready)

    def _more(self) -> list[int]:
        """Descriptors of others that may have something to say."""
        return []

    def _heard(self, ready: list[int]) -> None:
        """They have."""

    def _signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._over = True
        elif signal.SIGHUP in numbers:
            self.reload()

    def reload(self) -> None:
        """Take the configuration anew; a bad one is refused in one line and the old one goes on."""
        self.notifier.reloading()
        self._reload()
        self.notifier.ready()

    def _reload(self) -> None:
        try:
            config, program = self.read_config()
            instructions = config.capture.instructions(program)
        except SekishoError as error:
            self.note(f"configuration not taken over: {error}")
            return
        self.config = config
        self.interfaces.want(config.capture, instructions)
        if self.learning is not None:
            self.learning.change(config.learning)
        if self.watching is not None:
            try:
                self.watching.change(config, self.note)
            except SekishoError as error:
                self.note(f"baseline not taken over: {error}")
        self.note("configuration taken over")

    def look(self) -> bool:
        """Read the rings, judge or keep, tell; returns whether more is waiting than should be."""
        now = time.monotonic_ns()
        more = False
        moved = self.clock.moved()
        self.interfaces.clock_set(moved)
        if self.watching is not None:
            self.watching.state.detector.clock_set(moved)
            self.interfaces.show(self.watching.state.detector.view)
        for _ in range(ROUNDS):
            more = self._round(now)
            if not more:
                break
        self.interfaces.tidy()
        if self.learning is not None:
            self.learning.turn(now)
            if self.out.feed.wish() == WATCH:
                self.learning.enough(now)
            if self.watching is not None:
                self._catch_up(self.learning, self.watching, AT_ONCE_S)
            elif self.learning.done:
                self._graduate(self.learning)
        if self.watching is not None:
            self._pass_time(self.watching)
            self.out.tell(*map(incident_record, self.watching.teller.collect(time.monotonic())))
            self.out.tell(*self.watching.excerpts.turn(time.monotonic()))
        if now - self._tidied >= TIDY_NS:
            self._tidied = now
            give_back()
        if now - self._status >= self.config.output.status_ns:
            self._status = now
            self.out.tell(self.status())
        self.out.flush()
        return more or (self.watching is not None and self.learning is not None)

    def _pass_time(self, watching: Watching) -> None:
        """The clock says what did not come."""
        if self.learning is None and read_empty(list(self.interfaces.rings())):
            watching.state, commands = tick(watching.state, self.clock.steady() - QUIET_NS)
            self._carry_out(watching, commands)

    def _round(self, now: int) -> bool:
        """One batch of every ring; True where a ring still holds much."""
        rings = list(self.interfaces.rings())
        horizon = None if self.clock.settled() else self.interfaces.horizon()
        if self.learning is not None:
            frames, size = self.learning.take(rings, horizon, now)
            self.rounds.size += size
            self.frames += frames if self.watching is None else 0
        else:
            for batch in self.rounds.batches(rings, horizon, lambda: self.frames + 1):
                self._judge(batch)
        return busy(rings)

    def _judge(self, batch: PacketBatch) -> None:
        """Decode, detect, carry out."""
        if self.watching is None:
            return
        self.frames += len(batch)
        self.clock.seen(int(batch.time[-1]))
        decoded = decode(batch, self.watching.decoding)
        self.watching.excerpts.keep(decoded)
        self.watching.state, commands = step(self.watching.state, decoded)
        self._carry_out(self.watching, commands)

    def _carry_out(self, watching: Watching, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case OpenIncident(incident):
                    watching.opened[incident.id] = incident
                    self.out.tell(incident_record(incident))
                    watching.teller.touch(incident, time.monotonic())
                case TellFinding(finding, name):
                    watching.findings += finding.count
                    self.out.tell(finding_record(finding, name))
                    if finding.frame is not None and self.learning is None:  # the spool's frames have waited on purpose
                        self.out.found(finding.time_ns)
                    watching.teller.touch(watching.opened[name], time.monotonic())
                    self._keep_packets(watching, finding, name)

    def _keep_packets(self, watching: Watching, finding: Finding, incident: str) -> None:
        watching.excerpts.finding(finding, incident, time.monotonic())

    def _graduate(self, school: School) -> None:
        """Learning is over: watching begins with what the spool holds behind the baseline; frames go through it until then."""
        school.finished()
        self._watch()
        self.frames = 0
        self._behind = school.backlog()

    def _catch_up(self, school: School, watching: Watching, seconds: float) -> None:
        """Judge what waits in the spool, for so long; once all of it is judged, frames come straight from the rings."""
        end = time.monotonic() + seconds
        for batch in self._behind:
            self.frames += len(batch)
            watching.excerpts.keep(batch)
            watching.state, commands = step(watching.state, batch)
            self._carry_out(watching, commands)
            if time.monotonic() > end:
                return
        watching.decoding = school.frames.state
        self.rounds.take_over(school.frames.reader.joiner)  # what it holds back comes next
        self.left_out = school.spool.left_out
        school.spool.remove()
        self.learning = None

    def read(self) -> Read:
        """What was learned or judged so far."""
        told = self.watching or self.learning
        return Read(self.frames, self.rounds.size, told.damaged if told is not None else 0, resident())

    def status(self) -> StatusRecord:
        """What a person or a program wants to know of the sensor now."""
        return state_of(self, time.time_ns()).record()

    def _read_out(self) -> None:
        """Take what came until now, also what was held back for the order of times."""
        now = let_hand_over(list(self.interfaces.rings()), self.config.capture.shape)
        self.look()
        if self.learning is not None:
            self.learning.take((), None, time.monotonic_ns())
        elif (batch := self.rounds.rest(now, self.frames + 1)) is not None:
            self._judge(batch)

    def _finish(self, watching: Watching) -> None:
        """The input has ended: what is missing."""
        watching.state, commands = finish(watching.state)
        self._carry_out(watching, commands)

    def leave(self) -> None:
        """SIGTERM: what has come is still taken, everything is told, then the summary."""
        self.notifier.stopping()
        self._read_out()
        if self.learning is not None and self.watching is not None:
            self._catch_up(self.learning, self.watching, LEAVE_S)
        self.out.tell(self.status())
        if self.learning is not None:
            self.learning.leave()
        if self.watching is not None:
            watching = self.watching
            self._finish(watching)
            self.out.tell(*map(incident_record, watching.teller.leave()))
            self.out.tell(*watching.excerpts.leave())
            seconds = max(0, watching.state.last - watching.state.first) * 1e-9
            count, read = len(watching.state.grouping.incidents), self.read()
            self.out.tell(summary_record(read.frames, watching.findings, count, seconds, read.damaged))
        self.out.flush()
        self.out.feed.close(FEED_S)
        self.interfaces.close()

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
from appliance.host.clock import SetClock
from appliance.host.feed import WATCH, Feeder
from appliance.host.interfaces import Interfaces
from appliance.host.learner import BASELINE, SPOOL
from appliance.host.memory import give_back, resident
from appliance.host.notify import Notifier
from appliance.host.rounds import QUIET_NS, ROUNDS, Read, Rounds, busy, read_empty
from appliance.host.school import School
from appliance.host.watcher import Watching
from appliance.pipeline import finish, step, tick
from appliance.report.latency import Latency
from appliance.report.records import dumps, finding_record, incident_record, summary_record
from appliance.report.status import NOTHING_YET, SensorState, StatusRecord

if TYPE_CHECKING:
    from appliance.detect.finding import Finding
    from appliance.incident.incident import Incident
    from appliance.packets.batch import PacketBatch
    from appliance.report.records import PacketsRecord

SECOND = 1_000_000_000
AT_ONCE_S, LEAVE_S = 0.2, 30.0  # what is left of learning is judged for so long between two looks; before it ends
LINES = 4096  # collected before they are written
FEED_S = 5.0  # at the end, for the keeper's last receipt
TIDY_NS = 10 * SECOND  # memory that was freed is given back so often: 2 ms each time


@dataclass(slots=True)
class Sensor:
    """One run of the daemon's sensor.

    config   what holds now; `read_config` reads the file anew (SIGHUP) and raises SekishoError
    feed     takes every record to the keeper
    write    writes lines to the sink; note: one line for a person
    """

    config: Config
    interfaces: Interfaces
    read_config: Callable[[], tuple[Config, str]]
    feed: Feeder
    write: Callable[[str], None]
    note: Callable[[str], None]
    notifier: Notifier = field(default_factory=Notifier)
    frames: int = 0
    latency: Latency = field(default_factory=Latency)
    left_out: int = 0  # frames that learning, which is over, had no room for
    since: int = 0  # ns since the epoch: it began to learn, or to watch
    learning: School | None = None
    watching: Watching | None = None
    rounds: Rounds = field(default_factory=Rounds)
    clock: SetClock = field(default_factory=SetClock)
    _over: bool = False
    _status: int = 0
    _tidied: int = 0
    _lines: list[str] = field(default_factory=list)
    _found: list[int] = field(default_factory=list)  # times (ns) of the frames that findings among the lines are about
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
        self.watching = Watching.begin(self.config, f"i-{self.feed.run}-", self.note)
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
        if (moved := self.clock.moved()) and self.watching is not None:
            self.watching.state.detector.clock_set(moved)
        for _ in range(ROUNDS):
            more = self._round(now)
            if not more:
                break
        self.interfaces.tidy()
        if self.learning is not None:
            self.learning.turn(now)
            if self.feed.wish() == WATCH:
                self.learning.enough(now)
            if self.watching is not None:
                self._catch_up(self.learning, self.watching, AT_ONCE_S)
            elif self.learning.done:
                self._graduate(self.learning)
        if self.watching is not None:
            self._pass_time(self.watching)
            self._tell(self.watching.teller.collect(time.monotonic()))
            self._kept(self.watching.excerpts.turn(time.monotonic()))
        if now - self._tidied >= TIDY_NS:
            self._tidied = now
            give_back()
        if now - self._status >= self.config.output.status_ns:
            self._status = now
            self._line(dumps(self.status()))
        self._flush()
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
        self.clock.seen(int(batch.time.max()))
        decoded = decode(batch, self.watching.decoding)
        self.watching.excerpts.keep(decoded)
        self.watching.state, commands = step(self.watching.state, decoded)
        self._carry_out(self.watching, commands)

    def _carry_out(self, watching: Watching, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case OpenIncident(incident):
                    watching.opened[incident.id] = incident
                    self._line(dumps(incident_record(incident)))
                    watching.teller.touch(incident, time.monotonic())
                case TellFinding(finding, name):
                    watching.findings += finding.count
                    self._line(dumps(finding_record(finding, name)))
                    if finding.frame is not None and self.learning is None:  # the spool's frames have waited on purpose
                        self._found.append(finding.time_ns)
                    watching.teller.touch(watching.opened[name], time.monotonic())
                    self._keep_packets(watching, finding, name)

    def _keep_packets(self, watching: Watching, finding: Finding, incident: str) -> None:
        watching.excerpts.finding(finding, incident, time.monotonic())

    def _line(self, text: str) -> None:
        self._lines.append(text)
        self.feed.give(text)
        if len(self._lines) >= LINES:
            self._flush()

    def _flush(self) -> None:
        self.feed.push()
        if self._lines:
            self.write("\n".join(self._lines) + "\n")
            self._lines = []
            now = time.time_ns()
            for when in self._found:
                self.latency.add((now - when) * 1e-9)
            self._found = []

    def _tell(self, incidents: list[Incident]) -> None:
        for incident in incidents:
            self._line(dumps(incident_record(incident)))

    def _kept(self, records: list[PacketsRecord]) -> None:
        for record in records:
            self._line(dumps(record))

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
        school = self.learning if self.watching is None else None
        told, read = self.watching or school, self.read()
        return SensorState(
            now=time.time_ns(),
            mode="learning" if self.watching is None else "watching",
            frames=read.frames,
            incidents=len(self.watching.state.grouping.incidents) if self.watching is not None else 0,
            findings=self.watching.findings if self.watching is not None else 0,
            interfaces=self.interfaces.told(),
            packets=self.watching.excerpts.status() if self.watching is not None else None,
            learned=(int(school.progress.get("watched", 0)), school.spool.left_out) if school is not None else None,
            size=read.size,
            damaged=read.damaged,
            known=told.known if told is not None else NOTHING_YET,
            latency=self.latency.record(),
            memory=read.memory,
            since=self.since,
            unlearned=self.learning.spool.left_out if self.learning is not None else self.left_out,
            feed=self.feed.counts(),
            problem=self.watching.problem if self.watching is not None else "",
        ).record()

    def _leave_nothing(self) -> None:
        """What was held back for the order of times is taken too."""
        if self.learning is not None:
            self.learning.take((), None, time.monotonic_ns())
        elif (batch := self.rounds.rest(self.frames + 1)) is not None:
            self._judge(batch)

    def _finish(self, watching: Watching) -> None:
        """The input has ended: what is missing."""
        watching.state, commands = finish(watching.state)
        self._carry_out(watching, commands)

    def leave(self) -> None:
        """SIGTERM: what the rings hold is still taken, everything is told, then the summary."""
        self.notifier.stopping()
        self.look()
        self._leave_nothing()
        if self.learning is not None and self.watching is not None:
            self._catch_up(self.learning, self.watching, LEAVE_S)
        self._line(dumps(self.status()))
        if self.learning is not None:
            self.learning.leave()
        if self.watching is not None:
            watching = self.watching
            self._finish(watching)
            self._tell(watching.teller.leave())
            self._kept(watching.excerpts.leave())
            seconds = max(0, watching.state.last - watching.state.first) * 1e-9
            count, read = len(watching.state.grouping.incidents), self.read()
            self._line(dumps(summary_record(read.frames, watching.findings, count, seconds, read.damaged)))
        self._flush()
        self.feed.close(FEED_S)
        self.interfaces.close()

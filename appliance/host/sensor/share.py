"""One share of several sensors: its rings -> batches -> findings, which the sensor tells. It holds no capability.

`python -m appliance.host.sensor.share CONFIG NUMBER SHARES DESCRIPTOR`, started by the sensor, which sends the rings and the
baseline to watch with (`sharing`). Frames are numbered so that no two shares use a number. Where the sensor ends, so does the
share.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.config import Config
from appliance.decode.headers import DecodeState, decode
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding
from appliance.detect.sharing import owner, partition_of
from appliance.errors import BaselineError, LiveError, SekishoError
from appliance.host.capture.af_packet import MappedRing
from appliance.host.capture.rounds import QUIET_NS, ROUNDS, Lives, Rounds, busy, handed_over, let_hand_over, read_empty
from appliance.host.clock import SetClock
from appliance.host.config_file import read_config
from appliance.host.memory import resident
from appliance.host.notify import note
from appliance.host.privileges import keep_only
from appliance.host.sensor.learner import BASELINE
from appliance.host.sensor.relay import Relayed
from appliance.host.sensor.sharing import FINDINGS, Channel, Json, number_of, plain_of
from appliance.host.sensor.watcher import COPY, learned
from appliance.packets.ringshape import RingShape
from appliance.protocols.describe import describe

if TYPE_CHECKING:
    from appliance.learn.meaning.model import Model
    from appliance.packets.batch import PacketBatch

UNNAMED = 20_000  # findings that wait to hear of which incident they are
RETRY_S = 1.0  # between tries of a baseline that is not there as it was announced


@dataclass(slots=True)
class Share:
    """`number` of `shares`; `path` of the configuration.

    until   ns since the epoch up to which everything that came here is judged
    """

    path: str
    config: Config
    number: int
    shares: int
    channel: Channel
    excerpts: Relayed
    detector: Detector | None = None
    decoding: DecodeState = field(default_factory=DecodeState)
    rounds: Rounds = field(default_factory=Rounds)
    clock: SetClock = field(default_factory=SetClock)
    lives: dict[str, Lives] = field(default_factory=dict)  # interface -> its rings
    frames: int = 0
    first: int = -1
    last: int = -1
    until: int = 0
    _since: int = 0  # ns since the epoch: the last ring came
    _held: dict[str, list[int]] = field(default_factory=dict)  # interface -> descriptors of the rings of all shares
    _unnamed: OrderedDict[int, Finding] = field(default_factory=OrderedDict)
    _told: int = 0
    _wanted: str = ""
    _next: float = 0.0
    _over: bool = False

    def run(self) -> None:
        """Until the sensor says so, or is no more."""
        look = 0.0
        while not self._over:
            if self._wait(max(0.0, look - time.monotonic())):
                self._hear()
            if time.monotonic() >= look and not self._over:
                more, now = self.look(), time.monotonic()
                latency = self.config.capture.latency_ms / 1000
                look = now if more else (now // latency + 1) * latency  # all shares look at the same moments

    def _wait(self, seconds: float | None) -> bool:
        """Until the sensor says something (True) or takes what waits for it, or the time is over."""
        writing = [self.channel.socket] if self.channel.push() else []
        return self.channel.socket in select.select([self.channel.socket], writing, [], seconds)[0]

    def _hear(self) -> None:
        heard = self.channel.hear()
        if heard is None:
            self._over = True  # the sensor is no more
            return
        for plain, _, descriptors in heard:
            match plain["type"]:
                case "ring":
                    self._open(plain, descriptors)
                case "gone":
                    self._retire(str(plain["interface"]), time.time_ns())
                case "named":
                    self._named(plain["names"])
                case "begin":
                    self._wanted, self._next = str(plain["digest"]), 0.0
                    self.frames = max(self.frames, number_of(plain, "frames"))  # those before it died
                case "reload":
                    self._reload()
                case "end":
                    self._leave()

    def _reload(self) -> None:
        with contextlib.suppress(SekishoError):  # the sensor has said what is wrong with it
            self.config, _ = read_config(self.path)
            self.excerpts.change(self.config.packets)

    def _open(self, plain: Json, descriptors: list[int]) -> None:
        name = str(plain["interface"])
        self._since = number_of(plain, "since")
        self._retire(name, self._since)
        shape = RingShape(*(number_of(plain, key) for key in ("block", "blocks", "hold_ms")))
        mine = socket.socket(fileno=os.dup(descriptors[self.number]))
        ring = MappedRing(mine, shape, number_of(plain, "link"), number_of(plain, "number"))
        self.lives.setdefault(name, Lives()).ring = ring
        self._held[name] = descriptors

    def _retire(self, name: str, now: int) -> None:
        if name in self.lives:
            self.lives[name].retire(now)
        for descriptor in self._held.pop(name, []):
            os.close(descriptor)

    def _named(self, names: list[tuple[int, str]]) -> None:
        now = time.monotonic()
        for number, incident in names:
            finding = self._unnamed.pop(number, None)
            if finding is not None:
                self.excerpts.finding(finding, incident, now)

    def look(self) -> bool:
        """Read the rings, judge, say what was found; returns whether more is waiting than should be."""
        if self._wanted and time.monotonic() >= self._next:
            self._begin(self._wanted)
        if self.detector is None:
            return False
        more, hold = False, handed_over(self.config.capture.shape)
        moved = self.clock.moved()
        self._since += moved
        self.detector.clock_set(moved)
        self.detector.view.since, self.detector.view.whole = self._since, all(lives.ring for lives in self.lives.values())
        for _ in range(ROUNDS):
            rings, horizon = self._rings(), None if self.clock.settled() else time.time_ns() - hold
            for batch in self.rounds.batches(rings, horizon, lambda: self.frames + 1):
                self._judge(self.detector, batch)
            more = busy(rings)
            if not more:
                break
        for lives in self.lives.values():
            for ring in lives.read_out():
                ring.close()
        rings = self._rings()
        if rings and read_empty(rings):
            self.until = max(self.until, time.time_ns() - hold)
            self._say(self.detector.tick(self.clock.steady() - QUIET_NS))
        else:
            self.until = max(self.until, self.last if rings else time.time_ns())
        self.excerpts.turn(time.monotonic())
        self._state()
        return more

    def _rings(self) -> list[MappedRing]:
        """All that may hold frames."""
        return [ring for lives in self.lives.values() for ring in lives.all()]

    def _begin(self, digest: str) -> None:
        """Watch with the baseline of this digest: that in the state directory, or the copy of the last sound one."""
        directory, self._next = Path(self.config.directory), time.monotonic() + RETRY_S
        for name in (BASELINE, COPY):
            try:
                model, _, found = learned(directory / name)
            except BaselineError:
                continue
            if found == digest:
                self._watch(model)
                self._wanted = ""
                return

    def _watch(self, model: Model) -> None:
        partition, before = partition_of(model, self.shares), self.detector
        self.detector = Detector(model, describe, lambda c: owner(partition, c) == self.number)
        if before is not None:
            self.detector.go_on(before)

    def _judge(self, detector: Detector, batch: PacketBatch) -> None:
        self.frames += len(batch)
        self.clock.seen(int(batch.time[-1]))
        low, high = int(batch.time.min()), int(batch.time.max())
        self.first, self.last = low if self.first < 0 else min(self.first, low), max(self.last, high)
        decoded = decode(batch, self.decoding)
        self.excerpts.keep(decoded)
        self._say(detector.judge(decoded))

    def _say(self, findings: list[Finding]) -> None:
        """Findings go to the sensor, which says of which incident they are."""
        said: list[tuple[int, Json]] = []
        for finding in findings:
            self._told += 1
            self._unnamed[self._told] = finding
            if len(self._unnamed) > UNNAMED:
                self._unnamed.popitem(last=False)
            frame = None if finding.frame is None else self.excerpts.number(finding.frame)
            said.append((self._told, plain_of(replace(finding, frame=frame))))
        for at in range(0, len(said), FINDINGS):
            self.channel.say({"type": "found", "found": said[at : at + FINDINGS]})

    def _state(self) -> None:
        detector = self.detector
        self.channel.say(
            {
                "type": "state",
                "until": self.until,
                "frames": self.frames,
                "bytes": self.rounds.size,
                "damaged": detector.damaged if detector is not None else 0,
                "first": self.first,
                "last": self.last,
                "memory": resident(),
                "seconds": int(self.excerpts.recent.seconds()),
                "missed": self.excerpts.files.left_out,
                "lost": self.channel.lost,
            }
        )

    def _leave(self) -> None:
        """All that came is judged and told, with what is missing at the end."""
        now = let_hand_over(self._rings(), self.config.capture.shape)
        self.look()
        if self.detector is not None:
            rest = self.rounds.rest(now, self.frames + 1)
            if rest is not None:
                self._judge(self.detector, rest)
            self._say(self.detector.finish())
        self.until = time.time_ns()
        self._state()
        self.channel.say({"type": "told"})
        while not self._over:  # names come until the sensor closes its end
            self._wait(None)
            heard = self.channel.hear()
            for plain, _, _ in heard or []:
                if plain["type"] == "named":
                    self._named(plain["names"])
                elif plain["type"] == "end":
                    self.excerpts.leave()
                    self.channel.say({"type": "over"})
            self._over = heard is None


def main() -> int:
    """Give everything up, then judge."""
    keep_only(frozenset())
    for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(asked, signal.SIG_IGN)  # the sensor says when it is over
    path, number, shares = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        config, _ = read_config(path)
        channel = Channel(socket.socket(fileno=int(sys.argv[4])))
        excerpts = Relayed(Path(config.directory), config.packets, note, channel=channel, share=number, shares=shares)
        Share(path, config, number, shares, channel, excerpts).run()
    except (SekishoError, LiveError) as error:
        note(f"share {number}: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The shares of a sensor: processes that are started, given rings, listened to, and started again; the rings outlive them.

What they find is told in the order of its times, as far as all of them have come.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from appliance.errors import LiveError
from appliance.host.child import Child, module
from appliance.host.sensor.excerpt_files import INCIDENT
from appliance.host.sensor.sharing import Channel, Json, finding_of, frames_heard, number_of, numbered
from appliance.incident.whole import Whole
from appliance.packets.frames import Frames

if TYPE_CHECKING:
    from appliance.detect.finding import Finding
    from appliance.host.capture.interfaces import Watched

HOLD_S = 1.0  # a finding waits so long at the most for shares that are behind
AWAY_S = 10.0  # a share that does not judge for so long is told
WATCHDOG_S = 60.0  # a share that says nothing for so long is killed and started again
SHORT_S = 20.0  # that all shares may take to end
_COUNTS = ("frames", "bytes", "damaged", "memory", "missed", "lost")


class Found(NamedTuple):
    """A finding, the share it came from, its number there, and when it came (s, monotonic)."""

    finding: Finding
    share: int
    number: int
    at: float


@dataclass(slots=True)
class _Share:
    """One of them: its process, what it was given, what it said last."""

    number: int
    child: Child
    channel: Channel | None = None
    given: dict[str, int] = field(default_factory=dict)  # interface -> which opening of it
    digest: str = ""
    state: Json = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)  # counts of processes that died
    until: int = -1
    heard: float = 0.0
    missed: float = field(default_factory=time.monotonic)  # since when it does not judge
    told: bool = False  # all but excerpts
    over: bool = False

    def count(self, key: str) -> int:
        return int(self.before.get(key, 0)) + int(self.state.get(key, 0))


@dataclass(slots=True)
class Shares:
    """`turn` now and then, `hear` where a descriptor is ready, `findings` after that, `named` for each of these, `end` once.

    path   of the configuration, which the shares read themselves; environment: what they find in theirs
    keep   takes frames of an incident
    """

    path: str
    count: int
    environment: dict[str, str]
    note: Callable[[str], None]
    keep: Callable[[str, Frames], None]
    whole: Whole = field(default_factory=Whole)
    _all: list[_Share] = field(init=False)
    _found: list[Found] = field(default_factory=list)
    _names: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._all = [_Share(k, Child(f"share {k}", [])) for k in range(self.count)]

    def turn(self, watched: Iterable[Watched], digest: str) -> None:
        """Start what is not there, end what hangs; give each what it has not: rings, and the digest of the baseline."""
        now, watched = time.monotonic(), list(watched)
        for share in self._all:
            if share.child.process is not None and now - share.heard > WATCHDOG_S:
                self.note(f"{share.child.name}: said nothing for {WATCHDOG_S:.0f} s; it is ended")
                share.child.kill()
            if share.child.dead(now):
                self._died(share, f"died (code {share.child.code})", now)
            if share.child.process is None and now >= share.child.due:
                self._start(share, now)
            if share.channel is not None:
                self._give(share, share.channel, watched, digest)

    def _start(self, share: _Share, now: float) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            arguments = (self.path, str(share.number), str(self.count), str(theirs.fileno()))
            share.child.command, share.child.pass_on = module("sensor.share", *arguments), (theirs.fileno(),)
            share.child.start(self.environment)
        share.channel, share.heard, share.given, share.digest, share.until = Channel(ours), now, {}, "", -1

    def _died(self, share: _Share, why: str, now: float) -> None:
        """What it was the last to know is gone, its rings are not: they wait for the next."""
        self.note(f"{share.child.name}: {why}; it is started again in {max(0.0, share.child.due - now):.1f} s, its rings wait")
        if share.channel is not None:
            share.channel.close()
        share.channel, share.until, share.missed = None, -1, now
        share.before = {key: share.count(key) for key in _COUNTS if key not in ("frames", "memory")}
        share.state = {"frames": share.state.get("frames", 0)}

    def _give(self, share: _Share, channel: Channel, watched: list[Watched], digest: str) -> None:
        if share.digest != digest:
            share.digest = digest
            channel.say({"type": "begin", "digest": digest, "frames": share.count("frames")})
        for one in watched:
            if one.spread and share.given.get(one.name) != one.opened:
                share.given[one.name] = one.opened
                shape, link = one.spread[0].shape, one.spread[0].link
                layout = {"block": shape.block, "blocks": shape.blocks, "hold_ms": shape.hold_ms, "since": one.since}
                plain = {"type": "ring", "interface": one.name, "number": one.number, "link": link, **layout}
                channel.say(plain, descriptors=[ring.socket.fileno() for ring in one.spread])
        there = {one.name for one in watched if one.spread}
        for name in [name for name in share.given if name not in there]:
            del share.given[name]
            channel.say({"type": "gone", "interface": name})
        channel.push()

    def descriptors(self) -> list[int]:
        """Where they may have something to say."""
        return [share.channel.socket.fileno() for share in self._all if share.channel is not None]

    def hear(self, ready: list[int]) -> None:
        """Take what was said at these descriptors. A share that says what makes no sense is ended."""
        for share in self._all:
            if share.channel is None or share.channel.socket.fileno() not in ready:
                continue
            try:
                heard = share.channel.hear()
                for plain, more, descriptors in heard or []:
                    for descriptor in descriptors:
                        socket.close(descriptor)
                    self._take(share, plain, more)
            except LiveError as error:
                self.note(f"{share.child.name}: {error}; it is ended")
                share.child.kill()
                heard = None
            if heard is None:  # `turn` sees that it died, or it has ended as asked
                share.channel.close()
                share.channel = None

    def _take(self, share: _Share, plain: Json, more: bytes) -> None:
        share.heard = time.monotonic()
        match plain["type"]:
            case "found":
                for number, said in numbered(plain.get("found")):
                    self._found.append(Found(finding_of(said), share.number, number, share.heard))
            case "state":
                share.state = {key: number_of(plain, key) for key in (*_COUNTS, "until", "first", "last", "seconds")}
                share.until = share.state["until"]
            case "frames":
                incident = plain.get("incident")
                if not isinstance(incident, str) or INCIDENT.fullmatch(incident) is None:
                    raise LiveError("frames of no incident")
                self.keep(incident, frames_heard(more, number_of(plain, "frames")))
            case "told":
                share.told = True
            case "over":
                share.over = True
            case kind:
                raise LiveError(f"a message of type {str(kind)[:20]!r}")

    def findings(self, *, all_: bool = False) -> list[Found]:
        """What can be told: up to the time that all shares have reached, and what has waited for long."""
        if not self._found:
            return []
        alive = [share.until for share in self._all if share.channel is not None and share.until >= 0]
        horizon, late = min(alive, default=0), time.monotonic() - HOLD_S
        ready: list[Found] = []
        left: list[Found] = []
        for one in self._found:
            (ready if all_ or one.finding.time_ns <= horizon or one.at <= late else left).append(one)
        self._found, told = left, []
        for one in sorted(ready, key=lambda f: f.finding.time_ns):
            seen = self.whole.seen(one.finding, one.share)
            if seen is not None:
                told.append(one._replace(finding=seen))
        return told

    def named(self, found: Found, incident: str) -> None:
        """Which incident a finding belongs to; its share hears of it with `say_names`."""
        self._names.setdefault(found.share, []).append((found.number, incident))

    def say_names(self) -> None:
        """Tell the shares."""
        for number, names in self._names.items():
            channel = self._all[number].channel
            for at in range(0, len(names) if channel is not None else 0, 1000):
                channel.say({"type": "named", "names": names[at : at + 1000]})  # type: ignore[union-attr]
        self._names = {}

    def total(self, key: str) -> int:
        """A count, of all of them."""
        return sum(share.count(key) for share in self._all)

    def span(self) -> tuple[int, int]:
        """Ns since the epoch of the first and the last frame they judged; -1, -1 where there is none."""
        states = [share.state for share in self._all if share.state.get("first", -1) >= 0]
        return min((s["first"] for s in states), default=-1), max((s["last"] for s in states), default=-1)

    def away(self) -> list[int]:
        """Shares that do not judge now."""
        return [share.number for share in self._all if share.channel is None or share.until < 0]

    def problem(self) -> str:
        """What a person should know of shares that do not judge, "" where all do."""
        late = [str(s.number) for s in self._all if s.until < 0 and time.monotonic() - s.missed > AWAY_S]
        return (
            f"share {', '.join(late)} of {self.count} does not judge; its frames wait in its ring, then are lost" if late else ""
        )

    def reload(self) -> None:
        """The configuration changed."""
        for share in self._all:
            if share.channel is not None:
                share.channel.say({"type": "reload"})

    def ask_to_end(self) -> None:
        """What they still have is told; then their excerpts."""
        for share in self._all:
            if share.channel is not None:
                share.channel.say({"type": "end"})

    def waits(self, *, excerpts: bool) -> bool:
        """Whether one of them has still something to say: findings, or excerpts too."""
        return any(s.channel is not None and not (s.over if excerpts else s.told) for s in self._all)

    def close(self) -> None:
        """They end now."""
        for share in self._all:
            if share.channel is not None:
                share.channel.close()
                share.channel = None
            try:
                if share.child.process is not None:
                    share.child.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                share.child.kill()

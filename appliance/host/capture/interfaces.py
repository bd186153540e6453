"""The watched interfaces of the sensor: rings that the opener passed on, what the kernel lost, what became of the links."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.config import Capture
from appliance.errors import LiveError
from appliance.host.capture.af_packet import Counts, HeldRing, MappedRing
from appliance.host.capture.opening import Close, Gone, Link, Open, Opened, Refused, receive, send
from appliance.host.capture.rounds import Lives, handed_over
from appliance.packets.fanout import Partition
from appliance.packets.filters import Instruction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.detect.view import View


RETRY_S = 1.0  # between attempts to reach the opener


@dataclass(slots=True)
class Watched:
    """One interface: its rings, and what is known of it.

    spread   instead of a ring: those of several shares, one each; opened: how often it was, since: when last, ns
    """

    name: str
    number: int
    lives: Lives = field(default_factory=Lives)
    spread: tuple[HeldRing, ...] = ()
    opened: int = 0
    since: int = 0
    up: bool = False
    offloads: tuple[str, ...] = ()
    why: str = "not opened yet"
    lost: Counts = field(default_factory=Counts)  # of rings that are closed

    def counts(self) -> Counts:
        """All frames that passed the filter, and all that were lost."""
        total = self.lost
        for ring in [*self.lives.all(), *self.spread]:
            total = total + ring.count()
        return total

    def retire(self, now: int) -> None:
        """From `now` (ns since the epoch) on its rings get no frames, or others do: what is here is closed once it is read."""
        self.lives.retire(now)
        self._let_go(self.spread)
        self.spread = ()

    def tidy(self) -> None:
        """Close what is empty and retired."""
        self._let_go(self.lives.read_out())

    def _let_go(self, rings: Iterable[HeldRing]) -> None:
        for ring in rings:
            self.lost = self.lost + ring.count()
            ring.close()


@dataclass(slots=True)
class Interfaces:
    """Asks the opener at `path` for what the configuration names, keeps asking when the opener was started anew.

    note   tells a person one line
    """

    path: str
    note: Callable[[str], None]
    watched: dict[str, Watched] = field(default_factory=dict)
    channel: socket.socket | None = None
    _capture: Capture | None = None
    _program: tuple[Instruction, ...] = ()
    _partition: Partition = field(default_factory=Partition)
    _numbers: int = 0
    _next: float = 0.0

    def want(self, capture: Capture, program: tuple[Instruction, ...]) -> None:
        """Watch what the configuration names, and nothing else from now on. A ring whose settings changed is opened anew."""
        changed = self._capture is None or (capture, program) != (self._capture, self._program)
        self._capture, self._program = capture, program
        for name in [n for n in self.watched if n not in capture.interfaces]:
            self.watched[name].retire(time.time_ns())
            self._send(Close(name))
        for name in capture.interfaces:
            if name not in self.watched:
                self.watched[name] = Watched(name, self._numbers)
                self._numbers = (self._numbers + 1) % 64
        if changed and self.channel is not None:
            self._ask()

    def divide(self, partition: Partition) -> None:
        """Open rings for several shares from now on."""
        if partition != self._partition:
            self._partition = partition
            self._ask()

    def connect(self, now: float) -> None:
        """Reach the opener, if it is not reached; at most once a second."""
        if self.channel is not None or now < self._next:
            return
        self._next = now + RETRY_S
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            channel.connect(self.path)
        except OSError:
            channel.close()
            return
        self.channel = channel
        self._ask()

    def _ask(self) -> None:
        if self._capture is None:
            return
        c, shares = self._capture, self._partition.shares
        spread = self._partition.program() if shares > 1 else ()
        for name in c.interfaces:
            self._send(Open(name, c.shape, c.promiscuous, c.offloads == "off", self._program, shares, spread))

    def _send(self, message: Open | Close) -> None:
        if self.channel is None:
            return
        try:
            send(self.channel, message)
        except OSError:
            self._lost("the opener does not listen; it is asked again")

    def _lost(self, why: str) -> None:
        if self.channel is not None:
            self.note(why)
            self.channel.close()
        self.channel = None

    def hear(self) -> None:
        """Take one message of the opener."""
        if self.channel is None:
            return
        try:
            got = receive(self.channel)
        except (LiveError, OSError) as error:
            self._lost(str(error))
            return
        if got is None:
            self._lost("the opener ended; the rings that are open go on, it is asked again")
            return
        message, descriptors = got
        watched = self.watched.get(message.interface)
        if isinstance(message, Opened):
            opened = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            if watched is None:
                for ring in opened:
                    ring.close()
                return
            watched.retire(message.since)
            watched.opened, watched.since = watched.opened + 1, message.since
            if message.shares == 1:
                watched.lives.ring = MappedRing(opened[0], message.shape, message.link, watched.number)
            else:
                watched.spread = tuple(HeldRing(ring, message.shape, message.link) for ring in opened)
            watched.offloads, watched.why = message.offloads, ""
            several = f" by {message.shares} shares" if message.shares > 1 else ""
            self.note(f"{watched.name}: watched{several} (index {message.index}){_warning(message.offloads)}")
        elif watched is not None and isinstance(message, (Gone, Refused)):
            watched.retire(time.time_ns())
            watched.up, watched.why = False, message.why
            self.note(f"{watched.name}: {message.why}")
        elif watched is not None and isinstance(message, Link):
            if watched.up != message.up or message.name != watched.name:
                called = "" if message.name == watched.name else f", it is called {message.name} now"
                self.note(f"{watched.name}: {'up' if message.up else 'down'}{called}")
            watched.up = message.up

    def clock_set(self, by: int) -> None:
        """The clock was set by so many ns."""
        for watched in self.watched.values():
            watched.since += by

    def show(self, view: View) -> None:
        """Say what of the traffic is seen."""
        opened = [watched for watched in self.watched.values() if watched.opened]
        view.since = max((watched.since for watched in opened), default=0)
        view.whole = all(watched.lives.ring is not None or watched.spread for watched in opened)

    def rings(self) -> Iterator[MappedRing]:
        """All rings that may hold frames."""
        for watched in self.watched.values():
            yield from watched.lives.all()

    def tidy(self) -> None:
        """Close rings that are empty and get no more; forget interfaces that are not wanted any more."""
        for name, watched in list(self.watched.items()):
            watched.tidy()
            if self._capture is not None and name not in self._capture.interfaces and not watched.lives.old:
                del self.watched[name]

    def horizon(self) -> int:
        """Time (ns since the epoch) up to which every ring has handed over what it got, by the kernel's clock of blocks."""
        return time.time_ns() - (handed_over(self._capture.shape) if self._capture is not None else 0)

    def told(self) -> list[tuple[str, bool, int, int, list[str], str]]:
        """Each watched one for the status record: name, up, frames, of these lost, offloads that are on, what is wrong."""
        counted = [(watched, watched.counts()) for watched in self.watched.values()]
        return [(w.name, w.up, counts.frames, counts.dropped, list(w.offloads), w.why) for w, counts in counted]

    def close(self) -> None:
        """Give everything back."""
        if self.channel is not None:
            self.channel.close()
        for watched in self.watched.values():
            for ring in [*watched.lives.all(), *watched.spread]:
                ring.close()


def _warning(offloads: tuple[str, ...]) -> str:
    if not offloads:
        return ""
    return f"; its receive offloads {', '.join(offloads)} are on: frames are joined before they are seen, switch them off"

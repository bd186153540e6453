"""A site in simulated time: clients ask servers over TCP or UDP, at the pace and with the mishaps of real stacks.

What a client says is a *dialogue*: steps (up?, bytes at a time), of which the first is the request. Frames go to the wire of the
current mark: 0 normal, 1 not normal, 2 true but not scored (an operator's first command of its kind, what an attack causes).
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from tests.evaluate.capture import Capture
from tests.sim.wire import MONDAY, SECOND, Host, Link, Wire

MILLI = SECOND // 1000
START = MONDAY + 8 * 3600 * SECOND
RESET = 0x14
Step = tuple[bool, Callable[[int], bytes]]
T = TypeVar("T")


@dataclass
class Session:
    """What a connection remembers: requests so far, and numbers the protocol keeps."""

    number: int
    memory: dict[str, int] = field(default_factory=dict)


Ask = Callable[[Session], list[Step]]


@dataclass(eq=False)
class Server:
    """A device: where it is, how long it thinks (s), when it is away (ns, half-open)."""

    host: Host
    think: float
    away: list[tuple[int, int]] = field(default_factory=list)

    def gone(self, now: int) -> bool:
        """Whether it is away."""
        return any(begin <= now < back for begin, back in self.away)


class Site:
    """Time, wires, chance. `forged` is set by who builds a message with something forged in it."""

    def __init__(self, name: str, seed: int) -> None:
        self.rng = random.Random(f"unseen/{name}/{seed}")
        self.wires = [Wire() for _ in range(3)]
        numbers = count(1)
        for wire in self.wires:
            wire.number = numbers
        self.mark, self.now, self.forged = 0, START, False
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._turn, self._sport = count(), 49_152 + self.rng.randrange(4000)
        self.loss = self.rng.choice((0.0, 0.0, 0.0002, 0.001))

    def at(self, when: int, act: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._heap, (max(when, self.now), next(self._turn), act))

    def every(self, period: float, jitter: float, act: Callable[[], None], *, drifts: bool = False) -> None:
        """Do something every `period` seconds, by a grid or by a timer that is set anew each time."""
        begin = START + int(self.rng.uniform(0.2, 0.2 + period) * SECOND)

        def turn(k: int, due: int) -> None:
            act()
            nominal = self.now if drifts else due
            due = nominal + int(period * SECOND)
            self.at(due + int(self.rng.gauss(0, jitter * period) * SECOND), lambda: turn(k + 1, due))

        self.at(begin, lambda: turn(0, begin))

    def sometimes(self, mean: float, act: Callable[[], None]) -> None:
        """Do something at random, on average every `mean` seconds."""

        def turn() -> None:
            act()
            self.at(self.now + int(self.rng.expovariate(1 / mean) * SECOND), turn)

        self.at(self.now + int(self.rng.expovariate(1 / mean) * SECOND), turn)

    def run(self, until: int) -> None:
        """Let time pass until `until` (ns)."""
        while self._heap and self._heap[0][0] < until:
            self.now, _, act = heapq.heappop(self._heap)
            act()
        self.now = until

    def port(self) -> int:
        """The next port of a client."""
        self._sport = 49_152 + (self._sport - 49_151) % 16_000
        return self._sport

    def wire(self, mark: int) -> Wire:
        """Where frames go now."""
        return self.wires[mark or self.mark]

    def capture(self) -> tuple[Capture, list[int]]:
        """All frames in the order of time, and their marks."""
        every = sorted(((at, mark, raw) for mark in range(3) for at, raw in self.wires[mark].frames), key=lambda f: f[0])
        return Capture([(at, raw) for at, _, raw in every]), [mark for _, mark, _ in every]


@dataclass
class Client:
    """One client's talk with one server.

    depth     requests on the way at a time
    fresh     a connection for every round
    opening   dialogues at the begin of a connection
    timeout   s until a request is given up (TCP) or asked again (UDP)
    """

    site: Site
    host: Host
    server: Server
    port: int
    udp: bool = False
    depth: int = 1
    fresh: bool = False
    acks: bool = False
    opening: Sequence[Ask] = ()
    timeout: float = 3.0
    sport: int = 0
    first: int = 0
    hooks: list[Callable[["Client"], None]] = field(default_factory=list)
    session: Session = field(init=False)
    link: Link | None = None
    flying: int = 0
    life: int = 0
    ready: bool = False
    waits: int = 0
    said: list[int] = field(default_factory=lambda: [0, 0])  # when the last message went down, and up
    queue: deque[tuple[Ask, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.session = Session(self.first)
        self.ready = self.udp
        self.sport = self.sport or self.site.port()

    def ask(self, ask: Ask, mark: int = 0) -> None:
        """Ask as soon as it may; what already waits is not asked twice."""
        if all(waiting is not ask for waiting, _ in self.queue):
            self.queue.append((ask, mark or self.site.mark))
        self._pump()

    def push(self, make: Callable[[Session, int], bytes], mark: int = 0) -> None:
        """The server says something by itself."""
        if self.ready and not self.server.gone(self.site.now):
            self._send(False, make(self.session, self.site.now), mark)

    def _pump(self) -> None:
        if not self.ready:
            if self.link is None and self.site.now >= self.waits:
                self._connect()
            return
        while self.queue and self.flying < self.depth:
            ask, mark = self.queue.popleft()
            self.flying += 1
            self._next(ask(self.session), 0, mark, self.life)

    def _connect(self) -> None:
        site, mark = self.site, self.queue[0][1] if self.queue else 0
        self.life += 1
        self.waits = site.now + int(self.site.rng.uniform(2, 4) * SECOND)
        numbers = site.rng.randrange(1 << 31), site.rng.randrange(1 << 31)
        link = Link(site.wire(mark), self.host, site.port(), self.server.host, self.port, *numbers)
        if self.server.gone(site.now):
            link.send(site.now, True, b"", 0x02)
            site.at(self.waits + 1, self._pump)
            return
        self.link, self.session = link.open(site.now), Session(self.first)
        opening, life = list(self.opening), self.life

        def further() -> None:
            if self.life != life:
                return
            if opening:
                self._next(opening.pop(0)(self.session), 0, mark, life, further)
                return
            self.ready, self.flying = True, 0
            for hook in self.hooks:
                hook(self)
            self._pump()

        site.at(site.now + MILLI, further)

    def close(self) -> None:
        """End the connection."""
        if self.link is not None:
            self.link.wire = self.site.wire(0)
            self.link.close(self.site.now)
        self.link, self.ready, self.life = None, False, self.life + 1

    def _lost(self) -> None:
        """Nobody answered: away with the connection, and anew a little later."""
        if self.udp:
            self.flying = max(0, self.flying - 1)
            self._pump()
            return
        if self.link is not None:
            self.link.send(self.site.now, True, b"", RESET)
        self.link, self.ready, self.flying, self.life = None, False, 0, self.life + 1
        self.queue.clear()
        self.waits = self.site.now + int(self.site.rng.uniform(1, 3) * SECOND)

    def _next(self, steps: list[Step], i: int, mark: int, life: int, after: Callable[[], None] | None = None) -> None:
        """Say the i-th step when it is time."""
        site = self.site
        if i == len(steps):
            (after or self._done)()
            return
        up, make = steps[i]
        pause = site.rng.uniform(0.0001, 0.0008) if up else self.server.think * site.rng.lognormvariate(0, 0.25)
        if not up and site.rng.random() < 0.002:
            pause += site.rng.uniform(0.02, 0.2)

        def say() -> None:
            if self.life != life:
                return
            if not up and self.server.gone(site.now):
                self._unanswered(life)
                return
            site.forged = False
            body = make(site.now)
            own = 1 if site.forged else mark
            again = self._mishap(up, body, own)
            site.at(site.now + again, lambda: self._next(steps, i + 1, own if mark else 0, life, after))

        when = max(site.now + int(pause * SECOND), self.said[up] + 20_000)  # a connection keeps its order
        self.said[up] = when
        site.at(when, say)

    def _mishap(self, up: bool, body: bytes, mark: int) -> int:
        """Send, and maybe once more; how long that held up, ns."""
        site = self.site
        self._send(up, body, mark)
        if site.rng.random() >= site.loss or (self.udp and not up):
            return 0
        wait = int((self.timeout if self.udp else 0.2 + site.rng.uniform(0, 0.1)) * SECOND)
        life = self.life
        site.at(site.now + wait, lambda: self._repeat(up, body, mark) if self.life == life else None)
        return wait + MILLI

    def _repeat(self, up: bool, body: bytes, mark: int) -> None:
        if self.link is not None:
            if up:
                self.link.asked -= len(body)
            else:
                self.link.told -= len(body)
        self._send(up, body, mark)

    def _send(self, up: bool, body: bytes, mark: int) -> None:
        wire, now = self.site.wire(mark), self.site.now
        if self.udp:
            ends = (self.host, self.sport, self.server.host, self.port)
            wire.udp(now, *(ends if up else ends[2:] + ends[:2]), body)
        elif self.link is not None:
            self.link.wire = wire
            self.link.send(now, up, body)
            if self.acks and not up:
                self.link.send(now + 300_000, True, b"", 0x10)

    def _unanswered(self, life: int) -> None:
        """The server is away: TCP repeats, then gives up."""
        site = self.site
        site.at(site.now + int(self.timeout * SECOND), lambda: self._lost() if self.life == life else None)

    def _done(self) -> None:
        self.flying = max(0, self.flying - 1)
        if self.fresh and not self.queue and not self.flying:
            life = self.life
            self.site.at(self.site.now + 2 * MILLI, lambda: self.close() if self.life == life and not self.flying else None)
            return
        self._pump()


def same(what: T) -> Callable[[], T]:
    """What somebody says whenever he says it."""
    return lambda: what


def fixed(body: bytes) -> Callable[[int], bytes]:
    """Bytes that do not depend on time."""
    return lambda _now: body

"""A simulated plant: masters poll devices over the tap, with the temper of a network stack, through what scenarios do to it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from tests.causes.speech import SPEECHES, Act, Speech, Voice
from tests.causes.wire import ACK, FIN, PSH, RST, SECOND, SYN, Host, Tap

START = 1_700_000_000 * SECOND
MILLI = SECOND // 1000


@dataclass(frozen=True)
class Stack:
    """How a client and its kernel behave.

    rto       seconds between repeats of a segment; patience: seconds until a request is given up
    again     how often a request is asked again on the same connection; parting: how it is closed ("fin" or "rst")
    back      seconds until it connects anew; acks: bare acknowledgements are sent; single: a connection for every poll
    numbers   transaction numbers: "count", "fixed" or "wild"; asks: it looks for a lost device by ARP
    """

    name: str
    rto: tuple[float, ...]
    patience: float
    again: int
    parting: str
    back: float
    acks: bool
    single: bool
    numbers: str
    asks: bool


STACKS = {
    s.name: s
    for s in (
        Stack("steady", (0.2, 0.4, 0.8), 1.0, 0, "fin", 2.0, True, False, "count", True),
        Stack("stubborn", (0.3, 0.6, 1.2, 2.4), 3.0, 2, "rst", 0.5, False, False, "count", False),
        Stack("eager", (0.25, 0.5), 0.8, 1, "rst", 0.2, True, False, "wild", True),
        Stack("brief", (0.2, 0.4), 1.5, 0, "fin", 3.0, False, True, "fixed", False),
        Stack("calm", (1.0, 3.0), 5.0, 1, "fin", 8.0, True, False, "count", True),
    )
}


@dataclass
class Task:
    """What a client asks again and again: an act with the pause between, in seconds; `values` are dealt to writes."""

    act: Act
    period: float
    values: tuple[int, ...] = ()


@dataclass
class Link:
    """One client's talk with one device; with `fresh`, a connection lasts about so many seconds."""

    plant: Plant
    client: Host
    device: Host
    tasks: list[Task]
    stack: Stack
    open: bool = False
    sport: int = 0
    sent: int = 0
    heard: int = 0
    number: int = 0
    session: int = 0
    boots: int = 0
    due: list[int] = field(default_factory=list)
    stopped: bool = False
    fresh: float = 0.0
    until: int = 0

    def start(self, at: int) -> None:
        """Poll from now on."""
        dice = self.plant.dice
        self.due = [at + int(dice.uniform(0, t.period) * SECOND) for t in self.tasks]
        self._next(at)

    def _next(self, at: int) -> None:
        when = max(at + MILLI, min(self.due))
        self.plant.at(when, lambda: self._turn(when))

    def _turn(self, at: int) -> None:
        if self.stopped:
            return
        dice = self.plant.dice
        i = min(range(len(self.due)), key=self.due.__getitem__)
        task = self.tasks[i]
        spread = 0.35 if task.values else 0.02
        self.due[i] = max(at, self.due[i] + int(task.period * dice.uniform(1 - spread, 1 + spread) * SECOND))
        if self.fresh and at > self.until and self.open:
            self.until = at + int(self.fresh * dice.uniform(0.8, 1.2) * SECOND)
            self.close(at, calm=True)
            at += 10 * MILLI
        act = (*task.act, dice.choice(task.values)) if task.values else task.act
        if not (self.client.power and self.client.link):
            self.open = False
            self._next(at + SECOND)
            return
        self._next(self.exchange(at, act))

    def connect(self, at: int) -> tuple[bool, int]:
        """Open a connection; whether it is, and when that was known."""
        p, speech = self.plant, self.plant.speech
        self.sport = p.port()
        self.sent, self.heard, self.number = p.dice.randrange(1 << 31), p.dice.randrange(1 << 31), p.first_number()
        if not p.reaches(self.client, self.device):
            return False, self._in_vain(at)
        p.tap.tcp(at, self.client, self.sport, self.device, speech.port, self.sent, 0, SYN)
        at += p.rtt()
        if not self.device.serves:
            p.tap.tcp(at, self.device, speech.port, self.client, self.sport, 0, self.sent + 1, RST | ACK)
            return False, at + int(self.stack.back * SECOND)
        p.tap.tcp(at, self.device, speech.port, self.client, self.sport, self.heard, self.sent + 1, SYN | ACK)
        self.sent, self.heard, at = self.sent + 1, self.heard + 1, at + p.rtt()
        p.tap.tcp(at, self.client, self.sport, self.device, speech.port, self.sent, self.heard, ACK)
        self.open, self.boots, self.session = True, self.device.boots, p.next_session()
        for ask, tell in speech.opening(self.session):
            at = self._say(at + p.rtt(), ask, tell)
        return True, at + MILLI

    def _in_vain(self, at: int) -> int:
        """Knock at a host that is not there."""
        p = self.plant
        for wait in (0.0, 1.0, 3.0)[: 2 + p.dice.randrange(2)]:
            at += int(wait * SECOND)
            if self.stack.asks:
                p.tap.arp(at, self.client, self.device.raw)
            else:
                p.tap.tcp(at, self.client, self.sport, self.device, p.speech.port, self.sent, 0, SYN)
        return at + int(max(1.0, self.stack.back) * SECOND)

    def _say(self, at: int, ask: bytes, tell: bytes | None) -> int:
        """A request and its answer over the standing connection; returns the time after."""
        p, port = self.plant, self.plant.speech.port
        p.tap.tcp(at, self.client, self.sport, self.device, port, self.sent, self.heard, PSH | ACK, ask)
        if p.lossy(self.client, self.device):
            at += int(self.stack.rto[0] * SECOND)
            p.tap.tcp(at, self.client, self.sport, self.device, port, self.sent, self.heard, PSH | ACK, ask)
        self.sent += len(ask)
        if tell is None:
            p.tap.tcp(at + p.rtt(), self.device, port, self.client, self.sport, self.heard, self.sent, ACK)
            return at
        at += p.think()
        p.tap.tcp(at, self.device, port, self.client, self.sport, self.heard, self.sent, PSH | ACK, tell)
        if p.lossy(self.client, self.device):
            at += 300 * MILLI
            p.tap.tcp(at, self.device, port, self.client, self.sport, self.heard, self.sent, PSH | ACK, tell)
        self.heard += len(tell)
        if self.stack.acks and p.dice.random() < 0.3:
            p.tap.tcp(at + 40 * MILLI, self.client, self.sport, self.device, port, self.sent, self.heard, ACK)
            at += 40 * MILLI
        return at

    def exchange(self, at: int, act: Act, tries: int = 0) -> int:
        """One act, connecting first where needed; returns when the next may follow."""
        p = self.plant
        if p.speech.udp:
            return self._datagrams(at, act)
        if not self.open:
            well, at = self.connect(at)
            if not well:
                return at
        ask = self._request(act)
        if self.boots != self.device.boots and p.reaches(self.client, self.device):
            p.tap.tcp(at, self.client, self.sport, self.device, p.speech.port, self.sent, self.heard, PSH | ACK, ask)
            p.tap.tcp(at + p.rtt(), self.device, p.speech.port, self.client, self.sport, self.sent, 0, RST)
            self.open = False
            return at + int(self.stack.back * SECOND)
        if not p.reaches(self.client, self.device):
            return self._lost(at, ask)
        if self.device.hangs or p.mute(self.client, self.device):
            self._say(at, ask, None)
            at += int(self.stack.patience * SECOND)
            return self.exchange(at, act, tries + 1) if tries < self.stack.again else self.close(at)
        at = self._say(at, p.passing(self, ask, True), p.answer(self, ask, act))
        return self.close(at, calm=True) if self.stack.single else at

    def _request(self, act: Act) -> bytes:
        self.number += {"count": 1, "fixed": 0, "wild": self.plant.dice.randrange(1, 60_000)}[self.stack.numbers]
        return self.plant.speech.request(act, self.number, self.session)

    def _lost(self, at: int, ask: bytes) -> int:
        """Nobody is there: repeat, give up."""
        p = self.plant
        until = at + int(self.stack.patience * SECOND)
        p.tap.tcp(at, self.client, self.sport, self.device, p.speech.port, self.sent, self.heard, PSH | ACK, ask)
        for wait in self.stack.rto:
            at += int(wait * SECOND)
            if at >= until:
                break
            p.tap.tcp(at, self.client, self.sport, self.device, p.speech.port, self.sent, self.heard, PSH | ACK, ask)
        self.sent += len(ask)
        return self.close(until)

    def close(self, at: int, *, calm: bool = False) -> int:
        """Part; returns when to come back."""
        p, port = self.plant, self.plant.speech.port
        if self.open and not p.speech.udp:
            flags = RST | ACK if self.stack.parting == "rst" and not calm else FIN | ACK
            p.tap.tcp(at, self.client, self.sport, self.device, port, self.sent, self.heard, flags)
            if flags & FIN and p.reaches(self.client, self.device) and not self.device.hangs:
                p.tap.tcp(at + p.rtt(), self.device, port, self.client, self.sport, self.heard, self.sent + 1, FIN | ACK)
                p.tap.tcp(at + 2 * p.rtt(), self.client, self.sport, self.device, port, self.sent + 1, self.heard + 1, ACK)
        self.open = False
        return at + (5 * MILLI if calm else int(self.stack.back * SECOND))

    def _datagrams(self, at: int, act: Act) -> int:
        p, port = self.plant, self.plant.speech.port
        self.sport = port
        for _ in range(1 + self.stack.again):
            ask = p.passing(self, self._request(act), True)
            p.tap.udp(at, self.client, port, self.device, port, ask)
            there = p.reaches(self.client, self.device) and not self.device.hangs and not p.mute(self.client, self.device)
            if there and self.device.serves and not p.lossy(self.client, self.device):
                at += p.think()
                p.tap.udp(at, self.device, port, self.client, port, p.answer(self, ask, act))
                return at
            at += int(self.stack.patience * SECOND)
        return at


Passing = Callable[[Link, bytes, bool], bytes]


class Plant:
    """Hosts, links and a clock of its own; `run` plays until a time, `at` plans something."""

    def __init__(self, speech: str, stack: str, seed: int) -> None:
        self.speech: Speech = SPEECHES[speech]
        self.stack, self.seed = STACKS[stack], seed
        self.dice = random.Random(f"{speech}/{stack}/{seed}")
        self.tap = Tap()
        self.hosts: dict[str, Host] = {}
        self.voices: dict[str, Voice] = {}
        self.links: list[Link] = []
        self.loss: dict[str, float] = {}
        self.refusing: set[str] = set()
        self.muted: set[frozenset[str]] = set()
        self.edits: list[Passing] = []
        self._plan: list[tuple[int, int, Callable[[], object]]] = []
        self._order, self._ports, self._sessions = count(), count(32_768 + 13 * seed % 997), count(1)
        self._base = self.dice.randrange(200)
        self.now, self.skew = START, 0

    def host(self, name: str, last: int, vendor: bytes | None = None) -> Host:
        """A new machine; devices and masters of a plant share few makers."""
        vendor = vendor or self.dice.choice((b"\x00\x80\xf4", b"\x00\x1d\x9c", b"\x00\x0e\x8c"))
        made = Host(name, f"10.{50 + self.seed % 50}.{self._base}.{last}", vendor + self.dice.randbytes(3))
        self.hosts[name] = made
        return made

    def at(self, when: int, do: Callable[[], object]) -> None:
        """Plan something for a time in ns."""
        heapq.heappush(self._plan, (when, next(self._order), do))

    def run(self, until: int) -> list[tuple[int, bytes]]:
        """Play; returns the frames since the last call, in order of time."""
        while self._plan and self._plan[0][0] < until:
            self.now, _, do = heapq.heappop(self._plan)
            self.tap.skew = self.skew
            do()
        self.now = until
        ready = sorted((f for f in self.tap.frames if f[0] - f[1] < until), key=lambda f: f[0])
        self.tap.frames = [f for f in self.tap.frames if f[0] - f[1] >= until]
        return [(at, raw) for at, _, raw in ready]

    def link(self, client: Host, device: Host, tasks: list[Task], stack: Stack | None = None) -> Link:
        """A talk that is not started yet."""
        made = Link(self, client, device, tasks, stack or self.stack)
        self.links.append(made)
        return made

    def answer(self, link: Link, ask: bytes, act: Act) -> bytes:
        """The device's answer, as it passes the wire."""
        name = link.device.name
        voice = self.voices[name]
        for i in range(len(voice.values)):
            # a controlled process: values swing around a set-point that the device was born with
            voice.values[i] += self.dice.randrange(-4, 5) + (voice.middle[i] - voice.values[i]) // 16
        return self.passing(link, self.speech.answer(ask, act, voice, refuse=name in self.refusing), False)

    def passing(self, link: Link, payload: bytes, asks: bool) -> bytes:
        """What becomes of a payload on its way."""
        for edit in self.edits:
            payload = edit(link, payload, asks)
        return payload

    def reaches(self, a: Host, b: Host) -> bool:
        """True when both run and both cables carry."""
        return a.link and b.link and a.power and b.power

    def lossy(self, a: Host, b: Host) -> bool:
        """Roll the dice of a bad cable."""
        return self.dice.random() < max(self.loss.get(a.name, 0.0), self.loss.get(b.name, 0.0))

    def mute(self, a: Host, b: Host) -> bool:
        """True where a device does not answer this one client."""
        return frozenset((a.name, b.name)) in self.muted

    def rtt(self) -> int:
        """Nanoseconds across the wire."""
        return self.dice.randrange(100_000, 400_000)

    def think(self) -> int:
        """Nanoseconds of a device's thinking."""
        return self.dice.randrange(2 * MILLI, 9 * MILLI)

    def port(self) -> int:
        """A fresh client port."""
        return 32_768 + next(self._ports) % 28_000

    def first_number(self) -> int:
        """Where a connection's transaction numbers begin."""
        return 180 if self.stack.numbers == "count" else self.dice.randrange(60_000)

    def next_session(self) -> int:
        """A fresh session."""
        return next(self._sessions)


def build(speech: str, stack: str, seed: int) -> Plant:
    """A standing plant: devices, an HMI, a historian, and an engineering station that talks rarely."""
    p = Plant(speech, stack, seed)
    dice = p.dice
    # equal ports on both sides are read by who has more partners: a building has more controllers than stations
    devices = [p.host(f"plc{n}", 11 + n) for n in range((4 if p.speech.udp else 2) + seed % 3)]
    for device in devices:
        p.voices[device.name] = Voice(
            [128 + 256 * dice.randrange(1, 12) for _ in range(6)], b"TK-%d v1.%d" % (seed % 9, seed % 5)
        )
    hmi, historian, engineer = p.host("hmi", 21), p.host("historian", 22), p.host("engineer", 31)
    clock = p.host("clock", 2)
    fast = dice.choice((0.5, 1.0))
    for device in devices:
        tasks = [Task(("read", 0), fast), Task(("read", 1), 2 * fast)]
        tasks += [Task(("write", 0), 7.0, (560, 600, 640)), Task(("identify",), 19.0)]
        p.link(hmi, device, tasks)
        if device is not devices[-1] or seed % 2:
            p.link(historian, device, [Task(("read", 2), 2 * fast), Task(("read", 3), 3 * fast)]).fresh = 25.0 * (seed % 3 > 0)
    for link in p.links:
        link.start(START + dice.randrange(SECOND))
    _rare(p, engineer, devices)
    _chatter(p, [hmi, historian, engineer, *devices], clock)
    return p


def _rare(p: Plant, engineer: Host, devices: list[Host]) -> None:
    """A person looks at a device now and then."""
    for n in range(2 + p.seed % 2):
        device = p.dice.choice(devices[: 1 + p.seed % len(devices)])
        link = Link(p, engineer, device, [], STACKS["steady"])
        p.at(START + int(p.dice.uniform(5 + 45 * n, 40 + 45 * n) * SECOND), lambda k=link: _look(k))  # type: ignore[misc]


def _look(link: Link) -> None:
    at = link.plant.now
    for act in (("identify",), ("read", 0), ("read", 2)):
        at = link.exchange(at, act) + 700 * MILLI
    link.close(at, calm=True)


def _chatter(p: Plant, hosts: list[Host], clock: Host) -> None:
    """Everybody asks the time server and resolves addresses."""
    for host in hosts:
        for n in range(40):
            at = START + int((p.dice.uniform(0, 4) + 11 * n) * SECOND)
            p.at(at, lambda h=host, t=at: ask_time(p, h, clock, t))  # type: ignore[misc]


def ask_time(p: Plant, host: Host, clock: Host, at: int) -> None:
    """A host asks the time server."""
    if host.power and host.link:
        p.tap.arp(at, host, clock.raw)
        p.tap.udp(at + MILLI, host, 123, clock, 123, b"\x23" + bytes(47))
        p.tap.udp(at + 2 * MILLI, clock, 123, host, 123, b"\x24" + bytes(47))

"""IEC 60870-5-104 plants: outstations that speak by themselves, a centre that interrogates, commands and sets clocks."""

import struct
from collections.abc import Callable
from functools import partial

from tests.evaluate.capture import TCP
from tests.evaluate.grammars import Fields, Grammar
from tests.sim.wire import SECOND, Host
from tests.unseen.plant import Act, Plant
from tests.unseen.signals import Signal
from tests.unseen.site import Ask, Client, Server, Session, Step, fixed

PORT = 2404
SPONTANEOUS, PERIODIC, ACTIVATED, CONFIRMED, TERMINATED, ASKED = 3, 1, 6, 7, 10, 20
WINDOW = 8  # messages after which the centre confirms (IEC 60870-5-104, 5.5: w)


def _fields(pay: bytes, to_server: bool) -> Fields:
    if len(pay) < 15 or pay[0] != 0x68 or pay[1] != len(pay) - 2 or pay[2] & 1:
        return {}
    return {"start": (0, 1), "length": (1, 2), "type": (6, 7), "qualifier": (7, 8), "cause": (8, 9), "originator": (9, 10),
            "station": (10, 12), "object": (12, 15)}  # fmt: skip


IEC104 = Grammar("IEC 104", (TCP, PORT), _fields, lambda p: p[6:9], frozenset({"type", "cause"}))


def numbered(session: Session, up: bool, unit: bytes) -> bytes:
    """An I-format message; both directions count."""
    own, other = ("up", "down") if up else ("down", "up")
    sent = session.memory.setdefault(own, 0)
    session.memory[own] = sent + 1 & 0x7FFF
    return struct.pack("<BBHH", 0x68, 4 + len(unit), sent << 1, session.memory.setdefault(other, 0) << 1) + unit


def plain(control: int, got: int = 0) -> bytes:
    """A U- or S-format message."""
    return struct.pack("<BBHH", 0x68, 4, control, got << 1)


def unit(kind: int, cause: int, station: int, address: int, body: bytes, many: int = 1) -> bytes:
    """A data unit with its first object."""
    return struct.pack("<BBBBHHB", kind, many, cause, 0, station, address & 0xFFFF, address >> 16) + body


def stamp(now: int) -> bytes:
    """CP56Time2a."""
    second = now // SECOND
    milli = second % 60 * 1000 + now // 1_000_000 % 1000
    return struct.pack("<HBBBBB", milli, second // 60 % 60, second // 3600 % 24, 20 | 1 << 5, 11, 23)


class Device:
    """An outstation."""

    def __init__(self, plant: "Iec104Plant", server: Server, station: int) -> None:
        rng = plant.rng
        self.plant, self.server, self.station = plant, server, station
        self.measured = [Signal.drawn(rng, "walk") for _ in range(rng.randint(2, 8))]
        self.bits = [Signal.drawn(rng, "bit") for _ in range(rng.randint(2, 6))]
        self.points = [Signal.drawn(rng, "hold") for _ in range(rng.randint(1, 2))]
        self.stamped, self.short = rng.random() < 0.5, rng.random() < 0.6

    def value(self, k: int, now: int) -> bytes:
        """A measured value with its quality."""
        signal = self.measured[k]
        self.plant.site.forged = self.plant.site.forged or signal.forced is not None
        value = signal.at(now)
        return (struct.pack("<f", value) if self.short else struct.pack("<h", max(-32768, min(32767, round(value * 10))))) + b"\0"

    def tells(self, k: int, now: int, cause: int = SPONTANEOUS) -> bytes:
        """A measured value told unasked."""
        kind = (36 if self.stamped else 13) if self.short else (35 if self.stamped else 11)
        return unit(kind, cause, self.station, 0x1000 + k, self.value(k, now) + (stamp(now) if self.stamped else b""))

    def state(self, k: int, now: int, cause: int = SPONTANEOUS) -> bytes:
        """A single-point state told unasked."""
        body = bytes([int(self.bits[k].at(now))]) + (stamp(now) if self.stamped else b"")
        return unit(30 if self.stamped else 1, cause, self.station, 0x100 + k, body)

    def interrogate(self, session: Session) -> list[Step]:
        """General interrogation: activation, all values, termination."""

        def down(cause: int) -> Callable[[int], bytes]:
            return lambda _: numbered(session, False, unit(100, cause, self.station, 0, b"\x14"))

        def bits(now: int) -> bytes:
            body = b"".join(bytes([int(s.at(now))]) for s in self.bits)
            return numbered(session, False, unit(1, ASKED, self.station, 0x100, body, 0x80 | len(self.bits)))

        def values(now: int) -> bytes:
            body = b"".join(self.value(k, now) for k in range(len(self.measured)))
            return numbered(
                session, False, unit(13 if self.short else 11, ASKED, self.station, 0x1000, body, 0x80 | len(self.measured))
            )

        ask: Step = (True, lambda _: numbered(session, True, unit(100, ACTIVATED, self.station, 0, b"\x14")))
        return [ask, (False, down(CONFIRMED)), (False, bits), (False, values), (False, down(TERMINATED))]

    def command(self, kind: int, address: int, body: bytes) -> Ask:
        """A command, confirmed and terminated."""

        def start(session: Session) -> list[Step]:
            def said(up: bool, cause: int) -> Step:
                return up, lambda _: numbered(session, up, unit(kind, cause, self.station, address, body))

            return [said(True, ACTIVATED), said(False, CONFIRMED), said(False, TERMINATED)]

        return start

    def clock(self, session: Session) -> list[Step]:
        """Clock synchronisation."""

        def said(up: bool, cause: int) -> Step:
            return up, lambda now: numbered(session, up, unit(103, cause, self.station, 0, stamp(now)))

        return [said(True, ACTIVATED), said(False, CONFIRMED)]


def start_transfer(_session: Session) -> list[Step]:
    """STARTDT."""
    return [(True, fixed(plain(0x07))), (False, fixed(plain(0x0B)))]


def keep_alive(_session: Session) -> list[Step]:
    """TESTFR."""
    return [(True, fixed(plain(0x43))), (False, fixed(plain(0x83)))]


class Iec104Plant(Plant):
    """Drawn by its seed."""

    name, port, udp = "iec104", PORT, False

    def build(self) -> None:
        """Outstations, a centre, maybe a second one."""
        rng = self.rng
        servers = [self.device(20 + n) for n in range(rng.randint(2, 5))]
        self.devices = {s: Device(self, s, n + rng.choice((1, 100))) for n, s in enumerate(servers)}
        self.masters = [self.host(10 + k) for k in range(rng.randint(1, 2))]
        for k, master in enumerate(self.masters):
            for device in self.devices.values():
                if k == 0 or rng.random() < 0.5:
                    self._station(k, master, device)

    def _station(self, k: int, master: Host, device: Device) -> None:
        rng = self.rng
        client = self.client(master, device.server, opening=[start_transfer])
        self.poll(client, [device.interrogate], rng.choice((60.0, 120.0)))
        if rng.random() < 0.5:
            self.poll(client, [device.clock], 60.0)
        self.poll(client, [keep_alive], 20.0)
        self._unasked(client, device)
        if k == 0:
            for n, point in enumerate(device.points):
                self.operator(client, self._point(device, n, point, rng.random() < 0.4))

    def _unasked(self, client: Client, device: Device) -> None:
        """Values by their pace or when they changed; the centre confirms every few."""
        rng, site = self.rng, self.site

        def told(make: Callable[[int], bytes]) -> Callable[[], None]:
            def act() -> None:
                client.push(lambda session, now: numbered(session, False, make(now)), 0)
                session = client.session
                session.memory["open"] = session.memory.get("open", 0) + 1
                if session.memory["open"] >= WINDOW and client.ready:
                    session.memory["open"] = 0
                    client.ask(confirm)

            return act

        def confirm(session: Session) -> list[Step]:
            return [(True, lambda _: plain(0x01, session.memory.get("down", 0)))]

        for k in range(len(device.measured)):
            if rng.random() < 0.5:
                site.every(rng.choice((1.0, 2.0, 5.0)), 0.01, told(partial(device.tells, k, cause=PERIODIC)))
            else:
                site.sometimes(rng.choice((2.0, 5.0, 15.0)), told(partial(device.tells, k)))
        for k in range(len(device.bits)):
            site.sometimes(rng.choice((10.0, 40.0)), told(partial(device.state, k)))

    def _point(self, device: Device, n: int, point: Signal, free: bool) -> Callable[[], Act]:
        values = [self.rng.randrange(10, 2000) for _ in range(3)]
        switch = self.rng.random() < 0.5

        def act() -> Act:
            if switch:
                on = int(self.rng.random() < 0.5)
                return (device.station, n), on, device.command(45, 0x6000 + n, bytes([on]))
            value = self.rng.randrange(10, 2000) if free else self.rng.choice(values)
            return (device.station, n), value, device.command(50, 0x6200 + n, struct.pack("<fB", value, 0))

        return act

    # What an intruder would say.

    def _victim(self) -> tuple[Client, Device]:
        client = self.rng.choice([c for c in self.clients if c.host is self.masters[0]])
        return client, self.devices[client.server]

    def forbidden(self) -> tuple[Client, list[Ask]]:
        """Command what nobody commands."""
        client, device = self._victim()
        return client, [device.command(self.rng.choice((45, 46)), self.rng.choice((0x6010, 0x7000)), b"\x01")]

    def scan(self) -> tuple[Client, list[Ask]]:
        """Read objects one after the other."""
        client, device = self._victim()
        asks = [device.command(102, a, b"") for a in self.rng.sample(range(1, 60_000), 30)]
        return client, asks

    def stop(self) -> tuple[Client, list[Ask]]:
        """Reset process."""
        client, device = self._victim()
        return client, [device.command(105, 0, b"\x01")]

    def download(self) -> tuple[Client, list[Ask]]:
        """A file in segments."""
        client, device = self._victim()
        return client, [device.command(125, 0x7100, bytes([1, 0, k]) + self.rng.randbytes(180)) for k in range(40)]

    def numbers(self) -> list[Signal]:
        """Measured values."""
        return [s for d in self.devices.values() for s in d.measured]

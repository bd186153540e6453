"""EtherNet/IP plants: explicit messages, connected or not, services in one packet, I/O at its own pace, list identity."""

import struct
from collections.abc import Callable

from tests.sim.wire import BROADCAST, Host
from tests.unseen.plant import Act, Plant
from tests.unseen.signals import Signal
from tests.unseen.site import Ask, Client, Server, Session, Step, fixed, same

PORT, IO_PORT = 44818, 2222
Cip = tuple[Callable[[], bytes], Callable[[int], bytes]]  # request, answer at a time
TYPES = {"walk": (0xCA, "<f"), "count": (0xC4, "<i"), "bit": (0xC1, "<B"), "cycle": (0xC3, "<h"), "hold": (0xC4, "<i")}
NAMES = ("Level", "Flow_1", "Pump2_Run", "Line.Speed", "Batch_Count", "Recipe_No", "Zone3_Temp", "Alarm", "Valve_Pos", "Torque")


def header(command: int, session: int, body: bytes, context: int = 0) -> bytes:
    """Encapsulation (CIP volume 2, 2-3)."""
    return struct.pack("<HHIIQI", command, len(body), session, 0, context, 0) + body


def unconnected(session: Session, cip: bytes, context: int) -> bytes:
    """SendRRData."""
    items = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(cip)) + cip
    return header(0x6F, session.memory["handle"], items, context)


def connected(session: Session, number: int, cip: bytes, up: bool) -> bytes:
    """SendUnitData."""
    handle = session.memory["to" if up else "from"]
    items = struct.pack("<IHHHHIHHH", 0, 0, 2, 0xA1, 4, handle, 0xB1, len(cip) + 2, number & 0xFFFF) + cip
    return header(0x70, session.memory["handle"], items)


class Device:
    """A controller with tags, and attributes that never change."""

    def __init__(self, plant: "EnipPlant", server: Server) -> None:
        rng = plant.rng
        self.plant, self.server, self.serial = plant, server, rng.randbytes(4)
        kinds = [rng.choice(("walk", "walk", "count", "bit", "cycle")) for _ in range(rng.randint(3, 10))]
        names = rng.sample(NAMES, len(kinds)) if len(kinds) <= len(NAMES) else list(NAMES)
        self.tags = {name: Signal.drawn(rng, kind) for name, kind in zip(names, kinds, strict=False)}
        self.points = {name: Signal.drawn(rng, "hold") for name in ("Set_Speed", "Set_Temp", "Mode")[: rng.randint(1, 3)]}

    def value(self, signal: Signal, now: int) -> bytes:
        """Type and value."""
        self.plant.site.forged = self.plant.site.forged or signal.forced is not None
        code, form = TYPES[signal.kind]
        value = signal.at(now)
        return struct.pack("<H", code) + struct.pack(
            form, value if form == "<f" else int(value) & 0x7F if form == "<B" else int(value)
        )

    @staticmethod
    def path(name: str) -> bytes:
        """A symbolic path."""
        parts = [p.encode() for p in name.split(".")]
        raw = b"".join(b"\x91" + bytes([len(p)]) + p + bytes(len(p) % 2) for p in parts)
        return bytes([len(raw) // 2]) + raw

    def read(self, name: str) -> Cip:
        """Read a tag."""
        signal = self.tags[name] if name in self.tags else self.points[name]
        return (lambda: b"\x4c" + self.path(name) + b"\x01\x00"), (lambda now: b"\xcc\0\0\0" + self.value(signal, now))

    def write(self, name: str, value: int) -> Cip:
        """Write a tag."""

        def ask() -> bytes:
            if name in self.points:
                self.points[name].value = float(value)
            return b"\x4d" + self.path(name) + struct.pack("<HHi", 0xC4, 1, value)

        return ask, lambda _: b"\xcd\0\0\0"

    def several(self, names: list[str]) -> Cip:
        """Multiple service packet."""
        every = [self.read(n) for n in names]

        def packed(parts: list[bytes]) -> bytes:
            offsets, at = b"", 2 + 2 * len(parts)
            for part in parts:
                offsets, at = offsets + struct.pack("<H", at), at + len(part)
            return struct.pack("<H", len(parts)) + offsets + b"".join(parts)

        return (
            lambda: b"\x0a\x02\x20\x02\x24\x01" + packed([ask() for ask, _ in every]),
            lambda now: b"\x8a\0\0\0" + packed([tell(now) for _, tell in every]),
        )

    def identity(self) -> bytes:
        """Vendor, type, product, revision, status, serial, name."""
        return struct.pack("<HHHBBH", 1, 14, 54, 20, 11, 0x3060) + self.serial + b"\x0bLab/5380-20"

    def attribute(self, cls: int, instance: int, number: int, data: bytes) -> Cip:
        """Get an attribute."""
        ask = bytes([0x0E, 3, 0x20, cls, 0x24, instance, 0x30, number])
        return (lambda: ask), (lambda _: b"\x8e\0\0\0" + data)

    def everything(self) -> Cip:
        """Get all attributes of the identity object."""
        return (lambda: b"\x01\x02\x20\x01\x24\x01"), (lambda _: b"\x81\0\0\0" + self.identity())


class EnipPlant(Plant):
    """Drawn by its seed."""

    name, port, udp = "enip", PORT, False

    def build(self) -> None:
        """Controllers, an HMI, maybe a historian and a peer, I/O."""
        rng = self.rng
        self.handle = rng.randrange(1 << 16, 1 << 30)
        self.wraps: dict[int, Callable[[Cip], Ask]] = {}
        self.devices = {server: Device(self, server) for server in (self.device(20 + n) for n in range(rng.randint(1, 4)))}
        self.masters = [self.host(10 + k) for k in range(rng.randint(1, 3))]
        for k, master in enumerate(self.masters):
            for device in self.devices.values():
                if k == 0 or rng.random() < 0.6:
                    self._explicit(k, master, device)
        self.adapter = self.device(40)
        if rng.random() < 0.7:
            self._implicit(rng.choice(list(self.devices)).host, self.adapter, rng.choice((0.02, 0.05, 0.1)))
        self._browse(self.masters[0])

    def _opening(self, connects: bool) -> list[Ask]:
        def register(session: Session) -> list[Step]:
            self.handle = self.handle * 1_103_515_245 + 12_345 & 0x7FFFFFFF
            session.memory["handle"] = self.handle
            body = b"\1\0\0\0"
            return [(True, fixed(header(0x65, 0, body))), (False, fixed(header(0x65, session.memory["handle"], body)))]

        def forward(session: Session) -> list[Step]:
            rng = self.rng
            session.memory |= {"to": rng.randrange(1 << 31), "from": rng.randrange(1 << 31)}
            serial = rng.randrange(1 << 16)
            own = struct.pack("<HHI", serial, 0x4D, 0x51C0FFEE)
            ask = b"\x54\x02\x20\x06\x24\x01\x0a\x0e" + struct.pack("<II", 0, session.memory["from"]) + own
            ask += (
                b"\x03\0\0\0" + struct.pack("<IHIHB", 2_000_000, 0x43F4, 2_000_000, 0x43F4, 0xA3) + b"\x03\x01\0\x20\x02\x24\x01"
            )
            tell = b"\xd4\0\0\0" + struct.pack("<II", session.memory["to"], session.memory["from"]) + own
            tell += struct.pack("<IIBB", 2_000_000, 2_000_000, 0, 0)
            return [(True, fixed(unconnected(session, ask, 0))), (False, fixed(unconnected(session, tell, 0)))]

        return [register, forward] if connects else [register]

    def wrap(self, cip: Cip, connects: bool, context: bool) -> Ask:
        """An exchange over a session."""

        def start(session: Session) -> list[Step]:
            session.number += 1
            number, body = session.number, cip[0]()
            if connects:
                return [
                    (True, fixed(connected(session, number, body, True))),
                    (False, lambda now: connected(session, number, cip[1](now), False)),
                ]
            mine = number if context else 0
            return [(True, fixed(unconnected(session, body, mine))), (False, lambda now: unconnected(session, cip[1](now), mine))]

        return start

    def _explicit(self, k: int, master: Host, device: Device) -> None:
        rng = self.rng
        connects, context = rng.random() < 0.6, rng.random() < 0.5
        depth, fresh = rng.choice((1, 1, 3)), k > 0 and rng.random() < 0.3
        client = self.client(master, device.server, opening=self._opening(connects), depth=depth, fresh=fresh)

        def wrap(cip: Cip) -> Ask:
            return self.wrap(cip, connects, context)

        self.wraps[id(client)] = wrap
        names = list(device.tags)
        if rng.random() < 0.5:
            half = max(1, len(names) // 2)
            quick = [wrap(device.several(names[:half]))] + ([wrap(device.several(names[half:]))] if names[half:] else [])
        else:
            quick = [wrap(device.read(n)) for n in names]
        self.poll(client, quick, rng.choice((0.25, 0.5, 1.0, 2.0)) if k == 0 else rng.choice((2.0, 5.0, 10.0)))
        self.poll(client, [wrap(device.read(n)) for n in device.points], rng.choice((2.0, 5.0)))
        if rng.random() < 0.5:
            self.poll(client, [wrap(device.everything())], rng.choice((10.0, 30.0)))
        if rng.random() < 0.5:
            self.poll(client, [wrap(device.attribute(0xF5, 1, n, bytes(4))) for n in (1, 2, 3)], rng.choice((5.0, 20.0)))
        if k == 0:
            free = rng.random() < 0.4
            for name in device.points:
                self.operator(client, self._point(device, name, wrap, free))

    def _point(self, device: Device, name: str, wrap: Callable[[Cip], Ask], free: bool) -> Callable[[], Act]:
        values = [self.rng.randrange(10, 2000) for _ in range(3)]

        def act() -> Act:
            value = self.rng.randrange(10, 2000) if free else self.rng.choice(values)
            return (device.server.host.ip, name), value, wrap(device.write(name, value))

        return act

    def _implicit(self, host: Host, server: Server, interval: float) -> None:
        """Class 1 I/O: both sides send at their interval."""
        rng = self.rng
        to, back = rng.randrange(1 << 31), rng.randrange(1 << 31)
        client = Client(self.site, host, server, IO_PORT, True, sport=IO_PORT)
        inputs = [Signal.drawn(rng, rng.choice(("walk", "bit", "cycle"))) for _ in range(rng.choice((2, 4, 8)))]
        outputs = [Signal.drawn(rng, rng.choice(("bit", "walk"))) for _ in range(rng.choice((1, 2, 4)))]
        numbers = {"out": rng.randrange(1 << 16), "in": rng.randrange(1 << 16)}
        run = rng.random() < 0.8

        def said(way: str, handle: int, signals: list[Signal]) -> bytes:
            numbers[way] += 1
            data = b"".join(struct.pack("<h", int(s.at(self.site.now)) & 0x7FFF) for s in signals)
            head = struct.pack("<I", 1) if way == "out" and run else b""
            short = struct.pack("<H", numbers[way] & 0xFFFF)
            body = short + head + data
            return struct.pack("<HHHIIHH", 2, 0x8002, 8, handle, numbers[way] & 0xFFFFFFFF, 0xB1, len(body)) + body

        def out() -> None:
            if not server.gone(self.site.now):
                self.site.wire(0).udp(self.site.now, host, IO_PORT, server.host, IO_PORT, said("out", to, outputs))

        def into() -> None:
            client.push(lambda _s, _n: said("in", back, inputs))

        self.site.every(interval * (1 + rng.gauss(0, 3e-5)), 0.01, out)  # no two clocks are alike
        self.site.every(interval * (1 + rng.gauss(0, 3e-5)), 0.01, into)

    def _browse(self, host: Host) -> None:
        """List identity by broadcast."""
        port = self.site.port()

        def act() -> None:
            self.site.wire(0).udp(self.site.now, host, port, BROADCAST, PORT, header(0x63, 0, b""))
            for server, device in self.devices.items():
                if not server.gone(self.site.now):
                    address = struct.pack(">HH", 2, PORT) + server.host.ip + bytes(8)
                    item = struct.pack("<H", 1) + address + device.identity() + b"\x03"
                    body = struct.pack("<HHH", 1, 0x0C, len(item)) + item
                    later = self.site.now + int(self.rng.uniform(0.005, 0.3) * 1e9)
                    self.site.wire(0).udp(later, server.host, PORT, host, port, header(0x63, 0, body))

        self.site.every(30.0, 0.01, act)

    # What an intruder would say.

    def _victim(self) -> tuple[Client, Device, Callable[[Cip], Ask]]:
        client = self.rng.choice([c for c in self.clients if c.host is self.masters[0]])
        return client, self.devices[client.server], self.wraps[id(client)]

    def forbidden(self) -> tuple[Client, list[Ask]]:
        """Write a tag nobody writes."""
        client, device, wrap = self._victim()
        name = self.rng.choice(("Limit_Hi", "Safety_Off", next(iter(device.tags))))
        return client, [wrap(device.write(name, self.rng.randrange(9999)))]

    def scan(self) -> tuple[Client, list[Ask]]:
        """Try classes and services."""
        client, _, wrap = self._victim()
        tried = [(self.rng.choice((1, 14, 16, 3)), c) for c in self.rng.sample(range(2, 200), 30)]
        asks = [bytes([s, 2, 0x20, c, 0x24, 1]) for s, c in tried]
        return client, [wrap((same(a), fixed(bytes([a[0] | 0x80, 0, 8, 0])))) for a in asks]

    def stop(self) -> tuple[Client, list[Ask]]:
        """Reset, or stop the program."""
        client, _, wrap = self._victim()
        ask = self.rng.choice((b"\x05\x02\x20\x01\x24\x01\x00", b"\x07\x02\x20\x8e\x24\x01"))
        return client, [wrap((lambda: ask, lambda _: bytes([ask[0] | 0x80, 0, 0, 0])))]

    def download(self) -> tuple[Client, list[Ask]]:
        """Blocks into a file object."""
        client, _, wrap = self._victim()
        asks = [b"\x4f\x02\x20\x37\x24\xc8" + bytes([k]) + self.rng.randbytes(220) for k in range(40)]
        return client, [wrap((same(a), fixed(b"\xcf\0\0\0\x00"))) for a in asks]

    def numbers(self) -> list[Signal]:
        """Measured values."""
        return [s for d in self.devices.values() for s in d.tags.values() if s.kind == "walk"]

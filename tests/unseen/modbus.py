"""Modbus/TCP plants: several masters, poll groups, gateways with many units, normal exceptions, set-points, heartbeats."""

import random
import struct
from collections.abc import Callable

from tests.sim.wire import Host
from tests.unseen.plant import Act, Plant
from tests.unseen.signals import CODINGS, Signal
from tests.unseen.site import Ask, Client, Server, Session, Step, fixed

PORT = 502
Layout = list[tuple[str, Signal]]
NUMBERS = ("u16", "i16", "f32", "f32 swapped")


def mbap(session: Session, unit: int, pdu: bytes) -> bytes:
    """A message with its header (Messaging on TCP/IP Implementation Guide 1.0b, 3.1)."""
    return struct.pack(">HHHB", session.memory["id"], 0, len(pdu) + 1, unit) + pdu


def exchange(unit: int, ask: bytes | Callable[[], bytes], tell: Callable[[int], bytes], *, numbered: bool = True) -> Ask:
    """A request and its answer."""

    def start(session: Session) -> list[Step]:
        session.number += 1
        own = Session(0, {"id": session.number & 0xFFFF if numbered else 0})
        body = ask if isinstance(ask, bytes) else ask()
        return [(True, fixed(mbap(own, unit, body))), (False, lambda now: mbap(own, unit, tell(now)))]

    return start


class Device:
    """A unit: blocks of registers and coils, each of one table."""

    def __init__(self, plant: "ModbusPlant", unit: int) -> None:
        rng = plant.rng
        self.plant, self.unit = plant, unit
        self.blocks: list[tuple[int, int, Layout]] = []
        start = rng.choice((0, 1, 100, 1000, 4096))
        for _ in range(rng.randint(1, 4)):
            layout = self._layout(rng, rng.choice(NUMBERS))
            self.blocks.append((rng.choice((3, 3, 4)), start, layout))
            start += sum(CODINGS[c][0] for c, _ in layout) + rng.choice((0, 10, 100))
        self.coils = [Signal.drawn(rng, "bit") for _ in range(rng.choice((4, 8, 11, 20)))]
        self.coil_table, self.coil_start = rng.choice((1, 2)), rng.choice((0, 8, 64))
        self.points = {5000 + 2 * k: Signal.drawn(rng, "hold") for k in range(rng.randint(1, 4))}

    @staticmethod
    def _layout(rng: random.Random, number: str) -> Layout:
        out: Layout = [(number, Signal.drawn(rng, "walk")) for _ in range(rng.randint(1, 8))]
        out += [(rng.choice(("u32", "u32 swapped")), Signal.drawn(rng, "count")) for _ in range(rng.choice((0, 0, 1, 2)))]
        out += [("word", Signal.drawn(rng, "cycle")) for _ in range(rng.choice((0, 1, 2)))]
        out += [("word", Signal.drawn(rng, "bit")) for _ in range(rng.choice((0, 1)))]
        rng.shuffle(out)
        return out

    def data(self, layout: Layout, now: int) -> bytes:
        """The registers of a block."""
        site = self.plant.site
        out = b"".join(CODINGS[coding][1](signal.at(now)) for coding, signal in layout)
        site.forged = site.forged or any(signal.forced is not None for _, signal in layout)
        return out

    def read(self, block: int) -> Ask:
        """Read a block."""
        function, start, layout = self.blocks[block]
        many = sum(CODINGS[c][0] for c, _ in layout)
        return self.plant.exchange(
            self.unit, struct.pack(">BHH", function, start, many),
            lambda now: bytes([function, 2 * many]) + self.data(layout, now),
        )  # fmt: skip

    def read_bits(self) -> Ask:
        """Read the coils."""

        def tell(now: int) -> bytes:
            bits = sum(int(s.at(now)) << k for k, s in enumerate(self.coils))
            size = (len(self.coils) + 7) // 8
            return bytes([self.coil_table, size]) + bits.to_bytes(size, "little")

        return self.plant.exchange(self.unit, struct.pack(">BHH", self.coil_table, self.coil_start, len(self.coils)), tell)

    def read_points(self) -> Ask:
        """Read back the set-points."""
        low, high = min(self.points), max(self.points) + 2

        def tell(now: int) -> bytes:
            words = [round(self.points[r].at(now)) if r in self.points else 0 for r in range(low, high)]
            return struct.pack(f">BB{len(words)}H", 3, 2 * len(words), *words)

        return self.plant.exchange(self.unit, struct.pack(">BHH", 3, low, high - low), tell)

    def refuse(self, function: int, code: int, register: int = 9000) -> Ask:
        """A read that is always refused."""
        return self.plant.exchange(
            self.unit, struct.pack(">BHH", function, register, 2), lambda _: bytes([function | 0x80, code])
        )

    def write(self, register: int, value: int, several: bool) -> Ask:
        """Write a register by function 6 or 16."""

        def ask() -> bytes:
            if register in self.points:
                self.points[register].value = float(value)
            return struct.pack(">BHHBH", 16, register, 1, 2, value) if several else struct.pack(">BHH", 6, register, value)

        return self.plant.exchange(self.unit, ask, lambda _: struct.pack(">BHH", 16, register, 1) if several else ask())


class ModbusPlant(Plant):
    """Drawn by its seed."""

    name, port, udp = "modbus", PORT, False

    def exchange(self, unit: int, ask: bytes | Callable[[], bytes], tell: Callable[[int], bytes]) -> Ask:
        """An exchange as this plant's clients number them."""
        return exchange(unit, ask, tell, numbered=self.numbered)

    def build(self) -> None:
        """Devices behind addresses (one of them a gateway), then masters."""
        rng = self.rng
        self.numbered = rng.random() < 0.8
        self.units: dict[Server, list[Device]] = {}
        for n in range(rng.randint(2, 5)):
            many = rng.randint(3, 8) if n == 0 and rng.random() < 0.6 else 1
            server = self.device(20 + n)
            self.units[server] = [Device(self, (k + 1) if many > 1 else rng.choice((1, 255, n + 1))) for k in range(many)]
        self.masters = [self.host(10 + k) for k in range(rng.randint(1, 3))]
        for k, master in enumerate(self.masters):
            for server, devices in self.units.items():
                if k == 0 or rng.random() < 0.6:
                    self._polls(k, master, server, devices)

    def _polls(self, k: int, master: Host, server: Server, devices: list[Device]) -> None:
        rng = self.rng
        client = self.client(master, server, depth=rng.choice((1, 1, 1, 4)), fresh=k > 0 and rng.random() < 0.4)
        slow = 0.2 * len(devices) if len(devices) > 1 else 0.0
        for device in devices:
            quick = max(slow, rng.choice((0.1, 0.25, 0.5, 1.0))) if k == 0 else rng.choice((1.0, 2.0, 5.0, 10.0))
            groups = [[device.read(b) for b in range(len(device.blocks))], [device.read_bits()], [device.read_points()]]
            for i, asks in enumerate(groups):
                self.poll(client, asks, quick * (1, 2, 5)[i])
            if rng.random() < 0.2:
                self.poll(client, [device.refuse(rng.choice((3, 4)), rng.choice((2, 11)))], rng.choice((5.0, 10.0)))
        if k == 0:
            self._control(client, devices)

    def _control(self, client: Client, devices: list[Device]) -> None:
        """What the first master writes: a heartbeat, outputs, modes; its operator's set-points; who the devices are."""
        rng = self.rng
        for device in devices[:2]:
            if rng.random() < 0.5:
                self.poll(client, [self._heartbeat(device)], rng.choice((1.0, 2.0)))
            if rng.random() < 0.4:
                self.poll(client, [self._outputs(device)], rng.choice((2.0, 4.0)))
            if rng.random() < 0.3:
                self.poll(client, [self._both(device)], rng.choice((1.0, 5.0)))
            if rng.random() < 0.3:
                mask = struct.pack(">BHHH", 22, 6000, 0xFFF0, rng.choice((1, 2, 4)))
                self.poll(client, [self.exchange(device.unit, mask, fixed(mask))], 10.0)
            if rng.random() < 0.4:
                text = b"\x00\x04ACME\x01\x04PX-4\x02\x041.42"
                told = b"\x2b\x0e\x01\x01\x00\x00\x03" + text
                self.poll(client, [self.exchange(device.unit, b"\x2b\x0e\x01\x00", fixed(told))], 30.0)
            several, free = rng.random() < 0.4, rng.random() < 0.4
            for register in device.points:
                values = [rng.randrange(100, 900) for _ in range(3)]
                self.operator(client, self._point(device, register, values, several, free))

    def _point(self, device: Device, register: int, values: list[int], several: bool, free: bool) -> Callable[[], Act]:
        def act() -> Act:
            value = self.rng.randrange(100, 900) if free else self.rng.choice(values)
            return (device.unit, register), value, device.write(register, value, several)

        return act

    def _heartbeat(self, device: Device) -> Ask:
        beat = {"n": 0}

        def ask() -> bytes:
            beat["n"] = (beat["n"] + 1) & 0xFF
            return struct.pack(">BHH", 6, 7000, beat["n"])

        return self.exchange(device.unit, ask, lambda _: struct.pack(">BHH", 6, 7000, beat["n"]))

    def _outputs(self, device: Device) -> Ask:
        signals = [Signal.drawn(self.rng, "bit") for _ in range(8)]

        def ask() -> bytes:
            bits = sum(int(s.at(self.site.now)) << k for k, s in enumerate(signals))
            return struct.pack(">BHHBB", 15, 32, 8, 1, bits)

        return self.exchange(device.unit, ask, lambda _: struct.pack(">BHH", 15, 32, 8))

    def _both(self, device: Device) -> Ask:
        """Function 23: write one, read a block."""
        _, start, layout = device.blocks[0]
        many, out = sum(CODINGS[c][0] for c, _ in layout), Signal.drawn(self.rng, "walk")

        def ask() -> bytes:
            return struct.pack(">BHHHHB", 23, start, many, 7100, 1, 2) + CODINGS["u16"][1](out.at(self.site.now))

        return self.exchange(device.unit, ask, lambda now: bytes([23, 2 * many]) + device.data(layout, now))

    # What an intruder would say.

    def forbidden(self) -> tuple[Client, list[Ask]]:
        """Write a register nobody writes."""
        client, device = self._victim()
        register, value = self.rng.choice((77, 3200, 6010)), self.rng.randrange(60_000)
        return client, [device.write(register, value, self.rng.random() < 0.5)]

    def scan(self) -> tuple[Client, list[Ask]]:
        """Try functions and registers."""
        client, device = self._victim()
        tried = self.rng.sample(range(1, 100), 30)
        asks = [self.exchange(device.unit, struct.pack(">BHH", f, 0, 1), fixed(bytes([f | 0x80, 1]))) for f in tried]
        return client, asks

    def stop(self) -> tuple[Client, list[Ask]]:
        """Force listen only mode, restart communications."""
        client, device = self._victim()
        pdu = self.rng.choice((b"\x08\x00\x04\x00\x00", b"\x08\x00\x01\x00\x00"))
        return client, [self.exchange(device.unit, pdu, lambda _: pdu)]

    def download(self) -> tuple[Client, list[Ask]]:
        """A maker's function that carries a program."""
        client, device = self._victim()
        blocks = [bytes([90, 0, 0x31, k]) + self.rng.randbytes(200) for k in range(40)]
        return client, [self.exchange(device.unit, b, lambda _: bytes([90, 0, 0xFE])) for b in blocks]

    def numbers(self) -> list[Signal]:
        """Measured values."""
        every = [d for devices in self.units.values() for d in devices]
        return [s for d in every for _, _, layout in d.blocks for _, s in layout if s.kind == "walk"]

    def _victim(self) -> tuple[Client, Device]:
        client = self.rng.choice([c for c in self.clients if c.host is self.masters[0]])
        return client, self.rng.choice(self.units[client.server])

"""BACnet/IP plants: properties read one by one and several at once, changes of value, segmented answers, trends, alarms, time."""

import struct
from collections.abc import Callable
from functools import partial

from tests.sim.wire import BROADCAST, Host
from tests.unseen.plant import Act, Plant
from tests.unseen.signals import Signal
from tests.unseen.site import Ask, Client, Server, Session, Step, fixed, same

PORT = 47808
PRESENT, STATUS_FLAGS, OBJECT_LIST, NAME = 85, 111, 76, 77
DEVICE, INPUT, VALUE, BINARY, SCHEDULE = 8, 0, 2, 3, 17


def link(apdu: bytes, *, function: int = 0x0A, expects: bool = False, net: bytes = b"", source: bytes = b"") -> bytes:
    """BVLL and NPDU (ASHRAE 135, annex J and 6.2); `net`, `source`: a destination or source behind a router."""
    control = (0x04 if expects else 0) | (0x20 if net else 0) | (0x08 if source else 0)
    body = bytes([1, control]) + net + source + (b"\xff" if net else b"") + apdu
    return bytes([0x81, function]) + struct.pack(">H", 4 + len(body)) + body


def obj(kind: int, instance: int, tag: int = 0x0C) -> bytes:
    """A context-tagged object identifier."""
    return bytes([tag]) + struct.pack(">I", kind << 22 | instance)


class Device:
    """A controller: inputs, values, binaries; maybe behind a router."""

    def __init__(self, plant: "BacnetPlant", server: Server, instance: int, routed: bool) -> None:
        rng = plant.rng
        self.plant, self.server, self.instance = plant, server, instance
        self.net = struct.pack(">HBB", 200, 1, instance & 0xFF) if routed else b""
        self.inputs = [Signal.drawn(rng, "walk") for _ in range(rng.randint(2, 10))]
        self.binaries = [Signal.drawn(rng, "bit") for _ in range(rng.randint(1, 5))]
        self.points = [Signal.drawn(rng, "hold") for _ in range(rng.randint(1, 3))]
        self.base = rng.choice((0, 1, 100))
        self.records = rng.randrange(100, 9000)

    def object(self, kind: int, k: int, tag: int = 0x0C) -> bytes:
        """The k-th object of a kind."""
        return obj(kind, self.base + k, tag)

    def present(self, kind: int, k: int, now: int) -> bytes:
        """A present value, application-tagged."""
        signal = {INPUT: self.inputs, VALUE: self.points, BINARY: self.binaries}[kind][k]
        self.plant.site.forged = self.plant.site.forged or signal.forced is not None
        value = signal.at(now)
        return b"\x91" + bytes([int(value)]) if kind == BINARY else b"\x44" + struct.pack(">f", value)

    def wrap(self, apdu: bytes, up: bool) -> bytes:
        """To or from this device."""
        return link(apdu, expects=up, net=self.net if up else b"", source=self.net if not up else b"")

    def ask(self, service: int, body: Callable[[], bytes], tell: Callable[[int], bytes] | None, error: bytes = b"") -> Ask:
        """A confirmed request: a complex answer, a simple one where `tell` is None, or an error."""

        def start(session: Session) -> list[Step]:
            session.number += 1
            invoke = session.number & 0xFF
            ask = self.wrap(
                bytes([0x02 if self.plant.segments else 0, 0x75 if self.plant.segments else 5, invoke, service]) + body(), True
            )
            simple = bytes([0x20, invoke, service])
            if error:
                return [(True, fixed(ask)), (False, fixed(self.wrap(bytes([0x50, invoke, service]) + error, False)))]
            if tell is None:
                return [(True, fixed(ask)), (False, fixed(self.wrap(simple, False)))]
            return [(True, fixed(ask)), (False, lambda now: self.wrap(bytes([0x30, invoke, service]) + tell(now), False))]

        return start

    def read(self, kind: int, k: int) -> Ask:
        """ReadProperty of a present value."""
        what = self.object(kind, k) + bytes([0x19, PRESENT])
        return self.ask(12, lambda: what, lambda now: what + b"\x3e" + self.present(kind, k, now) + b"\x3f")

    def read_several(self, what: list[tuple[int, int]]) -> Ask:
        """ReadPropertyMultiple of present values and status flags."""
        ask = b"".join(self.object(kind, k) + bytes([0x1E, 0x09, PRESENT, 0x09, STATUS_FLAGS, 0x1F]) for kind, k in what)

        def tell(now: int) -> bytes:
            return b"".join(
                self.object(kind, k) + bytes([0x1E, 0x29, PRESENT, 0x4E]) + self.present(kind, k, now) + b"\x4f"
                + bytes([0x29, STATUS_FLAGS, 0x4E, 0x82, 0x04, 0x00, 0x4F, 0x1F]) for kind, k in what
            )  # fmt: skip

        return self.ask(14, lambda: ask, tell)

    def write(self, kind: int, k: int, value: float, priority: int) -> Ask:
        """WriteProperty of a present value."""

        def body() -> bytes:
            if kind == VALUE and k < len(self.points):
                self.points[k].value = value
            raw = b"\x91" + bytes([int(value)]) if kind == BINARY else b"\x44" + struct.pack(">f", value)
            return self.object(kind, k) + bytes([0x19, PRESENT, 0x3E]) + raw + bytes([0x3F, 0x49, priority])

        return self.ask(15, body, None)

    def objects(self, size: int) -> Ask:
        """The list of all objects, in segments that the client confirms."""

        def start(session: Session) -> list[Step]:
            session.number += 1
            invoke = session.number & 0xFF
            what = obj(DEVICE, self.instance) + bytes([0x19, OBJECT_LIST])
            listed = b"".join(obj(INPUT, k, 0xC4) for k in range(size))
            data = what + b"\x3e" + listed + b"\x3f"
            parts = [data[at : at + 200] for at in range(0, len(data), 200)]
            steps: list[Step] = [(True, fixed(self.wrap(bytes([0x02, 0x75, invoke, 12]) + what, True)))]
            for n, part in enumerate(parts):
                more = 0x04 if n < len(parts) - 1 else 0
                steps.append((False, fixed(self.wrap(bytes([0x38 | more, invoke, n & 0xFF, 1, 12]) + part, False))))
                ack = link(bytes([0x40, invoke, n & 0xFF, 1]), net=self.net)
                steps.append((True, fixed(ack)))
            return steps

        return start

    def trend(self) -> Ask:
        """ReadRange of a trend log, by sequence number; the log grows."""

        def records(now: int) -> bytes:
            out = b""
            for k in range(4):
                second = (now // 10**9) + k
                stamp = bytes([0xA4, 123, 11, 20, 1, 0xB4, second // 3600 % 24, second // 60 % 60, second % 60, 0])
                out += b"\x0e" + stamp + b"\x0f\x1e\x2c" + struct.pack(">f", self.inputs[0].at(now)) + b"\x1f\x2a\x04\x00"
            return out

        def body() -> bytes:
            self.records += 4
            return obj(20, 1) + b"\x19\x83\x6e\x22" + struct.pack(">H", self.records & 0xFFFF) + b"\x31\x04\x6f"

        def tell(now: int) -> bytes:
            head = obj(20, 1) + b"\x19\x83\x3a\x05\xc0\x49\x04\x5e"
            return head + records(now) + b"\x5f\x6b" + struct.pack(">BH", 0, self.records & 0xFFFF)

        return self.ask(26, body, tell)

    def subscribe(self, kind: int, k: int, confirmed: bool) -> Ask:
        """SubscribeCOV for five minutes."""
        what = b"\x09" + bytes([0x12]) + obj(kind, self.base + k, 0x1C) + b"\x29" + bytes([confirmed]) + b"\x3a\x01\x2c"
        return self.ask(5, lambda: what, None)

    def changed(self, kind: int, k: int, now: int) -> bytes:
        """What a COV notification says (unconfirmed)."""
        body = b"\x09\x12" + obj(DEVICE, self.instance, 0x1C) + obj(kind, self.base + k, 0x2C) + b"\x39\xc8\x4e"
        body += (
            bytes([0x09, PRESENT, 0x2E])
            + self.present(kind, k, now)
            + bytes([0x2F, 0x09, STATUS_FLAGS, 0x2E, 0x82, 4, 0, 0x2F, 0x4F])
        )
        return link(b"\x10\x02" + body, source=self.net)


class BacnetPlant(Plant):
    """Drawn by its seed."""

    name, port, udp = "bacnet", PORT, True

    def build(self) -> None:
        """Controllers (some behind a router), a workstation, maybe a second one."""
        rng = self.rng
        self.segments = rng.random() < 0.5
        self.devices: dict[Server, list[Device]] = {}
        instance = rng.choice((1, 100, 4000))
        for n in range(rng.randint(3, 8)):
            server, routed = self.device(20 + n), n == 0 and rng.random() < 0.5
            count = rng.randint(2, 4) if routed else 1
            self.devices[server] = [Device(self, server, instance + 10 * n + k, routed) for k in range(count)]
        self.masters = [self.host(10 + k) for k in range(rng.randint(1, 2))]
        for k, master in enumerate(self.masters):
            for server, devices in self.devices.items():
                if k == 0 or rng.random() < 0.5:
                    self._station(k, master, server, devices)
        self._broadcasts()

    def _station(self, k: int, master: Host, server: Server, devices: list[Device]) -> None:
        rng = self.rng
        client = self.client(master, server, depth=rng.choice((1, 2)), timeout=rng.choice((1.0, 3.0)), sport=PORT)
        for device in devices:
            every = [(INPUT, n) for n in range(len(device.inputs))] + [(BINARY, n) for n in range(len(device.binaries))]
            period = rng.choice((1.0, 2.0, 5.0)) if k == 0 else rng.choice((5.0, 10.0))
            if rng.random() < 0.5:
                self.poll(client, [device.read_several(every[at : at + 6]) for at in range(0, len(every), 6)], period)
            else:
                self.poll(client, [device.read(*what) for what in every], period)
            self.poll(client, [device.read(VALUE, n) for n in range(len(device.points))], 2 * period)
            if rng.random() < 0.3:
                self.poll(client, [device.objects(rng.choice((60, 120)))], 60.0)
            if rng.random() < 0.3:
                self.poll(client, [device.trend()], rng.choice((10.0, 30.0)))
            if rng.random() < 0.3:
                self._unknown(client, device)
            if k == 0:
                self._workstation(client, device)

    def _unknown(self, client: Client, device: Device) -> None:
        """A property the device does not have: an error each time."""
        what = device.object(VALUE, 0) + bytes([0x19, 0x1C])
        self.poll(client, [device.ask(12, lambda: what, None, error=b"\x91\x02\x91\x20")], self.rng.choice((10.0, 30.0)))

    def _workstation(self, client: Client, device: Device) -> None:
        rng, site = self.rng, self.site
        if rng.random() < 0.5:
            for n in range(min(3, len(device.inputs))):
                self.poll(client, [device.subscribe(INPUT, n, False)], 60.0)

                def note(n: int = n) -> None:
                    client.push(lambda _s, now: device.changed(INPUT, n, now))

                site.sometimes(rng.choice((2.0, 6.0, 20.0)), note)
        if rng.random() < 0.4:
            self.poll(client, [device.ask(29, lambda: b"", lambda _: b"\x0e\x0f\x19\x00")], 30.0)
        if rng.random() < 0.3:
            self.operator(client, lambda: ((device.instance, "ack"), self.site.now, self._acknowledge(device)))
        free, priority = rng.random() < 0.4, rng.choice((8, 10, 16))
        for n in range(len(device.points)):
            values = [round(rng.uniform(15, 30), 1) for _ in range(3)]
            self.operator(client, self._point(device, n, values, free, priority))

    def _point(self, device: Device, n: int, values: list[float], free: bool, priority: int) -> Callable[[], Act]:
        def act() -> Act:
            value = round(self.rng.uniform(15, 30), 1) if free else self.rng.choice(values)
            return (device.instance, n), value, device.write(VALUE, n, value, priority)

        return act

    def _acknowledge(self, device: Device) -> Ask:
        """AcknowledgeAlarm, with the time of the alarm and of now."""
        second = self.site.now // 10**9
        clock = bytes([second // 3600 % 24, second // 60 % 60, second % 60, 0])
        stamp = b"\x2e\xa4\x7b\x0b\x14\x01\xb4" + clock + b"\x2f"
        body = (
            b"\x09\x12" + device.object(INPUT, 0, 0x1C) + b"\x29\x03\x3e" + stamp + b"\x3f\x4d\x05\x00ops1\x5e" + stamp + b"\x5f"
        )
        return device.ask(0, lambda: body, None)

    def _broadcasts(self) -> None:
        """Who-Is and I-Am each minute, time synchronisation."""
        station = self.masters[0]

        def said(host: Host, apdu: bytes, source: bytes = b"") -> None:
            wire = self.site.wire(0)
            wire.udp(self.site.now, host, PORT, BROADCAST, PORT, link(apdu, function=0x0B, source=source))

        def who() -> None:
            said(station, b"\x10\x08")
            for server, devices in self.devices.items():
                for device in devices:
                    iam = (
                        b"\x10\x00\xc4" + struct.pack(">I", DEVICE << 22 | device.instance) + b"\x22\x05\xc4\x91\x00\x22\x01\x04"
                    )
                    later = self.site.now + int(self.rng.uniform(0.005, 0.5) * 1e9)
                    if not server.gone(later):
                        self.site.at(later, partial(said, server.host, iam, device.net))

        def clock() -> None:
            second = self.site.now // 10**9
            said(station, b"\x10\x06\xa4\x7b\x0b\x14\x01\xb4" + bytes([second // 3600 % 24, second // 60 % 60, second % 60, 0]))

        self.site.every(60.0, 0.002, who)
        if self.rng.random() < 0.6:
            self.site.every(60.0, 0.002, clock)

    # What an intruder would say.

    def _victim(self) -> tuple[Client, Device]:
        client = self.rng.choice([c for c in self.clients if c.host is self.masters[0]])
        return client, self.rng.choice(self.devices[client.server])

    def forbidden(self) -> tuple[Client, list[Ask]]:
        """Write what nobody writes."""
        client, device = self._victim()
        kind, k = self.rng.choice(((BINARY, 0), (INPUT, 0), (VALUE, 40)))
        return client, [device.write(kind, k, 1.0, 1)]

    def scan(self) -> tuple[Client, list[Ask]]:
        """Try properties and objects."""
        client, device = self._victim()
        tried = [obj(self.rng.randrange(40), self.rng.randrange(500)) + bytes([0x19, self.rng.randrange(128)]) for _ in range(30)]
        return client, [device.ask(12, same(t), None, error=b"\x91\x01\x91\x1f") for t in tried]

    def stop(self) -> tuple[Client, list[Ask]]:
        """Reinitialize, or communication control."""
        client, device = self._victim()
        service, body = self.rng.choice(((20, b"\x09\x00"), (17, b"\x09\x05\x19\x01")))
        return client, [device.ask(service, lambda: body, None)]

    def download(self) -> tuple[Client, list[Ask]]:
        """AtomicWriteFile."""
        client, device = self._victim()
        head = b"\xc4" + struct.pack(">I", 10 << 22 | 1) + b"\x0e\x32"
        places = [struct.pack(">H", 200 * k) for k in range(40)]
        blocks = [head + place + b"\x65\xc8" + self.rng.randbytes(200) + b"\x0f" for place in places]
        return client, [device.ask(7, same(b), fixed(b"\x0a" + place)) for b, place in zip(blocks, places, strict=True)]

    def numbers(self) -> list[Signal]:
        """Measured values."""
        return [s for devices in self.devices.values() for d in devices for s in d.inputs]

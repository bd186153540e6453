"""S7comm plants: an HMI that reads lists of items, operators' writes, the clock read, a second station."""

import struct
from collections.abc import Callable

from tests.sim.wire import Host
from tests.unseen.plant import Act, Plant
from tests.unseen.signals import Signal
from tests.unseen.site import Ask, Client, Server, Session, Step, fixed, same

PORT = 102
FORMS = {"walk": ">f", "count": ">i", "bit": ">h", "cycle": ">h", "hold": ">h"}


def tpkt(body: bytes) -> bytes:
    """RFC 1006."""
    return struct.pack(">BBH", 3, 0, 4 + len(body)) + body


def pdu(kind: int, number: int, param: bytes, data: bytes = b"", code: bytes = b"") -> bytes:
    """A message behind COTP."""
    head = struct.pack(">BBHHHH", 0x32, kind, 0, number & 0xFFFF, len(param), len(data))
    return tpkt(b"\x02\xf0\x80" + head + code + param + data)


def item(db: int, byte: int, size: int, area: int = 0x84) -> bytes:
    """So many bytes of a data block (or of another area)."""
    return b"\x12\x0a\x10\x02" + struct.pack(">HHB", size, db, area) + (byte * 8).to_bytes(3, "big")


class Device:
    """A controller: a data block with values, one with set-points."""

    def __init__(self, plant: "S7Plant", server: Server) -> None:
        rng = plant.rng
        self.plant, self.server, self.db = plant, server, rng.choice((1, 10, 50, 300))
        self.values = [
            Signal.drawn(rng, rng.choice(("walk", "walk", "count", "bit", "cycle"))) for _ in range(rng.randint(4, 12))
        ]
        self.points = [Signal.drawn(rng, "hold") for _ in range(rng.randint(1, 3))]

    def data(self, signals: list[Signal], now: int) -> bytes:
        """Values one after the other."""
        self.plant.site.forged = self.plant.site.forged or any(s.forced is not None for s in signals)
        out = b""
        for s in signals:
            value = s.at(now)
            out += struct.pack(
                FORMS[s.kind], value if s.kind == "walk" else int(value) & 0x7FFF if s.kind != "count" else int(value)
            )
        return out

    def read(self, lists: list[tuple[bytes, list[Signal]]]) -> Ask:
        """Read several items."""

        def tell(now: int) -> bytes:
            out = b""
            for n, (_, signals) in enumerate(lists):
                data = self.data(signals, now)
                out += b"\xff\x04" + struct.pack(">H", 8 * len(data)) + data
                out += b"\0" * (len(data) % 2 and n < len(lists) - 1)
            return out

        ask = bytes([4, len(lists)]) + b"".join(one for one, _ in lists)
        return job(lambda: (ask, b""), bytes([4, len(lists)]), tell)

    def listed(self, parts: int) -> list[tuple[bytes, list[Signal]]]:
        """The values in so many items."""
        out, at = [], 0
        step = max(1, len(self.values) // parts)
        for begin in range(0, len(self.values), step):
            signals = self.values[begin : begin + step]
            size = sum(struct.calcsize(FORMS[s.kind]) for s in signals)
            out.append((item(self.db, at, size), signals))
            at += size
        return out

    def write(self, db: int, byte: int, value: int, point: Signal | None = None) -> Ask:
        """Write a word."""

        def ask() -> tuple[bytes, bytes]:
            if point is not None:
                point.value = float(value)
            return b"\x05\x01" + item(db, byte, 2), b"\x00\x04\x00\x10" + struct.pack(">H", value)

        return job(ask, b"\x05\x01", lambda _: b"\xff")


def job(ask: Callable[[], tuple[bytes, bytes]], param: bytes, tell: Callable[[int], bytes], code: bytes = b"\0\0") -> Ask:
    """A job and its acknowledgement."""

    def start(session: Session) -> list[Step]:
        session.number += 1
        number = session.number
        return [(True, fixed(pdu(1, number, *ask()))), (False, lambda now: pdu(3, number, param, tell(now), code))]

    return start


def clock_read(session: Session) -> list[Step]:
    """Userdata: read the clock."""
    session.number += 1
    number = session.number

    def tell(now: int) -> bytes:
        second = now // 10**9
        bcd = bytes(int(str(v), 16) for v in (20, 23, 11, 20, second // 3600 % 24, second // 60 % 60, second % 60))
        return pdu(7, number, b"\0\1\x12\x08\x12\x87\x01\x01\0\0\0\0", b"\xff\x09\0\x0a\x00" + bcd + b"\x00\x02")

    return [(True, fixed(pdu(7, number, b"\0\1\x12\x04\x11\x47\x01\x00", b"\x0a\0\0\0"))), (False, tell)]


class S7Plant(Plant):
    """Drawn by its seed."""

    name, port, udp = "s7", PORT, False

    def build(self) -> None:
        """Controllers, an HMI, maybe others."""
        rng = self.rng
        self.devices = {server: Device(self, server) for server in (self.device(20 + n) for n in range(rng.randint(1, 4)))}
        self.masters = [self.host(10 + k) for k in range(rng.randint(1, 3))]
        for k, master in enumerate(self.masters):
            for device in self.devices.values():
                if k == 0 or rng.random() < 0.6:
                    self._station(k, master, device)

    def _opening(self, slot: int) -> list[Ask]:
        names = b"\xc1\x02\x01\x00\xc2\x02" + bytes([1, slot]) + b"\xc0\x01\x0a"

        def connect(_session: Session) -> list[Step]:
            return [(True, fixed(tpkt(b"\x11\xe0\0\0\0\1\0" + names))), (False, fixed(tpkt(b"\x11\xd0\0\1\0\6\0" + names)))]

        def setup(session: Session) -> list[Step]:
            what = b"\xf0\0\0\1\0\1\x01\xe0"
            return [(True, fixed(pdu(1, session.number, what))), (False, fixed(pdu(3, session.number, what, code=b"\0\0")))]

        return [connect, setup]

    def _station(self, k: int, master: Host, device: Device) -> None:
        rng = self.rng
        client = self.client(master, device.server, opening=self._opening(rng.choice((1, 2))), depth=rng.choice((1, 1, 2)))
        lists = device.listed(rng.choice((1, 2, 4)))
        quick = rng.choice((0.2, 0.5, 1.0)) if k == 0 else rng.choice((2.0, 5.0))
        self.poll(client, [device.read(lists)] if rng.random() < 0.6 else [device.read([one]) for one in lists], quick)
        points = (item(device.db + 1, 0, 2 * len(device.points)), device.points)
        self.poll(client, [device.read([points])], 4 * quick)
        if rng.random() < 0.4:
            self.poll(client, [clock_read], rng.choice((10.0, 60.0)))
        if rng.random() < 0.3:
            refused = job(lambda: (b"\x04\x01" + item(9, 0, 2), b""), b"\x04\x01", lambda _: b"\x0a\x00\x00\x00")
            self.poll(client, [refused], 10.0)
        if k == 0:
            free = rng.random() < 0.4
            for n, point in enumerate(device.points):
                self.operator(client, self._point(device, n, point, free))

    def _point(self, device: Device, n: int, point: Signal, free: bool) -> Callable[[], Act]:
        values = [self.rng.randrange(10, 2000) for _ in range(3)]

        def act() -> Act:
            value = self.rng.randrange(10, 2000) if free else self.rng.choice(values)
            return (device.server.host.ip, n), value, device.write(device.db + 1, 2 * n, value, point)

        return act

    # What an intruder would say.

    def _victim(self) -> tuple[Client, Device]:
        client = self.rng.choice([c for c in self.clients if c.host is self.masters[0]])
        return client, self.devices[client.server]

    def forbidden(self) -> tuple[Client, list[Ask]]:
        """Write into a block that is only read, or that nobody uses."""
        client, device = self._victim()
        return client, [device.write(self.rng.choice((device.db, 77)), self.rng.choice((0, 40)), self.rng.randrange(30_000))]

    def scan(self) -> tuple[Client, list[Ask]]:
        """Try blocks and functions."""
        client, _ = self._victim()
        asks = [(b"\x04\x01" + item(db, 0, 4), b"") for db in self.rng.sample(range(400, 900), 30)]
        return client, [job(same(ask), b"\x04\x01", fixed(b"\x0a\x00\x00\x00")) for ask in asks]

    def stop(self) -> tuple[Client, list[Ask]]:
        """Stop the program, or start it."""
        client, _ = self._victim()
        function = self.rng.choice((0x29, 0x28))
        param = bytes([function, 0, 0, 0, 0, 0, 9]) + b"P_PROGRAM"
        return client, [job(lambda: (param, b""), bytes([function]), lambda _: b"")]

    def download(self) -> tuple[Client, list[Ask]]:
        """Request a download, send blocks, end it."""
        client, _ = self._victim()
        name = b"\x00\x01\x00\x00\x00\x00\x00\x09_0A00001P"
        asks = [(0x1A, b"\x0d1002000000100"), *((0x1B, self.rng.randbytes(200)) for _ in range(30)), (0x1C, b"")]
        return client, [job(same((bytes([f]) + name, d)), bytes([f]), fixed(b"")) for f, d in asks]

    def numbers(self) -> list[Signal]:
        """Measured values."""
        return [s for d in self.devices.values() for s in d.values if s.kind == "walk"]

"""Plants that live for weeks: polling, slow process values, shifts, operators, a report on Mondays, a backup on Sundays.

Four sites say the same life in four protocols: Modbus/TCP, one in the shape of EtherNet/IP (explicit messages), one in the shape
of BACnet/IP (UDP, broadcasts), and one nobody knows. Time is compressed by polling slowly: captures carry the real hours of
30 days in a few tens of thousands of frames, and everything else happens when it would.

    always          polls of every device, jitter, a link that is opened anew every few days
    06:00, 22:00    the mode register is written on working days (day, night)
    day shift       operators open pages of the screen (popular ones often, others rarely), now and then they write a set point
    Monday 07:00    the report station reads its registers
    Sunday 02:00    the engineering station reads every device's memory
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import pi, sin
from struct import pack

import numpy as np

from tests.sim.wire import BROADCAST, DAY, HOUR, MINUTE, MONDAY, SECOND, Frames, Host, Link, Wire

MILLI = SECOND // 1000
DEVICES, READS, PAGES = 5, 3, 12


@dataclass(slots=True)
class Device:
    """A device and its process values: each swings with the day and wanders."""

    host: Host
    number: int
    random: np.random.Generator
    levels: dict[int, float] = field(default_factory=dict)

    def value(self, which: int, at: int) -> int:
        """A measured value, 0 to 4095; every register measures something of its own."""
        level = self.levels.get(which, 0.0) or float(self.random.uniform(1700, 2100))
        self.levels[which] = level + float(self.random.normal(0, 1.5)) + 0.01 * (1900 - level)
        return int(min(4095, max(0, self.levels[which] + 40 * sin(2 * pi * (at % DAY) / DAY))))


class Tongue(ABC):
    """How a site's protocol says what a plant says. A register is 0 to 999; reads give four values."""

    port: int
    udp = False

    @abstractmethod
    def read(self, number: int, device: Device, register: int, values: list[int]) -> tuple[bytes, bytes]:
        """A request and its answer."""

    @abstractmethod
    def write(self, number: int, device: Device, register: int, value: int) -> tuple[bytes, bytes]:
        """A write and its answer."""

    def upload(self, number: int, device: Device, block: int) -> tuple[bytes, bytes]:
        """Read a block of memory, whose content never changes."""
        return self.read(number, device, 900 + block, [device.number * 16 + block, 7, 7, block])


class Modbus(Tongue):
    port = 502

    def read(self, number: int, device: Device, register: int, values: list[int]) -> tuple[bytes, bytes]:
        unit = device.number
        ask = pack(">HHHBBHH", number & 0xFFFF, 0, 6, unit, 3, register, len(values))
        size = 2 * len(values)
        return ask, pack(f">HHHBBB{len(values)}H", number & 0xFFFF, 0, 3 + size, unit, 3, size, *values)

    def write(self, number: int, device: Device, register: int, value: int) -> tuple[bytes, bytes]:
        ask = pack(">HHHBBHH", number & 0xFFFF, 0, 6, device.number, 6, register, value)
        return ask, ask


class Enip(Tongue):
    port = 44818

    def _wrap(self, number: int, device: Device, body: bytes) -> bytes:
        item = pack("<IHHHHHIHHH", 0, 0, 2, 0xA1, 4, 0, 0x1000 + device.number, 0xB1, len(body) + 2, number & 0xFFFF) + body
        return pack("<HHIIQI", 0x70, len(item), 0xABC0 + device.number, 0, 0, 0) + item

    def read(self, number: int, device: Device, register: int, values: list[int]) -> tuple[bytes, bytes]:
        ask = b"\x4c\x03\x20\x6b\x25\x00" + pack("<HH", register, len(values))
        tell = b"\xcc\x00\x00\x00\xc3\x00" + pack(f"<{len(values)}H", *values)
        return self._wrap(number, device, ask), self._wrap(number, device, tell)

    def write(self, number: int, device: Device, register: int, value: int) -> tuple[bytes, bytes]:
        ask = b"\x4d\x03\x20\x6b\x25\x00" + pack("<HHHH", register, 0xC3, 1, value)
        return self._wrap(number, device, ask), self._wrap(number, device, b"\xcd\x00\x00\x00")


class Bacnet(Tongue):
    port = 47808
    udp = True

    def _wrap(self, body: bytes) -> bytes:
        return b"\x81\x0a" + pack(">H", 6 + len(body)) + b"\x01\x04" + body

    def read(self, number: int, device: Device, register: int, values: list[int]) -> tuple[bytes, bytes]:
        what = b"\x0c" + pack(">I", register) + b"\x19\x55"
        ask = b"\x02\x43" + bytes([number & 0xFF, 0x0C]) + what
        tell = b"\x30" + bytes([number & 0xFF, 0x0C]) + what + b"\x3e\x44" + pack(">f", values[0] / 16) + b"\x3f"
        return self._wrap(ask), self._wrap(tell)

    def write(self, number: int, device: Device, register: int, value: int) -> tuple[bytes, bytes]:
        what = b"\x0c" + pack(">I", register) + b"\x19\x55\x3e\x44" + pack(">f", float(value)) + b"\x3f\x49\x08"
        return self._wrap(b"\x02\x43" + bytes([number & 0xFF, 0x0F]) + what), self._wrap(b"\x20" + bytes([number & 0xFF, 0x0F]))


class Private(Tongue):
    port = 9600

    def _wrap(self, number: int, device: Device, body: bytes) -> bytes:
        return b"\xc5\x5c" + pack("<HIB", len(body) + 9, number & 0xFFFFFFFF, device.number) + body

    def read(self, number: int, device: Device, register: int, values: list[int]) -> tuple[bytes, bytes]:
        tell = b"\x91\x00" + pack(f"<HB{len(values)}i", register, len(values), *(v * 10 for v in values))
        return self._wrap(number, device, b"\x11" + pack("<HB", register, len(values))), self._wrap(number, device, tell)

    def write(self, number: int, device: Device, register: int, value: int) -> tuple[bytes, bytes]:
        ask, tell = b"\x12" + pack("<HBi", register, 1, value), b"\x92\x00" + pack("<H", register)
        return self._wrap(number, device, ask), self._wrap(number, device, tell)


TONGUES: dict[str, type[Tongue]] = {"modbus": Modbus, "enip": Enip, "bacnet": Bacnet, "private": Private}


@dataclass
class Site:
    """One plant; `run` gives its frames.

    poll   ns between rounds, in which every device is read
    pages, writes   pages that operators open and set points that they write in a working day, on average
    lapses  times a day that a device is not there for a while (20 min to 3 h): a cabinet is switched off, a cable is moved
    stride  how far a client's transaction number goes from one request to the next
    """

    tongue: Tongue
    seed: int
    poll: int = 90 * MINUTE
    pages: float = 6.0
    writes: float = 1.0
    stride: int = 1
    lapses: float = 0.0
    start: int = MONDAY
    weekly: bool = True
    wire: Wire = field(init=False)
    devices: list[Device] = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng([self.seed, self.tongue.port])
        self.wire = Wire()
        self.devices = [Device(Host.at(f"10.0.0.{11 + d}"), d + 1, self.random) for d in range(DEVICES)]
        self._links: dict[tuple[bytes, bytes], Link] = {}
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        self._sport = 40_000
        self.centre, self.screen = Host.at("10.0.0.1"), Host.at("10.0.0.2")
        self.report, self.engineer = Host.at("10.0.0.3"), Host.at("10.0.0.4")

    def run(self, days: float) -> Frames:
        """The frames of so many days, in the order of time."""
        end = self.start + round(days * DAY)
        self._polls(end)
        for day in range(int(np.ceil(days))):
            self._day(self.start + day * DAY, (day % 7))
        if self.tongue.udp:
            self._broadcasts(end)
        return [frame for frame in self.wire.sorted() if frame[0] < end]

    def _talk(self, at: int, client: Host, device: Device, said: tuple[bytes, bytes]) -> None:
        later = at + int(self.random.normal(3, 0.4) * MILLI)
        if self.tongue.udp:
            self.wire.udp(at, client, self.tongue.port, device.host, self.tongue.port, said[0])
            self.wire.udp(max(later, at + MILLI), device.host, self.tongue.port, client, self.tongue.port, said[1])
            return
        link = self._links[client.ip, device.host.ip]
        link.send(at, True, said[0])
        link.send(max(later, at + MILLI), False, said[1])

    def _number(self, client: Host, device: Device) -> int:
        key = client.ip, b"" if self.tongue.udp else device.host.ip  # one count for all, where there are no connections
        self._numbers[key] = self._numbers.get(key, int(self.random.integers(0, 200))) + self.stride
        return self._numbers[key]

    def _open(self, at: int, client: Host, device: Device) -> None:
        if not self.tongue.udp:
            self._sport += 1
            link = Link(self.wire, client, self._sport, device.host, self.tongue.port)
            self._links[client.ip, device.host.ip] = link.open(at)

    def _close(self, at: int, client: Host, device: Device) -> None:
        if not self.tongue.udp:
            self._links.pop((client.ip, device.host.ip)).close(at)

    def _read(self, at: int, client: Host, device: Device, register: int) -> None:
        values = [device.value(register + i, at) for i in range(4)]
        self._talk(at, client, device, self.tongue.read(self._number(client, device), device, register, values))

    def _polls(self, end: int) -> None:
        """Each round reads all registers of all devices; every few days a link is opened anew."""
        at, reconnect = self.start + int(self.random.integers(0, self.poll)), dict.fromkeys(range(DEVICES), self.start)
        away = self._away(end)
        while at < end:
            for d, device in enumerate(self.devices):
                when = at + d * SECOND // 2
                if any(begin <= at < back for begin, back in away[d]):
                    continue
                if at >= reconnect[d]:
                    if reconnect[d] > self.start:
                        self._close(when, self.centre, device)
                    self._open(when + 2 * MILLI, self.centre, device)
                    reconnect[d] = at + int(self.random.exponential(3) * DAY)
                for k in range(READS):
                    self._read(when + (20 + 30 * k) * MILLI, self.centre, device, 40 * k + 10)
            at += self.poll + int(self.random.normal(0, 0.01) * self.poll)

    def _away(self, end: int) -> list[list[tuple[int, int]]]:
        """Per device the times at which it is not there."""
        if not self.lapses:
            return [[] for _ in self.devices]
        many = [int(self.random.poisson(self.lapses * (end - self.start) / DAY)) for _ in self.devices]
        begins = [[self.start + int(self.random.uniform(0, end - self.start)) for _ in range(n)] for n in many]
        return [[(at, at + int(self.random.uniform(1 / 3, 3) * HOUR)) for at in sorted(mine)] for mine in begins]

    def _day(self, begin: int, weekday: int) -> None:
        if weekday < 5:
            for hour, mode in ((6, 1), (22, 0)):
                self._visit(begin + hour * HOUR, self.screen, [("write", d, 800, mode) for d in range(DEVICES)])
            for _ in range(int(self.random.poisson(self.pages))):
                self._page(begin)
            for _ in range(int(self.random.poisson(self.writes))):
                at = begin + int(self.random.uniform(6.2, 21.8) * HOUR)
                which, value = int(self.random.integers(0, 4)), 1000 + 50 * int(self.random.integers(0, 10))
                self._visit(at, self.screen, [("write", which % DEVICES, 500 + which, value)])
        if self.weekly and weekday == 0:
            self._visit(begin + 7 * HOUR, self.report, [("read", d, 700 + 4 * k, 0) for d in range(DEVICES) for k in range(6)])
        if self.weekly and weekday == 6:
            self._visit(begin + 2 * HOUR, self.engineer, [("upload", d, k, 0) for d in range(DEVICES) for k in range(16)])

    def _page(self, begin: int) -> None:
        popular = 1 / np.arange(1, PAGES + 1)
        page = int(self.random.choice(PAGES, p=popular / popular.sum()))
        size = 2 + page % 4
        at = begin + int(self.random.uniform(6.2, 21.8) * HOUR)
        self._visit(at, self.screen, [("read", page % DEVICES, 300 + 8 * page + 2 * k, 0) for k in range(size)])

    def _visit(self, at: int, client: Host, acts: list[tuple[str, int, int, int]]) -> None:
        """Open what is needed, do it, close."""
        at += int(self.random.uniform(0, 120) * SECOND)
        mine = [self.devices[d] for d in sorted({act[1] for act in acts})]
        for device in mine:
            self._open(at, client, device)
        for i, (verb, d, register, value) in enumerate(acts):
            when, device = at + (10 + 40 * i) * MILLI, self.devices[d]
            if verb == "read":
                self._read(when, client, device, register)
            else:
                number = self._number(client, device)
                act = self.tongue.write if verb == "write" else None
                said = act(number, device, register, value) if act else self.tongue.upload(number, device, register)
                self._talk(when, client, device, said)
        for device in mine:
            self._close(at + (100 + 40 * len(acts)) * MILLI, client, device)

    def _broadcasts(self, end: int) -> None:
        """Who-Is every three hours, and who it is."""
        for at in range(self.start + HOUR, end, 3 * HOUR):
            self.wire.udp(at, self.centre, self.tongue.port, BROADCAST, self.tongue.port, b"\x81\x0b\x00\x08\x01\x00\x10\x08")
            for device in self.devices:
                says = b"\x10\x00\xc4" + pack(">I", 0x02000000 + device.number) + b"\x22\x05\xc4\x91\x00\x21\x0f"
                body = b"\x81\x0b" + pack(">H", 6 + len(says)) + b"\x01\x00" + says
                later = at + int(self.random.uniform(5, 50) * MILLI)
                self.wire.udp(later, device.host, self.tongue.port, BROADCAST, self.tongue.port, body)

"""Two made-up protocols that nothing in the product knows, spoken by a small plant for a while, as frames of Ethernet.

**Skid** (binary, TCP 9600): A5 5A, length of the whole (2 bytes, little-endian), sequence number, unit, operation (an answer has
bit 7), register (2, little-endian), count, data, CRC-16 (2). Sensors drift, an operator writes set-points, a heartbeat counts.

**Line** (text, TCP 8500), after the C-mode of a host link: `@`, unit (2 digits), command (2 letters), address and count or data
(hex digits), check (2 hex digits: all before it, XOR), `*`, return. Answers carry an end code.

The peers keep state: what is written is read back. Everything comes from the seed; no clock, no network.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

from tests.evaluate.capture import TCP, Capture, Frame, internet_checksum
from tests.evaluate.grammars import Fields, Grammar

SKID_PORT, LINE_PORT = 9600, 8500
READ, WRITE, BEAT, INFO = 0x01, 0x02, 0x03, 0x04
START = 1_700_000_000 * 10**9
SECOND = 10**9
SYN, ACK, PUSH = 0x02, 0x10, 0x08


def crc16(data: bytes) -> int:
    """CRC-16 with polynomial A001, as serial field buses use it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def skid(sequence: int, unit: int, operation: int, register: int, count: int, data: bytes = b"") -> bytes:
    """One message."""
    body = struct.pack("<HBBBHB", 12 + len(data), sequence & 0xFF, unit, operation, register, count) + data
    return skid_mend(b"\xa5\x5a" + body + b"\0\0")


def skid_mend(pay: bytes) -> bytes:
    """The message with its CRC made right."""
    return pay[:-2] + struct.pack("<H", crc16(pay[:-2]))


def _skid_fields(pay: bytes, to_server: bool) -> Fields:
    if len(pay) < 12 or pay[:2] != b"\xa5\x5a" or struct.unpack_from("<H", pay, 2)[0] != len(pay):
        return {}
    return {"magic": (0, 2), "length": (2, 4), "unit": (5, 6), "operation": (6, 7), "register": (7, 9), "count": (9, 10)}


def line(unit: int, rest: str) -> bytes:
    """One line."""
    return line_mend(f"@{unit:02d}{rest}00*\r".encode())


def line_mend(pay: bytes) -> bytes:
    """The line with its check made right."""
    return pay[:-4] + b"%02X" % reduce(lambda a, b: a ^ b, pay[:-4]) + pay[-2:]


def _line_fields(pay: bytes, to_server: bool) -> Fields:
    if len(pay) < 9 or pay[:1] != b"@" or pay[-2:] != b"*\r":
        return {}
    fields = {"begin": (0, 1), "unit": (1, 3), "command": (3, 5), "end": (len(pay) - 2, len(pay))}
    if to_server and pay[3:5] in (b"RD", b"WD") and len(pay) >= 17:
        fields["address"] = (5, 9)
        if pay[3:5] == b"RD":
            fields["count"] = (9, 13)
    if not to_server:
        fields["end code"] = (5, 7)
    return fields


def _dose_fields(pay: bytes, to_server: bool) -> Fields:
    """DOSE, the protocol of the lab (`tests/lab/dose.py`)."""
    if len(pay) < 8 or pay[:2] != b"\xd5\x0e" or struct.unpack_from("!H", pay, 2)[0] != len(pay) - 4:
        return {}
    fields = {"magic": (0, 2), "length": (2, 4), "command": (6, 7), "station": (7, 8)}
    return fields | ({"item type": (8, 9), "item length": (9, 10)} if len(pay) > 10 else {})


DOSE = Grammar("DOSE (made up, lab)", (TCP, 4410), _dose_fields, lambda p: p[6:7], frozenset({"command"}))
SKID = Grammar("Skid (made up, binary)", (TCP, SKID_PORT), _skid_fields, lambda p: p[6:7], frozenset({"operation"}), skid_mend)
LINE = Grammar("Line (made up, text)", (TCP, LINE_PORT), _line_fields, lambda p: p[3:5], frozenset({"command"}), line_mend)


@dataclass
class Device:
    """A controller: words by register; those in `live` drift between bounds, the others keep what was written."""

    unit: int
    rng: random.Random
    words: dict[int, int] = field(default_factory=dict)
    live: dict[int, tuple[int, int]] = field(default_factory=dict)

    def get(self, register: int) -> int:
        """A word now."""
        if register in self.live:
            low, high = self.live[register]
            value = self.words.get(register, (low + high) // 2) + self.rng.randint(-3, 3)
            self.words[register] = min(high, max(low, value))
        return self.words.get(register, 0)

    def skid(self, request: bytes) -> bytes:
        """Answer a Skid message."""
        sequence, unit, operation, register, count = struct.unpack_from("<BBBHB", request, 4)
        data = b""
        if operation == READ:
            data = b"".join(struct.pack("<H", self.get(register + i)) for i in range(count))
        elif operation == WRITE:
            self.words[register] = struct.unpack_from("<H", request, 10)[0]
        elif operation == INFO:
            data = b"SKID-%03d r2" % self.unit
        return skid(sequence, unit, operation | 0x80, register, count, data)

    def line(self, request: bytes) -> bytes:
        """Answer a line."""
        command, address = request[3:5].decode(), int(request[5:9]) if request[3:5] in (b"RD", b"WD") else 0
        if command == "RD":
            return line(self.unit, "RD00" + "".join(f"{self.get(address + i):04X}" for i in range(int(request[9:13]))))
        if command == "WD":
            self.words[address] = int(request[9:13], 16)
        return line(self.unit, command + "00" + ("02" if command == "MS" else ""))


@dataclass
class Wire:
    """One TCP connection, as frames with right numbers and checksums."""

    client: bytes
    server: bytes
    port: int
    sport: int
    frames: list[Frame]
    numbers: dict[bool, int] = field(default_factory=lambda: {True: 1000, False: 5000})

    def open(self, when: int) -> None:
        """Three-way handshake."""
        self.send(when, True, b"", SYN)
        self.send(when + 200_000, False, b"", SYN | ACK)
        self.send(when + 300_000, True, b"", ACK)

    def send(self, when: int, up: bool, payload: bytes, flags: int = ACK | PUSH) -> None:
        """One segment from the client (`up`) or from the server."""
        src, dst = (self.client, self.server) if up else (self.server, self.client)
        ports = (self.sport, self.port) if up else (self.port, self.sport)
        acknowledged = self.numbers[not up] if flags & ACK else 0
        head = struct.pack("!HHIIBBHHH", *ports, self.numbers[up], acknowledged, 0x50, flags, 8192, 0, 0)
        size = len(head) + len(payload)
        check = internet_checksum(src + dst + struct.pack("!BBH", 0, TCP, size) + head + payload)
        head = head[:16] + struct.pack("!H", check) + head[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, 64, TCP, 0) + src + dst
        ip = ip[:10] + struct.pack("!H", internet_checksum(ip)) + ip[12:]
        self.frames.append((when, b"\x02\0" + dst + b"\x02\0" + src + b"\x08\0" + ip + head + payload))
        self.numbers[up] += len(payload) + (flags & SYN != 0)


@dataclass(frozen=True)
class Item:
    """What a client asks again and again: a period in seconds, its spread as a share, how the request is made."""

    period: float
    spread: float
    request: Callable[[], bytes]


def _skid_items(device: Device, rng: random.Random, panel: bool) -> list[Item]:
    sequence = rng.randrange(256)

    def ask(operation: int, register: int, count: int, data: bytes = b"") -> bytes:
        nonlocal sequence
        sequence += 1
        return skid(sequence, device.unit, operation, register, count, data)

    if panel:
        return [
            Item(2.0, 0.02, lambda: ask(READ, 100, 4)),
            Item(9.0, 0.4, lambda: ask(WRITE, 200 + rng.randrange(2), 1, struct.pack("<H", rng.choice((150, 175, 200))))),
            Item(15.0, 0.01, lambda: ask(INFO, 0, 0)),
        ]
    return [
        Item(1.0, 0.01, lambda: ask(READ, 100, 4)),
        Item(1.0, 0.01, lambda: ask(READ, 300, 2)),
        Item(5.0, 0.01, lambda: ask(READ, 200, 2)),
        Item(3.0, 0.01, lambda: ask(BEAT, 0, 0)),
    ]


def _line_items(device: Device, rng: random.Random, panel: bool) -> list[Item]:
    if panel:
        return [
            Item(2.0, 0.02, lambda: line(device.unit, "RD01000004")),
            Item(8.0, 0.4, lambda: line(device.unit, f"WD{rng.choice((200, 210)):04d}{rng.choice((150, 175, 200)):04X}")),
        ]
    return [
        Item(1.0, 0.01, lambda: line(device.unit, "RD01000004")),
        Item(1.5, 0.01, lambda: line(device.unit, "RD03000002")),
        Item(4.0, 0.01, lambda: line(device.unit, "RD02000001")),
        Item(10.0, 0.01, lambda: line(device.unit, "MS")),
    ]


def plant(text: bool, seconds: float, seed: int) -> Capture:
    """A controller and a panel that talk to four devices in Skid, or (`text`) in Line, for so many seconds."""
    rng, frames = random.Random(seed), list[Frame]()
    port = LINE_PORT if text else SKID_PORT
    for number in range(4):
        live = {100 + i: (400 * (i + 1), 400 * (i + 1) + 350) for i in range(4)} | {300: (0, 4000), 301: (900, 1100)}
        device = Device(number + 1, random.Random(rng.random()), {200: 150, 201: 175, 210: 150}, live)
        server = bytes((10, 7, 0, 20 + number))
        due: list[tuple[int, Wire, Item]] = []
        for host, panel in ((2, False), (3, True)):
            wire = Wire(bytes((10, 7, 0, host)), server, port, 40_000 + rng.randrange(20_000), frames)
            wire.open(START + number * 1_000_000)
            items = _line_items(device, rng, panel) if text else _skid_items(device, rng, panel)
            due += [(START + int(SECOND * (1 + rng.random() * item.period)), wire, item) for item in items]
        _talk(due, device.line if text else device.skid, START + int(seconds * SECOND), rng)
    return Capture(sorted(frames, key=lambda frame: frame[0]))


def _talk(due: list[tuple[int, Wire, Item]], answer: Callable[[bytes], bytes], until: int, rng: random.Random) -> None:
    """Carry out what is due in the order of time; one device answers one request at a time."""
    free = 0
    while due:
        due.sort(key=lambda entry: entry[0])
        when, wire, item = due.pop(0)
        if when > until:
            continue
        when = max(when, free)
        request = item.request()
        wire.send(when, True, request)
        free = when + rng.randint(1_500_000, 4_000_000)
        wire.send(free, False, answer(request))
        free += 100_000
        due.append((when + int(item.period * SECOND * rng.uniform(1 - item.spread, 1 + item.spread)), wire, item))

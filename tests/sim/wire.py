"""Frames for long simulations: written once per frame, with right lengths and TCP numbers, at a few microseconds each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from struct import pack

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.packets.batch import batch_of

SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
MONDAY = 1_700_438_400 * SECOND  # 2023-11-20 00:00 UTC
Frames = list[tuple[int, bytes]]
_FIN, _SYN, _RST, _PUSH, _ACK = 0x01, 0x02, 0x04, 0x08, 0x10


def ip_of(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def mac_of(text: str) -> bytes:
    return b"\x02\x00" + ip_of(text)


@dataclass(slots=True)
class Host:
    """Who sends: address, and the hardware address that a capture shows for it (a router's where it stands behind one)."""

    ip: bytes
    mac: bytes

    @classmethod
    def at(cls, text: str, via: str | None = None) -> "Host":
        return cls(ip_of(text), mac_of(via or text))


BROADCAST = Host(b"\xff" * 4, b"\xff" * 6)


def group(text: str) -> Host:
    ip = ip_of(text)
    return Host(ip, b"\x01\x00\x5e" + bytes([ip[1] & 0x7F]) + ip[2:])


def _ipv4(proto: int, size: int, src: Host, dst: Host, number: int) -> bytes:
    head = pack(">BBHHHBBH", 0x45, 0, 20 + size, number & 0xFFFF, 0x4000, 64, proto, 0)
    return dst.mac + src.mac + b"\x08\x00" + head + src.ip + dst.ip


@dataclass(slots=True)
class Wire:
    """Collects frames."""

    frames: Frames = field(default_factory=list)
    number: Iterator[int] = field(default_factory=lambda: count(1))

    def udp(self, at: int, src: Host, sport: int, dst: Host, dport: int, body: bytes) -> None:
        head = pack(">HHHH", sport, dport, 8 + len(body), 0)
        self.frames.append((at, _ipv4(17, 8 + len(body), src, dst, next(self.number)) + head + body))

    def arp(self, at: int, src: Host, target: bytes, answer: Host | None = None) -> None:
        """A question for an address; `answer`: who answers it."""
        head = pack(">HHBB", 1, 0x0800, 6, 4)
        ask = head + b"\x00\x01" + src.mac + src.ip + bytes(6) + target + bytes(18)
        self.frames.append((at, b"\xff" * 6 + src.mac + b"\x08\x06" + ask))
        if answer is not None:
            tell = head + b"\x00\x02" + answer.mac + answer.ip + src.mac + src.ip + bytes(18)
            self.frames.append((at + 200_000, src.mac + answer.mac + b"\x08\x06" + tell))

    def sorted(self) -> Frames:
        self.frames.sort(key=lambda frame: frame[0])
        return self.frames


@dataclass(slots=True)
class Link:
    """A TCP connection: knows its sequence numbers."""

    wire: Wire
    client: Host
    sport: int
    server: Host
    dport: int
    asked: int = 1000
    told: int = 5000

    def send(self, at: int, asks: bool, body: bytes, flags: int = _PUSH | _ACK) -> None:
        src, dst = (self.client, self.server) if asks else (self.server, self.client)
        ports = (self.sport, self.dport) if asks else (self.dport, self.sport)
        seq, ack = (self.asked, self.told) if asks else (self.told, self.asked)
        head = pack(">HHIIBBHHH", *ports, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 8192, 0, 0)
        self.wire.frames.append((at, _ipv4(6, 20 + len(body), src, dst, next(self.wire.number)) + head + body))
        more = len(body) + (flags & (_SYN | _FIN) != 0)
        if asks:
            self.asked += more
        else:
            self.told += more

    def open(self, at: int) -> "Link":
        self.send(at, True, b"", _SYN)
        self.send(at + 300_000, False, b"", _SYN | _ACK)
        self.send(at + 600_000, True, b"", _ACK)
        return self

    def close(self, at: int) -> None:
        self.send(at, True, b"", _FIN | _ACK)
        self.send(at + 300_000, False, b"", _FIN | _ACK)
        self.send(at + 600_000, True, b"", _ACK)


def passes(frames: Frames, most: int = 32_768) -> Callable[[], Iterator[DecodedBatch]]:
    """The frames as decoded batches of at most `most`, anew at every call."""

    def once() -> Iterator[DecodedBatch]:
        state, numbers = DecodeState(), count(1)
        for at in range(0, len(frames), most):
            yield decode(batch_of(frames[at : at + most], numbers=numbers), state)

    return once

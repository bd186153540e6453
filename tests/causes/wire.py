"""Frames of a simulated wire, and a TCP of its own: opening, resets, repeats, sequence numbers."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

SECOND = 1_000_000_000
SYN, ACK, PSH, RST, FIN = 0x02, 0x10, 0x08, 0x04, 0x01
BROADCAST = b"\xff" * 6


@dataclass
class Host:
    """A machine on the wire.

    mac     hardware address now; link: its cable carries; power: it runs; serves: its program listens; hangs: its kernel
            acknowledges, its program is stopped; boots: how often it started anew (old connections are forgotten)
    """

    name: str
    ip: str
    mac: bytes
    link: bool = True
    power: bool = True
    serves: bool = True
    hangs: bool = False
    boots: int = 0

    @property
    def raw(self) -> bytes:
        """IPv4 address as four bytes."""
        return bytes(map(int, self.ip.split(".")))


@dataclass
class Tap:
    """Collects (ns as recorded, ns the recorder's clock is ahead, frame) as a mirror port of the switch shows them.

    through   pair of hosts -> hardware address of who sits between them; skew: ns the recorder's clock is ahead from now on
    """

    frames: list[tuple[int, int, bytes]] = field(default_factory=list)
    skew: int = 0
    through: dict[frozenset[str], bytes] = field(default_factory=dict)
    _id: int = 0

    def ethernet(self, at: int, src: bytes, dst: bytes, kind: int, body: bytes) -> None:
        """One frame, padded to the shortest Ethernet knows."""
        raw = dst + src + struct.pack(">H", kind) + body
        self.frames.append((at + self.skew, self.skew, raw + bytes(max(0, 60 - len(raw)))))

    def ip(self, at: int, src: Host, dst: Host, proto: int, body: bytes) -> None:
        """One IPv4 packet; where somebody sits between the two, only his copy is seen."""
        self._id += 1
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), self._id & 0xFFFF, 0x4000, 64, proto, 0) + src.raw + dst.raw
        self.ethernet(at, self.through.get(frozenset((src.name, dst.name)), src.mac), dst.mac, 0x0800, head + body)

    def tcp(
        self, at: int, src: Host, sport: int, dst: Host, dport: int, seq: int, ack: int, flags: int, body: bytes = b""
    ) -> None:
        """One segment."""
        head = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 8192, 0, 0)
        self.ip(at, src, dst, 6, head + body)

    def udp(self, at: int, src: Host, sport: int, dst: Host, dport: int, body: bytes) -> None:
        """One datagram."""
        self.ip(at, src, dst, 17, struct.pack(">HHHH", sport, dport, 8 + len(body), 0) + body)

    def arp(self, at: int, src: Host, target: bytes, mac: bytes | None = None, to: bytes = bytes(6), op: int = 1) -> None:
        """An ARP request or answer (op 2); `mac` claims another hardware address."""
        mac = mac or src.mac
        body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, op) + mac + src.raw + to + target
        self.ethernet(at, mac, to if op == 2 else BROADCAST, 0x0806, body)

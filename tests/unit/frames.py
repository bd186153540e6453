"""Frames and captures put together by hand, byte by byte, for the tests of packets/ and decode/."""

import struct
from collections.abc import Iterable
from typing import Any

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.packets.batch import batch_of

MAC_A, MAC_B = bytes.fromhex("001122334455"), bytes.fromhex("66778899aabb")
SECOND = 1_000_000_000


def ethernet(kind: int, body: bytes, tags: Iterable[tuple[int, int]] = (), src: bytes = MAC_A, dst: bytes = MAC_B) -> bytes:
    shim = b"".join(struct.pack(">HH", tpid, vlan) for tpid, vlan in tags)
    return dst + src + shim + struct.pack(">H", kind) + body


def ipv4(
    proto: int,
    body: bytes,
    src: str = "10.0.0.1",
    dst: str = "10.0.0.2",
    *,
    ipid: int = 0,
    place: int = 0,
    ttl: int = 64,
    total: int = -1,
) -> bytes:
    total = 20 + len(body) if total < 0 else total
    addresses = bytes(map(int, src.split("."))) + bytes(map(int, dst.split(".")))
    return struct.pack(">BBHHHBBH", 0x45, 0, total, ipid, place, ttl, proto, 0) + addresses + body


def ipv6(
    following: int, body: bytes, src: bytes = b"\xfe\x80" + bytes(13) + b"\1", dst: bytes = b"\xfe\x80" + bytes(13) + b"\2"
) -> bytes:
    return struct.pack(">IHBB", 6 << 28, len(body), following, 64) + src + dst + body


def tcp(seq: int, body: bytes = b"", sport: int = 40000, dport: int = 502, flags: int = 0x18, ack: int = 1) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack, 0x50, flags, 8192, 0, 0) + body


def udp(body: bytes, sport: int = 47808, dport: int = 47808) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(body), 0) + body


def segment(seq: int, body: bytes = b"", **more: Any) -> bytes:
    """An Ethernet frame with a TCP segment from 10.0.0.1:40000 to 10.0.0.2:502."""
    return ethernet(0x0800, ipv4(6, tcp(seq, body, **more)))


def decoded(frames: list[bytes], state: DecodeState | None = None, *, link: int = 1, step: int = SECOND) -> DecodedBatch:
    return decode(batch_of([(step * number, raw) for number, raw in enumerate(frames)], link), state or DecodeState())


def pcap(
    frames: list[bytes], order: str = "<", *, nano: bool = False, link: int = 1, wire: int = 0, start: int = 1_700_000_000
) -> bytes:
    out = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)]
    for number, raw in enumerate(frames):
        out.append(struct.pack(order + "IIII", start + number, number, len(raw), wire or len(raw)) + raw)
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, order: str = "<", snap: int = 0, options: Iterable[tuple[int, bytes]] = ()) -> bytes:
    extra = b"".join(struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options)
    return block(1, struct.pack(order + "HHI", link, 0, snap) + extra, order)


def packet(raw: bytes, ticks: int = 0, port: int = 0, order: str = "<") -> bytes:
    return block(6, struct.pack(order + "IIIII", port, ticks >> 32, ticks & 0xFFFFFFFF, len(raw), len(raw)) + raw, order)

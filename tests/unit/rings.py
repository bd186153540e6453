"""Blocks as the kernel writes them into a TPACKET_V3 ring (uapi `if_packet.h`), for tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAC_AT = 82  # where the kernel puts an Ethernet frame: TPACKET_ALIGN(68 + 16) - 14


@dataclass(frozen=True)
class Sent:
    """One frame and what the kernel notes beside it."""

    raw: bytes
    time: int = 1_700_000_000_123_456_789
    wire: int | None = None
    pkttype: int = 3
    tag: tuple[int, int] | None = None  # tpid, tci


def frame(sent: Sent, last: bool, room: int) -> bytes:
    size = -(-(MAC_AT + len(sent.raw)) // 8) * 8
    status = 1 | (0 if sent.tag is None else 0x10 | 0x40)
    tpid, tci = sent.tag or (0, 0)
    wire = len(sent.raw) if sent.wire is None else sent.wire
    seconds, part = divmod(sent.time, 10**9)
    head = struct.pack(
        "=IIIIIIHHIIHH8x", 0 if last else size, seconds, part, len(sent.raw), wire, status, MAC_AT, MAC_AT + 14, 0, tci, tpid, 0
    )
    address = struct.pack("=HHiHBB8s", 17, 0, 2, 1, sent.pkttype, 6, bytes(8))
    raw = (head + address).ljust(MAC_AT, b"\0") + sent.raw
    return raw if last and not room else raw.ljust(size, b"\0")


def block(frames: list[Sent], size: int, status: int = 1, opened: int = 0) -> bytes:
    """One block of `size` bytes that is handed over (status 1); the kernel opened it at `opened` (ns since the epoch)."""
    body = b"".join(frame(sent, i == len(frames) - 1, 1) for i, sent in enumerate(frames))
    used = 48 + len(body)
    if used > size:
        raise ValueError("the frames do not fit the block")
    head = struct.pack("=IIIIIIQIIII", 2, 48, status, len(frames), 48, used, 1, *divmod(opened, 10**9), 0, 0)
    return (head + body).ljust(size, b"\0")

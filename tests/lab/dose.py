"""DOSE: a made-up dosing protocol over TCP port 4410 that no decoder knows.

The bytes of a message, numbers big-endian: 0-1 magic D5 0E; 2-3 length of what follows this field; 4-5 sequence number,
echoed; 6 command, an answer has bit 7 set; 7 station; from 8 items of type, length, value.
"""

from __future__ import annotations

import struct

PORT = 4410
MAGIC = b"\xd5\x0e"
STATUS, RECIPE, BEAT, DOSE, STOP, FLUSH = 0x11, 0x12, 0x13, 0x21, 0x22, 0x3F
HEAD = 4

Items = dict[int, bytes]


def message(sequence: int, command: int, station: int, items: Items) -> bytes:
    """Return one message; item values are at most 255 bytes."""
    body = b"".join(bytes([kind, len(value)]) + value for kind, value in items.items())
    return MAGIC + struct.pack("!HHBB", 4 + len(body), sequence & 0xFFFF, command, station) + body


def parse(raw: bytes) -> tuple[int, int, int, Items]:
    """Return sequence, command, station and items of a whole message; ValueError when it is none."""
    if raw[:2] != MAGIC or len(raw) < 8 or len(raw) != HEAD + int.from_bytes(raw[2:4], "big"):
        raise ValueError("not a DOSE message")
    sequence, command, station = struct.unpack_from("!HBB", raw, 4)
    items, at = {}, 8
    while at + 2 <= len(raw):
        items[raw[at]] = raw[at + 2 : at + 2 + raw[at + 1]]
        at += 2 + raw[at + 1]
    return sequence, command, station, items

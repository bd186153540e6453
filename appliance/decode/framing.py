"""Where one message ends and the next begins: a service's length field, applied (`learn.messages.framing` finds it)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

MAX_MESSAGE = 1 << 20  # a length beyond this is no length


class Coding(IntEnum):
    """How a length field is written: in a fixed number of bytes, or in as many as the number needs."""

    FIXED = 0
    SEPTETS = 1  # seven bits a byte, the lowest first, bit 7 says that more follow (LEB128; MQTT 3.1.1, 2.2.3)
    COUNTED = 2  # one byte up to 127, else 128 + n and n bytes, big-endian (X.690, 8.1.3, definite form)


@dataclass(frozen=True, slots=True)
class Framing:
    """A length field: message size = number at [offset, offset + width) + constant; width 0 = one message per payload.

    coding   unless FIXED, width is the most bytes that the field may have, and those beyond the first count in the size as well
    """

    offset: int = 0
    width: int = 0
    big: bool = True
    constant: int = 0
    coding: Coding = Coding.FIXED

    @property
    def end(self) -> int:
        """Bytes that must be there before the length can be read, at the least."""
        return self.offset + (self.width if self.coding is Coding.FIXED else 1)

    @property
    def reach(self) -> int:
        """Bytes that are there where the length field is as wide as it may be."""
        return self.offset + self.width


WHOLE = Framing()


def chain(payload: bytes | memoryview, framing: Framing, limit: int = 4096) -> tuple[list[tuple[int, int]], int]:
    """Message ranges [(first, end)] in the payload and the offset up to which they chain."""
    ranges: list[tuple[int, int]] = []
    at, end, reach, total, largest = 0, framing.end, framing.reach, len(payload), framing.constant + MAX_MESSAGE
    while at + end <= total and len(ranges) < limit:
        size, head = size_of(payload[at : at + reach], framing)
        if size < head or at + size > total or size > largest:
            break
        ranges.append((at, at + size))
        at += size
    return ranges, at


def size_of(head: bytes | memoryview, framing: Framing) -> tuple[int, int]:
    """Size of the message that begins with `head`, and how many bytes of it say so; (0, n): n bytes are needed to tell.

    A field that cannot be one gives a size of -1, and its bytes are there.
    """
    if framing.coding is Coding.FIXED:
        end = framing.offset + framing.width
        if len(head) < end:
            return 0, end
        return int.from_bytes(head[framing.offset : end], "big" if framing.big else "little") + framing.constant, end
    if len(head) < framing.end:
        return 0, framing.end
    field = head[framing.offset : framing.reach]
    if framing.coding is Coding.COUNTED:
        used = 1 + (field[0] - 128 if field[0] >= 128 else 0)
        number = int.from_bytes(field[1:used], "big") if used > 1 else field[0]
        sound = field[0] != 128
    else:
        used = next((i for i, byte in enumerate(field, 1) if byte < 128), len(field) + 1)
        number = sum((byte & 127) << 7 * i for i, byte in enumerate(field[:used]))
        sound = True
    if not sound or used > framing.width:
        return -1, framing.end
    if used > len(field):
        return 0, framing.offset + used
    return number + framing.constant + used - 1, framing.offset + used


def length_field(size: int, framing: Framing) -> bytes:
    """The length field of a message of this size."""
    if framing.coding is Coding.FIXED:
        number = max(0, size - framing.constant) & (256**framing.width - 1)
        return int(number).to_bytes(framing.width, "big" if framing.big else "little")
    wide = (_coded(max(0, size - framing.constant - more), framing.coding) for more in range(framing.width))
    return next((field for more, field in enumerate(wide) if len(field) == more + 1), b"\0")


def _coded(number: int, coding: Coding) -> bytes:
    if number < 128:
        return bytes([number])
    if coding is Coding.COUNTED:
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return bytes([128 + len(raw)]) + raw
    groups = [number >> shift & 127 for shift in range(0, number.bit_length(), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])

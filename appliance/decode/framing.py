"""Where one message ends and the next begins: the length field of a service, applied (it is found by `learn.framing`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_MESSAGE = 1 << 20  # a length beyond this is no length


@dataclass(frozen=True, slots=True)
class Framing:
    """A length field: message size = number at [offset, offset + width) + constant; width 0 = one message per payload."""

    offset: int = 0
    width: int = 0
    big: bool = True
    constant: int = 0

    @property
    def end(self) -> int:
        """Bytes that must be there before the length can be read."""
        return self.offset + self.width


WHOLE = Framing()


def chain(payload: bytes | memoryview, framing: Framing, limit: int = 4096) -> tuple[list[tuple[int, int]], int]:
    """Message ranges [(first, end)] in the payload and the offset up to which they chain."""
    ranges: list[tuple[int, int]] = []
    at = 0
    order: Literal["big", "little"] = "big" if framing.big else "little"
    while at + framing.end <= len(payload) and len(ranges) < limit:
        number = int.from_bytes(payload[at + framing.offset : at + framing.end], order)
        end = at + number + framing.constant
        if end <= at + framing.end - 1 or end > len(payload) or number > MAX_MESSAGE:
            break
        ranges.append((at, end))
        at = end
    return ranges, at

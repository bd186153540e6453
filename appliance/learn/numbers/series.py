"""Numbers in the bytes of a process image, without types: which bytes make one number, of what width, order and kind.

A number that a process moves is *smooth*: its steps are small against its range. The roughness

    rho = mean((x[k+1] - x[k])^2) / (2 var x)         von Neumann's ratio; 1 for noise, near 0 for a slow process

of a reading tells whether it is one. Of all readings that overlap (IEEE 754 singles and 16-bit integers, in every order of
bytes in use), the smoothest single or the integer of the least range is taken, wider ones first. What is left is read byte
by byte; a byte of few values is taken bit by bit as well, because states are packed so.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.packets.ordering import distinct

F64 = npt.NDArray[np.float64]

MAX_ROUGH = 0.5  # a reading rougher than this is no process value
FEW = 16  # values of a state
MAX_FLIPS = 1.2  # bits that change at once, on average, where a byte holds states side by side
MAX_SERIES = 48  # numbers of one row
MIN_SAMPLES = 64
BIG = 1e9  # no process value lies beyond (of IEEE 754 singles read in bytes that are none, nearly all do)
SMALL = 1e-6

# name -> (width, order of the bytes, most significant first, relative to the offset)
ORDERS: Final[dict[str, tuple[int, ...]]] = {
    "float": (0, 1, 2, 3),
    "float-little": (3, 2, 1, 0),
    "float-words": (2, 3, 0, 1),
    "int": (0, 1),
    "int-little": (1, 0),
    "byte": (0,),
}


@dataclass(frozen=True, slots=True, order=True)
class Field:
    """A number in a message: first byte, reading (a key of ORDERS), signed, and the bit where it is one bit (else -1)."""

    offset: int
    reading: str
    signed: bool = False
    bit: int = -1

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.offset + len(ORDERS[self.reading])


def read(data: npt.NDArray[np.uint8], field: Field, low: int = 0) -> F64:
    """The number in every message; float64 [n].

    data   uint8 [n, w]: bytes low .. low + w of the messages; the field lies within them
    """
    order = ORDERS[field.reading]
    value = np.zeros(len(data), np.uint32)
    for at in order:
        value = value << np.uint32(8) | data[:, field.offset - low + at]
    if field.reading.startswith("float"):
        with np.errstate(invalid="ignore"):
            single = value.view(np.float32).astype(np.float64)
        return np.where(np.isfinite(single), np.clip(single, -BIG, BIG), BIG)
    if field.bit >= 0:
        return (value >> np.uint32(field.bit) & np.uint32(1)).astype(np.float64)
    number = value.astype(np.float64)
    return np.where(number >= 0x8000, number - 0x10000, number) if field.signed else number


def roughness(x: F64) -> float:
    """Von Neumann's ratio halved; 1 for white noise, 0 for a line; 1 where nothing moves."""
    spread = float(x.var())
    return float((np.diff(x) ** 2).mean()) / (2 * spread) if spread > 0 else 1.0


def find_fields(data: npt.NDArray[np.uint8], low: int) -> list[Field]:
    """The numbers in the messages of one row, in the order of their offsets.

    data   uint8 [n, w]: bytes low .. low + w, messages in the order of time
    """
    if len(data) < MIN_SAMPLES:
        return []
    moves = (data != data[0]).any(axis=0)
    taken = np.zeros(data.shape[1], bool)
    chosen: list[Field] = []
    for readings in (("float", "float-little", "float-words"), ("int", "int-little")):
        scored = []
        for reading in readings:
            width = len(ORDERS[reading])
            moving = np.convolve(moves, np.ones(width, np.intp), "valid") if len(moves) >= width else moves[:0]
            for at in np.flatnonzero(moving >= (3 if width == 4 else 2)).tolist():
                rough = _judged(data, low + at, reading, low)
                if rough is not None:
                    scored.append((rough[0], at, rough[1]))
        for _, at, field in sorted(scored, key=lambda s: (s[0], s[1], s[2].reading)):
            if not taken[at : field.end - low].any():
                taken[at : field.end - low] = True
                chosen.append(field)
    for at in np.flatnonzero(moves & ~taken).tolist():
        chosen += _bytewise(data, at, low)
    return sorted(chosen)[:MAX_SERIES]


def _judged(data: npt.NDArray[np.uint8], offset: int, reading: str, low: int) -> tuple[float, Field] | None:
    """How much speaks against a reading (less is better), and the field; None where it is no number."""
    field = Field(offset, reading)
    x = read(data, field, low)
    if reading.startswith("float"):
        size = np.abs(x[x != 0])
        if not len(size) or size.max() >= BIG or size.min() < SMALL or np.log2(size.max() / size.min()) > 24:
            return None
        if len(distinct(x)) <= FEW:
            return None
        rough = roughness(x)
        # rough floats are measured values too, if the exponent says so: bytes that are none range over all exponents
        return (rough, field) if rough < MAX_ROUGH or np.log2(size.max() / size.min()) < 4 else None
    signed = Field(offset, reading, signed=True)
    y = read(data, signed, low)
    if np.ptp(y) < np.ptp(x):
        field, x = signed, y
    high = data[:, offset - low + ORDERS[reading][0]]
    if len(distinct(high)) <= 2 and len(distinct(x)) <= FEW:
        return None  # states side by side
    span = float(np.ptp(x))  # of readings that overlap, the one that ranges least: a wrong one mixes low bytes into high ones
    return (span, field) if roughness(x) < MAX_ROUGH and span < 0xC000 else None


def _bytewise(data: npt.NDArray[np.uint8], at: int, low: int) -> list[Field]:
    """One byte by itself: a state as its bits where it has few values, a number otherwise."""
    values = distinct(data[:, at])
    whole = Field(low + at, "byte")
    if len(values) > FEW:
        return [whole]
    if len(values) == 2:
        return [whole]
    bits: list[Field] = []
    seen: set[bytes] = set()
    flips = np.unpackbits((data[1:, at] ^ data[:-1, at])[:, None], axis=1).sum(axis=1)
    if flips[flips > 0].mean() > MAX_FLIPS:
        return [whole]  # several bits at once: a number, not states packed into a byte
    for bit in range(8):
        column = data[:, at] >> bit & 1
        mark = (column ^ column[0]).tobytes()
        if column.any() and not column.all() and mark not in seen:
            seen.add(mark)
            bits.append(Field(low + at, "byte", bit=bit))
    return [whole, *bits]


def encode(value: float, field: Field) -> bytes:
    """The bytes that carry a number, in the order of the message; empty for a bit, the nearest value where it does not fit."""
    if field.bit >= 0 or not np.isfinite(value):
        return b""
    order = ORDERS[field.reading]
    if field.reading.startswith("float"):
        straight = pack(">f", min(BIG, max(-BIG, value)))
    else:
        low, high = (-0x8000, 0x7FFF) if field.signed else (0, 256 ** len(order) - 1)
        straight = int(min(high, max(low, round(value)))).to_bytes(len(order), "big", signed=field.signed)
    out = bytearray(len(order))
    for rank, place in enumerate(order):
        out[place] = straight[rank]
    return bytes(out)

"""Messages of text cut into cells: each a gap of separators and the word or number behind it, all messages of a batch at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

LONGEST = 18  # figures of a number that fits 64 bits
EMPTY_BETWEEN = b",;|\t"  # separators between which nothing may stand
WORD_BYTES = b".-+_"  # of what is neither letter nor figure, what never separates

_Flags = npt.NDArray[np.bool_]
_Places = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]


def _table(of: bytes) -> _Flags:
    flags = np.zeros(256, bool)
    flags[list(of)] = True
    return flags


FIGURES, POINT, SIGNS = _table(b"0123456789"), _table(b"."), _table(b"+-")
HEX = _table(b"0123456789ABCDEFabcdef")
_DIGIT = np.zeros(256, np.int64)  # value of a figure
_DIGIT[list(b"0123456789ABCDEF")] = np.arange(16)
_DIGIT[list(b"abcdef")] = np.arange(10, 16)


class Check(IntEnum):
    """What the last word of a message says of what stands in front of it."""

    NONE = 0
    SUM = 1  # all bytes added, modulo 256
    XOR = 2
    LRC = 3  # what makes the sum zero


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of many messages, message after message; all int64 [k].

    row      which message; rank: which of its cells
    gap      where its separators begin, begin: its word, end: where that ends; offsets in the message
    digits, hexes, points   figures, hexadecimal figures and points among the bytes of the word
    signed   1 where a sign comes first
    flat     what the values are read from: the messages one after the other
    """

    row: _Places
    rank: _Places
    gap: _Places
    begin: _Places
    end: _Places
    digits: _Places
    hexes: _Places
    points: _Places
    signed: _Places
    flat: _Bytes = field(repr=False)
    width: int

    def take(self, at: _Places) -> Cells:
        """The given cells."""
        places = {name: getattr(self, name)[at] for name in ("row", "rank", "gap", "begin", "end")}
        counts = {name: getattr(self, name)[at] for name in ("digits", "hexes", "points", "signed")}
        return Cells(**places, **counts, flat=self.flat, width=self.width)

    @property
    def size(self) -> _Places:
        """Bytes of each word."""
        return self.end - self.begin

    @property
    def decimal(self) -> _Flags:
        """Bool [k]: words that are a number, with or without a sign and a point inside."""
        inner = self.digits + self.points + self.signed == self.size
        fits: _Flags = inner & (self.digits > 0) & (self.points <= 1) & (self.digits <= LONGEST) & ~self._point_at_an_end()
        return fits

    @property
    def hexadecimal(self) -> _Flags:
        """Bool [k]: words of hexadecimal figures only, of which decimal ones are a kind."""
        fits: _Flags = (self.hexes == self.size) & (self.size > 0) & (self.size <= 16)
        return fits

    def _point_at_an_end(self) -> _Flags:
        first = self.flat[self.row * self.width + np.minimum(self.begin + self.signed, self.width - 1)]
        last = self.flat[self.row * self.width + np.maximum(self.end - 1, 0)]
        ends: _Flags = POINT[first] | POINT[last]
        return ends


def cells_of(heads: _Bytes, length: npt.NDArray[np.int32], separators: bytes) -> Cells:
    """Messages cut into cells; the last one of each holds no word, only what ends the message.

    heads   uint8 [n, width], zero beyond the message's end
    """
    n, width = heads.shape
    separates, between = _table(separators), _table(bytes(set(separators) & set(EMPTY_BETWEEN)))
    flat = np.zeros((n, width + 1), np.uint8)
    flat[:, :width] = heads
    size = np.minimum(length, width)
    inside = np.arange(width + 1) < size[:, None]
    word = ~separates[flat] & inside
    begins, ends = word.copy(), ~word
    begins[:, 1:] &= ~word[:, :-1]
    ends[:, 1:] &= word[:, :-1]
    ends[:, 0] = False
    empty = np.zeros_like(word)
    empty[:, 1:] = between[flat[:, 1:]] & (flat[:, 1:] == flat[:, :-1]) & inside[:, 1:]
    empty[np.arange(n), size] = True  # the last cell
    start, row_begin = np.flatnonzero(begins | empty), np.arange(n) * (width + 1)
    row = start // (width + 1)
    begin = start - row_begin[row]
    end = begin.copy()
    full = begins.reshape(-1)[start]
    stop = np.flatnonzero(ends)
    end[full] = stop - row_begin[row[full]]
    first = np.searchsorted(row, np.arange(n))
    rank = np.arange(len(row)) - first[row]
    gap = np.where(rank > 0, np.r_[0, end[:-1]], 0)
    bytes_of = flat.reshape(-1)
    counts = [np.r_[0, np.cumsum(table[bytes_of], dtype=np.int64)] for table in (FIGURES, HEX, POINT)]
    a, b = row_begin[row] + begin, row_begin[row] + end
    signed = SIGNS[bytes_of[a]] & (end - begin > 1)
    digits, hexes, points = ((count[b] - count[a]).astype(np.int64) for count in counts)
    return Cells(row, rank, gap, begin, end, digits, hexes, points, signed.astype(np.int64), bytes_of, width + 1)


def values_of(cells: Cells, base: _Places, decimals: _Places, at: _Places) -> tuple[_Flags, _Places]:
    """Which of the cells `at` are numbers, bool [k], and their value, times 10 for each of the column's decimals; int64 [k].

    base, decimals   int64 [k], of the columns they stand in
    """
    c = cells.take(at)
    decimal = c.decimal
    sixteen = c.hexadecimal & (base == 16)
    number = (decimal & ((c.points > 0) | (base == 10))) | sixteen
    sixteen &= number
    value, use = np.zeros(len(at), np.int64), np.flatnonzero(number)
    if not len(use):
        return number, value
    size = c.size[use]
    origin = c.row[use] * c.width + c.begin[use]
    chars, of = spread(origin, size)
    raw = c.flat[chars]
    kept = FIGURES[raw] | HEX[raw] & sixteen[use][of]
    raw, of, chars = raw[kept], of[kept], chars[kept]
    count = np.bincount(of, minlength=len(use))
    place = np.repeat(np.cumsum(count), count) - 1 - np.arange(len(of))  # figures to the right
    power = np.where(sixteen[use][of], 16, 10) ** place
    total = np.zeros(len(use), np.int64)
    np.add.at(total, of, _DIGIT[raw] * power)
    behind = np.where(c.points[use] > 0, behind_point(c)[use], 0)
    shift = np.where(sixteen[use], 0, decimals[use] - behind)
    total = np.where(shift >= 0, total * 10 ** np.clip(shift, 0, LONGEST), total // 10 ** np.clip(-shift, 0, LONGEST))
    minus = (c.signed[use] > 0) & (c.flat[origin] == ord("-"))
    value[use] = np.where(minus, -total, total)
    return number, value


def behind_point(cells: Cells) -> _Places:
    """Bytes behind the last point of each word, 0 where it has none; int64 [k]."""
    origin = cells.row * cells.width + cells.begin
    chars, of = spread(origin, cells.size)
    behind = np.zeros(len(cells.row), np.int64)
    dots = np.flatnonzero(POINT[cells.flat[chars]])
    behind[of[dots]] = (origin + cells.size)[of[dots]] - 1 - chars[dots]
    return behind


def comes_out(heads: _Bytes, cells: Cells, check: Check, since: int, before: int) -> _Flags:
    """Bool [cells]: last words that are, in two hexadecimal figures, the check of the bytes from `since` on.

    before   bytes in front of it that do not count
    """
    n = len(heads)
    last = np.flatnonzero(np.r_[cells.rank[1:] == 0, True]) - 1  # the one in front of the last cell of each message
    last = last[(last >= 0) & (cells.rank[np.maximum(last, 0)] >= 0)]
    last = last[(cells.size[last] >= 2) & (cells.hexes[last] == cells.size[last])]
    even = np.zeros(len(cells.row), bool)
    row, stop = cells.row[last], cells.begin[last] + cells.size[last] - 2
    upto = np.maximum(stop - before, since)
    body = heads[:, since:].astype(np.uint8)
    over = np.bitwise_xor if check is Check.XOR else np.add
    sums = np.zeros((n, body.shape[1] + 1), np.uint8)
    over.accumulate(body, axis=1, out=sums[:, 1:], dtype=np.uint8)
    told = sums[row, upto - since]
    if check is Check.LRC:
        told = (256 - told.astype(np.int64)).astype(np.uint8)
    origin = row * cells.width + stop
    said = (_DIGIT[cells.flat[origin]] << 4 | _DIGIT[cells.flat[origin + 1]]).astype(np.uint8)
    even[last] = (told == said) & (cells.size[last] == 2)
    return even


def spread(start: _Places, count: _Places) -> tuple[_Places, _Places]:
    """Places start .. start + count of each, one after the other, and which of them each belongs to."""
    of = np.repeat(np.arange(len(start)), count)
    within = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    return start[of] + within, of

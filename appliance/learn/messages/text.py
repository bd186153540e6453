"""Text laid out in columns: a number stands where it stood in the message before, however many figures it has.

In binary a number has a place; in text its length follows from its value, and with it the place of all that follows. So a message
of text is cut into *cells*, each a gap of separators and the word or number behind it, and the cells are laid side by side in
columns of fixed widths: words as they are, numbers in binary. What looks at bytes by their offset then looks at numbers.

A length that is right and a check that comes out even are laid out as zero: they follow from the rest, only a
wrong one is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from appliance.decode.heads import heads_of
from appliance.learn.messages.cells import Cells, Check, cells_of, comes_out, spread, values_of
from appliance.learn.messages.sample import WIDTH

AT_ONCE = 4096  # messages that are laid out at once: some hundred bytes of memory for each of theirs
READ = 512  # bytes of a message that are cut into cells
MOST_DECIMALS = 6
MARK = 2  # bytes at the end of a word that finds no room which stand for all that is left out
NUMBER = 0x80  # set in the last byte of a gap: what follows is a number, in binary
MORE = 0x40  # likewise: the gap is longer than any learned
BEYOND = WIDTH + 1  # the length of a message that goes on where nobody reads

_Flags = npt.NDArray[np.bool_]
_Places = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Column:
    """Room for the cells of one number: `gap` bytes of separators, `size` bytes of a word or number.

    base      16 or 10, of numbers without a point
    decimals  figures behind the point
    length    what a number here falls short of the message's length, where it says how long that is; None: it does not
    """

    gap: int
    size: int
    base: int = 10
    decimals: int = 0
    length: int | None = None


@dataclass(frozen=True)
class Layout:
    """How the messages of one direction are laid out.

    separators  the bytes that separate words; what was never seen to separate belongs to a word
    check       of what kind the last word is, over bytes `since` up to `before` bytes in front of it
    blank       bytes of a binary length, which the framing looks at; half-open
    """

    separators: bytes
    columns: tuple[Column, ...]
    check: Check = Check.NONE
    since: int = 0
    before: int = 0
    blank: tuple[int, int] = (0, 0)

    @cached_property
    def starts(self) -> _Places:
        """Where each column begins, and where the last one ends; int64 [columns + 1]."""
        return np.cumsum([0, *(c.gap + c.size for c in self.columns)])

    @cached_property
    def _table(self) -> _Places:
        """The columns, int64 [columns, 5]; -1 for those that say no length."""
        rows = [(c.gap, c.size, c.base, c.decimals, -1 if c.length is None else c.length) for c in self.columns]
        return np.array(rows, np.int64).reshape(len(rows), 5)

    @cached_property
    def words(self) -> tuple[tuple[int, int], ...]:
        """The room for words and numbers in what is laid out, without the gaps between; half-open."""
        places = zip(self.starts.tolist(), self.columns, strict=False)
        return tuple((start + c.gap, start + c.gap + c.size) for start, c in places if c.size)

    @cached_property
    def measured(self) -> tuple[tuple[int, int], ...]:
        """Those of them in which numbers have decimals."""
        sized = (column for column in self.columns if column.size)
        return tuple(place for place, column in zip(self.words, sized, strict=True) if column.decimals)

    def check_of(self, length: int) -> slice:
        """Where the check stands in a message of so many laid out bytes: it is no data, as one that comes out even is zero."""
        rank = max(0, int(np.searchsorted(self.starts, length)) - 2)
        at = int(self.starts[rank]) + self.columns[rank].gap
        return slice(at, at + self.columns[rank].size if self.check else at)

    @cached_property
    def width(self) -> int:
        """Bytes of what is laid out, of which there are a multiple of 8."""
        return min(WIDTH, -(-int(self.starts[-1]) // 8) * 8)

    def lay(self, heads: _Bytes, length: npt.NDArray[np.int32], width: int = WIDTH) -> tuple[_Bytes, npt.NDArray[np.int32]]:
        """Messages laid out, uint8 [n, width], and their length so, int32 [n].

        heads   uint8 [n, READ at the most], zero beyond the message's end; length int32 [n], bytes of each message
        """
        begins = range(0, len(heads), AT_ONCE)
        parts = [self._lay(heads[at : at + AT_ONCE], length[at : at + AT_ONCE], width) for at in begins]
        if len(parts) == 1:
            return parts[0]
        none = np.zeros((0, width), np.uint8), np.zeros(0, np.int32)
        return np.concatenate([none[0], *(p[0] for p in parts)]), np.concatenate([none[1], *(p[1] for p in parts)])

    def _lay(self, heads: _Bytes, length: npt.NDArray[np.int32], width: int) -> tuple[_Bytes, npt.NDArray[np.int32]]:
        heads = self.blanked(heads)
        cells = cells_of(heads, length, self.separators)
        out = np.zeros((len(heads), width), np.uint8)
        here = np.flatnonzero(cells.rank < len(self.columns))
        c = cells.take(here)
        gap, size, base, decimals, short = self._table[c.rank].T
        start = self.starts[c.rank]
        number, value = values_of(cells, base, decimals, here)
        value = np.where(number & (short >= 0) & (value + short == length[c.row]), 0, value)
        if self.check:
            value = np.where(comes_out(heads, cells, self.check, self.since, self.before)[here] & number, 0, value)
        flat, source = out.reshape(-1), heads.reshape(-1)
        at, origin = c.row * width + start, c.row * heads.shape[1]
        _copy(flat, source, at, origin + c.gap, np.minimum(c.begin - c.gap, gap))
        word = np.flatnonzero(~number)
        _copy(flat, source, (at + gap)[word], (origin + c.begin)[word], np.minimum(c.end - c.begin, size)[word])
        long = word[(c.size > size)[word] & (size >= MARK)[word]]
        _mark(flat, source, (at + gap + size)[long], (origin + c.begin + size)[long] - MARK, (c.size - size)[long] + MARK)
        _write(flat, (at + gap + size)[number], size[number], value[number])
        flat[(at + gap - 1)[number]] ^= NUMBER
        more = np.flatnonzero(c.begin - c.gap > gap)
        flat[(at + gap - 1)[more]] ^= MORE
        return out, self._laid_length(cells, length, heads.shape[1])

    def blanked(self, heads: _Bytes) -> _Bytes:
        """Without the length that is no text."""
        if self.blank[1] > self.blank[0]:
            heads = heads.copy()
            heads[:, self.blank[0] : self.blank[1]] = ord("0")
        return heads

    def _laid_length(self, cells: Cells, length: npt.NDArray[np.int32], read: int) -> npt.NDArray[np.int32]:
        count = np.bincount(cells.row, minlength=len(length))
        known = np.minimum(count, len(self.columns))
        laid = np.minimum(self.starts[known] + count - known, WIDTH)
        return np.where((length > read) | (self.starts[known] > WIDTH), BEYOND, laid).astype(np.int32)


def lay_messages(
    layout: Layout, data: _Bytes, at: npt.NDArray[np.int64], length: npt.NDArray[np.int32], width: int
) -> tuple[_Bytes, npt.NDArray[np.int32]]:
    """Messages of a batch laid out: see `Layout.lay`."""
    read = min(READ, -(-int(length.max(initial=1)) // 8) * 8)
    return layout.lay(heads_of(data, at, length, read), length, width)


def _copy(to: _Bytes, source: _Bytes, at: _Places, origin: _Places, count: _Places) -> None:
    places, of = spread(origin, np.maximum(count, 0))
    to[places - origin[of] + at[of]] = source[places]


def _write(to: _Bytes, end: _Places, size: _Places, value: _Places) -> None:
    """Numbers as big-endian bytes up to `end`; one that finds no room is as large as there is room for."""
    top = (1 << np.minimum(8 * size, 62)) - 1
    value = np.where(size < 8, np.clip(value, -(top // 2) - 1, top), value)
    for byte in range(8):
        there = np.flatnonzero(size > byte)
        to[end[there] - 1 - byte] = (value[there] >> 8 * byte) & 255


def _mark(to: _Bytes, source: _Bytes, end: _Places, origin: _Places, count: _Places) -> None:
    """Write, in the bytes up to `end`, what stands for so many bytes of the source."""
    if not len(end):
        return
    places, of = spread(origin, count)
    weighted = source[places].astype(np.int64) * (places - origin[of] + 257)
    mark = np.zeros(len(end), np.int64)
    np.add.at(mark, of, weighted)
    _write(to, end, np.full(len(end), MARK), mark & 0xFFFF)

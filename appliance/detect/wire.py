"""What deviates in text as it is laid out, told in the bytes of the message as it came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.detect.finding import Kind
from appliance.learn.meaning.model import Ranges, runs
from appliance.learn.messages.cells import Cells, cells_of
from appliance.learn.messages.text import MARK, NUMBER, READ, Column, Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.detect.locate import Deviation

TEXT = 0xFF ^ NUMBER
MOST_WORDS = 8  # more or fewer than learned, up to which it is looked for which
Rows = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Known:
    """Learned messages of a conversation and direction: laid out uint8 [k, WIDTH], closed bytes bool [k, WIDTH], length [k]."""

    laid: Rows
    closed: Flags
    length: npt.NDArray[np.int32]

    def of_length(self, length: int) -> Known:
        """Those that are so long."""
        mine = self.length == length
        return Known(self.laid[mine], self.closed[mine], self.length[mine])


def on_the_wire(layout: Layout, message: bytes, length: int, deviation: Deviation, known: Known) -> Deviation:
    """The deviation with ranges in the bytes of the message, and normal values as they would be written.

    message  its first READ bytes at the least; length: of all of it
    """
    head = np.frombuffer(message[:READ], np.uint8)[None, :]
    size = np.array([length], np.int32)
    cells = cells_of(layout.blanked(head), size, layout.separators)
    laid, laid_length = layout.lay(head, size)
    places: set[int] = set()
    if deviation.kind is Kind.WRONG_LENGTH and length <= READ:
        places.update(_between(layout, head, cells, known, length))
    if not places:
        there = _Message(layout, cells, length, laid[0], known.of_length(int(laid_length[0])))
        places.update(at for first, end in deviation.ranges for byte in range(first, end) for at in there.places(byte))
    ranges = runs(np.array(sorted(at for at in places if at < length), np.intp)) or ((max(0, length - 1), length),)
    normal = tuple(dict.fromkeys(written(layout, deviation.ranges, value) for value in deviation.normal))
    return replace(deviation, ranges=ranges, normal=normal)


def _between(layout: Layout, head: Rows, cells: Cells, known: Known, length: int) -> Iterable[int]:
    """Of a message with more or fewer words than learned what stands between those that are known at its begin and at its end."""
    count, size = len(cells.row), np.array([length], np.int32)
    found = [(0, length)]
    for there in sorted(set(np.searchsorted(layout.starts, known.length[known.length > 0]).tolist())):
        more = count - there
        columns = (Column(1, 1),) * more + layout.columns if more > 0 else layout.columns[-more:]
        if there <= len(layout.columns) and count <= len(columns) and abs(more) <= MOST_WORDS:
            moved = replace(
                layout, columns=columns
            )  # in which the last words of the message stand where those of learned ones do
            both = _Words(layout, layout.lay(head, size)[0][0]), _Words(moved, moved.lay(head, size, int(moved.starts[-1]))[0][0])
            found.append(_Apart(cells, *both, known.of_length(int(layout.starts[there])), there).span())
    first, end = min(found, key=lambda one: one[1] - one[0])
    return range(first, max(end, first + 1))


@dataclass(frozen=True, slots=True)
class _Words:
    """A message as it is laid out."""

    layout: Layout
    laid: Rows

    def same(self, rank: int, of: Layout, other: int, known: Known, skip: int = 0) -> Flags:
        """Bool [k]: learned messages that have in a column, without so many first bytes, what this one has in another."""
        at, to, end = int(self.layout.starts[rank]) + skip, int(of.starts[other]) + skip, int(of.starts[other + 1])
        differs = (self.laid[at : at + end - to] != known.laid[:, to:end]) & known.closed[:, to:end]
        same: Flags = ~differs.any(axis=1)
        return same


@dataclass(frozen=True, slots=True)
class _Apart:
    """A message laid out from its begin and from its end, and learned ones of `there` cells."""

    cells: Cells
    begin: _Words
    end: _Words
    known: Known
    there: int

    def span(self) -> tuple[int, int]:
        """What differs from the learned one that has most words at its begin and its end in common; half-open."""
        layout, count = self.begin.layout, len(self.cells.row)
        least = min(count, self.there)
        same = [self.begin.same(i, layout, i, self.known) for i in range(least)]
        before = np.cumprod(same, axis=0).sum(axis=0)
        same = [self.end.same(count - 1 - i, layout, self.there - 1 - i, self.known) for i in range(least)]
        after = np.minimum(np.cumprod(same, axis=0).sum(axis=0), least - before)
        best = int((before + after).argmax())
        return self._first(int(before[best]), best), self._end(count - 1 - int(after[best]), int(before[best]), best)

    def _first(self, rank: int, best: int) -> int:
        rank = min(rank, len(self.cells.row) - 1)
        learned = _learned_gap(self.begin.layout, rank, self.known.laid[best]) if rank < self.there else b""
        return int(self.cells.gap[rank]) + _in_common(_gap(self.cells, rank), learned)

    def _end(self, rank: int, before: int, best: int) -> int:
        """Where the last word that differs ends, or the separators where only these do."""
        layout, learned = self.begin.layout, self.there - len(self.cells.row) + rank
        if rank < before or learned < 0:
            return int(self.cells.end[max(rank, 0)])
        if not self.end.same(rank, layout, learned, self.known, layout.columns[learned].gap)[best]:
            return int(self.cells.end[rank])
        behind = _learned_gap(layout, learned, self.known.laid[best])[::-1]
        return int(self.cells.begin[rank]) - _in_common(_gap(self.cells, rank)[::-1], behind)


def _gap(cells: Cells, rank: int) -> bytes:
    """The separators in front of a word."""
    return cells.flat[int(cells.gap[rank]) : int(cells.begin[rank])].tobytes()


def _learned_gap(layout: Layout, rank: int, row: Rows) -> bytes:
    """The same of a learned message, uint8 [WIDTH]."""
    at = int(layout.starts[rank])
    return bytes(byte & TEXT for byte in row[at : at + layout.columns[rank].gap].tolist()).rstrip(b"\0")


@dataclass(frozen=True, slots=True)
class _Message:
    """One message, and what it is held against: learned ones of its length."""

    layout: Layout
    cells: Cells
    length: int
    laid: Rows
    known: Known

    def places(self, byte: int) -> Iterable[int]:
        """The bytes of the message that a byte of what is laid out stands for."""
        rank = int(np.searchsorted(self.layout.starts, byte, side="right")) - 1
        last = self.length - 1
        if rank >= min(len(self.layout.columns), len(self.cells.row)):
            return (last,)
        column, inner = self.layout.columns[rank], byte - int(self.layout.starts[rank])
        begin, end = int(self.cells.begin[rank]), int(self.cells.end[rank])
        if inner < column.gap:
            return self._in_gap(rank, byte, inner == column.gap - 1)
        if begin == end:
            return (min(begin, last),)
        if column.base == 16 and bool(self.cells.hexadecimal[rank]):
            return self._figures(rank, byte)
        if bool(self.cells.decimal[rank]):
            return range(begin, end)
        first = min(begin + inner - column.gap, end - 1)
        return range(first, end) if end - begin > column.size and inner >= column.gap + column.size - MARK else (first,)

    def _in_gap(self, rank: int, byte: int, says_what: bool) -> Iterable[int]:
        """Separators that differ, or the word behind them, where it is one in place of a number or the other way round."""
        gap, begin, end = (int(x[rank]) for x in (self.cells.gap, self.cells.begin, self.cells.end))
        differs = self.known.laid[:, byte] ^ self.laid[byte]
        if says_what and begin < end and (not len(differs) or (differs & TEXT == 0).any()):
            return self._no_number(rank, begin, end)
        here = _gap(self.cells, rank)
        learned = _learned_gap(self.layout, rank, self.known.laid[0]) if len(self.known.laid) else b""
        front = _in_common(here, learned)
        back = _in_common(here[front:][::-1], learned[front:][::-1])
        first = min(gap + front, self.length - 1)
        return range(first, max(first + 1, begin - back))

    def _no_number(self, rank: int, begin: int, end: int) -> Iterable[int]:
        """Of a word in place of a number of so many figures those bytes that no number known there has; else all of it."""
        column, stop = self.layout.columns[rank], int(self.layout.starts[rank + 1])
        if column.base != 16 or end - begin != 2 * column.size:
            return range(begin, end)
        figures = np.frombuffer(b"0123456789ABCDEF", np.uint8)[_nibbles(self._known_numbers(column, stop))]
        word = np.frombuffer(self.cells.flat[begin:end].tobytes().upper(), np.uint8)
        told = np.flatnonzero((figures != word).all(axis=0))
        return range(begin + int(told[0]), begin + int(told[-1]) + 1) if len(told) and len(figures) else range(begin, end)

    def _known_numbers(self, column: Column, stop: int) -> Rows:
        """The numbers that are right there, uint8 [k, bytes]; a length follows from the message."""
        if column.length is None:
            return self.known.laid[:, stop - column.size : stop]
        right = max(0, self.length - column.length).to_bytes(8, "big")
        return np.frombuffer(right, np.uint8)[None, -column.size :]

    def _figures(self, rank: int, byte: int) -> Iterable[int]:
        """Of a number of two figures a byte those that tell it from the numbers that are known there."""
        column, stop = self.layout.columns[rank], int(self.layout.starts[rank + 1])
        begin, end = int(self.cells.begin[rank]), int(self.cells.end[rank])
        right = self._known_numbers(column, stop)
        differs = (_nibbles(right) != _nibbles(self.laid[None, stop - column.size : stop])).any(axis=0)
        inner = 2 * (byte - stop + column.size)
        told = np.flatnonzero(differs) if differs.any() else np.array([inner, inner + 1])
        first = end - 2 * column.size
        return range(max(begin, first + int(told[0])), max(begin, first + int(told[-1])) + 1)


def _in_common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    alike = (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(alike, min(len(one), len(other)))


def _nibbles(numbers: Rows) -> Rows:
    """uint8 [k, 2 * bytes]: the figures of numbers, the highest first."""
    return np.stack([numbers >> 4, numbers & 15], axis=2).reshape(len(numbers), 2 * numbers.shape[1])


def written(layout: Layout, ranges: Ranges, value: bytes) -> bytes:
    """What a message that is laid out so has at the ranges, as it would be written."""
    out, rest = b"", value
    for first, end in ranges:
        part, rest = rest[: end - first], rest[end - first :]
        for start, column in zip(layout.starts.tolist(), layout.columns, strict=False):
            begin = start + column.gap
            stop = begin + column.size
            a, b = max(first, start), min(end, stop)
            if a < b:
                gap = bytes(byte & TEXT for byte in part[a - first : max(a, begin) - first])
                out += gap.strip(b"\0") + _word(column, part[max(a, begin) - first : b - first], stop - b)
    return out


def _word(column: Column, word: bytes, lower: int) -> bytes:
    """A word, or a part of a number of which so many lower bytes are left out."""
    bare = word.strip(b"\0")
    if not word or (len(bare) > 1 and all(32 <= byte < 127 for byte in bare)):
        return bare
    if column.base == 16:
        return word.hex().upper().encode()
    return f"{(int.from_bytes(word, 'big') << 8 * lower) / 10**column.decimals:.{column.decimals}f}".encode()

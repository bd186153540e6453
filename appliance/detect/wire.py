"""What deviates in text as it is laid out, told in the bytes of the message as it came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.detect.finding import Kind
from appliance.learn.cells import Cells, cells_of
from appliance.learn.model import Ranges, runs
from appliance.learn.text import MARK, NUMBER, READ, Column, Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.detect.locate import Deviation

TEXT = 0xFF ^ NUMBER
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
    ranges = runs(np.array(sorted(places), np.intp)) or ((max(0, length - 1), length),)
    normal = tuple(dict.fromkeys(written(layout, deviation.ranges, value) for value in deviation.normal))
    return replace(deviation, ranges=ranges, normal=normal)


def _between(layout: Layout, head: Rows, cells: Cells, known: Known, length: int) -> Iterable[int]:
    """Of a message with more or fewer words than learned what stands between those that are known at its begin and at its end."""
    count, size = len(cells.row), np.array([length], np.int32)
    front, _ = layout.lay(head, size)
    found = [(0, length)]
    for there in sorted(set(np.searchsorted(layout.starts, known.length[known.length > 0]).tolist())):
        shift = count - there
        moved = replace(layout, columns=(Column(1, 1),) * shift + layout.columns if shift > 0 else layout.columns[-shift:])
        if there > len(layout.columns) or count > len(moved.columns):
            continue
        back, _ = moved.lay(head, size)
        mine = known.of_length(int(layout.starts[there]))
        for row, closed in zip(mine.laid, mine.closed, strict=True):
            least = min(count, there)
            same = (_same(layout, i, front[0], layout, i, row, closed) for i in range(least))
            before = next((i for i, one in enumerate(same) if not one), least)
            rest = (_same(moved, count - 1 - i, back[0], layout, there - 1 - i, row, closed) for i in range(least - before))
            after = next((i for i, one in enumerate(rest) if not one), least - before)
            found.append(_span(layout, cells, row, closed, back[0], moved, (before, after, there)))
    first, end = min(found, key=lambda one: one[1] - one[0])
    return range(first, max(end, first + 1))


def _span(
    layout: Layout, cells: Cells, row: Rows, closed: Flags, back: Rows, moved: Layout, place: tuple[int, int, int]
) -> tuple[int, int]:
    """What stands between so many words that are known at the begin and so many at the end of a message, half-open.

    place   these two numbers, and how many cells the learned message `row` has
    """
    before, after, there = place
    last = len(cells.row) - 1 - after  # of what differs
    first = int(cells.gap[min(before, len(cells.row) - 1)])
    if before < there:
        first += _in_common(_gap(cells, before), _learned_gap(layout, before, row))
    if last < 0:
        return first, int(cells.end[-1])
    end, learned = int(cells.end[last]), there - 1 - after
    if last > before - 1 and learned >= 0 and _same(moved, last, back, layout, learned, row, closed, word=True):
        ends = _in_common(_gap(cells, last)[::-1], _learned_gap(layout, learned, row)[::-1])
        end = int(cells.begin[last]) - ends
    return first, end


def _gap(cells: Cells, rank: int) -> bytes:
    """The separators in front of a word, or nothing where there is none."""
    return cells.flat[int(cells.gap[rank]) : int(cells.begin[rank])].tobytes() if rank < len(cells.row) else b""


def _learned_gap(layout: Layout, rank: int, row: Rows) -> bytes:
    at = int(layout.starts[rank])
    return bytes(byte & TEXT for byte in row[at : at + layout.columns[rank].gap].tolist()).rstrip(b"\0")


def _same(a: Layout, i: int, one: Rows, b: Layout, k: int, row: Rows, closed: Flags, *, word: bool = False) -> bool:
    """Whether column i of one message has what column k of a learned one has, as far as that is closed; `word`: but for its gap."""
    skip = b.columns[k].gap * word
    at, to, size = int(a.starts[i]) + skip, int(b.starts[k]) + skip, int(b.starts[k + 1] - b.starts[k]) - skip
    differs = (one[at : at + size] != row[to : to + size]) & closed[to : to + size]
    return not differs.any()


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
        here = self.cells.flat[gap:begin].tobytes()
        learned = bytes(k & TEXT for k in self.known.laid[:1, int(self.layout.starts[rank]) : byte + 1].ravel().tolist()).rstrip(
            b"\0"
        )
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

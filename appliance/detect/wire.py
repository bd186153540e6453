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
            found.append((int(cells.gap[min(before, count - 1)]), int(cells.end[count - after - 1]) if after < count else length))
    first, end = min(found, key=lambda one: one[1] - one[0])
    return range(first, max(end, first + 1))


def _same(a: Layout, i: int, one: Rows, b: Layout, k: int, row: Rows, closed: Flags) -> bool:
    """Whether column i of one message has what column k of a learned one has, as far as that is closed."""
    at, to, size = int(a.starts[i]), int(b.starts[k]), int(b.starts[k + 1] - b.starts[k])
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
            return range(begin, end)
        here = self.cells.flat[gap:begin].tobytes()
        learned = bytes(k & TEXT for k in self.known.laid[:1, int(self.layout.starts[rank]) : byte + 1].ravel().tolist()).rstrip(
            b"\0"
        )
        front = _in_common(here, learned)
        back = _in_common(here[front:][::-1], learned[front:][::-1])
        first = min(gap + front, self.length - 1)
        return range(first, max(first + 1, begin - back))

    def _figures(self, rank: int, byte: int) -> Iterable[int]:
        """Of a number of two figures a byte those that tell it from the numbers that are known there."""
        column, stop = self.layout.columns[rank], int(self.layout.starts[rank + 1])
        begin, end = int(self.cells.begin[rank]), int(self.cells.end[rank])
        if column.length is not None:
            right = np.frombuffer(max(0, self.length - column.length).to_bytes(8, "big"), np.uint8)[None, -column.size :]
        else:
            right = self.known.laid[:, stop - column.size : stop]
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
            a, b = max(first, start), min(end, begin + column.size)
            if a < b:
                gap = bytes(byte & TEXT for byte in part[a - first : max(a, begin) - first])
                out += gap.strip(b"\0") + _word(column, part[max(a, begin) - first : b - first])
    return out


def _word(column: Column, word: bytes) -> bytes:
    bare = word.strip(b"\0")
    if not word or (len(bare) > 1 and all(32 <= byte < 127 for byte in bare)):
        return bare
    if column.base == 16:
        return word.hex().upper().encode()
    return f"{int.from_bytes(word, 'big') / 10**column.decimals:.{column.decimals}f}".encode()

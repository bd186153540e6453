"""Messages that hold a list of items, found without knowing the protocol and taken apart.

Some services wrap many small commands in one message: CIP's Multiple Service Packet (a count, a table of offsets, the
commands), S7's variable list (a count, records of equal size), BACnet's ReadPropertyMultiple (records of equal size, no
count). A list that was never seen is then not new, as long as each of its items is known in this conversation, and one new
item among thirty is named by its own bytes. Two shapes are looked for in the sample:

table    a number n at `count`, followed by n increasing offsets, relative to the number, the first of which points right
         behind the table;
records  items of `stride` bytes from `start` to the end of the message, which agree in some bytes (`marks`), as many as the
         number at `count` says where there is one.

Items are messages of a structure of their own (`Structure.inner`) and are counted like others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.heads import heads_of
from appliance.decode.numbers import read_number
from appliance.learn.messages.sample import WIDTH, Sample

if TYPE_CHECKING:
    from appliance.decode.messages import Messages

MAX_ITEMS = 64
MAX_SAMPLED = 16_384  # items that a structure of items is learned from
TRIED = 2048  # messages of the sample that shapes are tried on
COUNT_SEARCH = 96  # offsets at which the count may lie
MIN_MESSAGES = 8  # messages with two items or more, for a shape to be believed
STRIDES = range(4, 33)
START_SEARCH = 40  # offsets at which records may begin
MIN_MARKS = 3  # bytes that all records share
HEADER_SEARCH = 64

_I64 = npt.NDArray[np.int64]
_Heads = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Follows:
    """A number in the header that equals the message's length minus `constant`."""

    offset: int
    width: int
    big: bool
    constant: int


@dataclass(frozen=True, slots=True)
class Container:
    """The shape of a list; see the module's text.

    count    offset of the number of items, -1 for none; width, big: how it and the table's offsets are written
    start    first byte of the records; of a table: the byte behind the count
    stride   bytes of a record, 0 for a table
    marks    (offset in the record, value) that all records share
    follows  numbers of the header that follow from the length
    """

    count: int
    width: int
    big: bool
    start: int
    stride: int
    marks: tuple[tuple[int, int], ...] = ()
    follows: tuple[Follows, ...] = ()

    @property
    def header(self) -> int:
        """Bytes before the list (with its count, for records)."""
        return self.start if self.stride else self.count

    def free(self) -> npt.NDArray[np.bool_]:
        """Bool [header]: bytes of the header that differ with the list: its count and its lengths."""
        mask = np.zeros(self.header, bool)
        if self.stride and self.count >= 0:
            mask[self.count : self.count + self.width] = True
        for f in self.follows:
            mask[f.offset : f.offset + f.width] = True
        return mask


@dataclass(frozen=True, slots=True)
class Items:
    """Items of messages: message int64 [k] (index), first and end int64 [k] (bytes of the message), in order."""

    message: _I64
    first: _I64
    end: _I64


def split(c: Container, heads: _Heads, length: npt.NDArray[np.int32]) -> Items:
    """The items of every message that has the container's shape.

    heads   uint8 [n, any width], zero beyond the message's end; a table that reaches beyond the width is not followed
    length  int32 [n]
    """
    size = length.astype(np.int64)
    first, end, ok = _records(c, heads, size) if c.stride else _table(c, heads, size)
    ok &= _follow(c, heads, size)[:, None]
    message, item = np.nonzero(ok)
    return Items(message.astype(np.int64), first[message, item], end[message, item])


def _follow(c: Container, heads: _Heads, size: _I64) -> npt.NDArray[np.bool_]:
    """Bool [n]: the lengths in the header are right."""
    right = np.ones(len(heads), bool)
    for f in c.follows:
        if f.offset + f.width <= heads.shape[1]:
            right &= read_number(heads, f.offset, f.width, f.big) == size - f.constant
    return right


def _table(c: Container, heads: _Heads, size: _I64) -> tuple[_I64, _I64, npt.NDArray[np.bool_]]:
    width, n = heads.shape[1], len(heads)
    most = max(0, min(MAX_ITEMS, (width - c.start) // c.width))
    if not most or c.start + c.width > width:
        none = np.zeros((n, 0), np.int64)
        return none, none, np.zeros((n, 0), bool)
    count = read_number(heads, c.count, c.width, c.big)
    first = np.stack([read_number(heads, c.start + i * c.width, c.width, c.big) for i in range(most)], axis=1) + c.count
    there = np.arange(most)[None, :] < count[:, None]
    first = np.where(there, first, size[:, None])
    end = np.c_[first[:, 1:], size]
    ok = (
        (count > 0)
        & (count <= most)
        & (first[:, 0] == c.start + count * c.width)
        & (np.where(there, end > first, True)).all(axis=1)
    )
    return first, end, there & ok[:, None] & (end <= size[:, None])


def _records(c: Container, heads: _Heads, size: _I64) -> tuple[_I64, _I64, npt.NDArray[np.bool_]]:
    n, width = len(heads), heads.shape[1]
    number = (size - c.start) // c.stride
    ok = (size > c.start) & ((size - c.start) % c.stride == 0) & (number <= MAX_ITEMS)
    if c.count >= 0 and c.count + c.width <= width:
        ok &= read_number(heads, c.count, c.width, c.big) == number
    most = int(number[ok].max(initial=0))
    first = np.broadcast_to(c.start + np.arange(most) * c.stride, (n, most)).astype(np.int64)
    there = np.arange(most)[None, :] < number[:, None]
    for at, value in c.marks:
        columns = first[0] + at if n else np.zeros(0, np.int64)
        inside = columns < width
        wrong = np.zeros((n, most), bool)
        wrong[:, inside] = heads[:, columns[inside]] != value
        ok &= ~(wrong & there).any(axis=1)
    return first, first + c.stride, there & ok[:, None]


def messages_of(items: Items, m: Messages) -> Messages:
    """Items as messages of their own."""
    part = m.take(items.message.astype(np.intp))
    length = (items.end - items.first).astype(np.int32)
    first = items.first.astype(np.int32)
    return replace(part, at=part.at + items.first, length=length, first=part.first + first, split=length)


def sample_of(items: Items, sample: Sample) -> Sample:
    """Items that lie in the sampled head of their message, as a sample of their own."""
    whole = np.flatnonzero(items.end <= WIDTH)[:MAX_SAMPLED]
    message, first = items.message[whole], items.first[whole]
    size = items.end[whole] - first
    flat = np.r_[sample.heads.ravel(), np.zeros(WIDTH, np.uint8)]
    heads = heads_of(flat, message * WIDTH + first, size.astype(np.int32), WIDTH)
    return Sample(heads, size.astype(np.int32), sample.stream[message], sample.flow[message], sample.client[message])


def find_container(sample: Sample) -> Container | None:
    """The shape of the lists in a sample of requests, None where there is none."""
    if len(sample) < MIN_MESSAGES or len(np.unique(sample.length)) < 2:
        return None
    pick = np.linspace(0, len(sample) - 1, min(len(sample), TRIED)).astype(np.intp)
    heads, size = sample.heads[pick], sample.length[pick].astype(np.int64)
    found = _find_table(heads, size) or _find_counted(heads, size) or _find_records(heads, size)
    if found is None:
        return None
    mine = np.unique(split(found, heads, size.astype(np.int32)).message)
    return replace(found, follows=_find_follows(heads[mine], size[mine], found))


def _find_table(heads: _Heads, size: _I64) -> Container | None:
    best, most = None, MIN_MESSAGES - 1
    for at in range(COUNT_SEARCH):
        for big in (False, True):
            count = read_number(heads, at, 2, big)
            likely = (count > 1) & (count <= MAX_ITEMS) & (read_number(heads, at + 2, 2, big) == 2 + 2 * count)
            if np.count_nonzero(likely) <= most:
                continue
            container = Container(at, 2, big, at + 2, 0)
            items = split(container, heads, size.astype(np.int32))
            several = int(np.count_nonzero(np.bincount(items.message) > 1))
            if several > most:
                best, most = container, several
    return best


def _find_counted(heads: _Heads, size: _I64) -> Container | None:
    """Records with a count: the length grows by the same for each."""
    best, most = None, MIN_MESSAGES - 1
    for at in range(HEADER_SEARCH):
        count = heads[:, at].astype(np.int64)
        values, times = np.unique(count[(count > 0) & (count <= MAX_ITEMS) & (size > at)], return_counts=True)
        if not 2 <= len(values) <= MAX_ITEMS:
            continue
        low, high = sorted(values[np.argsort(-times, kind="stable")[:2]].tolist())
        lengths = [int(np.bincount(size[count == v]).argmax()) for v in (low, high)]
        stride, rest = divmod(lengths[1] - lengths[0], high - low)
        start = lengths[0] - stride * low
        if rest or stride not in STRIDES or not at < start <= at + START_SEARCH:
            continue
        container = _marked(Container(at, 1, True, start, stride), heads, size)
        held = _several(container, heads, size) if container else 0
        if held > most:
            best, most = container, held
    return best


def _find_records(heads: _Heads, size: _I64) -> Container | None:
    """Records without a count: the same bytes come again at equal distances up to the end of messages of several lengths."""
    best, most = None, MIN_MESSAGES - 1
    for stride in STRIDES:
        for start in range(4, START_SEARCH):
            number = (size - start) // stride
            fits = (size > start) & ((size - start) % stride == 0) & (number <= MAX_ITEMS)
            if np.count_nonzero(fits & (number > 1)) <= most or len(np.unique(number[fits])) < 2:
                continue
            container = _marked(Container(-1, 1, True, start, stride), heads[fits & (number > 1)], size[fits & (number > 1)])
            if container is None or 2 * len(container.marks) < stride or container.marks[0][0]:
                continue
            held = _several(container, heads, size)
            if held > most:
                best, most = container, held
    return best


def _several(c: Container, heads: _Heads, size: _I64) -> int:
    """How many messages hold two items or more; 0 where all hold as many."""
    items = np.bincount(split(c, heads, size.astype(np.int32)).message)
    return int(np.count_nonzero(items > 1)) if len(np.unique(items[items > 0])) > 1 else 0


def _marked(c: Container, heads: _Heads, size: _I64) -> Container | None:
    """The container with the bytes that all its records share; None where they share too few."""
    items = split(c, heads, size.astype(np.int32))
    whole = items.end <= heads.shape[1]
    message, first = items.message[whole], items.first[whole]
    if len(message) < 2 * MIN_MESSAGES:
        return None
    columns = first[:, None] + np.arange(c.stride)[None, :]
    values = heads[message[:, None], columns]
    same = np.flatnonzero((values == values[:1]).all(axis=0))
    if len(same) < MIN_MARKS:
        return None
    return replace(c, marks=tuple((int(at), int(values[0, at])) for at in same))


def _find_follows(heads: _Heads, size: _I64, c: Container) -> tuple[Follows, ...]:
    """Numbers of the header that equal the length minus a constant in all messages: wide ones at even offsets first."""
    if len(np.unique(size)) < 2:
        return ()
    found: list[Follows] = []
    taken = np.zeros(c.header, bool)
    for width in (2, 1):
        reach = range(max(0, min(c.header, HEADER_SEARCH) - width + 1))
        for offset in sorted(reach, key=lambda at: (at % 2, at)):
            for big in (c.big, not c.big) if width > 1 else (True,):
                gap = size - read_number(heads, offset, width, big)
                if (gap == gap[0]).all() and 0 <= gap[0] <= WIDTH and not taken[offset : offset + width].any():
                    found.append(Follows(offset, width, big, int(gap[0])))
                    taken[offset : offset + width] = True
    return tuple(sorted(found, key=lambda f: f.offset))

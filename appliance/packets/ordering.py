"""Ordering and finding integer keys in columns at a cost that hardly depends on the data.

A stable sort or a binary search of keys in no order is mostly branches that the processor guesses wrong. NumPy sorts 16-bit
integers by radix (Knuth, TAOCP 3, 5.2.5) and whole words by vector instructions; what is here makes use of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[Any]  # integers of any width [n]
Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

FEW = 256  # keys that are sorted as well by comparison
SPARE = 4  # slots per key of a table
LONGEST = 16  # keys of a table that may share a slot
MOST_SLOTS = 16  # bits
_DIGIT = 2  # bytes that are sorted by radix
_ODD = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing (Knuth, TAOCP 3, 6.4)


def stable_order(keys: Keys) -> Places:
    """What `np.argsort(keys, kind="stable")` returns; integers [n], intp [n]."""
    if len(keys) < FEW or keys.itemsize <= _DIGIT:
        return np.argsort(keys, kind="stable")
    low = keys.min()
    rest = (keys - low).view(f"u{keys.itemsize}")  # what overflows a signed difference is right as an unsigned one
    width = (int(keys.max()) - int(low)).bit_length()
    if width <= 8 * _DIGIT:
        return np.argsort(rest.astype(f"u{_DIGIT}"), kind="stable")
    bits = (len(keys) - 1).bit_length()
    dropped = max(0, width + bits - 64)  # lower bits of the keys that find no room beside the number of the row
    upper = rest.astype(np.uint64) >> np.uint64(dropped) << np.uint64(bits)
    packed = np.sort(upper | np.arange(len(keys), dtype=np.uint64))
    order = (packed & np.uint64((1 << bits) - 1)).astype(np.intp)
    if dropped:
        ordered = keys[order]
        alike = packed[1:] >> np.uint64(bits) == packed[:-1] >> np.uint64(bits)
        if (alike & (ordered[1:] != ordered[:-1])).any():  # keys that differ in what was dropped only
            return np.argsort(keys, kind="stable")
    return order


def distinct(values: Keys) -> Keys:
    """The values [n] that there are, each once, ascending; none of them is NaN.

    `np.unique` says the same, but it asks first whether they are masked, and with that loads all of `numpy.ma`.
    """
    ordered = np.sort(values, axis=None)
    head = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=head[1:])
    return ordered[head]


def quantile(values: Keys, share: float) -> float:
    """What `np.quantile(values, share)` returns, which asks `np.unique`; [n], none of them NaN."""
    ordered = np.sort(values).astype(np.float64)
    at = share * (len(ordered) - 1)
    low = int(at)
    below, above, part = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)]), at - low
    return below + (above - below) * part if part < 0.5 else above - (above - below) * (1 - part)


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows of equal keys together.

    order   intp [n], rows by key, rows of one key as they came
    start   intp [groups], where in `order` each key's rows begin
    """

    order: Places
    start: Places

    @property
    def first(self) -> Places:
        """The first row of each key, by key; intp [groups]."""
        return self.order[self.start]

    @property
    def last(self) -> Places:
        """The last row of each key, by key; intp [groups]."""
        last: Places = self.order[self.start + self.size - 1]
        return last

    @property
    def size(self) -> Places:
        """How many rows each key has, by key; intp [groups]."""
        size = np.empty_like(self.start)
        np.subtract(self.start[1:], self.start[:-1], out=size[:-1])
        size[-1:] = len(self.order) - self.start[-1:]
        return size

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A value of each group for each of its rows, in the order of the rows."""
        out = np.empty(len(self.order), values.dtype)
        out[self.order] = np.repeat(values, self.size)
        return out

    def latest(self, flags: Flags) -> Places:
        """The last flagged row of its key up to each row, itself included, -1 where there is none; flags bool [n]."""
        at = np.maximum.accumulate(np.where(flags.take(self.order), np.arange(len(self.order)), -1))
        out = np.empty(len(self.order), np.intp)
        out[self.order] = np.where(at >= np.repeat(self.start, self.size), self.order.take(at), -1)
        return out

    def before(self, values: npt.NDArray[Any], first: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of the row before each row of the same key; [n, ...], before the first one those of `first` [groups, ...]."""
        ordered = values.take(self.order, axis=0)
        ordered[1:] = ordered[:-1].copy()
        ordered[self.start] = first
        place = np.empty(len(self.order), np.intp)
        place[self.order] = np.arange(len(self.order))
        return ordered.take(place, axis=0)


def grouped(keys: Keys) -> Groups:
    """Group integers [n] by their value."""
    order = stable_order(keys)
    ordered = keys[order]
    head = np.ones(len(keys), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=head[1:])
    return Groups(order, np.flatnonzero(head))


def firsts(keys: Keys) -> Places:
    """The first row of each key, ascending: what `np.sort(grouped(keys).first)` returns, without sorting 64-bit integers [n]."""
    return len(keys) - 1 - lasts(keys[::-1])[::-1]


def lasts(keys: Keys) -> Places:
    """The last row of each key, ascending; 64-bit integers [n]."""
    slot = (np.ascontiguousarray(keys).view(np.uint64) * _ODD >> np.uint64(64 - _slot_bits(len(keys)))).view(np.intp)
    row = np.arange(len(keys))
    holder = np.empty(1 << _slot_bits(len(keys)), np.intp)
    holder[slot] = row  # of several the last one stays
    held = holder.take(slot)
    others = np.flatnonzero(keys.take(held) != keys)  # a key shares its slot with all its rows, or with none
    last = np.flatnonzero(held == row)
    return np.sort(np.concatenate([last, others.take(grouped(keys.take(others)).last)])) if len(others) else last


def _slot_bits(count: int) -> int:
    """So many slots that few of `count` keys share one, at the most as many as stay near the processor."""
    return min(MOST_SLOTS, max(4, (SPARE * count).bit_length()))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Keys that do not change, hashed into slots by their upper bits, for looking up whole columns.

    keys   64-bit integers [k], each once
    """

    keys: Keys
    _hashes: npt.NDArray[np.uint64] = field(init=False)  # ascending
    _place: Places = field(init=False)  # of each of these in `keys`
    _begin: npt.NDArray[np.int32] = field(init=False)  # per slot, and one more
    _shift: np.uint64 = field(init=False)
    _longest: int = field(init=False)

    def __post_init__(self) -> None:
        bits = max(4, (SPARE * len(self.keys)).bit_length())
        hashes = self.keys.view(np.uint64) * _ODD
        place = np.argsort(hashes)
        shift = np.uint64(64 - bits)
        count = np.bincount((hashes >> shift).astype(np.intp), minlength=1 << bits)
        begin = np.zeros(len(count) + 1, np.int32)
        np.cumsum(count, out=begin[1:])
        values = (hashes[place], place, begin, shift, int(count.max()))
        for name, value in zip(("_hashes", "_place", "_begin", "_shift", "_longest"), values, strict=True):
            object.__setattr__(self, name, value)

    def find(self, values: Keys) -> tuple[Places, Flags]:
        """Place of each value among `keys` (any place where it is not there), and whether it is there; [n] each."""
        if not len(self.keys) or not len(values):
            return np.zeros(len(values), np.intp), np.zeros(len(values), np.bool_)
        hashes = values.view(np.uint64) * _ODD
        if self._longest > LONGEST:
            at = np.minimum(np.searchsorted(self._hashes, hashes), len(self.keys) - 1)
            return self._place[at], self._hashes[at] == hashes
        slot = (hashes >> self._shift).view(np.intp)
        at = np.minimum(self._begin[slot], len(self.keys) - 1)
        there = self._hashes[at] == hashes
        left = np.flatnonzero(~there)
        for further in range(1, self._longest):
            if not len(left):
                break
            left = left[self._begin[slot[left]] + further < self._begin[slot[left] + 1]]
            following = self._begin[slot[left]] + further
            hit = self._hashes[following] == hashes[left]
            at[left[hit]], there[left[hit]] = following[hit], True
            left = left[~hit]
        return self._place[at], there

    def holds(self, values: Keys) -> Flags:
        """Whether each value is among `keys`; bool [n]."""
        return self.find(values)[1]

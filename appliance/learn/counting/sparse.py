"""Counts of pairs, kept sparse: how often a thing `a` went with a thing `b`, and when that was first, or another least number.

Merging adds counts and takes the lesser number. A thing with more than `most` partners is *full*: its partners are
dropped and one entry FULL keeps the sum, for good. What is full in a part is full in the whole, so any order and any grouping of
merges gives the same table.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FULL = np.uint64(np.iinfo(np.uint64).max)  # stands for all partners of a thing that has too many

_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Columns of k pairs, sorted by (a, b): a, b uint64; count int64; first int64, ns since the epoch or another minimum."""

    a: _U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    b: _U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    count: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    first: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.a)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Pairs:
        """The given rows."""
        return Pairs(self.a[rows], self.b[rows], self.count[rows], self.first[rows])

    def groups(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Where each `a` begins and ends: intp [things], half-open."""
        if not len(self):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        start = np.flatnonzero(np.r_[True, self.a[1:] != self.a[:-1]])
        return start, np.r_[start[1:], len(self)].astype(np.intp)


def counted(a: _U64, b: _U64, time: _I64, most: int) -> Pairs:
    """Pairs out of single events: a, b uint64 [n], int64 [n]: ns, or what the least is kept of."""
    return _summed(a, b, np.ones(len(a), np.int64), time, most)


def merge_pairs(x: Pairs, y: Pairs, most: int) -> Pairs:
    """Both together; a thing has at most `most` partners or is full."""
    if not len(x) or not len(y):
        return x if len(x) else y
    names = ("a", "b", "count", "first")
    a, b, count, first = (np.concatenate([getattr(x, name), getattr(y, name)]) for name in names)
    return _summed(a, b, count, first, most)


def _summed(a: _U64, b: _U64, count: _I64, first: _I64, most: int) -> Pairs:
    if not len(a):
        return Pairs()
    order = np.lexsort((b, a))
    a, b, count, first = a[order], b[order], count[order], first[order]
    start = np.flatnonzero(np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])])
    pairs = Pairs(a[start], b[start], np.add.reduceat(count, start), np.minimum.reduceat(first, start))
    begin, end = pairs.groups()
    full = (end - begin > most) | (pairs.b[end - 1] == FULL)  # FULL sorts last
    if not (full & (end - begin > 1)).any():
        return pairs
    b = np.where(np.repeat(full, end - begin), FULL, pairs.b)
    return _summed(pairs.a, b, pairs.count, pairs.first, most)

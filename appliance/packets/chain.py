"""Following the chain of records: the one place where a record's position depends on the record before it.

Record by record that costs more than decoding the headers. So likely records are found by a mark that all of them carry
(the upper bytes of the time, a block's type), all at once, and where a likely record ends exactly where the next likely one
begins the chain is followed by whole runs. The chain stays the only authority: what looks like a record and is not on it
is never used, and a record without the mark is stepped over singly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from struct import Struct

    from appliance.packets.batch import I64

MOST_RUNS = 512  # per walk; a window with more breaks is cheaper to walk singly
_NONE = np.zeros(0, np.int64)


class Runs:
    """Likely records: ascending offsets `at`, and `after`, where each of them ends."""

    __slots__ = ("_after", "_at", "_breaks", "_left")

    def __init__(self, at: I64, after: I64) -> None:
        """Find where one likely record does not end at the next."""
        self._at = at
        self._after = after
        self._breaks = np.flatnonzero(after[:-1] != at[1:])
        self._left = MOST_RUNS

    def take(self, at: int, limit: int) -> tuple[I64, int]:
        """Return the run of records that begins exactly at `at`, at most `limit`, and where it ends; empty if none does."""
        if self._left <= 0 or not self._at.size:
            return _NONE, at
        self._left -= 1
        first = int(self._at.searchsorted(at))
        if first == self._at.size or self._at[first] != at:
            return _NONE, at
        stop = int(self._breaks.searchsorted(first))
        last = int(self._breaks[stop]) if stop < self._breaks.size else self._at.size - 1
        last = min(last, first + limit - 1)
        return self._at[first : last + 1], int(self._after[last])


def follow(memory: memoryview, start: int, stop: int, limit: int, length: Struct, header: int, runs: Runs) -> I64:
    """Return the offsets of at most `limit` records from `start`, each `header` + its length further on.

    `length` reads the payload length at a record's offset. The last offset may belong to a record that does not end
    before `stop`, or to one whose length is nonsense: the caller looks at the lengths all at once, which is cheaper.
    """
    parts: list[I64] = []
    single: list[int] = []
    unpack = length.unpack_from
    at, last, found = start, stop - header, 0
    while at <= last and found < limit:
        run, after = runs.take(at, limit - found)
        if run.size:
            parts += [np.array(single, np.int64), run]
            single = []
            found += run.size
            at = after
        else:
            single.append(at)
            found += 1
            at += unpack(memory, at)[0] + header
    parts.append(np.array(single, np.int64))
    return np.concatenate(parts)

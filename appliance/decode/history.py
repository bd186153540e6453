"""Recent bytes of TCP directions, to compare repetitions with across batches: one ring for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from appliance.packets.batch import I64, U8, U32, U64

RING_BYTES = 4 << 20
ENTRIES = 8192
TAIL_BYTES = 16384  # of one segment


class History:
    """The newest segments of all directions; the ring overwrites the oldest, so memory is fixed."""

    def __init__(self) -> None:
        """Allocate nothing until the first segment comes."""
        self._ring: U8 = np.zeros(0, np.uint8)
        self._written = 0
        self._added = 0
        self._keys: U64 = np.zeros(ENTRIES, np.uint64)
        self._seqs: U32 = np.zeros(ENTRIES, np.uint32)
        self._sizes: I64 = np.zeros(ENTRIES, np.int64)
        self._places: I64 = np.full(ENTRIES, -RING_BYTES, np.int64)

    def remember(self, data: U8, keys: U64, seqs: I64, starts: I64, sizes: I64) -> None:
        """Keep the tails of segments: `sizes[i]` bytes at `data[starts[i]]`, first byte numbered `seqs[i]`."""
        if not self._ring.size:
            self._ring = np.zeros(RING_BYTES, np.uint8)
        skipped = np.maximum(sizes - TAIL_BYTES, 0)
        slots = (self._added + np.arange(keys.size)) % ENTRIES
        self._keys[slots], self._seqs[slots] = keys, ((seqs + skipped) & 0xFFFFFFFF).astype(np.uint32)
        self._sizes[slots] = sizes - skipped
        self._added += keys.size
        self._places[slots] = self._write(data, starts + skipped, sizes - skipped)

    def _write(self, data: U8, starts: I64, sizes: I64) -> I64:
        """Put segments behind each other into the ring; where each of them stands in all that was ever written."""
        places = np.empty(starts.size, np.int64)
        ends = np.cumsum(sizes)
        done = 0
        while done < starts.size:
            before = int(ends[done] - sizes[done])
            place = self._written % RING_BYTES
            fit = int(np.searchsorted(ends, before + RING_BYTES - place, side="right"))
            if fit == done:  # a segment is never split: the rest of the ring stays unused
                self._written += RING_BYTES - place
                continue
            part, total = slice(done, fit), int(ends[fit - 1]) - before
            places[part] = self._written + ends[part] - sizes[part] - before
            shift = starts[part] - (ends[part] - sizes[part] - before)
            self._ring[place : place + total] = data.take(np.repeat(shift, sizes[part]) + np.arange(total))
            self._written += total
            done = fit
        return places

    def forget(self, keys: U64) -> None:
        """Drop what belongs to directions that started anew."""
        stale = np.isin(self._keys, keys)
        self._places[stale] = -RING_BYTES

    def pieces(self, key: int, seq: int, size: int) -> list[tuple[int, bytes]]:
        """Return kept (position relative to `seq`, bytes) of one direction that touch `size` bytes from `seq`, oldest first."""
        alive = np.flatnonzero((self._keys == np.uint64(key)) & (self._places >= self._written - RING_BYTES))
        relative = ((self._seqs[alive].astype(np.int64) - seq + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        touching = (relative < size) & (relative + self._sizes[alive] > 0)
        found = []
        for entry, position in zip(alive[touching].tolist(), relative[touching].tolist(), strict=True):
            place = int(self._places[entry]) % RING_BYTES
            found.append((int(self._places[entry]), position, self._ring[place : place + int(self._sizes[entry])].tobytes()))
        return [(position, kept) for _, position, kept in sorted(found)]

"""The last frames, in memory of a fixed size: what an incident's excerpt is cut from.

Batches are copied in as a whole, the bytes between their frames included, into one buffer that is filled round and round; the
oldest batches give way. That costs a copy of memory a batch and nothing a frame.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from appliance.packets.frames import Frames, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.packets.batch import I64, U8, U64, PacketBatch

_ROW = 44  # bytes of the columns of a frame
_USUAL = 192  # bytes of memory that a small frame takes: 60 of its own, those of the ring around it, its columns
_PART = 1 << 18  # bytes that are put together at once where a batch is too large


class _View(NamedTuple):
    """Rows that hold a frame, the oldest first, and their columns; made where it is asked for, forgotten with the next batch."""

    row: I64
    number: I64
    time: I64
    key: U64


class Recent:
    """Frames of the last batches with a key each, in the order in which they came."""

    def __init__(self, size: int) -> None:
        """Use `size` bytes of memory in all."""
        slots = max(size // _USUAL, 64)
        self._data: U8 = np.zeros(max(size - slots * _ROW, 1 << 16), np.uint8)
        self._number, self._time, self._at = (np.zeros(slots, np.int64) for _ in range(3))
        self._captured, self._wire = np.zeros(slots, np.int32), np.zeros(slots, np.int32)
        self._link = np.zeros(slots, np.uint16)
        self._key = np.zeros(slots, np.uint64)
        self._parts: deque[tuple[int, int, int, int]] = deque()  # first and end in the buffer, in the columns
        self._next = (0, 0)
        self._view: _View | None = None

    def keep(self, batch: PacketBatch, key: U64) -> None:
        """Copy a batch in; `key` is what its frames are asked for by later. Frame numbers are above 0."""
        if not len(batch):
            return
        first = int(batch.offset.min())
        end = int((batch.offset + batch.captured).max())
        if end - first <= self._data.size // 2 and len(batch) <= self._key.size // 2:
            self._put(batch, slice(None), key, batch.data[first:end], batch.offset - first)
            return
        most = self._key.size // 4
        part = np.cumsum(batch.captured, dtype=np.int64) // _PART
        cuts = np.union1d(np.flatnonzero(np.diff(part)) + 1, np.arange(most, len(batch), most))
        for begin, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(batch)], strict=True):
            size = batch.captured[begin:stop].astype(np.int64)
            data = packed(batch.data, batch.offset[begin:stop], batch.captured[begin:stop])
            if data.size <= self._data.size // 2:
                self._put(batch, slice(begin, stop), key[begin:stop], data, np.cumsum(size) - size)

    def _put(self, batch: PacketBatch, rows: slice, key: U64, data: U8, offset: I64) -> None:
        at, row = self._room(data.size, offset.size)
        self._view = None
        here = slice(row, row + offset.size)
        self._data[at : at + data.size] = data
        self._number[here], self._time[here], self._at[here] = batch.frame[rows], batch.time[rows], offset + at
        self._captured[here], self._wire[here] = batch.captured[rows], batch.wire[rows]
        self._link[here], self._key[here] = batch.link[rows], key

    def _room(self, size: int, rows: int) -> tuple[int, int]:
        """Where so many bytes and rows go; whatever stands there is forgotten, the oldest first."""
        at, row = self._next
        if at + size > self._data.size:
            self._forget(lambda part: part[0] >= at)
            at = 0
        if row + rows > self._key.size:
            self._forget(lambda part: part[2] >= row)
            row = 0
        self._forget(lambda p: (p[0] < at + size and at < p[1]) or (p[2] < row + rows and row < p[3]))
        self._parts.append((at, at + size, row, row + rows))
        self._next = (at + size, row + rows)
        return at, row

    def _forget(self, gone: Callable[[tuple[int, int, int, int]], bool]) -> None:
        while self._parts and gone(self._parts[0]):
            _, _, first, end = self._parts.popleft()
            self._number[first:end] = 0

    def _rows(self) -> _View:
        """All rows that hold a frame, the oldest first."""
        if self._view is None:
            first = self._parts[0][2] if self._parts else 0
            rows = np.concatenate([np.arange(first, self._key.size), np.arange(first)])
            rows = rows[self._number[rows] > 0]
            self._view = _View(rows, self._number[rows], self._time[rows], self._key[rows])
        return self._view

    def seconds(self) -> float:
        """How far back it reaches from the latest frame."""
        if not self._parts:
            return 0.0
        (_, _, first, _), (_, _, _, end) = self._parts[0], self._parts[-1]
        return max(0.0, float(self._time[end - 1] - self._time[first]) * 1e-9)

    def numbered(self, numbers: I64) -> I64:
        """Rows of the frames with these numbers, ascending, as far as they are still here; numbers grow from batch to batch."""
        view = self._rows()
        if not view.row.size:
            return view.row
        wanted = np.unique(numbers)
        place = np.minimum(np.searchsorted(view.number, wanted), view.row.size - 1)
        found: I64 = view.row[place[view.number[place] == wanted]]
        return found

    def near(self, keys: U64, times: I64, before: int, after: int, beyond: int) -> I64:
        """Rows of frames with one of `keys` and a number above `beyond` that came around one of `times` (ns, ascending).

        before, after   how many ns around; the nearest come first
        """
        view = self._rows()
        if not times.size or not view.row.size:
            return view.row[:0]
        later = slice(int(np.searchsorted(view.number, beyond, side="right")), None)
        when = view.time[later]
        wide = np.flatnonzero((when >= times[0] - before) & (when <= times[-1] + after))
        wide = wide[np.isin(view.key[later][wide], keys)]
        rows, when = view.row[later][wide], when[wide]
        place = np.searchsorted(times, when)
        ahead = times[np.minimum(place, times.size - 1)] - when  # to the next of `times`; negative behind the last
        behind = when - times[np.maximum(place - 1, 0)]
        wanted = ((ahead >= 0) & (ahead <= before)) | ((behind >= 0) & (behind <= after))
        far = np.minimum(np.where(ahead >= 0, ahead, np.iinfo(np.int64).max), np.where(behind >= 0, behind, before + after))
        chosen: I64 = rows[wanted][np.argsort(far[wanted], kind="stable")]
        return chosen

    def frames(self, rows: I64) -> Frames:
        """Copies of the frames in these rows."""
        data = packed(self._data, self._at[rows], self._captured[rows])
        columns = (self._number[rows], self._time[rows], self._captured[rows], self._wire[rows], self._link[rows])
        return Frames(*columns, data)

    def sizes(self, rows: I64) -> I64:
        """Captured bytes of the frames in these rows."""
        return self._captured[rows].astype(np.int64)

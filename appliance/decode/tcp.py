"""Following TCP byte streams (RFC 9293 3.4) without connections: every direction stands alone.

A direction may be picked up in its middle and its other side may never be seen. Segments are delivered where they stand in
the capture; what this adds are marks and the removal of repetitions:

1. Sort segments by direction (stable), and compare each sequence number with the end of the one before it. Where it is
   equal the segment is in order, which is nearly always and costs no look at a single segment.
2. A jump of more than WINDOW bytes or a SYN starts a new **epoch**: positions are counted anew from there, so neither a
   forged number nor a reused port can make later segments look old.
3. Within an epoch a segment behind the highest end so far has a **gap** before it; one before the highest end is **late**
   and is compared with what came before it (`late.settle`): a repetition, an overlap with other bytes, or a hole filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.history import History
from appliance.decode.identity import directed
from appliance.decode.late import settle
from appliance.decode.segments import Segments
from appliance.packets.ordering import grouped
from appliance.packets.slots import Slots

if TYPE_CHECKING:
    from appliance.decode.work import Work
    from appliance.packets.batch import I64, U32, U64, Flags

FIN, SYN = 0x01, 0x02
WINDOW = 1 << 20  # bytes; OT peers keep far less in flight
MAX_DIRECTIONS = 200_000
_FAR = np.int64(1) << np.int64(41)  # more than an epoch can span in one batch: 2**20 bytes of jump for each of 2**20 rows
_KEPT = 4  # segments of a direction kept for the next batch
_MOST_KEPT = 2048  # segments of all directions kept from one batch


class StreamTable:
    """Next expected sequence number per direction; the oldest directions are forgotten."""

    def __init__(self, most: int = MAX_DIRECTIONS) -> None:
        """Start empty; `most` bounds the directions kept."""
        self._most = most
        self._directions = Slots()  # and in their order:
        self._next: U32 = np.zeros(0, np.uint32)
        self._stamp: I64 = np.zeros(0, np.int64)
        self._batch = 0
        self.history = History()

    def __len__(self) -> int:
        """Return the number of directions known."""
        return len(self._directions)

    def follow(self, work: Work) -> None:
        """Mark `gap`, `overlap`, `repeat` and take repetitions out of `payload`; `work.dup` frames are left alone."""
        used = work.tcp & ~work.dup & ((work.payload_len > 0) | ((work.tcp_flags & (SYN | FIN)) != 0))
        rows = np.flatnonzero(used)
        if not rows.size:
            return
        self._batch += 1
        rows, keys, heads = _by_direction(rows, directed(work.flow[rows], work.up[rows]))
        known, expected = self._find(keys[heads])
        seq = work.tcp_seq[rows].astype(np.int64)
        size = work.payload_len[rows].astype(np.int64)
        flags = work.tcp_flags[rows]
        syn = (flags & SYN) != 0
        # What the capture cut off was still sent.
        length = np.maximum(np.where(work.cut[rows], work.claimed[rows] - work.payload[rows], size), 0)
        length += syn
        length += (flags & FIN) != 0
        segments, end, gap = _place(rows, keys, seq, size, length, syn, heads, known, expected)
        work.gap[rows] = gap
        fresh = heads[known & np.logical_or.reduceat(syn, heads)]
        if fresh.size:
            self.history.forget(keys[fresh])
        late = np.flatnonzero((segments.place < segments.before) & (size > 0))
        if late.size:
            settle(work, segments, late, self.history)
        self._store(keys, heads, seq, length, segments, syn, end)
        self._keep(work, segments, heads)

    def _find(self, keys: U64) -> tuple[Flags, I64]:
        at = self._directions.find(keys)
        if not self._next.size:
            return np.zeros(keys.size, np.bool_), np.zeros(keys.size, np.int64)
        return at >= 0, self._next.take(at, mode="wrap").astype(np.int64)

    def _store(self, keys: U64, heads: I64, seq: I64, length: I64, segments: Segments, syn: Flags, end: I64) -> None:
        """Write the highest end of every direction back as a sequence number."""
        last = np.append(heads[1:], keys.size) - 1
        ahead = end[last] - (segments.place[last] - syn[last] + length[last])
        upcoming = ((seq[last] + length[last] + ahead) & 0xFFFFFFFF).astype(np.uint32)
        mine = keys[last]
        at = self._directions.find(mine)
        old, new = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
        self._next[at.take(old)] = upcoming.take(old)
        self._stamp[at.take(old)] = self._batch
        if new.size:
            self._directions.add(mine.take(new))
            self._next = np.concatenate([self._next, upcoming.take(new)])
            self._stamp = np.concatenate([self._stamp, np.full(new.size, self._batch, np.int64)])
            self._evict()

    def _evict(self) -> None:
        if len(self) > self._most:
            kept = np.zeros(len(self), np.bool_)
            kept[np.argsort(self._stamp, kind="stable")[-(self._most * 3 // 4) :]] = True
            self._directions.keep(kept)
            self._next, self._stamp = self._next[kept], self._stamp[kept]

    def _keep(self, work: Work, segments: Segments, heads: I64) -> None:
        """Keep the bytes of the last segments of each direction for comparison in the next batch."""
        full = np.flatnonzero(segments.size)
        if not full.size:
            return
        ends = np.append(heads[1:], segments.row.size)
        owner = np.repeat(np.arange(heads.size), ends - heads)
        upto = np.searchsorted(full, ends)  # payload-carrying segments before each direction's end
        chosen = full[np.arange(full.size) >= upto[owner[full]] - _KEPT]
        chosen = chosen[np.argsort(segments.row[chosen])][-_MOST_KEPT:]
        row = segments.row[chosen]
        start = work.payload[row] - work.payload_base[row]  # also of what was found to be a repetition
        first = (segments.seq[chosen] + ((work.tcp_flags[row] & SYN) != 0)) & 0xFFFFFFFF
        self.history.remember(work.data, segments.key[chosen], first, start, segments.size[chosen])


def _by_direction(rows: I64, keys: U64) -> tuple[I64, U64, I64]:
    """Sort stably by direction; returns rows, keys and the index of each direction's first segment."""
    groups = grouped(keys)
    return rows[groups.order], keys[groups.order], groups.start


def _place(
    rows: I64, keys: U64, seq: I64, size: I64, length: I64, syn: Flags, heads: I64, known: Flags, expected: I64
) -> tuple[Segments, I64, Flags]:
    """Give every segment its position within its epoch; returns segments, highest end so far at each, and gaps."""
    ended = seq + length
    prior = np.empty_like(seq)
    prior[1:] = ended[:-1]
    prior[heads] = np.where(known, expected, seq[heads])
    jump = ((seq - prior + 0x80000000) & 0xFFFFFFFF) - 0x80000000
    far = np.abs(jump) > WINDOW
    new = far | syn
    jump[new] = 0
    starts = new.copy()
    starts[heads] = True
    first = np.flatnonzero(starts)
    step = jump
    step[1:] += np.where(starts[1:], 0, length[:-1])
    total = np.cumsum(step)
    epoch = np.cumsum(starts) - 1
    place = total - (total[first] - step[first])[epoch]
    top = place + length
    top[first] = np.maximum(top[first], 0)
    end = np.maximum.accumulate(top + epoch * _FAR) - epoch * _FAR
    before = np.empty_like(end)
    before[1:] = end[:-1]
    before[first] = 0
    gap = (place > before) | (far & ~syn)
    segments = Segments(rows, keys, seq, size, place + syn, epoch, first[epoch], syn[first][epoch], before)
    return segments, end, gap

"""What TCP tells about a mirror: whether both directions are seen, and whether bytes that arrived at their receiver were not.

A receiver acknowledges what it got. So (RFC 9293 3.4):

1. A direction whose acknowledgements grow while nothing of the other direction is seen has a peer that the mirror does not show.
2. Bytes that were acknowledged and are in no frame were lost on the way to us: what is lost in the plant is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.tcp import FIN, SYN, WINDOW

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.packets.batch import I64

MOST = 100_000  # flows that are followed; further ones are not judged
_RST, _ACK = 0x04, 0x10
_HALF = 1 << 31


def ahead(number: int, of: int) -> int:
    """How far a sequence number is ahead of another, modulo 2**32; negative behind it."""
    return ((number - of + _HALF) & 0xFFFFFFFF) - _HALF


@dataclass(slots=True)
class Direction:
    """One direction of a flow.

    source, target   row of addresses (hi, lo) of its first frame
    first, end       sequence numbers between which all its bytes lie; -1 before any
    seen             bytes of these that were in a frame
    ack              highest acknowledgement number, -1 before any
    grew             whether that number ever grew
    missing          bytes of former streams under the same ports that were acknowledged and not seen
    """

    source: tuple[int, int]
    target: tuple[int, int]
    frames: int = 0
    first: int = -1
    end: int = -1
    span: int = 0
    seen: int = 0
    total: int = 0
    ack: int = -1
    grew: bool = False
    missing: int = 0

    def acknowledge(self, acks: I64) -> None:
        """Take acknowledgement numbers in their order."""
        if self.ack < 0:
            self.ack = int(acks[0])
        far = ((acks - self.ack + _HALF) & 0xFFFFFFFF) - _HALF
        best = int(far.max())
        if 0 < best <= WINDOW:
            self.grew, self.ack = True, (self.ack + best) & 0xFFFFFFFF
        elif np.abs(far).max() > WINDOW:  # another connection under the same ports
            self.ack = int(acks[-1])

    def carry(self, seq: I64, size: I64, other: Direction | None) -> None:
        """Take segments in their order, none of them empty."""
        if self.first < 0:
            self.first = self.end = int(seq[0])
        far = ((seq - self.end + _HALF) & 0xFFFFFFFF) - _HALF
        jump = np.flatnonzero(np.abs(far) > WINDOW)
        if jump.size:
            cut = int(jump[0])
            if cut:
                self.carry(seq[:cut], size[:cut], other)
            self.begin(other)
            self.first = self.end = int(seq[cut])
            far = ((seq[cut:] - self.end + _HALF) & 0xFFFFFFFF) - _HALF
            if (np.abs(far) > WINDOW).any():  # jumps to and fro: nothing can be said of such a stream
                self.first = -1
                return
            size = size[cut:]
        low, high = int(far.min()), int((far + size).max())
        self.span += max(0, high) + max(0, -low - self.span)
        self.end = (self.end + max(0, high)) & 0xFFFFFFFF
        self.seen += int(size.sum())
        self.total += int(size.sum())

    def begin(self, other: Direction | None) -> None:
        """A new stream: settle the one before it."""
        self.missing += self.lost(other)
        self.first, self.end, self.span, self.seen = -1, -1, 0, 0

    def lost(self, other: Direction | None) -> int:
        """Bytes of the present stream that `other` acknowledged and that were in no frame."""
        if self.first < 0 or other is None or other.ack < 0:
            return 0
        over = ahead(other.ack, self.end)  # negative: so many are not acknowledged yet; what is ahead may still be on its way
        return max(0, self.span - self.seen + min(over, 0)) if abs(over) <= WINDOW else 0


@dataclass(slots=True)
class Flows:
    """All TCP flows of a capture; `add` every batch."""

    directions: dict[tuple[int, bool], Direction] = field(default_factory=dict)

    def add(self, batch: DecodedBatch) -> None:
        """Count a batch."""
        flags = batch.tcp_flags
        used = (batch.proto == 6) & batch.ip & ~batch.fragment & ((flags & _ACK) != 0) & ((flags & _RST) == 0)
        used &= (batch.sport > 0) & ~batch.dup
        used |= (batch.proto == 6) & batch.ip & ((flags & SYN) != 0) & ~batch.dup
        rows = np.flatnonzero(used)
        if not rows.size:
            return
        order = rows[np.lexsort((rows, batch.up[rows], batch.flow[rows]))]
        flow, up = batch.flow[order], batch.up[order]
        heads = np.flatnonzero(np.concatenate(([True], (flow[1:] != flow[:-1]) | (up[1:] != up[:-1]))))
        size = _sizes(batch)
        for first, end in zip(heads.tolist(), [*heads[1:].tolist(), order.size], strict=True):
            self._group(batch, order[first:end], size)

    def _group(self, batch: DecodedBatch, rows: I64, size: I64) -> None:
        row = int(rows[0])
        key = (int(batch.flow[row]), bool(batch.up[row]))
        known = self.directions.get(key)
        if known is None:
            if len(self.directions) >= 2 * MOST:
                return
            source = (int(batch.src_hi[row]), int(batch.src_lo[row]))
            known = Direction(source, (int(batch.dst_hi[row]), int(batch.dst_lo[row])))
            self.directions[key] = known
        other = self.directions.get((key[0], not key[1]))
        flags = batch.tcp_flags[rows]
        opens = np.flatnonzero(flags & SYN)
        last = int(opens[-1]) if opens.size else 0
        if opens.size:  # what came before in this batch belongs to a connection that is over
            known.begin(other)
        rows, flags = rows[last:], flags[last:]
        known.frames += rows.size
        plain = rows[(flags & (SYN | _ACK)) == _ACK]
        if plain.size:
            known.acknowledge(batch.tcp_ack[plain].astype(np.int64))
        full = rows[size[rows] > 0]
        if full.size:
            known.carry(batch.tcp_seq[full].astype(np.int64), size[full], other)

    def one_sided(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """(heard, unheard) addresses of flows that are proven to have a peer of which no frame was seen."""
        return [
            (d.source, d.target) for (flow, up), d in self.directions.items() if d.grew and (flow, not up) not in self.directions
        ]

    def judged(self) -> int:
        """Flows of which at least one direction acknowledged something."""
        return len({flow for (flow, _), d in self.directions.items() if d.grew})

    def loss(self) -> tuple[int, int, int]:
        """Bytes that were acknowledged and not seen, bytes seen, directions concerned."""
        lost = [d.missing + d.lost(self.directions.get((flow, not up))) for (flow, up), d in self.directions.items()]
        return sum(lost), sum(d.total for d in self.directions.values()), sum(1 for n in lost if n)


def _sizes(batch: DecodedBatch) -> I64:
    """Sequence numbers that each segment takes and that were not seen before; what the capture cut off was on the wire."""
    size = batch.payload_len.astype(np.int64)
    cut = (batch.packets.wire - batch.packets.captured).astype(np.int64)
    size += np.where(batch.repeat | batch.dup, 0, np.maximum(cut, 0))
    size += ((batch.tcp_flags & SYN) != 0).astype(np.int64) + ((batch.tcp_flags & FIN) != 0)
    return size

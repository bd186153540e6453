"""TCP segments of one batch, as columns that `tcp` fills and `late` reads."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.packets.batch import I64, U64, Flags


@dataclass(slots=True, eq=False)
class Segments:
    """Segments of one batch that carry sequence space, sorted by direction, then by frame order.

    row      row in the batch            key     direction
    seq      of the first byte           size    payload bytes captured
    place    position of the payload's first byte, counted from the epoch's start
    epoch    running number              head    index of the epoch's first segment
    synced   the epoch started with a SYN in this batch: nothing before it counts
    before   highest end of the epoch's earlier segments
    """

    row: I64
    key: U64
    seq: I64
    size: I64
    place: I64
    epoch: I64
    head: I64
    synced: Flags
    before: I64

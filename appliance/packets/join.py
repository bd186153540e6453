"""Frames of several rings in the order of their time: the two directions of a tap may come in over two interfaces."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from appliance.packets.batch import ARENA_BYTES, I64, SLACK_BYTES, U8, Arena, PacketBatch

_COLUMNS = ("time", "captured", "wire", "link", "interface")


@dataclass(slots=True)
class Joiner:
    """Holds the frames that are younger than what all rings have delivered.

    `add` the batches of one look, then `cut`: what is not older than the horizon waits for the next cut. Equal times keep
    the order in which they were added.
    """

    _held: list[PacketBatch] = field(default_factory=list)

    def add(self, batch: PacketBatch) -> None:
        """Take a batch in; it must stay valid until `cut`."""
        self._held.append(batch)

    def cut(self, horizon: int, first: int) -> PacketBatch | None:
        """All frames up to `horizon` (ns), sorted by time and numbered from `first`; None where there is none."""
        if not self._held:
            return None
        rest = sum(batch.used for batch in self._held)
        data = np.zeros(rest + ARENA_BYTES + SLACK_BYTES, np.uint8)
        offsets, used = [], 0
        for batch in self._held:
            data[used : used + batch.used] = batch.data[: batch.used]
            offsets.append(batch.offset + used)
            used += batch.used
        columns = {name: np.concatenate([getattr(batch, name) for batch in self._held]) for name in _COLUMNS}
        offset: I64 = np.concatenate(offsets)
        order = np.argsort(columns["time"], kind="stable")
        count = int(np.searchsorted(columns["time"][order], horizon, side="right"))
        later = order[count:]
        self._held = [_compact(columns, offset, data, later)] if later.size else []
        return _taken(columns, offset, data, used, order[:count], first) if count else None


def _taken(columns: dict[str, I64], offset: I64, data: U8, used: int, rows: I64, first: int) -> PacketBatch:
    numbers = np.arange(first, first + rows.size, dtype=np.int64)
    picked = {name: column[rows] for name, column in columns.items()}
    return PacketBatch(frame=numbers, offset=offset[rows], data=data, used=used, arena=Arena(data, used), **picked)  # type: ignore[arg-type]


def _compact(columns: dict[str, I64], offset: I64, data: U8, rows: I64) -> PacketBatch:
    """Those rows with a buffer that holds nothing else."""
    size = columns["captured"][rows].astype(np.int64)
    start = np.cumsum(size) - size
    source = np.repeat(offset[rows] - start, size) + np.arange(int(size.sum()))
    kept = data[source]
    batch = _taken(columns, offset, kept, kept.size, rows, 1)
    batch.offset[:] = start
    return batch

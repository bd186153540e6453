"""Frames of several rings in the order of their time: the two directions of a tap may come in over two interfaces."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from appliance.packets.batch import ARENA_BYTES, I64, SLACK_BYTES, U8, Arena, PacketBatch

_COLUMNS = ("time", "captured", "wire", "link", "interface")
ALL = 1 << 62  # a horizon (ns) that is later than any frame
SET_BACK = 2_000_000_000  # ns; an interface that is so far behind its own last frame: the clock was set, no frame was late
PATIENCE = 50  # cuts after which nobody will say any more that frames of the time before need not be waited for


@dataclass(slots=True)
class Joiner:
    """Holds the frames that are younger than what all rings have delivered.

    `add` the batches of one look, then `cut`: what is not older than the horizon waits for the next cut. Equal times keep
    the order in which they were added. Where the clock was set back all frames wait for a cut at ALL: those of the time
    before then come first, so that an answer stays behind its request.
    """

    _held: list[PacketBatch] = field(default_factory=list)
    _last: dict[int, int] = field(default_factory=dict)  # interface -> time of its last frame at the last cut
    _newest: dict[int, int] = field(default_factory=dict)  # the same, now
    _set: tuple[int, int] | None = None  # last time before the clock was set back, first one after
    _waited: int = 0

    @property
    def unsettled(self) -> bool:
        """The clock was set back, and there are frames of the time before."""
        return self._set is not None

    def add(self, batch: PacketBatch) -> None:
        """Take a batch in, in the order of its arrival; it must stay valid until `cut`."""
        self._held.append(batch)
        for interface in np.unique(batch.interface).tolist():
            times = batch.time[batch.interface == interface]
            before = np.concatenate([[self._last.get(interface, int(times[0]))], times[:-1]])
            back = np.flatnonzero(times < before - SET_BACK)
            if back.size and self._set is None:
                self._set = int(before[back[0]]), int(times[back[0]])
            self._newest[interface] = int(times[-1])

    def cut(self, horizon: int, first: int) -> PacketBatch | None:
        """All frames up to `horizon` (ns), sorted by time and numbered from `first`; None where there is none."""
        self._last |= self._newest
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
        order, count = self._order(columns["time"], horizon)
        later = order[count:]
        self._held = [_compact(columns, offset, data, later)] if later.size else []
        return _taken(columns, offset, data, used, order[:count], first) if count else None

    def _order(self, times: I64, horizon: int) -> tuple[I64, int]:
        """Rows by their time, and how many of them are complete up to the horizon."""
        if self._set is None:
            order = np.argsort(times, kind="stable")
            return order, int(np.searchsorted(times[order], horizon, side="right"))
        self._waited += 1
        if horizon < ALL and self._waited < PATIENCE:
            return np.arange(times.size), 0
        (before, after), self._set, self._waited = self._set, None, 0
        return np.lexsort((times, np.abs(times - after) < np.abs(times - before))), times.size


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

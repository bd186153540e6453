"""At most so many findings of a sort in a second, whatever the batches are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import SECOND

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch

PER_SECOND = 2  # rows of a group that are looked at in a second; the rest is told by the incident's first and last
MAX_TRACKED = 65_536


@dataclass(slots=True)
class Quota:
    """Counts what was spent of each (group, second, carries a payload)."""

    most: int = PER_SECOND
    _spent: dict[tuple[int, int, bool], int] = field(default_factory=dict)

    def take(self, batch: DecodedBatch, rows: npt.NDArray[np.intp], group: npt.NDArray[np.int64]) -> list[int]:
        """At most `most` of `rows` that carry something, and as many bare ones, of a group in a second; in their order.

        group   int64 [len(rows)]: what the rows are counted by, such as their conversation
        """
        if not len(rows):
            return []
        second, carries = batch.time[rows] // SECOND, batch.payload_len[rows] > 0
        order = np.lexsort((rows, carries, second, group))
        keys = np.stack([group.astype(np.int64), second, carries.astype(np.int64)])[:, order]
        start = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
        size = np.diff(np.r_[start, len(order)])
        groups = [(k[0], k[1], bool(k[2])) for k in keys[:, start].T.tolist()]
        spent = np.array([self._spent.get(g, 0) for g in groups], np.int64)
        if len(self._spent) > MAX_TRACKED:
            self._spent.clear()
        self._spent.update(zip(groups, (spent + size).tolist(), strict=True))
        rank = np.arange(len(order)) - np.repeat(start, size) + np.repeat(spent, size)
        return sorted(int(r) for r in rows[order[rank < self.most]])

"""Counted rows: the sufficient statistics of what messages a service carries.

A table is keyed by row (a content hash). Its columns merge by sum, min or max, and when a template has more rows than
MAX_ROWS, those with the smallest hashes are kept (a bottom-k sketch). All of that is associative and commutative, so any order
and any grouping of merges gives the same table, also where the cap was reached.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Structure
from appliance.learn.messages.words import no_limits, steps, words_of

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified

MAX_ROWS = 4096  # rows kept per template
SECOND = 1_000_000_000
BLOCK = 10 * SECOND  # unit of held-back time
ADEQUACY_BLOCKS = (60 * SECOND, 3600 * SECOND, 86_400 * SECOND)
HELD_BACK = 4  # one block of so many is held back
NEVER = np.iinfo(np.int64).max

SUMS = ("count", "blocks", "held", "minutes", "hours", "days")
MINS = ("first", "gap_min")
MAXS = ("last", "gap_max")


@dataclass(slots=True)
class RowTable:
    """Columns of k rows, sorted by row hash.

    row       uint64, identity; template int32; length int32 (0 where open); stream uint64 (content hash of the conversation);
    asked     uint64, row of the request (0: none)
    bytes     uint8 [k, WIDTH], closed bytes, zero elsewhere
    count     messages; blocks, held: 10 s blocks (not held back, held back) in which the row came; minutes, hours, days: blocks
              of that size
    first, last   ns; gap_min, gap_max: ns between messages of the row
    limits    uint16 [k, 3, 2, SPAN]: minimum, maximum and largest step of the windows of open data (see `messages.words`)
    truncated bool [templates]: more rows than MAX_ROWS were seen (absorbing)
    """

    row: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    template: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    length: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    stream: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    asked: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    bytes: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, WIDTH), np.uint8))
    numbers: dict[str, npt.NDArray[np.int64]] = field(
        default_factory=lambda: {name: np.zeros(0, np.int64) for name in SUMS + MINS + MAXS}
    )
    limits: npt.NDArray[np.uint16] = field(default_factory=lambda: no_limits(0))
    truncated: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> RowTable:
        """The given rows."""
        numbers = {name: column[rows] for name, column in self.numbers.items()}
        keys = (self.template[rows], self.length[rows], self.stream[rows], self.asked[rows])
        return RowTable(self.row[rows], *keys, self.bytes[rows], numbers, self.limits[rows], self.truncated)


def merge_tables(a: RowTable, b: RowTable) -> RowTable:
    """Add two tables that were counted under the same structure."""
    both = np.concatenate([a.row, b.row])
    row, first, inverse = np.unique(both, return_index=True, return_inverse=True)
    numbers: dict[str, npt.NDArray[np.int64]] = {}
    for name in a.numbers:
        values = np.concatenate([a.numbers[name], b.numbers[name]])
        if name in SUMS:
            column = np.zeros(len(row), np.int64)
            np.add.at(column, inverse, values)
        elif name in MINS:
            column = np.full(len(row), NEVER, np.int64)
            np.minimum.at(column, inverse, values)
        else:
            column = np.full(len(row), -1, np.int64)
            np.maximum.at(column, inverse, values)
        numbers[name] = column
    keys = (
        np.concatenate([a.template, b.template])[first],
        np.concatenate([a.length, b.length])[first],
        np.concatenate([a.stream, b.stream])[first],
        np.concatenate([a.asked, b.asked])[first],
    )
    data = np.concatenate([a.bytes, b.bytes])[first]
    joined = np.concatenate([a.limits, b.limits])
    limits = no_limits(len(row))
    np.minimum.at(limits[:, 0], inverse, joined[:, 0])
    np.maximum.at(limits[:, 1:], inverse, joined[:, 1:])
    size = max(len(a.truncated), len(b.truncated))
    truncated = np.zeros(size, bool)
    truncated[: len(a.truncated)] |= a.truncated
    truncated[: len(b.truncated)] |= b.truncated
    return capped(RowTable(row, *keys, data, numbers, limits, truncated))


def capped(table: RowTable) -> RowTable:
    """Keep the MAX_ROWS smallest hashes of every template."""
    if len(table) <= MAX_ROWS:
        return table
    order = np.lexsort((table.row, table.template))
    template = table.template[order]
    start = np.flatnonzero(np.r_[True, template[1:] != template[:-1]])
    size = np.diff(np.r_[start, len(order)])
    rank = np.arange(len(order)) - np.repeat(start, size)
    full = template[start][size > MAX_ROWS]
    if not len(full):
        return table
    kept = table.take(np.sort(order[rank < MAX_ROWS]))
    kept.truncated = table.truncated.copy()
    kept.truncated[full] = True
    return kept


def held_back(stream: npt.NDArray[np.uint64], block: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which (stream, block) is held back: by a hash, so that it is the same wherever it is counted."""
    h = (stream ^ block.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xD6E8FEB86659FD93)
    held: npt.NDArray[np.bool_] = (h >> np.uint64(40)) % np.uint64(HELD_BACK) == 0
    return held


@dataclass(slots=True)
class RowCounter:
    """Counts rows batch by batch within one session."""

    structure: Structure
    table: RowTable = field(default_factory=RowTable)
    _open: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)  # row -> last time, last blocks
    _words: dict[int, npt.NDArray[np.uint16]] = field(default_factory=dict)  # row -> its last windows

    def add(self, c: Classified, stream_keys: npt.NDArray[np.uint64]) -> None:
        """Count the messages of a batch (broken ones excepted)."""
        use = np.flatnonzero(~c.messages.broken & (c.template >= 0))
        if not len(use):
            return
        order = use[np.lexsort((c.messages.time[use], c.row[use]))]
        row, time = c.row[order], c.messages.time[order]
        start = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        stream = stream_keys[c.messages.conversation[order]]
        head = order[start]
        size = np.diff(np.r_[start, len(order)])
        previous = np.r_[0, time[:-1]]
        fresh = np.zeros(len(order), bool)
        fresh[start] = True
        seen = [self._open.get(int(r)) for r in row[start]]
        known = np.array([s is not None for s in seen], bool)
        memory = np.array([s if s is not None else (0, -1, -1, -1, -1) for s in seen], np.int64).reshape(len(start), 5)
        previous[start] = memory[:, 0]
        gap = np.maximum(time - previous, 0)
        no_gap = fresh & ~np.repeat(known, size)
        numbers = {
            "count": size.astype(np.int64),
            "first": np.minimum.reduceat(time, start),
            "last": np.maximum.reduceat(time, start),
            "gap_min": np.minimum.reduceat(np.where(no_gap, NEVER, gap), start),
            "gap_max": np.maximum.reduceat(np.where(no_gap, -1, gap), start),
        }
        new_memory = np.empty((len(start), 5), np.int64)
        new_memory[:, 0] = numbers["last"]
        for i, unit in enumerate((BLOCK, *ADEQUACY_BLOCKS)):
            block = time // unit
            before = np.r_[-1, block[:-1]]
            before[start] = memory[:, 1 + i]
            entered = block != before
            new_memory[:, 1 + i] = block[np.r_[start[1:], len(block)] - 1]
            if unit == BLOCK:
                held = held_back(stream, block)
                numbers["blocks"] = np.add.reduceat((entered & ~held).astype(np.int64), start)
                numbers["held"] = np.add.reduceat((entered & held).astype(np.int64), start)
            else:
                numbers[("minutes", "hours", "days")[i - 1]] = np.add.reduceat(entered.astype(np.int64), start)
        for r, values in zip(row[start].tolist(), new_memory, strict=True):
            self._open[r] = values
        self._merge(c, row[start], head, stream[start], numbers, self._limits(c, order, start))

    def _limits(self, c: Classified, order: npt.NDArray[np.intp], start: npt.NDArray[np.intp]) -> npt.NDArray[np.uint16]:
        """Minimum, maximum and step of every window of open data, per row of the batch."""
        limits = no_limits(len(start))
        wanted = self.structure.data_windows()
        size = np.diff(np.r_[start, len(order)])
        use = wanted[c.template[order[start]]].any(axis=1)
        if not use.any():
            return limits
        mine = np.repeat(use, size)
        order, size = order[mine], size[use]
        begin = np.cumsum(size) - size
        windows = wanted[c.template[order[begin]]]
        used = np.flatnonzero(windows.any(axis=0))
        words = words_of(c.heads[order], used)
        before = np.empty_like(words)
        before[1:] = words[:-1]
        rows = c.row[order[begin]].tolist()
        for at, row in zip(begin.tolist(), rows, strict=True):
            known = self._words.get(row)
            before[at] = words[at] if known is None else known[:, used]
        for at, row in zip((begin + size - 1).tolist(), rows, strict=True):
            self._words[row] = words_of(c.heads[order[at : at + 1]])[0]
        found = np.stack(
            [
                np.minimum.reduceat(words, begin, axis=0),
                np.maximum.reduceat(words, begin, axis=0),
                np.maximum.reduceat(steps(words, before), begin, axis=0),
            ],
            axis=1,
        )
        mine_limits = limits[use]
        mine_limits[..., used] = np.where(windows[:, None, None, used], found, mine_limits[..., used])
        limits[use] = mine_limits
        return limits

    def _merge(
        self,
        c: Classified,
        row: npt.NDArray[np.uint64],
        head: npt.NDArray[np.intp],
        stream: npt.NDArray[np.uint64],
        numbers: dict[str, npt.NDArray[np.int64]],
        limits: npt.NDArray[np.uint16],
    ) -> None:
        closed, free = self.structure.masks()
        words = c.heads.shape[1] // 8
        template = c.template[head]
        data = np.zeros((len(head), WIDTH), np.uint8)
        masked = np.ascontiguousarray(c.heads[head]).view(np.uint64) & closed[template, :words]
        data[:, : words * 8] = masked.view(np.uint8)
        length = np.where(free[template], 0, c.messages.length[head]).astype(np.int32)
        ordered = {name: numbers[name] for name in SUMS + MINS + MAXS}
        truncated = np.zeros(len(self.structure.templates), bool)
        batch = RowTable(row, template, length, stream, c.asked[head], data, ordered, limits, truncated)
        self.table = merge_tables(self.table, batch)
        if len(self._open) > 4 * len(self.table) + MAX_ROWS:
            kept = set(self.table.row.tolist())
            self._open = {r: v for r, v in self._open.items() if r in kept}
            self._words = {r: v for r, v in self._words.items() if r in kept}

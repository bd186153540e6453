"""The process image: what the open bytes of polled messages carried, as a bounded sample of whole blocks of time.

Which bytes are numbers, and what they have to do with each other, is derived from this sample (`numbers.series`,
`numbers.relations`), never counted: so two sessions that were learned apart find the same relations as one long one.

A sample is (cell of time, data bytes) of one row, the last message in the cell. Blocks are kept whole, those with the
smallest hashes first, until a row has MAX_ROW_BYTES; rows likewise until all have MAX_BYTES. What did not fit sets a limit
that all later parts keep. A part fills up no earlier than the whole, so its limit lies no lower, and what lies below the
limit of the whole is complete in every part: merging stays associative and commutative (bottom-k: Cohen and Kaplan 2007).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Port
from appliance.learn.messages.structure import Structure

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified

CELL = 500_000_000  # ns: finer than this nothing is kept
BLOCK_CELLS = 2048  # cells of a block, 1024 s
REACH = 160  # bytes of a message that are looked at
LEAD = 3  # bytes before the first data byte that may be the upper, constant part of a number
MIN_IN_BLOCK = 8  # samples of a row in a block of one session, below which the block says nothing
MAX_ROW_BYTES = 1 << 20  # of one row
MAX_BYTES = 32 << 20  # of all rows
MAX_PENDING = 8192  # rows that are collected at once in one service

NO_LIMIT = (1 << 64) - 1  # above the hash of any block; as the limit of rows it spares all but one in 2**64
Key = tuple[Port, str, int]  # service, digest of the structure, row


@dataclass(slots=True)
class RowImage:
    """Samples of one row, in the order of time.

    low       offset of the first byte kept: LEAD before the first data byte
    cell      int64 [m], strictly rising: time in units of CELL since the epoch
    data      uint8 [m, w]: bytes low .. low + w of the message, zero where they are neither data nor constant
    stream    content hash of the conversation; request: who sent it
    limit     blocks whose hash is not below it were dropped (the least of all parts)
    """

    low: int
    cell: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    stream: int
    request: bool
    limit: int = NO_LIMIT

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return len(self.cell) * (8 + int(self.data.shape[1]))

    @property
    def cost(self) -> int:
        """Bytes it would take without its cap, as far as that matters: never less in a union than in a part."""
        return self.size if self.limit == NO_LIMIT else MAX_ROW_BYTES


@dataclass(slots=True)
class Image:
    """Rows by service, structure and row; limit: rows not below it were dropped (the least of all parts)."""

    rows: dict[Key, RowImage] = field(default_factory=dict)
    limit: int = NO_LIMIT

    def cut(self) -> bool:
        """Whether a cap was reached."""
        return self.limit != NO_LIMIT or any(one.limit != NO_LIMIT for one in self.rows.values())


def merge_images(a: Image, b: Image) -> Image:
    """Both together; where both have a sample for a cell, the greater bytes stay."""
    rows = dict(a.rows)
    for key, image in b.rows.items():
        rows[key] = _joined(rows[key], image) if key in rows else image
    return Image(rows, min(a.limit, b.limit))


def bounded_image(image: Image) -> Image:
    """The image within its caps."""
    kept: dict[Key, RowImage] = {}
    total, limit = 0, image.limit
    for key in sorted(image.rows, key=lambda k: (k[2], k)):
        if key[2] >= limit:
            break
        one = _within(image.rows[key])
        total += one.cost
        if total > MAX_BYTES:
            limit = key[2]
            kept = {k: v for k, v in kept.items() if k[2] < limit}
            break
        kept[key] = one
    return Image(kept, limit)


def _joined(a: RowImage, b: RowImage) -> RowImage:
    cell, data = np.concatenate([a.cell, b.cell]), np.concatenate([a.data, b.data])
    order = np.lexsort((*data.T[::-1], cell))
    cell, data = cell[order], data[order]
    last = np.r_[cell[1:] != cell[:-1], True][: len(cell)]
    return RowImage(a.low, cell[last], data[last], a.stream, a.request, min(a.limit, b.limit))


def _within(image: RowImage) -> RowImage:
    """The blocks whose hashes lie below the row's limit, which sinks to the first that does not fit."""
    names, inverse, counts = np.unique(image.cell // BLOCK_CELLS, return_inverse=True, return_counts=True)
    mark = _scatter(names)
    rank = np.argsort(mark, kind="stable")
    filled = np.cumsum(np.where(mark < np.uint64(image.limit), counts, 0)[rank]) * (8 + image.data.shape[1])
    beyond = np.flatnonzero(filled > MAX_ROW_BYTES)
    limit = min(image.limit, int(mark[rank[beyond[0]]])) if len(beyond) else image.limit
    keep = (mark < np.uint64(limit))[inverse]
    return RowImage(image.low, image.cell[keep], image.data[keep], image.stream, image.request, limit)


def _scatter(block: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Hashes of blocks, below NO_LIMIT."""
    h = block.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((h ^ (h >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(1)


@dataclass(slots=True)
class _Pending:
    """Samples of one row in one session: chunks of cells and bytes, in the order in which they came."""

    length: int
    stream: int
    request: bool
    template: int
    limit: int = NO_LIMIT
    cells: list[npt.NDArray[np.int64]] = field(default_factory=list)
    data: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    count: int = 0


@dataclass(slots=True)
class ImageCounter:
    """Collects the image of one service under one structure, in one session."""

    structure: Structure
    truncated: bool = False
    _data: npt.NDArray[np.bool_] = field(init=False)  # per template
    _kept: npt.NDArray[np.bool_] = field(init=False)  # with closed bytes: the first byte of a number may never change
    _rows: dict[int, _Pending] = field(default_factory=dict)
    _swept: int = 0

    def __post_init__(self) -> None:
        data = self.structure.data_bytes()[:, :REACH].copy()
        for number, template in enumerate(self.structure.templates):
            data[number] &= not template.any_length
        self._kept = data | self.structure.closed()[:, :REACH]
        self._data = data

    def add(self, c: Classified, stream_keys: npt.NDArray[np.uint64]) -> None:
        """Take the last message of every row and cell of a batch (a later batch may say more about its last cells)."""
        m = c.messages
        wanted: npt.NDArray[np.bool_] = np.any(self._data, axis=1)
        use = np.flatnonzero(~m.broken & wanted[c.template])
        if not len(use):
            return
        cell = m.time[use] // CELL
        order = np.lexsort((cell, c.row[use]))  # stable: of one cell, the message that came last stands last
        use, cell = use[order], cell[order]
        row = c.row[use]
        last = np.ones(len(use), bool)
        last[:-1] = (cell[1:] != cell[:-1]) | (row[1:] != row[:-1])
        use, cell, row = use[last], cell[last], row[last]
        start = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        for a, b in zip(start.tolist(), [*start[1:].tolist(), len(row)], strict=True):
            self._take(c, use[a:b], cell[a:b], stream_keys)
        self._sweep(int(cell.max()) // BLOCK_CELLS)

    def _take(
        self, c: Classified, use: npt.NDArray[np.intp], cell: npt.NDArray[np.int64], stream_keys: npt.NDArray[np.uint64]
    ) -> None:
        row, first = int(c.row[use[0]]), int(use[0])
        pending = self._rows.get(row)
        if pending is None:
            if len(self._rows) >= MAX_PENDING:
                self.truncated = True
                return
            stream = int(stream_keys[c.messages.conversation[first]])
            pending = self._rows[row] = _Pending(
                int(c.messages.length[first]), stream, bool(c.messages.request[first]), int(c.template[first])
            )
        if pending.count * (8 + pending.length) > 2 * MAX_ROW_BYTES:
            self._shrink(pending)
        width = min(pending.length, REACH, c.heads.shape[1])
        data = np.zeros((len(use), min(pending.length, REACH)), np.uint8)
        data[:, :width] = np.where(self._kept[pending.template, :width], c.heads[use, :width], 0)
        pending.cells.append(cell)
        pending.data.append(data)
        pending.count += len(use)

    def _shrink(self, pending: _Pending) -> None:
        """Hold a long session to its cap while it is learned; the block that still grows is left alone."""
        whole = self._image(pending)
        grows = whole.cell // BLOCK_CELLS == whole.cell[-1] // BLOCK_CELLS
        done = _within(RowImage(0, whole.cell[~grows], whole.data[~grows], whole.stream, whole.request, pending.limit))
        pending.limit = done.limit
        pending.cells, pending.data = [done.cell, whole.cell[grows]], [done.data, whole.data[grows]]
        pending.count = len(done.cell) + int(np.count_nonzero(grows))

    def _sweep(self, block: int) -> None:
        """Forget rows that came a few times only: noise has a new row in every message."""
        if block <= self._swept or len(self._rows) < 256:
            return
        self._swept = block
        gone = [r for r, p in self._rows.items() if p.count < MIN_IN_BLOCK and int(p.cells[-1][-1]) // BLOCK_CELLS < block - 1]
        for row in gone:
            del self._rows[row]

    def _image(self, pending: _Pending) -> RowImage:
        cell, data = np.concatenate(pending.cells), np.concatenate(pending.data)
        order = np.argsort(cell, kind="stable")
        cell, data = cell[order], data[order]
        last = np.r_[cell[1:] != cell[:-1], True]
        return RowImage(0, cell[last], data[last], pending.stream, pending.request, pending.limit)

    def image(self, port: Port, digest: str) -> dict[Key, RowImage]:
        """What was collected: blocks with enough samples, cut to the bytes of data."""
        out: dict[Key, RowImage] = {}
        for row, pending in self._rows.items():
            if pending.count < MIN_IN_BLOCK:
                continue
            whole = self._image(pending)
            names, inverse, counts = np.unique(whole.cell // BLOCK_CELLS, return_inverse=True, return_counts=True)
            keep = (counts >= MIN_IN_BLOCK)[inverse]
            offsets = np.flatnonzero(self._data[pending.template, : whole.data.shape[1]])
            if not keep.any() or not len(offsets) or len(names) == 0:
                continue
            low, high = max(0, int(offsets[0]) - LEAD), int(offsets[-1]) + 1
            data = whole.data[keep, low:high]
            out[port, digest, row] = RowImage(low, whole.cell[keep], data, whole.stream, whole.request, whole.limit)
        return out

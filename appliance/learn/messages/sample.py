"""A sample of the messages of one service in one direction, in the order of their time: what structure is learned from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

OPEN_UNSEEN = 0.10  # a byte is open where so many visits bring a value never seen ...
OPEN_PAIRS = 4  # ... and at least so many pairs say so
WIDTH = 256  # bytes of a message that are modelled; what follows is watched by length only


@dataclass(frozen=True, slots=True)
class Sample:
    """Messages as rows, in time order.

    heads   uint8 [n, WIDTH], zero beyond the message's end
    length  int32 [n], bytes of the message
    stream  int32 [n], which conversation (client and server) carried it
    flow    int64 [n], which connection carried it
    client  int32 [n], which client the conversation belongs to
    time    int64 [n], ns since the epoch; empty where times are not known
    """

    heads: npt.NDArray[np.uint8]
    length: npt.NDArray[np.int32]
    stream: npt.NDArray[np.int32]
    flow: npt.NDArray[np.int64]
    client: npt.NDArray[np.int32]
    time: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.length)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Sample:
        """The given rows (indices or mask) as a sample of its own."""
        time = self.time[rows] if len(self.time) else self.time
        return Sample(self.heads[rows], self.length[rows], self.stream[rows], self.flow[rows], self.client[rows], time)


def group_order(group: npt.NDArray[np.integer], *more: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Order that brings equal groups together and keeps time order within (stable); later keys are finer."""
    return np.lexsort(tuple(reversed((group, *more)))) if more else np.argsort(group, kind="stable")


@dataclass(frozen=True, slots=True)
class Visits:
    """How often values came, where a run of equal values in a stream counts once (a *visit*).

    pairs    distinct (stream, value) pairs
    singles  pairs that were visited only once, in streams where the value varies
    late     pairs that were first seen in the last third of their stream, where the value varies
    visits   visits in streams where the value varies
    """

    pairs: int
    singles: int
    late: int
    visits: int

    @property
    def unseen(self) -> float:
        """Good-Turing estimate of the share of visits that bring a value never seen (0 where nothing varies)."""
        return self.singles / self.visits if self.visits else 0.0

    @property
    def go_on(self) -> bool:
        """True where visits go on bringing new values."""
        fresh = max(self.singles, self.late)
        share = fresh / self.visits if self.visits else 0.0
        return fresh >= OPEN_PAIRS and share >= (OPEN_UNSEEN if self.visits >= 16 else 0.4)


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """Rows brought together by stream, in time order within: computed once for all bytes of a sample.

    order     int [n]; first  bool [n], begins a stream; index  int [n], dense number of the stream
    late      bool [n], in the last third of its stream
    """

    order: npt.NDArray[np.intp]
    first: npt.NDArray[np.bool_]
    index: npt.NDArray[np.int64]
    late: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, stream: npt.NDArray[np.int32]) -> StreamOrder:
        """The order of a column of streams; rows in time order."""
        order = group_order(stream)
        group = stream[order]
        first = np.r_[True, group[1:] != group[:-1]] if len(group) else np.zeros(0, bool)
        begin = np.flatnonzero(first)
        size = np.diff(np.r_[begin, len(group)])
        index = np.cumsum(first, dtype=np.int64) - 1
        late = (np.arange(len(group)) - begin[index]) >= size[index] * (2 / 3)
        return cls(order, first, index, late)

    def starts(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
        """Where visits begin, as places in `order`; values int [n]."""
        value = values[self.order]
        changed = np.ones(len(value), bool)
        np.not_equal(value[1:], value[:-1], out=changed[1:])
        return np.flatnonzero(self.first | changed)

    def visits(self, values: npt.NDArray[np.integer]) -> Visits:
        """Visits of a value (int [n], below 2**32) per stream."""
        if not len(values):
            return Visits(0, 0, 0, 0)
        value = values[self.order].astype(np.int64)
        start = self.starts(values)
        codes = self.index[start] << 32 | value[start]
        at = np.argsort(codes, kind="stable")  # np.unique does the same, at three times the cost for small samples
        codes = codes[at]
        begin = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
        pairs, at, counts = codes[begin], at[begin], np.diff(begin, append=len(codes))
        stream = pairs >> 32
        varies = np.bincount(stream) > 1
        relevant = varies[stream]
        return Visits(
            pairs=len(counts),
            singles=int(np.count_nonzero(relevant & (counts == 1))),
            late=int(np.count_nonzero(relevant & self.late[start[at]])),
            visits=int(counts[relevant].sum()),
        )

"""When requests come, and after what: for every request the visit before it, of the same message and of the conversation.

The same code serves learning (gaps and steps are counted) and detection (they are looked up). Order is that of the capture, and
what came in an earlier batch is remembered, so it does not matter where batches end. Across a *break* of the clock (set, or the
recorder stood still) no gap and no step is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counts import BLOCK, SECOND
from appliance.learn.rowhash import mix, whole_hash
from appliance.packets.ordering import grouped, stable_order

if TYPE_CHECKING:
    from appliance.learn.classify import Classified

FORWARD = 600 * SECOND  # no frame at all for so long: the clock was set, or nobody recorded
BACKWARD = SECOND  # a clock that runs back further than frames overtake each other
MAX_BREAKS = 65_536
COPY = 5 * SECOND // 1000  # one byte-identical message right after another is taken for a mirror's copy
AGAIN = 600 * SECOND  # how long a request is remembered word for word: once to twice so long
MAX_KEYS = 262_144  # rows, conversations, requests remembered; those that came first stay

_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class Clock:
    """Finds breaks of the capture's clock: where two frames in a row are further apart than traffic ever is.

    forward     ns that are; less once somebody knows that the clock was just set by less (`was_set`)
    """

    forward: int = FORWARD
    breaks: list[int] = field(default_factory=list)  # frames that are the first after a break
    _shifts: list[int] = field(default_factory=lambda: [0])  # ns by which the clock has moved so far, before and after each
    _last: int | None = None

    def was_set(self, by: int) -> None:
        """Somebody set the clock by so many ns: the next step forward of about so much is a break. Back, it is found anyway."""
        if by > 0:
            self.forward = min(FORWARD, max(SECOND, by - SECOND))

    def follow(self, frame: _I64, time: _I64) -> None:
        """Take in the frames of a batch: frame numbers and times, int64 [n]."""
        if not len(time):
            return
        step = np.diff(time, prepend=time[0] if self._last is None else self._last)
        broken = np.flatnonzero((step > self.forward) | (step < -BACKWARD))
        for at in broken[: MAX_BREAKS - len(self.breaks)].tolist():
            self.breaks.append(int(frame[at]))
            self._shifts.append(self._shifts[-1] + int(step[at]))
        self.forward = FORWARD if broken.size else self.forward
        self._last = int(time[-1])

    def shift(self, frame: _I64) -> _I64:
        """By how much the clock has moved in breaks before each frame, int64 ns [n]."""
        return np.array(self._shifts, np.int64)[self.epoch(frame)]

    def epoch(self, frame: _I64) -> _I64:
        """How many breaks lie before each frame, int64 [n]."""
        return np.searchsorted(np.array(self.breaks, np.int64), frame, side="right").astype(np.int64)


@dataclass(slots=True)
class Memory:
    """The last values of every key: keys uint64 [k] sorted, values int64 [k, width]."""

    width: int
    keys: _U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    values: _I64 = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.zeros((0, self.width), np.int64)

    def follow(self, keys: _U64, values: _I64) -> tuple[_I64, npt.NDArray[np.bool_]]:
        """Values of the event before each event with the same key, int64 [n, width], and whether there was one, bool [n].

        keys    uint64 [n] in the order of the capture; values int64 [n, width]
        """
        n = len(keys)
        groups = grouped(keys)
        order, first, last = groups.order, groups.first, groups.last
        before, there = np.zeros((n, self.width), np.int64), np.ones(n, bool)
        there[first] = False
        inner = np.flatnonzero(there[order])
        before[order[inner]] = values[order[inner - 1]]
        mine = keys[first]
        at = np.searchsorted(self.keys, mine)
        known = np.zeros(len(mine), bool)
        if len(self.keys):
            known = self.keys[np.minimum(at, len(self.keys) - 1)] == mine
        before[first[known]], there[first[known]] = self.values[at[known]], True
        self.values[at[known]] = values[last[known]]
        self._admit(mine[~known], values[last[~known]], first[~known])
        return before, there

    def _admit(self, keys: _U64, values: _I64, first: npt.NDArray[np.intp]) -> None:
        room = MAX_KEYS - len(self.keys)
        if len(keys) > room:
            chosen = np.sort(np.argsort(first)[: max(0, room)])
            keys, values = keys[chosen], values[chosen]
        if len(keys):
            at = np.searchsorted(self.keys, keys)
            self.keys = np.insert(self.keys, at, keys)
            self.values = np.insert(self.values, at, values, axis=0)

    def forget(self, kept: npt.NDArray[np.bool_]) -> None:
        """Keep only these."""
        self.keys, self.values = self.keys[kept], self.values[kept]


@dataclass(frozen=True, slots=True)
class Visits:
    """Requests in the order of the capture, copies left out.

    index    intp [v], place among the messages
    number   int64, running number; last int64, number of the row's visit before, -1 where there is none
    row      uint64, what was asked, 0 where the structure has no such kind; stream uint64, in which conversation
    time     int64 ns; gap int64 ns since the last request of that row, -1 where there is none
    pause    int64 ns since the last request of the conversation, -1 where there is none
    came     uint64, row of the conversation's request before it, 0 where there is none
    busy     int64, how often the row came in this block of 10 s, this one included
    begins   bool, the first request that was seen on its connection
    again    bool, the connection carried the very same bytes before, counters included
    """

    index: npt.NDArray[np.intp]
    number: _I64
    last: _I64
    row: _U64
    stream: _U64
    time: _I64
    gap: _I64
    pause: _I64
    came: _U64
    busy: _I64
    begins: npt.NDArray[np.bool_]
    again: npt.NDArray[np.bool_]


@dataclass(slots=True)
class Follower:
    """Follows the requests of one service from batch to batch."""

    _copies: Memory = field(default_factory=lambda: Memory(2))
    _before: Memory = field(default_factory=lambda: Memory(1))
    _rows: Memory = field(default_factory=lambda: Memory(3))
    _streams: Memory = field(default_factory=lambda: Memory(3))
    _words: Memory = field(default_factory=lambda: Memory(1))
    _busy: Memory = field(default_factory=lambda: Memory(2))
    _flows: Memory = field(default_factory=lambda: Memory(1))
    _seen: int = 0

    def follow(self, c: Classified, stream_keys: _U64, clock: Clock) -> Visits:
        """The visits of a batch; `stream_keys` uint64 [conversations], `clock` has seen the frames of the batch."""
        m = c.messages
        index = np.flatnonzero(m.request)
        stream = stream_keys[m.conversation[index]]
        words = whole_hash(c.heads[index], m.length[index])
        fresh = ~self._copied(stream, words, m.time[index])
        index, stream, words = index[fresh], stream[fresh], words[fresh]
        time, epoch = m.time[index], clock.epoch(m.frame[index])
        row = np.where((c.template[index] >= 0) & ~m.broken[index], c.row[index], np.uint64(0))
        number = self._seen + np.arange(len(row))
        self._seen += len(row)
        then, known = self._rows.follow(row, np.stack([time, epoch, number], axis=1))
        last = np.where(known, then[:, 2], -1)
        gap = np.where(known & (then[:, 1] == epoch), time - then[:, 0], -1)
        from_row, led = self._streams.follow(stream, np.stack([row.view(np.int64), epoch, time], axis=1))
        led &= from_row[:, 1] == epoch
        pause = np.where(led, time - from_row[:, 2], -1)
        came = np.where(led, from_row[:, 0].view(np.uint64), np.uint64(0))
        begins = ~self._flows.follow(m.flow[index].view(np.uint64), time[:, None])[1]
        again = self._again(mix(m.flow[index].astype(np.uint64), words), time)
        return Visits(index, number, last, row, stream, time, gap, pause, came, self._count(row, time // BLOCK), begins, again)

    def _copied(self, stream: _U64, words: _U64, time: _I64) -> npt.NDArray[np.bool_]:
        """One message that repeats the one right before it; a third of its kind counts again."""
        last, known = self._copies.follow(stream, np.stack([words.view(np.int64), time], axis=1))
        earlier, _ = self._before.follow(stream, last[:, :1])
        same = known & (last[:, 0] == words.view(np.int64)) & (earlier[:, 0] != last[:, 0])
        copied: npt.NDArray[np.bool_] = same & (np.abs(time - last[:, 1]) <= COPY)
        return copied

    def _again(self, key: _U64, time: _I64) -> npt.NDArray[np.bool_]:
        span = time // AGAIN
        before, known = self._words.follow(key, span[:, None])
        if len(self._words.keys) > MAX_KEYS // 2 and len(span):
            self._words.forget(self._words.values[:, 0] >= span[-1] - 1)
        again: npt.NDArray[np.bool_] = known & (np.abs(span - before[:, 0]) <= 1)
        return again

    def _count(self, row: _U64, block: _I64) -> _I64:
        """Running number of each visit within its row's block."""
        order = stable_order(row)
        r, b = row[order], block[order]
        start = np.flatnonzero(np.r_[True, (r[1:] != r[:-1]) | (b[1:] != b[:-1])]) if len(r) else np.zeros(0, np.intp)
        size = np.diff(np.r_[start, len(r)])
        rank = np.arange(len(r)) - np.repeat(start, size) + 1
        opening = np.r_[True, r[start][1:] != r[start][:-1]] if len(start) else np.zeros(0, bool)
        first = start[opening]
        at = np.searchsorted(self._busy.keys, r[first])
        have = np.zeros(len(first), np.int64)
        if len(self._busy.keys):
            near = np.minimum(at, len(self._busy.keys) - 1)
            goes_on = (self._busy.keys[near] == r[first]) & (self._busy.values[near, 0] == b[first])
            have = np.where(goes_on, self._busy.values[near, 1], 0)
        more = np.zeros(len(start), np.int64)
        more[opening] = have
        rank = rank + np.repeat(more, size)
        busy = np.empty(len(r), np.int64)
        busy[order] = rank
        self._busy.follow(row, np.stack([block, busy], axis=1))
        return busy

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

from appliance.learn.counting.counts import BLOCK, SECOND
from appliance.packets.ordering import Groups, grouped
from appliance.packets.slots import Slots

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified
    from appliance.learn.timing.retries import Asked

FORWARD = 600 * SECOND  # no frame at all for so long: the clock was set, or nobody recorded
BACKWARD = SECOND  # a clock that runs back further than frames overtake each other
MAX_BREAKS = 65_536
COPY = 5 * SECOND // 1000  # one byte-identical message right after another is taken for a mirror's copy
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


class Memory:
    """The last values of every key, keys in the order in which they came."""

    __slots__ = ("_slots", "_values", "width")

    def __init__(self, width: int) -> None:
        """Remember nothing yet; `width` values of each key."""
        self.width, self._slots = width, Slots()
        self._values: _I64 = np.zeros((0, width), np.int64)

    @property
    def keys(self) -> _U64:
        """What is remembered; uint64 [k]."""
        return self._slots.keys

    @property
    def values(self) -> _I64:
        """And with what values; int64 [k, width]."""
        return self._values[: len(self._slots)]

    def follow(self, keys: _U64, values: _I64, groups: Groups | None = None) -> tuple[_I64, npt.NDArray[np.bool_]]:
        """Values of the event before each event with the same key, int64 [n, width], and whether there was one, bool [n].

        keys    uint64 [n] in the order of the capture; values int64 [n, width]
        groups  of the keys, in whatever order, where somebody has them
        """
        groups = grouped(keys) if groups is None else groups
        first = groups.first
        mine = keys.take(first)
        at = self._slots.find(mine)
        recalled, there = self._values_of(at), np.ones(len(keys), bool)
        there[first] = at >= 0
        self._keep(mine, at, values.take(groups.last, axis=0), first)
        return groups.before(values, recalled), there

    def recall(self, keys: _U64) -> tuple[_I64, npt.NDArray[np.bool_]]:
        """The values of each key, int64 [k, width], zeros where it has none, and whether it has, bool [k]."""
        at = self._slots.find(keys)
        return self._values_of(at), at >= 0

    def keep(self, keys: _U64, values: _I64, groups: Groups) -> None:
        """Remember the last values of each group's key; for what is not said here see `follow`."""
        mine = keys.take(groups.first)
        self._keep(mine, self._slots.find(mine), values.take(groups.last, axis=0), groups.first)

    def _values_of(self, at: npt.NDArray[np.intp]) -> _I64:
        values = np.zeros((len(at), self.width), np.int64)
        if len(self._slots):
            self._values.take(at, axis=0, out=values, mode="wrap")
            values[at < 0] = 0
        return values

    def _keep(self, keys: _U64, at: npt.NDArray[np.intp], values: _I64, first: npt.NDArray[np.intp]) -> None:
        """Remember values of keys whose numbers are `at`; those without one were met `first` there."""
        old, new = np.flatnonzero(at >= 0), np.flatnonzero(at < 0)
        self._values[at.take(old)] = values.take(old, axis=0)
        if len(new) > (room := MAX_KEYS - len(self._slots)):
            new = new[np.argsort(first.take(new))[: max(0, room)]]
        if not len(new):
            return
        before = len(self._slots)
        self._slots.add(keys.take(new))
        if len(self._slots) > len(self._values):
            self._values = np.concatenate([self._values[:before], np.zeros((len(self._slots), self.width), np.int64)])
        self._values[before : len(self._slots)] = values.take(new, axis=0)

    def forget(self, kept: npt.NDArray[np.bool_]) -> None:
        """Keep only these."""
        self._values = self.values[kept]
        self._slots.keep(kept)


@dataclass(frozen=True, slots=True)
class Visits:
    """Requests in the order of the capture, without copies and without what is asked anew because nobody answered.

    index    intp [v], place among the messages
    number   int64, running number; last int64, number of the row's visit before, -1 where there is none
    row      uint64, what was asked, 0 where the structure has no such kind; stream uint64, in which conversation
    by_stream  the groups of these
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
    by_stream: Groups
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
    _busy: Memory = field(default_factory=lambda: Memory(2))
    _flows: Memory = field(default_factory=lambda: Memory(1))
    _seen: int = 0

    def follow(self, c: Classified, asked: Asked, stream_keys: _U64, clock: Clock) -> Visits:
        """The visits of a batch.

        asked   its requests; stream_keys uint64 [conversations]; clock has seen the frames of the batch
        """
        m, index, again = c.messages, asked.index, asked.again
        conversation = m.conversation.take(index)
        by_stream = grouped(conversation)  # one number is one hash, and shorter
        left_out = self._copied(stream_keys.take(conversation), asked.words, m.time.take(index), by_stream) | (asked.first >= 0)
        if left_out.any():
            fresh = np.flatnonzero(~left_out)
            index, conversation, again = index.take(fresh), conversation.take(fresh), again.take(fresh)
            by_stream = grouped(conversation)
        stream, flow = stream_keys.take(conversation), m.flow.take(index).view(np.uint64)
        time, epoch = m.time.take(index), clock.epoch(m.frame.take(index))
        row = np.where((c.template.take(index) >= 0) & ~m.broken.take(index), c.row.take(index), np.uint64(0))
        by_row = grouped(row)
        number = self._seen + np.arange(len(row))
        self._seen += len(row)
        then, known = self._rows.follow(row, np.stack([time, epoch, number], axis=1), by_row)
        last = np.where(known, then[:, 2], -1)
        gap = np.where(known & (then[:, 1] == epoch), time - then[:, 0], -1)
        from_row, led = self._streams.follow(stream, np.stack([row.view(np.int64), epoch, time], axis=1), by_stream)
        led &= from_row[:, 1] == epoch
        pause = np.where(led, time - from_row[:, 2], -1)
        came = np.where(led, from_row[:, 0].view(np.uint64), np.uint64(0))
        begins = ~self._flows.follow(flow, time[:, None])[1]
        busy = self._count(row, time // BLOCK, by_row)
        return Visits(index, number, last, row, stream, by_stream, time, gap, pause, came, busy, begins, again)

    def _copied(self, stream: _U64, words: _U64, time: _I64, groups: Groups) -> npt.NDArray[np.bool_]:
        """One message that repeats the one right before it; a third of its kind counts again."""
        last, known = self._copies.follow(stream, np.stack([words.view(np.int64), time], axis=1), groups)
        earlier, _ = self._before.follow(stream, last[:, :1], groups)
        same = known & (last[:, 0] == words.view(np.int64)) & (earlier[:, 0] != last[:, 0])
        copied: npt.NDArray[np.bool_] = same & (np.abs(time - last[:, 1]) <= COPY)
        return copied

    def _count(self, row: _U64, block: _I64, groups: Groups) -> _I64:
        """Running number of each visit within its row's block."""
        ordered = block.take(groups.order)
        begins = np.ones(len(ordered), bool)
        np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
        begins[groups.start] = True
        start = np.flatnonzero(begins)
        had, known = self._busy.recall(row.take(groups.first))
        goes_on = known & (had[:, 0] == ordered.take(groups.start))
        before = np.zeros(len(start), np.int64)
        before[np.searchsorted(start, groups.start)] = np.where(goes_on, had[:, 1], 0)
        busy = np.empty(len(row), np.int64)
        busy[groups.order] = np.arange(1, len(row) + 1) + np.repeat(before - start, np.diff(start, append=len(row)))
        self._busy.keep(row, np.stack([block, busy], axis=1), groups)
        return busy

"""Which requests got their answer, and which answers nobody asked for, batch after batch.

A request is *lost* when no answer to it has come by the first frame that is later than WAIT, nor was it asked anew by then
(`timing.retries`). An answer is *unasked* when it belongs to no request of its connection, or to one that was answered before; a
request that was asked twice may be answered twice. Some kinds of requests carry no number that their answers repeat, so that
several on the way at once cannot be told apart: what would be a second answer then belongs to the one that waits longest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import SECOND
from appliance.learn.messages.structure import Structure
from appliance.learn.timing.retries import Asked, Retries
from appliance.learn.timing.visits import Memory
from appliance.packets.ordering import grouped

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified
    from appliance.learn.timing.visits import Clock

WAIT = 2 * SECOND
HELD = SECOND // 50  # an answer that takes longer may hold up what its client asks next
MAX_WAITING = 20_000  # requests that wait for their answer, and answered ones that are remembered
MAX_SECOND = 256  # second answers of a batch that are given to other requests

_I64 = npt.NDArray[np.int64]
_NAMES = ("number", "conversation", "before", "time", "frame", "epoch", "row", "flow", "plain")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Requests as rows of int64 [k, len(_NAMES)].

    table   running number, conversation, number of the conversation's request before it (-1: none), ns, frame, epoch of the
            clock, row (bits of uint64), connection, 1 where no number tells which answer is its own

    ended   int64 [k], frame at which the wait for an answer was over
    """

    table: _I64 = field(default_factory=lambda: np.zeros((0, len(_NAMES)), np.int64))
    ended: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> _I64:
        """One column by its name."""
        return self.table[:, _NAMES.index(name)]

    def stream(self, stream_keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Content hash of each one's conversation."""
        return stream_keys[self.column("conversation")]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a batch says.

    answers   intp [n], places of its answers among the messages; number int64 [n]: of the request that each belongs to, -1 for
              none; unasked, first bool [n]: those that nobody asked for, those that are the first to their request
    lost      the requests that are lost by now
    asked     its requests
    held      int64 [h, 3]: conversation, and from when to when (ns) a client waited there for at least HELD
    """

    answers: npt.NDArray[np.intp]
    number: _I64
    unasked: npt.NDArray[np.bool_]
    first: npt.NDArray[np.bool_]
    lost: Waiting
    asked: Asked
    held: _I64


@dataclass(slots=True)
class Replies:
    """Follows requests and answers of one service under one structure."""

    structure: Structure
    _waiting: _I64 = field(default_factory=lambda: np.zeros((0, len(_NAMES)), np.int64))
    _done: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))  # numbers of requests answered lately
    _asked: Memory = field(default_factory=lambda: Memory(1))
    _retries: Retries = field(default_factory=Retries)
    _twice: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))  # numbers of requests asked anew, to be answered twice
    _now: int = -1  # latest time of a message, since the last break of the clock
    _epoch: int = 0
    _plain: npt.NDArray[np.bool_] = field(init=False)  # per kind of request, the unknown last: no number ties answers to it

    def __post_init__(self) -> None:
        self._plain = np.array([*(least == 0 for least in self.structure.min_agree), False])

    def follow(self, c: Classified, clock: Clock) -> Answered:
        """Take in a batch; `clock` has seen its frames."""
        m, asked = c.messages, self._retries.follow(c, self._done)
        if not len(m):
            nothing, none = np.zeros(0, np.int64), np.zeros(0, bool)
            return Answered(nothing.astype(np.intp), nothing, none, none, Waiting(), asked, np.zeros((0, 3), np.int64))
        epoch = clock.epoch(m.frame)
        ask, tell = np.flatnonzero(m.request & ~m.broken), np.flatnonzero(~m.request & ~m.broken)
        anew = asked.first >= 0
        self._twice = np.concatenate([self._twice, c.number[asked.index[anew]]])[-MAX_WAITING:]
        conversation = m.conversation[ask].astype(np.int64)
        before, known = self._asked.follow(conversation.view(np.uint64), c.number[ask][:, None])
        before = np.where(known, before[:, 0], -1)
        row, plain = c.row[ask].view(np.int64), self._plain[c.template[ask]]
        new = np.stack(
            [c.number[ask], conversation, before, m.time[ask], m.frame[ask], epoch[ask], row, m.flow[ask], plain], axis=1
        )
        waiting = np.concatenate([self._waiting, new])  # in the order of their numbers
        number, first, unasked = self._sort_out(c.number[tell], m.flow[tell], m.time[tell], Waiting(waiting))
        unasked &= c.settled[tell]
        answered = _at(waiting[:, 0], number[first], tell[first], len(m))
        replaced = _at(waiting[:, 0], asked.first[anew], asked.index[anew], len(m))
        ended = self._ends(waiting, m.time, epoch)
        over = ended < len(m)
        same_clock = waiting[:, 5] == epoch[np.minimum(ended, len(m) - 1)]
        lost = over & (answered > ended) & (replaced > ended) & same_clock
        held = _held(waiting, np.where(answered <= ended, answered, len(m)), m.time)
        again = np.stack([m.conversation[asked.index[anew]], asked.since[anew], m.time[asked.index[anew]]], axis=1)
        still = np.flatnonzero(~over & (answered == len(m)) & (replaced == len(m)))[-MAX_WAITING:]
        self._waiting = waiting.take(still, axis=0)
        gone = Waiting(waiting.compress(lost, axis=0), m.frame[ended[lost]])
        return Answered(tell, number, unasked, first, gone, asked, np.concatenate([held, again]))

    def _sort_out(
        self, number: _I64, flow: _I64, time: _I64, waiting: Waiting
    ) -> tuple[_I64, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which request each answer belongs to, whether it is the first to that one, and whether nobody asked for it.

        number, flow, time   int64 [n]: request by what it repeats (-1: none), connection, ns
        """
        once = np.zeros(len(number), bool)
        once[grouped(number).first] = True
        second = ~once | np.isin(number, self._done)
        doubtful = np.flatnonzero((number >= 0) & second & ~np.isin(number, self._twice))[:MAX_SECOND]
        plain = waiting.column("plain") > 0
        if len(doubtful) and plain.any():
            number, asked = number.copy(), waiting.column("number")
            free = plain & ~np.isin(asked, number) & ~np.isin(asked, self._done)
            for k in doubtful.tolist():
                since = time[k] - waiting.column("time")
                mine = np.flatnonzero(free & (waiting.column("flow") == flow[k]) & (since >= 0) & (since <= WAIT))
                if len(mine):
                    number[k], second[k], free[mine[0]] = asked[mine[0]], False, False
        first = (number >= 0) & ~second
        self._done = np.concatenate([self._done, number[first]])[-MAX_WAITING:]
        return number, first, (number < 0) | second & ~np.isin(number, self._twice)

    def _ends(self, waiting: _I64, time: _I64, epoch: _I64) -> _I64:
        """Place of the message at which each request's wait is over or the clock broke, len(time) where it still lasts."""
        ended = np.full(len(waiting), len(time))
        begins = np.flatnonzero(np.r_[True, epoch[1:] != epoch[:-1]])
        for a, b in zip(begins.tolist(), [*begins[1:].tolist(), len(epoch)], strict=True):
            if int(epoch[a]) != self._epoch:
                self._epoch, self._now = int(epoch[a]), -1
            now = np.maximum(np.maximum.accumulate(time[a:b]), self._now)
            self._now = int(now[-1])
            at = np.searchsorted(now, waiting[:, 3] + WAIT, side="right")
            mine = (waiting[:, 5] == epoch[a]) & (at < b - a)
            ended[mine] = a + at[mine]
            ended[(waiting[:, 5] < epoch[a]) & (ended == len(time))] = a
        return ended


def _at(numbers: _I64, wanted: _I64, places: npt.NDArray[np.intp], none: int) -> _I64:
    """For each of `numbers` (sorted) the place that belongs to it among `wanted`, `none` where it is not wanted."""
    found = np.full(len(numbers), none)
    if len(numbers):
        at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
        hit = numbers[at] == wanted
        found[at[hit]] = places[hit]
    return found


def _held(waiting: _I64, answered: _I64, time: _I64) -> _I64:
    """Conversation, begin and end (ns) of waits of at least HELD that were over in this batch, int64 [h, 3]."""
    rows = np.flatnonzero(answered < len(time))
    until = time[answered[rows]]
    long = until - waiting[rows, 3] >= HELD
    return np.stack([waiting[rows[long], 1], waiting[rows[long], 3], until[long]], axis=1)

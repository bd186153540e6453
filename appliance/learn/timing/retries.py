"""Requests that come again byte for byte: those that nobody answered yet are asked anew, the others are sent again by somebody.

A client that hears nothing for its timeout sends the same datagram again (BACnet APDU retries, SNMP, Modbus over UDP), number and
all. That is one request, as a segment that TCP repeats is one: its answer answers both, and it has no time of its own. Where
requests carry no number, each poll repeats the one before; asked anew is then what comes within half the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import NEVER, SECOND
from appliance.learn.messages.rowhash import mix, whole_hash
from appliance.learn.timing.visits import MAX_KEYS, Memory
from appliance.packets.ordering import grouped

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified

AGAIN = 600 * SECOND  # how long a request is remembered word for word: once to twice so long
SOONEST, LATEST = SECOND // 20, 60 * SECOND  # between asking and asking again: no timeout is shorter or longer
MAX_ANEW = 4096  # requests asked anew that are remembered

_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests of a batch.

    index   intp [q], place among the messages; words uint64 [q], hash of all bytes
    again   bool [q], the connection carried the very same bytes before, counters included
    first   int64 [q], running number of the request that this one repeats because nobody answered it, -1 for a new one
    since   int64 [q], ns at which that one was sent
    """

    index: npt.NDArray[np.intp]
    words: _U64
    again: npt.NDArray[np.bool_]
    first: _I64
    since: _I64


@dataclass(slots=True)
class Retries:
    """Follows the requests of one service, and in which conversations anything is answered."""

    _words: Memory = field(default_factory=lambda: Memory(2))  # connection and bytes -> number, ns
    _spaced: Memory = field(default_factory=lambda: Memory(1))  # the same -> ns since its like
    _anew: dict[int, int] = field(default_factory=dict)  # number of a request asked anew -> ns after which it comes by itself
    _heard: Memory = field(default_factory=lambda: Memory(1))  # conversations in which something was answered

    def follow(self, c: Classified, done: _I64) -> Asked:
        """Take in a batch; `done` int64 [k]: numbers of requests that were answered in the batches before."""
        m = c.messages
        index = np.flatnonzero(m.request)
        time, number = m.time.take(index), c.number.take(index)
        words = whole_hash(c.heads, m.length, index)
        key = mix(m.flow.take(index).view(np.uint64), words)
        before, known = self._words.follow(key, np.stack([number, time], axis=1))
        span = time // AGAIN
        again = known & (np.abs(span - before[:, 1] // AGAIN) <= 1)
        if len(self._words.keys) > MAX_KEYS // 2 and len(span):
            kept = self._words.values[:, 1] // AGAIN >= span[-1] - 1
            self._spaced.forget(np.isin(self._spaced.keys, self._words.keys[kept]))
            self._words.forget(kept)
        tell = np.flatnonzero(~m.request & (c.number >= 0))
        waited = time - before[:, 1]
        spaced, paced = self._spaced.follow(key[again], waited[again, None])
        retry = again & (waited >= SOONEST) & (waited <= LATEST)
        if retry.any():
            retry[retry] = ~self._answered(c, tell, index[retry], before[retry, 0], done)
            usual = np.full(len(index), NEVER)
            usual[again] = np.where(paced, spaced[:, 0], NEVER)
            for k in np.flatnonzero(retry).tolist():
                retry[k] = self._too_soon(int(number[k]), int(before[k, 0]), int(waited[k]), int(usual[k]))
        heard = m.conversation.take(tell)
        self._heard.keep(heard.astype(np.uint64), tell[:, None], grouped(heard))
        return Asked(index, words, again, np.where(retry, before[:, 0], -1), before[:, 1])

    def _too_soon(self, number: int, before: int, waited: int, usual: int) -> bool:
        """Whether a request came again sooner than it does by itself; `usual`: ns between the one before and its like."""
        usual = self._anew.get(before, usual)
        if 2 * waited > usual:
            return False
        if len(self._anew) >= MAX_ANEW:
            self._anew.clear()
        self._anew[number] = usual
        return True

    def _answered(
        self, c: Classified, tell: npt.NDArray[np.intp], at: npt.NDArray[np.intp], number: _I64, done: _I64
    ) -> npt.NDArray[np.bool_]:
        """Whether requests had their answer when the message `at` came; also where their conversation never got one."""
        place = np.full(len(at), len(c.messages))
        order = np.argsort(c.number[tell], kind="stable")
        ordered = c.number[tell][order]
        if len(ordered):
            where = np.minimum(np.searchsorted(ordered, number), len(ordered) - 1)
            place = np.where(ordered[where] == number, tell[order[where]], place)
        conversation = c.messages.conversation
        heard = np.isin(conversation[at], self._heard.keys.astype(conversation.dtype))
        for k in np.flatnonzero(~heard).tolist():
            heard[k] = bool((conversation[tell[tell < at[k]]] == conversation[at[k]]).any())
        answered: npt.NDArray[np.bool_] = (place < at) | np.isin(number, done) | ~heard
        return answered

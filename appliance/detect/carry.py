"""Counters that outgrow what was learned: a byte beside a counter that rises by one when the counter wraps.

A transaction id whose high byte was constant while learning is not a change of behaviour when it carries, and neither is a
clock or a measured value that crosses a multiple of 256. The neighbour is accepted only where the low part has just
wrapped in the same scope, or where that carry was accepted before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.classify import Classified, last_of_each
from appliance.learn.dynamics import Counter, Scope
from appliance.learn.sample import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SCOPES = 65_536
MAX_MEMORY = 20_000  # requests remembered from earlier batches
LOOK_BACK = 16  # messages may overtake each other

_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Requests:
    """Requests as columns: flow, conversation, length int64 [k]; heads uint8 [k, WIDTH]."""

    flow: _I64
    conversation: _I64
    length: _I64
    heads: npt.NDArray[np.uint8]

    @classmethod
    def empty(cls) -> _Requests:
        none = np.zeros(0, np.int64)
        return cls(none, none, none, np.zeros((0, WIDTH), np.uint8))

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> _Requests:
        return _Requests(self.flow[rows], self.conversation[rows], self.length[rows], self.heads[rows])


@dataclass(slots=True)
class Carries:
    """Knows for every request which came before it in each counter's scope, also from earlier batches.

    The requests of the batch follow those remembered in one table; `_place` is where a message of the batch stands in it.
    """

    counters: tuple[Counter, ...]
    _table: _Requests = field(default_factory=_Requests.empty)
    _memory: _Requests = field(default_factory=_Requests.empty)
    _place: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _before: list[_I64] = field(default_factory=list)  # per counter, and last per conversation and length
    _accepted: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def follow(self, c: Classified) -> None:
        """Take in a batch."""
        ask = np.flatnonzero(c.messages.request)
        m, old = c.messages, self._memory
        wide = np.zeros((len(ask), WIDTH), np.uint8)
        wide[:, : c.heads.shape[1]] = c.heads[ask]
        self._table = t = _Requests(
            np.concatenate([old.flow, m.flow[ask]]),
            np.concatenate([old.conversation, m.conversation[ask].astype(np.int64)]),
            np.concatenate([old.length, m.length[ask].astype(np.int64)]),
            np.concatenate([old.heads, wide]),
        )
        self._place = np.full(len(m), -1, np.int64)
        self._place[ask] = np.arange(len(ask)) + len(old.flow)
        kin = t.conversation << 24 | t.length
        scopes = [t.flow if counter.scope is Scope.FLOW else t.conversation for counter in self.counters]
        self._before = [_previous(key) for key in (*scopes, kin)]
        keep = np.zeros(len(t.flow), bool)
        for key in (t.flow, t.conversation, kin):
            keep[last_of_each(key)] = True
        self._memory = t.take(np.flatnonzero(keep)[-MAX_MEMORY:])

    def explain(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...], opened: npt.NDArray[np.bool_]) -> bool:
        """True where all bytes in `ranges` are high bytes that have carried; opened bool [WIDTH]: open bytes of the kind."""
        offsets = [offset for a, b in ranges for offset in range(a, b)]
        return bool(offsets) and all(self._carried(c, i, o) or self._drifted(c, i, o, opened) for o in offsets)

    def accepted_here(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...]) -> bool:
        """True where requests of the same scope have carried to the very values that message i has at the ranges."""
        scopes = [(number, _scope_of(c, i, counter)) for number, counter in enumerate(self.counters)]
        offsets = [offset for a, b in ranges for offset in range(a, b)]
        return bool(offsets) and all(
            any(self._accepted.get((*scope, offset)) == int(c.heads[i, offset]) for scope in scopes) for offset in offsets
        )

    def _earlier(self, which: int, i: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Heads of the requests before message i in the order `which`, latest first."""
        at = int(self._before[which][self._place[i]])
        for _ in range(LOOK_BACK):
            if at < 0:
                return
            yield self._table.heads[at]
            at = int(self._before[which][at])

    def _accept(self, mark: tuple[int, int, int], value: int) -> bool:
        if len(self._accepted) < MAX_SCOPES or mark in self._accepted:
            self._accepted[mark] = value
        return True

    def _drifted(self, c: Classified, i: int, offset: int, opened: npt.NDArray[np.bool_]) -> bool:
        """True where a big-endian number with an open low byte has crossed a multiple of 256 since the stream's last message."""
        if offset + 1 >= c.heads.shape[1] or not opened[offset + 1]:
            return False
        mark = (-1, int(c.messages.conversation[i]), offset)
        value, low = int(c.heads[i, offset]), int(c.heads[i, offset + 1])
        before = next(self._earlier(-1, i), None)
        if before is not None:
            step, was = (value - int(before[offset])) % 256, int(before[offset + 1])
            if (step == 1 and was >= 128 > low) or (step == 255 and was < 128 <= low):
                return self._accept(mark, value)
        return self._accepted.get(mark) == value

    def _carried(self, c: Classified, i: int, offset: int) -> bool:
        for number, counter in enumerate(self.counters):
            for big in (True, False) if counter.width == 1 else (counter.big,):
                beside = counter.offset - 1 if big else counter.offset + counter.width
                if offset == beside and self._rose(c, i, number, counter, big, offset):
                    return True
        return False

    def _rose(self, c: Classified, i: int, number: int, counter: Counter, big: bool, offset: int) -> bool:
        mark = (number, _scope_of(c, i, counter), offset)
        value = int(c.heads[i, offset])
        if self._accepted.get(mark) == value:
            return True
        half, low = 256**counter.width // 2, _number(c.heads[i], counter, big)
        return any(
            int(before[offset]) == (value - 1) % 256 and _number(before, counter, big) > half > low
            for before in self._earlier(number, i)
        ) and self._accept(mark, value)


def _previous(key: _I64) -> _I64:
    """For every row the row before it with the same key, -1 for none."""
    previous = np.full(len(key), -1, np.int64)
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def _scope_of(c: Classified, i: int, counter: Counter) -> int:
    """The counter's scope of a message; the client's counters are followed per conversation here."""
    return int(c.messages.flow[i] if counter.scope is Scope.FLOW else c.messages.conversation[i])


def _number(head: npt.NDArray[np.uint8], counter: Counter, big: bool) -> int:
    raw = head[counter.offset : counter.offset + counter.width].tobytes()
    return int.from_bytes(raw, "big" if big else "little")

"""Counters that outgrow what was learned: a byte beside a counter that rises by one when the counter wraps.

A transaction id whose high byte was constant while learning is not a change of behaviour when it carries, and neither is a
clock or a measured value that crosses a multiple of 256 (in text: of 10 or 16, in BCD: of 100). The neighbour is accepted only
where the low part has just wrapped in the same scope, or where that carry was accepted before. Of one byte that counts and never
came round while learning the other half is not known yet: in the first message of a scope it may be anything, then it stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.classify import Classified, last_of_each, widened
from appliance.learn.messages.dynamics import Counter, Scope
from appliance.learn.messages.sample import WIDTH
from appliance.packets.ordering import lasts, stable_order

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SCOPES = 65_536
MAX_MEMORY = 20_000  # requests remembered from earlier batches
LOOK_BACK = 16  # messages may overtake each other
DIGITS = {ord(figure): int(figure, 16) for figure in "0123456789ABCDEFabcdef"}
LEAP, LEAPS = 24, 6  # median step of a byte, from which on it is random (that of a random byte is 64); messages that tell
WRAP = 64  # how close to its ends a counter is seen when it wraps

_I64 = npt.NDArray[np.int64]
_ODD = np.int64(0x1E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """Messages as columns: flow and conversation (with the direction) and kin int64 [k]; heads uint8 [k, up to WIDTH].

    kin   what is alike but for process values: requests of one length, answers to one request, of a conversation
    """

    flow: _I64
    conversation: _I64
    kin: _I64
    heads: npt.NDArray[np.uint8]

    @classmethod
    def empty(cls) -> _Earlier:
        none = np.zeros(0, np.int64)
        return cls(none, none, none, np.zeros((0, 0), np.uint8))


@dataclass(slots=True)
class Carries:
    """Knows for every message which came before it in each counter's scope, also from earlier batches.

    The messages of the batch follow those remembered in one table, from `_first` on.
    """

    counters: tuple[Counter, ...]
    _memory: _Earlier = field(default_factory=_Earlier.empty)
    _keys: _Earlier = field(default_factory=_Earlier.empty)
    _batch: Classified | None = None
    _first: int = 0
    _before: list[_I64] = field(default_factory=list)  # per counter, then per flow, last per kin
    _accepted: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def follow(self, c: Classified) -> None:
        """Take in a batch."""
        if self._batch is not None:
            self._remember()
        self._batch, self._before = c, []

    def _remember(self) -> None:
        """Keep the last of every flow and every kin; whole orders are only made where a message is doubtful."""
        t = self._columns()
        keep = np.zeros(len(t.flow), bool)
        keep[last_of_each(t.flow)] = True
        keep[lasts(t.kin)] = True
        rows = np.flatnonzero(keep)[-MAX_MEMORY:]
        old = int(np.searchsorted(rows, self._first))
        heads = self._memory.heads.take(rows[:old], axis=0)
        if self._batch is not None:
            fresh = self._batch.heads.take(rows[old:] - self._first, axis=0)
            width = max(heads.shape[1], fresh.shape[1])
            heads = np.concatenate([widened(heads, width), widened(fresh, width)])
        self._memory = _Earlier(t.flow.take(rows), t.conversation.take(rows), t.kin.take(rows), heads)

    def _columns(self) -> _Earlier:
        """Keys of what is remembered and of the batch behind it (heads are looked up by `_head`)."""
        old, c = self._memory, self._batch
        if c is None:
            return old
        m = c.messages
        side = m.request.astype(np.int64)
        kin = np.where(m.request, m.length.astype(np.int64), c.asked.view(np.int64)) * _ODD + m.conversation * 2 + side
        self._first = len(old.flow)
        return _Earlier(
            np.concatenate([old.flow, m.flow * 2 + side]),
            np.concatenate([old.conversation, m.conversation.astype(np.int64) * 2 + side]),
            np.concatenate([old.kin, kin]),
            old.heads,
        )

    def _order(self) -> None:
        """Find for every message the one before it in each scope, once per batch and only when asked for."""
        self._keys = t = self._columns()
        flow, conversation, kin = (_previous(key) for key in (t.flow, t.conversation, t.kin))
        scopes = [flow if counter.scope is Scope.FLOW else conversation for counter in self.counters]
        self._before = [*scopes, flow, kin]

    def _head(self, at: int) -> npt.NDArray[np.uint8]:
        head = np.zeros(WIDTH, np.uint8)
        row = self._memory.heads[at] if at < self._first or self._batch is None else self._batch.heads[at - self._first]
        head[: len(row)] = row
        return head

    def explain(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...], data: npt.NDArray[np.bool_]) -> bool:
        """True where all bytes in `ranges` are high bytes that have carried; data bool [WIDTH]: process values of the kind."""
        offsets = [offset for a, b in ranges for offset in range(a, b)]
        return bool(offsets) and all(self._carried(c, i, o) or self._drifted(c, i, o, data) for o in offsets)

    def accepted_here(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...]) -> bool:
        """True where requests of the same scope have carried to the very values that message i has at the ranges."""
        scopes = [(number, _scope_of(c, i, counter)) for number, counter in enumerate(self.counters)]
        offsets = [offset for a, b in ranges for offset in range(a, b)]
        return bool(offsets) and all(
            any(self._accepted.get((*scope, offset)) == int(c.heads[i, offset]) for scope in scopes) for offset in offsets
        )

    def last_of_kin(self, i: int) -> npt.NDArray[np.uint8] | None:
        """Head of the message of the same kin before message i, None where there was none."""
        return next(self._earlier(-1, i), None)

    def _earlier(self, which: int, i: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Heads of the messages before message i in the order `which`, latest first."""
        if not self._before:
            self._order()
        at = int(self._before[which][self._first + i])
        for _ in range(LOOK_BACK):
            if at < 0:
                return
            yield self._head(at)
            at = int(self._before[which][at])

    def _accept(self, mark: tuple[int, int, int], value: int) -> bool:
        if len(self._accepted) < MAX_SCOPES or mark in self._accepted:
            self._accepted[mark] = value
        return True

    def drifted(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...], data: npt.NDArray[np.bool_]) -> bool:
        """True where all bytes in `ranges` are high bytes of values that have crossed a multiple of 256."""
        offsets = [offset for a, b in ranges for offset in range(a, b)]
        return bool(offsets) and all(self._drifted(c, i, o, data) for o in offsets)

    def _drifted(self, c: Classified, i: int, offset: int, data: npt.NDArray[np.bool_]) -> bool:
        """True where a number has carried since the last message of its kin, of its connection where it is the kin's first.

        Its lower byte, or digit, beside it is open.
        """
        beside = [at for at in (offset + 1, offset - 1) if 0 <= at < c.heads.shape[1] and data[at]]
        if not beside:
            return False
        kin = list(self._earlier(-1, i))
        earlier = kin or list(self._earlier(-2, i))  # a clock goes on in whatever its side says
        row, value = self._first + i, int(c.heads[i, offset])
        marks = [(-1, int(self._keys.kin[row]), offset), (-2, int(self._keys.flow[row]), offset)]
        for at in beside if earlier else []:
            lows = [int(head[at]) for head in earlier]
            packed = len(lows) >= LEAPS and all(_packed(low) is not None for low in lows)
            if _carried_over(int(earlier[0][offset]), lows[0], value, int(c.heads[i, at]), packed) and not _leaps(lows):
                return self._accept(marks[0], value) and self._accept(marks[1], value)
        return self._accepted.get(marks[0] if kin else marks[1]) == value

    def _carried(self, c: Classified, i: int, offset: int) -> bool:
        for number, counter in enumerate(self.counters):
            if counter.whole:
                continue  # it came round while learning, and carried nothing
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
        top, low = 256**counter.width, _number(c.heads[i], counter, big)
        if counter.width == 1 and big == (counter.offset > 0) and next(self._earlier(number, i), None) is None:
            return self._accept(mark, value)
        on, low = (-1, top - 1 - low) if counter.down else (1, low)
        return (
            low < WRAP
            and any(
                int(before[offset]) == (value - on) % 256 and _about_to_wrap(_number(before, counter, big), top, counter)
                for before in self._earlier(number, i)
            )
            and self._accept(mark, value)
        )


def _carried_over(high: int, low: int, now_high: int, now_low: int, packed: bool = False) -> bool:
    """True where the higher of two bytes moved by one as the lower passed zero: as bytes, or as figures of a number in text.

    packed   the lower one has only ever been two figures of a number in BCD
    """
    both = [high, low, now_high, now_low]
    figures = [DIGITS[byte] for byte in both if byte in DIGITS]
    if len(figures) == len(both):
        return _passed_zero(figures, 16 if max(figures) > 9 else 10)
    numbers = [number for number in map(_packed, both) if number is not None and packed]
    return _passed_zero(both, 256) or (len(numbers) == len(both) and _passed_zero(numbers, 100))


def _packed(byte: int) -> int | None:
    """The number that two figures in BCD are, None where they are none."""
    return 10 * (byte >> 4) + (byte & 15) if byte >> 4 <= 9 and byte & 15 <= 9 else None


def _passed_zero(both: list[int], base: int) -> bool:
    high, low, now_high, now_low = both
    step, half = (now_high - high) % base, base // 2
    return (step == 1 and low >= half > now_low) or (step == base - 1 and low < half <= now_low)


def _leaps(lows: list[int]) -> bool:
    """True for a byte that goes anywhere from one message to the next: a check, a nonce, but not the lower part of a number."""
    if len(lows) < LEAPS or DIGITS.keys() >= set(lows):
        return False
    step = np.abs(np.diff(lows))
    return bool(np.median(np.minimum(step, 256 - step)) > LEAP)


def _previous(key: _I64) -> _I64:
    """For every row the row before it with the same key, -1 for none."""
    previous = np.full(len(key), -1, np.int64)
    order = stable_order(key)
    same = key[order][1:] == key[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def _about_to_wrap(number: int, top: int, counter: Counter) -> bool:
    """True for a number close to the end that its counter comes to, of `top` numbers."""
    return number < WRAP if counter.down else number >= top - WRAP


def _scope_of(c: Classified, i: int, counter: Counter) -> int:
    """The counter's scope of a message; the client's counters are followed per conversation here."""
    return int(c.messages.flow[i] if counter.scope is Scope.FLOW else c.messages.conversation[i])


def _number(head: npt.NDArray[np.uint8], counter: Counter, big: bool) -> int:
    raw = head[counter.span].tobytes()
    return int.from_bytes(raw, "big" if big else "little")

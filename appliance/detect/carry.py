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

from appliance.learn.dynamics import Counter, Scope

if TYPE_CHECKING:
    from appliance.learn.classify import Classified

MAX_SCOPES = 65_536


@dataclass(slots=True)
class Carries:
    """Knows for every message of a batch which one came before it, and remembers the carries accepted."""

    counters: tuple[Counter, ...]
    _previous: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _before: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _accepted: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def follow(self, c: Classified) -> None:
        """Note for every message of the batch which one came before it in each counter's scope."""
        self._previous = []
        ask = np.flatnonzero(c.messages.request)
        for counter in self.counters:
            scope = _scope(c, counter)
            previous = np.full(len(scope), -1, np.int64)
            order = ask[np.argsort(scope[ask], kind="stable")]
            same = scope[order][1:] == scope[order][:-1]
            previous[order[1:][same]] = order[:-1][same]
            self._previous.append(previous)
        self._before = np.full(len(c.row), -1, np.int64)
        order = ask[np.lexsort((ask, c.template[ask], c.messages.conversation[ask]))]
        kin = (c.messages.conversation[order][1:] == c.messages.conversation[order][:-1]) & (
            c.messages.length[order][1:] == c.messages.length[order][:-1]
        )
        self._before[order[1:][kin]] = order[:-1][kin]

    def explain(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...], opened: npt.NDArray[np.bool_]) -> bool:
        """True where all bytes in `ranges` are high bytes that have carried; opened bool [WIDTH]: open bytes of the kind."""
        offsets = [offset for a, b in ranges for offset in range(a, b)]
        return bool(offsets) and all(self._carried(c, i, o) or self._drifted(c, i, o, opened) for o in offsets)

    def accepted_here(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...]) -> bool:
        """True where requests of the same scope have carried to the very values that message i has at the ranges."""
        scopes = [(number, int(_scope(c, counter)[i])) for number, counter in enumerate(self.counters)]
        offsets = [offset for a, b in ranges for offset in range(a, b)]
        return bool(offsets) and all(
            any(self._accepted.get((*scope, offset)) == int(c.heads[i, offset]) for scope in scopes) for offset in offsets
        )

    def _drifted(self, c: Classified, i: int, offset: int, opened: npt.NDArray[np.bool_]) -> bool:
        """True where a big-endian number with an open low byte has crossed a multiple of 256 since the stream's last message."""
        if offset + 1 >= c.heads.shape[1] or not opened[offset + 1]:
            return False
        mark = (-1, int(c.messages.conversation[i]), offset)
        value, low, before = int(c.heads[i, offset]), int(c.heads[i, offset + 1]), int(self._before[i])
        if before >= 0:
            step = (value - int(c.heads[before, offset])) % 256
            was = int(c.heads[before, offset + 1])
            if (step == 1 and was >= 128 > low) or (step == 255 and was < 128 <= low):
                if len(self._accepted) < MAX_SCOPES:
                    self._accepted[mark] = value
                return True
        return self._accepted.get(mark) == value

    def _carried(self, c: Classified, i: int, offset: int) -> bool:
        for number, counter in enumerate(self.counters):
            for big in (True, False) if counter.width == 1 else (counter.big,):
                beside = counter.offset - 1 if big else counter.offset + counter.width
                if offset == beside and self._rose(c, i, number, counter, big, offset):
                    return True
        return False

    def _rose(self, c: Classified, i: int, number: int, counter: Counter, big: bool, offset: int) -> bool:
        scope = int(_scope(c, counter)[i])
        mark = (number, scope, offset)
        value = int(c.heads[i, offset])
        if self._accepted.get(mark) == value:
            return True
        top = 256**counter.width
        low = _number(c.heads[i], counter, big)
        before = int(self._previous[number][i])
        for _ in range(16):  # messages may overtake each other
            if before < 0:
                break
            if int(c.heads[before, offset]) == (value - 1) % 256 and _number(c.heads[before], counter, big) > top // 2 > low:
                if len(self._accepted) < MAX_SCOPES:
                    self._accepted[mark] = value
                return True
            before = int(self._previous[number][before])
        return False


def _scope(c: Classified, counter: Counter) -> npt.NDArray[np.int64]:
    """The counter's scope per message; the client's counters are followed per conversation here."""
    return c.messages.flow if counter.scope is Scope.FLOW else c.messages.conversation.astype(np.int64)


def _number(head: npt.NDArray[np.uint8], counter: Counter, big: bool) -> int:
    raw = head[counter.offset : counter.offset + counter.width].tobytes()
    return int.from_bytes(raw, "big" if big else "little")

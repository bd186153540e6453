"""Counters that outgrow what was learned: a byte beside a counter that rises by one when the counter wraps.

A transaction id whose high byte was constant while learning is not a change of behaviour when it carries. The neighbour is
accepted only where the counter itself has just wrapped in the same scope, or where that carry was accepted before.
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
    """Remembers, per counter and scope, the low part and the neighbours of the last message."""

    counters: tuple[Counter, ...]
    _last: dict[tuple[int, int], npt.NDArray[np.uint8]] = field(default_factory=dict)
    _recent: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    _previous: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _accepted: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def follow(self, c: Classified) -> None:
        """Note for every message of the batch which one came before it in each counter's scope."""
        self._previous = []
        ask = np.flatnonzero(c.messages.request)
        for number, counter in enumerate(self.counters):
            scope = _scope(c, counter)
            previous = np.full(len(scope), -1, np.int64)
            order = ask[np.argsort(scope[ask], kind="stable")]
            same = scope[order][1:] == scope[order][:-1]
            previous[order[1:][same]] = order[:-1][same]
            self._previous.append(previous)
            self._recent = {}
            del number

    def explain(self, c: Classified, i: int, ranges: tuple[tuple[int, int], ...]) -> bool:
        """True where all bytes in `ranges` are high bytes of counters that have carried."""
        return bool(ranges) and all(self._carried(c, i, offset) for a, b in ranges for offset in range(a, b))

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

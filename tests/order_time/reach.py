"""What of the suite can be found at all: the bound of an oracle that is told what the clean half of this very place looks like.

A change leaves *signs* in its conversation: a step from one request to another, the same with the one before, the same with the
time between them, the time since the request last came, one longer or shorter than any learned, a request that nothing answers.
A sign is new where the learned half never showed it. The oracle knows, for each kind of sign, how many new ones the clean half
itself has at most in a stretch as long as the change's; a change is **reachable** where it brings more of some kind, and where
it was found without anything told in the clean half. Any other change makes what clean traffic of this very conversation shows:
who tells it by these signs tells the clean half as well.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.order_time.traffic import SECOND, Exchange, Traffic

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from tests.order_time.changes import Change

Conversation = tuple[str, str, int]
Sign = tuple[str, "Hashable"]
WIDE, FINE = 2, 12  # bins an octave of the time between two requests, and of the time since the same one
LEAST = 1_000_000  # ns below which times are alike


def _bin(gap: int, octave: int) -> int:
    """Logarithmic bin of a gap, ns."""
    value = max(gap, LEAST)
    whole = value.bit_length()
    return whole * octave + (value * octave >> whole - 1) % octave


def gaps(mine: list[Exchange], key: Callable[[Exchange], bytes]) -> dict[bytes, tuple[int, int]]:
    """Shortest and longest time, ns, between two requests that ask the same."""
    times: dict[bytes, list[int]] = defaultdict(list)
    for e in mine:
        times[key(e)].append(e.at)
    steps = {asks: [b - a for a, b in pairwise(at)] for asks, at in times.items() if len(at) > 1}
    return {asks: (min(apart), max(apart)) for asks, apart in steps.items()}


def signs(
    mine: list[Exchange], key: Callable[[Exchange], bytes], learned: dict[bytes, tuple[int, int]]
) -> Iterator[tuple[int, Sign]]:
    """(ns, sign) of the exchanges of one conversation, in the order of time; `learned`: see `gaps`."""
    last: dict[bytes, int] = {}
    before: list[Exchange] = []
    for e in mine:
        asks, steps = key(e), [key(b) for b in before]
        if steps:
            gap = e.at - before[-1].at
            yield e.at, ("step", (steps[-1], asks))
            yield e.at, ("step in time", (steps[-1], asks, _bin(gap, WIDE)))
        if len(steps) == 2:
            yield e.at, ("two steps", (*steps, asks))
        if asks in last:
            gap = e.at - last[asks]
            yield e.at, ("gap", (asks, _bin(gap, FINE)))
            low, high = learned.get(asks, (gap, gap))
            yield e.at, ("pause", (asks, gap > 1.02 * high))
            yield e.at, ("haste", (asks, 1.02 * gap < low))
        if not e.answers:
            yield e.at, ("no answer", asks)
        last[asks], before = e.at, [*before[-1:], e]


@dataclass(slots=True)
class Oracle:
    """What the learned half of a plant showed, and what its clean half has besides."""

    train: Traffic
    clean: Traffic
    key: Callable[[Exchange], bytes]
    _gaps: dict[Conversation, dict[bytes, tuple[int, int]]] = field(default_factory=dict)
    _known: dict[Conversation, set[Sign]] = field(default_factory=dict)
    _fresh: dict[Conversation, dict[str, list[int]]] = field(default_factory=dict)  # kind of sign -> ns of new ones, clean half

    def _new(self, traffic: Traffic, conversation: Conversation) -> dict[str, list[int]]:
        """When signs that were not learned came, by their kind."""
        if conversation not in self._known:
            mine = self.train.of(conversation)
            learned = self._gaps[conversation] = gaps(mine, self.key)
            self._known[conversation] = {sign for _, sign in signs(mine, self.key, learned)}
        known, found = self._known[conversation], defaultdict[str, list[int]](list)
        for at, sign in signs(traffic.of(conversation), self.key, self._gaps[conversation]):
            if sign not in known:
                found[sign[0]].append(at)
        return found

    def reaches(self, change: Change, conversation: Conversation) -> bool:
        """Whether a change of a conversation brings more new signs of some kind than the clean half ever does in so long."""
        if conversation not in self._fresh:
            self._fresh[conversation] = self._new(self.clean, conversation)
        start, clean = change.start - SECOND // 10, self._fresh[conversation]
        length = change.end - start
        for kind, times in self._new(change.traffic, conversation).items():
            here = bisect_right(times, change.end) - bisect_left(times, start)
            usual = clean.get(kind, [])
            most = max((bisect_right(usual, at + length) - i for i, at in enumerate(usual)), default=0)
            if here > most:
                return True
        return False

"""The classes of the suite: each makes one thing wrong at one place of a conversation, all bytes being known ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.order_time.traffic import SECOND, Exchange, Traffic

if TYPE_CHECKING:
    import numpy as np

MILLI = SECOND // 1000
STRETCH = 6  # exchanges that are replayed
BURST = 20
AFTER = 12  # periods that are watched after a place


@dataclass(frozen=True, slots=True)
class Change:
    """A changed capture: what it is now, and from when to when something must be found."""

    traffic: Traffic
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is changed: the exchanges of one conversation, which of them, and the period of its cycle, ns.

    numbered   makes a request that is sent anew carry the next transaction number
    key        what a request asks, without its numbers
    """

    traffic: Traffic
    mine: list[Exchange]
    which: int
    period: int
    numbered: Callable[[Exchange], Exchange]
    key: Callable[[Exchange], bytes]

    @property
    def here(self) -> Exchange:
        """The exchange at the place."""
        return self.mine[self.which]

    def change(self, removed: list[Exchange], added: list[Exchange], end: int = 0) -> Change:
        """The capture with these exchanges instead of those; watched to `end`, and a few periods more."""
        start = min(e.at for e in [*removed, *added])
        return Change(self.traffic.with_(set(removed), added), start, max(end, start) + 3 * self.period + 2 * SECOND)


def replay(p: Place, _: np.random.Generator) -> Change | None:
    """A recorded stretch is sent again, numbers and all, later and between other polls."""
    first = p.which - 4 * STRETCH
    if first < 0:
        return None
    stretch = p.mine[first : first + STRETCH]
    base = p.here.at + 37 * MILLI
    flow = p.here.flow
    flows = [(flow[0], flow[1], 61_000 + k, *flow[3:]) if p.here.opens else flow for k in range(len(stretch))]
    added = [replace(e.moved(base + (e.at - stretch[0].at)), flow=f) for e, f in zip(stretch, flows, strict=True)]
    return p.change([], added, added[-1].at)


def reorder(p: Place, _: np.random.Generator) -> Change | None:
    """Two requests of a cycle change places."""
    a, b = p.mine[p.which], p.mine[p.which + 1]
    if p.key(a) == p.key(b) or b.at - a.at > p.period:
        return None
    return p.change([a, b], [b.moved(a.at), a.moved(b.at)], b.at)


def dropped(p: Place, _: np.random.Generator) -> Change | None:
    """A request stays without its answer."""
    return p.change([p.here], [replace(p.here, answers=())]) if p.here.answers else None


def missing(p: Place, _: np.random.Generator) -> Change | None:
    """A whole cycle is left out."""
    gone = [e for e in p.mine if p.here.at <= e.at < p.here.at + p.period - p.period // 20]
    keys, rest = {p.key(e) for e in gone}, [e for e in p.mine if e.at > gone[-1].at]
    back = [next((e.at for e in rest if p.key(e) == key), 0) for key in keys]  # nothing can miss before it is due again
    return p.change(gone, [], max(back))


def period(factor: float) -> Callable[[Place, np.random.Generator], Change | None]:
    """Every gap of the conversation becomes so many times as long."""

    def change(p: Place, _: np.random.Generator) -> Change | None:
        begin, last = p.here.at, p.mine[-1].at
        until = min(begin + int((last - begin) * min(1.0, factor)), begin + AFTER * p.period)
        moved = [e.moved(begin + int((e.at - begin) * factor)) for e in p.mine[p.which :]]
        return _until(p, moved, begin, until)

    return change


def drift(p: Place, _: np.random.Generator) -> Change | None:
    """The period grows by a hundredth with every cycle."""
    begin, last = p.here.at, p.mine[-1].at

    def to(at: int) -> int:
        cycles = (at - begin) / p.period
        return begin + int(p.period * (cycles + 0.005 * cycles * cycles))

    moved = [e.moved(to(e.at)) for e in p.mine[p.which :]]
    return _until(p, moved, begin, last) if last - begin > 10 * p.period else None


def _until(p: Place, moved: list[Exchange], begin: int, until: int) -> Change | None:
    """The capture ends where the conversation would run out of exchanges."""
    if until - begin < 2.5 * p.period:
        return None
    changed = p.traffic.with_(set(p.mine[p.which :]), moved)
    kept = [e for e in changed.exchanges if e.at <= until]
    return Change(Traffic(kept, [f for f in p.traffic.others if f[0] <= until]), begin, until + SECOND)


def burst(p: Place, _: np.random.Generator) -> Change | None:
    """A known request is sent many times as fast as it goes."""
    added, e = [], p.here
    for n in range(1, BURST + 1):
        e = p.numbered(e)
        flow = (e.flow[0], e.flow[1], 61_000 + n, *e.flow[3:]) if e.opens else e.flow
        added.append(replace(e.moved(p.here.at + n * 5 * MILLI), flow=flow))
    return p.change([], added, added[-1].at)


def moment(p: Place, random: np.random.Generator) -> Change | None:
    """A known request comes once more, at a moment that is not its own."""
    others = [e for e in p.mine if e.at < p.here.at]
    if not others:
        return None
    known = others[int(random.integers(len(others)))]
    at = p.here.at + int(p.period * random.uniform(0.25, 0.7))
    flow = (known.flow[0], known.flow[1], 61_000, *known.flow[3:]) if known.opens else p.here.flow
    return p.change([], [replace(p.numbered(known).moved(at), flow=flow)], at)


CLASSES: dict[str, Callable[[Place, np.random.Generator], Change | None]] = {
    "replay": replay,
    "reorder": reorder,
    "dropped": dropped,
    "missing": missing,
    **{f"period-{factor:g}": period(factor) for factor in (0.5, 0.75, 0.9, 1.1, 1.25, 1.5)},
    "burst": burst,
    "drift": drift,
    "moment": moment,
}

"""From when on is a conversation watched? Learning ends for each one by itself, by what it has shown of itself.

For a conversation whose messages came in *A* incidences (each row counted once in every minute in which it came), *Q1* of them
rows that came in one minute only, the share of a next minute that is new has the upper limit (95 %)

    new = s U(Q1 / s) / A         U: Garwood's limit of a Poisson count; s: rows of an occasion (`poisson.occasion_size`)

as in `adequacy`, for one conversation. It is

    not knowable yet   while its longest pause is more than half of the time since it came, or it came on one occasion only: a
                       cycle that was not seen twice says nothing about what belongs to it, however many messages there were
    learning           while it was followed for less than WATCH, or `new` is above NEW, or a row came in the last third of its
                       time (drift: what still grows is not learned, whatever the share)
    watched            else

A conversation without content (encrypted, or under three messages of a direction) counts its minutes instead: its row is that it
speaks. A conversation that comes and goes here (`openness`) is never watched, and said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import ADEQUACY_BLOCKS, SECOND
from appliance.learn.meaning.model import Model, derive
from appliance.learn.meaning.poisson import occasion_size, upper
from appliance.learn.site.topology import stream_key

if TYPE_CHECKING:
    from appliance.decode.conversation import Conversation
    from appliance.learn.baselines.baseline import Baseline

MINUTE, HOUR, _ = ADEQUACY_BLOCKS
WATCH = HOUR  # ns for which a conversation is followed at least
NEW = 0.02  # upper limit of the share of a next minute that is new, from which on it is learned
PLANT = 0.9  # share of the frames that are of watched conversations, from which on a plant is watched
LATE = 2 / 3  # part of its time, after which a new row is drift


class State(StrEnum):
    """Of one conversation."""

    WATCHED = "watched"
    LEARNING = "learning"
    UNKNOWABLE = "not knowable yet"


class Reason(StrEnum):
    """Why it is so."""

    ENOUGH = "enough"  # watched
    YOUNG = "young"  # followed for less than WATCH
    NEW = "new"  # a next minute brings too much that is new
    GROWING = "growing"  # new rows still come
    ONCE = "once"  # came on one occasion only
    CYCLE = "cycle"  # its longest pause is more than half of the time since it came
    OPEN = "open"  # its like comes and goes here: never watched, and told when it turns to others


@dataclass(frozen=True, slots=True)
class Readiness:
    """Of one conversation.

    new         upper limit (95 %) of the share of a next minute that is new, 0 to 1
    followed    ns since it came
    from_ns     ns since the epoch at which it will be watched if nothing new comes and it goes on as it did; None where that
                cannot be said. For one that is watched: `now`
    """

    state: State
    reason: Reason
    new: float
    followed: int
    from_ns: int | None


def ready(baseline: Baseline, now: int) -> dict[Conversation, Readiness]:
    """Per conversation of a baseline.

    now    ns since the epoch: the time up to which the baseline was fed; `baseline.last` for one that is not fed any more
    """
    return ready_by(derive(baseline), now)


def ready_by(model: Model, now: int) -> dict[Conversation, Readiness]:
    """The same for a model that is there already."""
    contents = _contents(model)
    found: dict[Conversation, Readiness] = {}
    for conversation in model.baseline.conversations:
        found[conversation] = _one(model, conversation, contents.get(stream_key(conversation)), now)
    return found


@dataclass(slots=True)
class _Rows:
    """Rows of one conversation: in how many minutes each came; ns of its first and last message."""

    minutes: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]


def _contents(model: Model) -> dict[int, _Rows]:
    """Rows of each conversation (key of its stream), templates that carry noise left out."""
    parts = []
    for services in model.services.values():
        for s in services:
            kept = ~s.opaque[s.table.template]
            n = s.table.numbers
            parts.append((s.table.stream[kept], n["minutes"][kept], n["first"][kept], n["last"][kept]))
    if not parts:
        return {}
    stream, *columns = (np.concatenate(c) for c in zip(*parts, strict=True))
    order = np.argsort(stream, kind="stable")
    start = np.flatnonzero(np.r_[True, stream[order][1:] != stream[order][:-1]]) if len(order) else np.zeros(0, np.intp)
    split = [np.split(column[order], start[1:]) for column in columns]
    return {int(stream[order[at]]): _Rows(*(part[i] for part in split)) for i, at in enumerate(start.tolist())}


def _one(model: Model, c: Conversation, rows: _Rows | None, now: int) -> Readiness:
    baseline = model.baseline
    first, last, gap, minutes = (baseline.number(c, name) for name in ("first", "last", "gap_max", "minutes"))
    followed = max(0, now - first)
    new, incidences = _share_of_new(rows, minutes, last - first)
    if model.open.admits(c):
        return Readiness(State.LEARNING, Reason.OPEN, new, followed, None)
    pause = max(gap, now - last)
    if minutes < 2 or gap < 0:
        return Readiness(State.UNKNOWABLE, Reason.ONCE, new, followed, None)
    if 2 * pause > followed:
        return Readiness(State.UNKNOWABLE, Reason.CYCLE, new, followed, first + 2 * pause)
    if followed < WATCH:
        return Readiness(State.LEARNING, Reason.YOUNG, new, followed, first + WATCH)
    if rows is not None and bool((rows.first > first + LATE * (last - first)).any()):
        # it is drift until its time is half as long again as it was when the last new row came
        return Readiness(State.LEARNING, Reason.GROWING, new, followed, first + int((int(rows.first.max()) - first) / LATE))
    if new > NEW:
        wanted = new / NEW * followed if incidences else None
        return Readiness(State.LEARNING, Reason.NEW, new, followed, None if wanted is None else first + int(wanted))
    return Readiness(State.WATCHED, Reason.ENOUGH, new, followed, now)


def _share_of_new(rows: _Rows | None, minutes: int, span: int) -> tuple[float, int]:
    """Upper limit of the share of a next minute that is new, and the incidences it rests on."""
    if rows is None or not len(rows.minutes):
        return (min(1.0, upper(0) / minutes), minutes) if minutes else (1.0, 0)
    total = int(rows.minutes.sum())
    once, twice = rows.minutes == 1, rows.minutes == 2
    size = occasion_size(rows.first[once], np.stack([rows.first[twice], rows.last[twice]]), max(span, SECOND))
    return min(1.0, float(size * upper(np.count_nonzero(once) / size) / max(1, total))), total


def share_watched(baseline: Baseline, readiness: dict[Conversation, Readiness]) -> float:
    """Share of the plant's frames that are of watched conversations, 0 to 1; what is open is left out."""
    frames = {c: baseline.number(c, "frames") for c, r in readiness.items() if r.reason is not Reason.OPEN}
    return sum(n for c, n in frames.items() if readiness[c].state is State.WATCHED) / max(1, sum(frames.values()))


def watched_from(baseline: Baseline, readiness: dict[Conversation, Readiness], share: float = PLANT) -> int | None:
    """Ns since the epoch from which on so much of the plant's frames is of watched conversations; None where it cannot be said.

    What is open is left out: it never will be watched.
    """
    mine = [(r.from_ns, baseline.number(c, "frames")) for c, r in readiness.items() if r.reason is not Reason.OPEN]
    wanted, got = share * sum(n for _, n in mine), 0
    for when, n in sorted((when, n) for when, n in mine if when is not None):
        got += n
        if got >= wanted:
            return when
    return None

"""The alarm budget: which kinds of messages must be silent, so that false incidents stay within what the operator accepts.

A *class* is a kind of message: (service, structure, template). What a class would have cried at is found by leaving time out: a
block of time of one conversation whose rows came in no other block is new to all the rest, and detection itself says whether
it would have cried. Such a block counts once per conversation however many messages it has, because polling is dependent and
an incident is one story; it is counted at 10 s, 1 min, 1 h and 1 day, and the worst of these that were watched twice counts.

1. All classes. The upper limit (95 %, Garwood) of their joint rate is compared with the budget. Where it fits, nothing is muted
   and nothing was chosen. With no event at all it is 3 / T: the rule of three (Hanley and Lippman-Hand 1983).
2. Otherwise classes are muted, the noisiest first. Who is noisy is asked of the held-back quarter of the time; how noisy what
   is left is, of the other three quarters. So the choice does not flatter the estimate, and because the sets are nested
   and their rates fall, one limit holds for the one that is taken (fixed sequence testing: no correction for many looks).
3. New conversations cannot be muted. What does not fit without them muted is refused, saying from when it can be promised.

Events that many conversations have at the same time are fewer occasions than events, and what was seen twice says how much the
unseen may vary: the limit is that of a Poisson count of occasions (`poisson.occasion_size`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Conversation, Port
from appliance.errors import UsageError
from appliance.learn.counting.counts import ADEQUACY_BLOCKS, BLOCK, SECOND, held_back
from appliance.learn.meaning.poisson import occasion, occasion_size, upper
from appliance.learn.messages.structure import Side
from appliance.learn.site.topology import NUMBERS, stream_key
from appliance.packets.ordering import distinct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.learn.meaning.model import Model, ServiceModel

DAY = 86_400 * SECOND
UNITS = (BLOCK, *ADEQUACY_BLOCKS)
TESTED = 0.75  # share of the time that is not held back
MIN_BLOCKS = 6  # blocks watched, from which on what came in two of them is rare
MAX_EXAMINED = 4096  # rows of a service that detection is asked about; more are taken to cry
MIN_LEARNED, MIN_CHATTER = 3, 64  # messages of a conversation from which on detection looks at its content
Class = tuple[Port, str, int]  # service, digest of the structure, template
Row = tuple[int, int, int, int, bool]  # a row of Events
NEWCOMER = -1
NOT_LEARNED = -1  # template of a row that is left out


class Told(Protocol):
    """What detection says about a message that it calls abnormal."""

    @property
    def template(self) -> int:
        """The kind of message that it comes nearest to."""


class Locate(Protocol):
    """Detection of one message (`detect.locate.locate`); None where it is normal."""

    def __call__(
        self,
        service: ServiceModel,
        head: npt.NDArray[np.uint8],
        length: int,
        stream: int,
        answers: bool,
        asked: int,
        template: int = -1,
    ) -> Told | None:
        """Judge a message by the rows of a service."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What is muted, and what can then be promised.

    asked           false incidents per day that the operator accepts
    muted           classes that are silent
    promised        upper limit (95 %) of false incidents per day
    expected        false incidents per day that the clean time itself would have brought
    needed_seconds  clean time from which on such a budget could be promised at all, if nothing new came in it
    classes         how many classes there are
    """

    asked: float
    muted: frozenset[Class]
    promised: float
    expected: float
    needed_seconds: float
    classes: int


class Events(NamedTuple):
    """What would have been cried at, at one length of block.

    unit     ns of a block
    which    int64 [n], number of the class, NEWCOMER for a new conversation
    stream   uint64 [n], content hash of the conversation (of the initiator for a newcomer)
    first, last   int64 [n], ns at which what is new came first and last
    twice    bool [n], it came in two blocks: no event, but it says how much events vary
    """

    unit: int
    which: npt.NDArray[np.int64]
    stream: npt.NDArray[np.uint64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    twice: npt.NDArray[np.bool_]

    def take(self, rows: npt.NDArray[np.bool_]) -> Events:
        """The given rows."""
        columns = (self.first[rows], self.last[rows], self.twice[rows])
        return Events(self.unit, self.which[rows], self.stream[rows], *columns)

    def stories(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Times of incidents: once for every conversation and block, int64 [k]; of those that came twice, int64 [2, n]."""
        begin, end = self.first // self.unit, np.where(self.twice, self.last // self.unit, -1)
        keys = np.stack([self.stream, begin.astype(np.uint64), end.astype(np.uint64)])
        at = np.unique(keys, axis=1, return_index=True)[1]
        twice = at[self.twice[at]]
        return self.first[at[~self.twice[at]]], np.stack([self.first[twice], self.last[twice]])


def budget(model: Model, false_per_day: float, locate: Locate) -> Budget:
    """The smallest set of classes to mute for a budget.

    false_per_day  false incidents per day that the operator accepts
    locate         `detect.locate.locate`, handed in because imports point the other way
    Raises UsageError where the clean time seen cannot support the budget.
    """
    if not false_per_day > 0:
        raise UsageError(f"--false-per-day {false_per_day:g}: must be more than 0; without the option nothing is promised")
    watched = model.baseline.watched
    needed = upper(0) / false_per_day * DAY
    if watched < needed:
        best = f"{number(upper(0) * DAY / watched)} can be promised now, " if watched else ""
        raise UsageError(
            f"--false-per-day {false_per_day:g}: {_span(watched)} of clean time cannot support it; "
            f"{best}{false_per_day:g} from {_span(needed)} on"
        )
    classes = _classes(model)
    return choose(all_events(model, classes, locate), tuple(classes), watched, false_per_day)


def apply(model: Model, chosen: Budget) -> None:
    """Silence what a budget mutes: detection says nothing about these kinds of messages."""
    for port, services in model.services.items():
        for digest, service in zip(sorted(model.baseline.services[port]), services, strict=True):
            mine = [t for t in range(len(service.opaque)) if (port, digest, t) in chosen.muted and not service.noise[t]]
            service.opaque[mine] = True
            service.muted |= frozenset(mine)


def choose(events: tuple[Events, ...], classes: tuple[Class, ...], watched: int, asked: float) -> Budget:
    """The budget's choice, given the events of all classes.

    events   per length of block
    watched  ns of clean time
    asked    false incidents per day that are accepted
    Raises UsageError where even muting every class does not keep within the budget.
    """
    keep = np.ones(len(classes), bool)
    needed = upper(0) / asked * DAY / SECOND
    size = largest_occasion(events, watched)
    unmuted, expected = rate(events, keep, watched, size)
    if unmuted <= asked:
        return Budget(asked, frozenset(), unmuted, expected, needed, len(classes))
    checked = tuple(_part(e, held=False) for e in events)
    keep[:] = False
    promised, expected = rate(checked, keep, watched * TESTED, size)
    if promised > asked:
        least = min(promised, unmuted)
        wanted = _span(watched * least / asked)
        raise UsageError(
            f"--false-per-day {asked:g}: what came only once in {_span(watched)} of clean time promises no less than "
            f"{number(least)}, even with contents muted; ask for that, or for {asked:g} after {wanted} with nothing new"
        )
    for which in _quietest(events, len(classes)):
        keep[which] = True
        promised, louder = rate(checked, keep, watched * TESTED, size)
        if promised > asked:  # the first that fails ends it, also where a later one would pass
            keep[which] = False
            break
        expected = louder
    muted = frozenset(c for c, kept in zip(classes, keep.tolist(), strict=True) if not kept)
    # what was chosen is certified to the level it was chosen at, not to where it happens to lie below
    return Budget(asked, muted, asked, expected, needed / TESTED, len(classes))


def rate(events: tuple[Events, ...], keep: npt.NDArray[np.bool_], watched: float, least: float = 1.0) -> tuple[float, float]:
    """Upper limit and estimate of incidents per day of the kept classes: the worst over all lengths of block.

    least   events that an occasion has at least: kept classes may have had too few to show it
    """
    worst, estimate = upper(0) * DAY / watched, 0.0
    for e in events:
        once, twice = e.take(np.append(keep, True)[e.which]).stories()  # the last place is that of newcomers, -1
        size = max(least, occasion_size(once, twice, watched))
        worst = max(worst, size * upper(len(once) / size) * DAY / watched)
        estimate = max(estimate, len(once) * DAY / watched)
    return worst, estimate


def largest_occasion(events: tuple[Events, ...], watched: float) -> float:
    """Events that come together in an occasion of the class in which most do: its like may come in any other."""
    largest = 1.0
    for e in events:
        for which in distinct(e.which).tolist():
            times, _ = e.take(e.which == which).stories()
            counts = np.unique(times // occasion(watched), return_counts=True)[1].astype(float)
            largest = max(largest, float((counts * counts).sum() / max(1.0, counts.sum())))
    return largest


def _quietest(events: tuple[Events, ...], classes: int) -> list[int]:
    """Classes by their events in held-back time, those with fewest first."""
    count = np.zeros(classes, np.int64)
    for e in events:
        part = _part(e, held=True)
        count = np.maximum(count, np.bincount(part.which[(part.which >= 0) & ~part.twice], minlength=classes))
    return [int(which) for which in np.argsort(count, kind="stable")]


def _part(e: Events, held: bool) -> Events:
    """The events of the held-back time, or of the other; what came twice belongs to where it came first."""
    return e.take(held_back(e.stream, e.first // e.unit) == held)


def _classes(model: Model) -> dict[Class, int]:
    """All classes that can cry, numbered."""
    found: dict[Class, int] = {}
    for port, services in sorted(model.services.items()):
        for digest, service in zip(sorted(model.baseline.services[port]), services, strict=True):
            for template in np.flatnonzero(~service.noise[: len(service.structure.templates)]).tolist():
                found[port, digest, template] = len(found)
    return found


def all_events(model: Model, classes: Mapping[Class, int], locate: Locate) -> tuple[Events, ...]:
    """What would have been cried at, per length of block that was watched at least twice."""
    found = []
    for unit in (u for u in UNITS if model.baseline.watched >= 2 * u):
        rows = _newcomers(model, unit)
        for port, services in sorted(model.services.items()):
            for digest, service in zip(sorted(model.baseline.services[port]), services, strict=True):
                cries = _cries(model, service, unit, locate)
                rows += [(classes[port, digest, t], *rest) for t, *rest in cries if (port, digest, t) in classes]  # type: ignore[misc]
        columns = list(zip(*rows, strict=True)) or [()] * 5
        types = (np.int64, np.uint64, np.int64, np.int64, bool)
        found.append(Events(unit, *(np.array(c, t) for c, t in zip(columns, types, strict=True))))
    return tuple(found)


def _column(unit: int) -> str:
    return "blocks" if unit == BLOCK else ("minutes", "hours", "days")[ADEQUACY_BLOCKS.index(unit)]


def _cries(model: Model, service: ServiceModel, unit: int, locate: Locate) -> list[Row]:
    """Rows that came in one block or two, and that detection would have cried at had it not learned in that block.

    What came in the same block only is left out with them; everything else that is rare stays, since it is judged by it that a
    conversation says little. By their nearest template.
    """
    numbers = service.table.numbers
    blocks = numbers[_column(unit)] + (numbers["held"] if unit == BLOCK else 0)
    # where few blocks were watched, also what always comes is in two of them
    rare = np.flatnonzero(blocks <= (2 if model.baseline.watched >= MIN_BLOCKS * unit else 1))
    if not len(rare):
        return []
    begin = numbers["first"][rare] // unit
    order = np.argsort(begin, kind="stable")
    cuts = np.flatnonzero(begin[order][1:] != begin[order][:-1]) + 1
    found: list[Row] = []
    for block in np.split(rare[order], cuts):
        rest = _LeftOut(service, block)
        for i in block.tolist():
            template = rest.cried(model, i, locate if len(found) < MAX_EXAMINED else None)
            if template is not None:
                first, last = int(numbers["first"][i]), int(numbers["last"][i])
                found.append((template, int(service.table.stream[i]), first, last, bool(blocks[i] == 2)))
    return found


class _LeftOut:
    """A service as if what is in some rows had not been learned; calibration stays."""

    def __init__(self, service: ServiceModel, rows: npt.NDArray[np.intp]) -> None:
        template = service.table.template.copy()
        template[rows] = NOT_LEARNED
        self.service, self.table = service, replace(service.table, template=template)
        self.rows, self.hashes = rows, set(service.table.row[rows].tolist())

    def cried(self, model: Model, i: int, locate: Locate | None) -> int | None:
        """The kind that row i would have been told as, None where it would have been normal; without `locate` it cries."""
        service, table = self.service, self.service.table
        stream, template, asked = int(table.stream[i]), int(table.template[i]), int(table.asked[i])
        answers = bool(service.sides[template] != Side.REQUEST)
        if service.noise[template] or asked in self.hashes:
            return None  # the answer to what is new itself is its consequence
        known = service.by_stream[stream, answers]
        left = known[~np.isin(known, self.rows)]
        messages = int(table.numbers["count"][left].sum())
        if not _learned(model, messages, stream):
            return None
        if locate is None:
            return template
        rest = replace(service, table=self.table, by_stream={(stream, answers): left})
        told = locate(rest, table.bytes[i], int(table.length[i]), stream, answers, asked, template)
        return None if told is None else told.template


def _learned(model: Model, messages: int, stream: int) -> bool:
    """Whether so many messages are enough for detection to look at a conversation's content."""
    c = model.streams.get(stream)
    chatter = c is None or c.group or c.port[0] < 0
    return messages >= (MIN_CHATTER if chatter else MIN_LEARNED)


def _newcomers(model: Model, unit: int) -> list[Row]:
    """Conversations that came in one block or two: one incident for each initiator."""
    at, first, last = (NUMBERS.index(name) for name in (_column(unit), "first", "last"))
    most = 2 if model.baseline.watched >= MIN_BLOCKS * unit else 1
    found: list[Row] = []
    for c, numbers in model.baseline.conversations.items():
        if int(numbers[at]) <= most and not c.group and c.port[0] >= 0:
            initiator = stream_key(Conversation(c.client, c.client, (0, 0)))
            found.append((NEWCOMER, initiator, int(numbers[first]), int(numbers[last]), int(numbers[at]) == 2))
    return found


def number(value: float) -> str:
    """Three digits that count: "0.25", "1", "6,600"."""
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def _span(ns: float) -> str:
    seconds = ns / SECOND
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"

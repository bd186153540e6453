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

Events that many conversations have in the same block are fewer occasions than events: the limit is that of a Poisson count
whose size is divided by the index of dispersion of the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Conversation, Port
from appliance.errors import UsageError
from appliance.learn.counts import ADEQUACY_BLOCKS, BLOCK, SECOND, RowTable, held_back
from appliance.learn.poisson import upper
from appliance.learn.structure import Side
from appliance.learn.topology import NUMBERS, stream_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.learn.model import Model, ServiceModel

DAY = 86_400 * SECOND
UNITS = (BLOCK, *ADEQUACY_BLOCKS)
TESTED = 0.75  # share of the time that is not held back
MAX_EXAMINED = 4096  # rows of a service that detection is asked about; more are taken to cry
MIN_LEARNED, MIN_CHATTER = 3, 64  # messages of a conversation from which on detection looks at its content
Class = tuple[Port, str, int]  # service, digest of the structure, template
_NEWCOMER = -1


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
    """What would have been cried at, at one length of block: a row per (conversation, block, class).

    which    int64 [n], number of the class, _NEWCOMER for a new conversation
    stream   uint64 [n], content hash of the conversation (of the initiator for a newcomer)
    block    int64 [n], number of the block since the epoch
    """

    unit: int
    which: npt.NDArray[np.int64]
    stream: npt.NDArray[np.uint64]
    block: npt.NDArray[np.int64]


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
            for template in range(len(service.opaque)):
                service.opaque[template] |= (port, digest, template) in chosen.muted


def choose(events: tuple[Events, ...], classes: tuple[Class, ...], watched: int, asked: float) -> Budget:
    """The budget's choice, given the events of all classes.

    events   per length of block
    watched  ns of clean time
    asked    false incidents per day that are accepted
    Raises UsageError where even muting every class does not keep within the budget.
    """
    keep = np.ones(len(classes), bool)
    needed = upper(0) / asked * DAY / SECOND
    promised, expected = rate(events, keep, watched)
    if promised <= asked:
        return Budget(asked, frozenset(), promised, expected, needed, len(classes))
    checked = [_part(e, held=False) for e in events]
    for which in _noisiest(events, len(classes)):
        keep[which] = False
        promised, expected = rate(checked, keep, watched * TESTED)
        if promised <= asked:
            muted = frozenset(c for c, kept in zip(classes, keep.tolist(), strict=True) if not kept)
            return Budget(asked, muted, promised, expected, needed / TESTED, len(classes))
    wanted = _span(watched * promised / asked)
    raise UsageError(
        f"--false-per-day {asked:g}: what came only once in {_span(watched)} of clean time allows no promise below "
        f"{number(promised)}, even with all contents muted; ask for that, or for {asked:g} after {wanted} without anything new"
    )


def rate(events: tuple[Events, ...] | list[Events], keep: npt.NDArray[np.bool_], watched: float) -> tuple[float, float]:
    """Upper limit and estimate of incidents per day of the kept classes: the worst over all lengths of block."""
    worst, estimate = upper(0) * DAY / watched, 0.0
    for e in events:
        if watched < 2 * e.unit:
            continue
        kept = np.append(keep, True)[e.which]  # the last place is that of newcomers, -1
        blocks = np.unique(np.stack([e.block[kept].astype(np.uint64), e.stream[kept]]), axis=1)[0]
        count = len(blocks)
        size = _dispersion(np.unique(blocks, return_counts=True)[1], watched / e.unit)
        worst = max(worst, size * upper(count / size) * DAY / watched)
        estimate = max(estimate, count * DAY / watched)
    return worst, estimate


def _dispersion(counts: npt.NDArray[np.int64], blocks: float) -> float:
    """Variance of events per block over their mean, at least 1: events that come together are fewer occasions."""
    total = float(counts.sum())
    if total < 2:
        return 1.0
    mean = total / blocks
    variance = (float((counts * counts).sum()) - blocks * mean * mean) / max(blocks - 1, 1.0)
    return max(1.0, variance / mean)


def _noisiest(events: tuple[Events, ...], classes: int) -> list[int]:
    """Classes in the order in which they are muted: by their events in held-back time, those with most first."""
    count = np.zeros(classes, np.int64)
    for e in events:
        part = _part(e, held=True)
        count = np.maximum(count, np.bincount(part.which[part.which >= 0], minlength=classes))
    return [int(i) for i in np.lexsort((np.arange(classes), -count))]


def _part(e: Events, held: bool) -> Events:
    mine = held_back(e.stream, e.block) == held
    return Events(e.unit, e.which[mine], e.stream[mine], e.block[mine])


def _classes(model: Model) -> dict[Class, int]:
    """All classes that can cry, numbered."""
    found: dict[Class, int] = {}
    for port, services in sorted(model.services.items()):
        for digest, service in zip(sorted(model.baseline.services[port]), services, strict=True):
            for template in np.flatnonzero(~service.opaque[: len(service.structure.templates)]).tolist():
                found[port, digest, template] = len(found)
    return found


def all_events(model: Model, classes: Mapping[Class, int], locate: Locate) -> tuple[Events, ...]:
    """What would have been cried at, per length of block that was watched at least twice."""
    units = [unit for unit in UNITS if model.baseline.watched >= 2 * unit]
    found = []
    for unit in units:
        rows = [(_NEWCOMER, stream, block) for stream, block in _newcomers(model, unit)]
        for port, services in sorted(model.services.items()):
            for digest, service in zip(sorted(model.baseline.services[port]), services, strict=True):
                cries = _cries(model, service, unit, locate)
                rows += [(classes.get((port, digest, t), -2), stream, block) for t, stream, block in cries]
        kept = sorted({row for row in rows if row[0] != -2})
        which, stream, block = (np.array([row[i] for row in kept], object) for i in range(3))
        found.append(Events(unit, which.astype(np.int64), stream.astype(np.uint64), block.astype(np.int64)))
    return tuple(found)


def _blocks(numbers: Mapping[str, npt.NDArray[np.int64]], unit: int) -> npt.NDArray[np.int64]:
    if unit == BLOCK:
        return numbers["blocks"] + numbers["held"]
    return numbers[("minutes", "hours", "days")[ADEQUACY_BLOCKS.index(unit)]]


def _cries(model: Model, service: ServiceModel, unit: int, locate: Locate) -> list[tuple[int, int, int]]:
    """(template, stream, block) of rows that came in one block only and that detection would have cried at without them."""
    table = service.table
    alone = _blocks(table.numbers, unit) == 1
    rest = _without(service, table.take(~alone))
    found: list[tuple[int, int, int]] = []
    for examined, i in enumerate(np.flatnonzero(alone).tolist()):
        stream, template, asked = int(table.stream[i]), int(table.template[i]), int(table.asked[i])
        answers = bool(service.sides[template] != Side.REQUEST)
        if service.opaque[template] or not _learned(model, rest, stream, answers):
            continue
        if asked and not _holds(rest.known, asked):
            continue  # the answer to what is new itself is its consequence
        if examined < MAX_EXAMINED:
            told = locate(rest, table.bytes[i], int(table.length[i]), stream, answers, asked, template)
            if told is None:
                continue
            template = told.template
        found.append((template, stream, int(table.numbers["first"][i]) // unit))
    return found


def _without(service: ServiceModel, table: RowTable) -> ServiceModel:
    """The service as if only these rows had been learned; calibration stays."""
    answering = service.sides[table.template] != Side.REQUEST
    groups: dict[tuple[int, bool], list[int]] = {}
    for i, (stream, answers) in enumerate(zip(table.stream.tolist(), answering.tolist(), strict=True)):
        groups.setdefault((stream, answers), []).append(i)
    by_stream = {key: np.array(rows, np.intp) for key, rows in groups.items()}
    messages = {key: int(table.numbers["count"][rows].sum()) for key, rows in by_stream.items()}
    return replace(service, table=table, known=np.sort(table.row), by_stream=by_stream, messages=messages)


def _learned(model: Model, rest: ServiceModel, stream: int, answers: bool) -> bool:
    c = model.streams.get(stream)
    chatter = c is None or c.group or c.port[0] < 0
    return rest.messages.get((stream, answers), 0) >= (MIN_CHATTER if chatter else MIN_LEARNED)


def _holds(known: npt.NDArray[np.uint64], row: int) -> bool:
    at = int(np.searchsorted(known, np.uint64(row)))
    return at < len(known) and int(known[at]) == row


def _newcomers(model: Model, unit: int) -> list[tuple[int, int]]:
    """(initiator, block) of conversations that came in one block only: one incident for each initiator."""
    name = "blocks" if unit == BLOCK else ("minutes", "hours", "days")[ADEQUACY_BLOCKS.index(unit)]
    at, first = NUMBERS.index(name), NUMBERS.index("first")
    found = []
    for c, numbers in model.baseline.conversations.items():
        if int(numbers[at]) == 1 and not c.group and c.port[0] >= 0:
            initiator = stream_key(Conversation(c.client, c.client, (0, 0)))
            found.append((initiator, int(numbers[first]) // unit))
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

"""Incidents of simulated plants: every scenario on every plant, learned once a plant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import TYPE_CHECKING

from tests.causes import attacks, faults, works  # noqa: F401  # they enter their scenarios
from tests.causes.incidents import Known, incidents, learned, row, said
from tests.causes.plant import STACKS, START, Plant, build
from tests.causes.scenario import SCENARIOS
from tests.causes.speech import SPEECHES
from tests.causes.wire import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.detect.finding import Finding
    from appliance.incident.incident import Incident
    from tests.causes.scenario import Scenario

LEARN, CALM, AFTER, UNSEEN, YOUNG = 150 * SECOND, 20 * SECOND, 100 * SECOND, 8 * SECOND, 25 * SECOND
CALMS = 6  # times that a plant is watched while nothing happens: what it is told for then, it may be told for in any run


Mark = tuple[str, str, str, str]


@dataclass(frozen=True)
class Sample:
    """One incident with its truth.

    generator   simulation | lab | captures; run: what happened once, its incidents share a weight of `odds`
    deaf        without words; young: as it stood a few seconds after it began, as a person first sees it
    """

    generator: str
    protocol: str
    stack: str
    run: str
    scenario: str
    cause: str
    right: str
    pair: str
    odds: float
    row: list[float]
    deaf: bool = False
    young: bool = False


def plants(rounds: int) -> list[tuple[str, str, int]]:
    """Protocol, stack and seed of each plant: a Latin square, every round has each protocol and each stack once."""
    speeches, stacks = list(SPEECHES), list(STACKS)
    turns = [(i, (i + turn) % len(stacks), turn // len(stacks)) for turn in range(rounds) for i in range(len(speeches))]
    return [(speeches[i], stacks[k], 7 * (len(stacks) * i + k) + again) for i, k, again in turns]


@dataclass(frozen=True)
class _Stand:
    """A plant that has been learned, and what it is told for though nothing happens."""

    plant: Plant
    known: Known
    usual: frozenset[Mark]


_STAND: list[_Stand] = []  # what the forked children play on; a plant holds its own plan and cannot be copied otherwise


def simulated(protocol: str, stack: str, seed: int) -> list[Sample]:
    """All scenarios on one plant, each in a child process that starts with the plant as it was learned.

    What is told before the scenario begins, or where nothing happens, is no sample.
    """
    plant = build(protocol, stack, seed)
    begun = START + UNSEEN * (seed % 2)  # where connections were opened before the recorder came, a reconnect is news
    known = learned([f for f in plant.run(START + LEARN) if f[0] >= begun])
    said(plant.speech.request(("read", 0), 1, 1), True, ())  # decoders are imported here, not in every child
    pool = get_context("fork").Pool
    _STAND[:] = [_Stand(plant, known, frozenset())]
    with pool(1, maxtasksperchild=1) as calm:
        marks = frozenset[Mark]().union(*calm.imap(_calm, range(CALMS), chunksize=1))
    _STAND[:] = [_Stand(plant, known, marks)]
    with pool(1, maxtasksperchild=1) as players:
        return [s for part in players.imap(_play, SCENARIOS, chunksize=1) for s in part]


def _calm(turn: int) -> frozenset[Mark]:
    (stand,) = _STAND
    stand.plant.dice.seed(f"{stand.plant.speech.name}/{stand.plant.stack.name}/{stand.plant.seed}/calm/{turn}")
    frames = stand.plant.run(START + LEARN + CALM + AFTER)
    return frozenset(mark(f) for i in incidents(stand.known, frames) for f in i.findings)


def _play(name: str) -> list[Sample]:
    (stand,) = _STAND
    plant, scenario, begin = stand.plant, SCENARIOS[name], START + LEARN + CALM
    where = f"{plant.speech.name}/{plant.stack.name}/{plant.seed}/{name}"
    plant.dice.seed(where)
    scenario.play(plant, begin)
    frames = plant.run(begin + AFTER)
    place = ("simulation", plant.speech.name, plant.stack.name, where)
    return list(labelled(stand.known, frames, begin, scenario, place, stand.usual))


def mark(finding: Finding) -> Mark:
    return finding.kind.value, finding.src, finding.dst, finding.service


def _new(incident: Incident, before: frozenset[Mark] | set[Mark]) -> Incident:
    return replace(incident, findings=[f for f in incident.findings if mark(f) not in before])


def _concerns(incident: Incident, parties: frozenset[str]) -> bool:
    return any(f.src in parties or f.dst in parties for f in incident.findings)


def labelled(
    known: Known,
    frames: list[tuple[int, bytes]],
    begin: int,
    scenario: Scenario,
    place: tuple[str, str, str, str],
    usual: frozenset[Mark] = frozenset(),
    parties: frozenset[str] = frozenset(),
) -> Iterator[Sample]:
    """The incidents of one run that the scenario made; each also without words, and as it stood when it was young.

    usual   what this plant is told for though nothing happens; that, and what was told before the scenario began, is a false
            alarm and no part of a sample
    parties addresses one of which takes part in every incident of the run; empty: that is not known
    """
    told = incidents(known, frames)
    before = {mark(f) for i in told for f in i.findings if f.time_ns < begin - SECOND // 2} | usual
    found = [i for i in (_new(i, before) for i in told) if i.findings and (not parties or _concerns(i, parties))]
    generator, protocol, stack, run = place
    truth = (scenario.name, scenario.cause, scenario.right, scenario.pair, round(scenario.odds / max(1, len(found)), 6))
    for incident in found:
        first = min(f.time_ns for f in incident.findings)
        then = replace(incident, findings=[f for f in incident.findings if f.time_ns < first + YOUNG])
        for deaf in (False, True):
            yield Sample(generator, protocol, stack, run, *truth, row(incident, known.site, deaf=deaf), deaf)
            if len(then.findings) < len(incident.findings):
                yield Sample(generator, protocol, stack, run, *truth, row(then, known.site, deaf=deaf), deaf, True)

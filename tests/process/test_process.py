"""Values in range that contradict the process are found with their bytes; ordinary hours are silent (more seeds: __main__)."""

import copy
from dataclasses import dataclass

import pytest

from appliance.detect.finding import Finding, Kind
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.baselines.codec import baseline_digest, baseline_json
from appliance.learn.meaning.model import Model, derive
from tests.process.attacks import ATTACKS, BEGIN, Attack
from tests.process.traffic import AIR, TAGS, TANK, Plant, Run
from tests.unit.dialogue import START, judge, learn
from tests.unit.frames import SECOND

PLACES = {  # plant -> name of a value -> its bytes in an answer
    "tank": {"level": (9, 11), "inflow": (11, 15), "pump": (9, 10), "setpoint": (17, 19)},
    "tags": {"level": (28, 32), "inflow": (32, 36), "pump": (40, 41), "setpoint": (42, 44)},
    "air": {"supply": (18, 22), "setpoint": (19, 20)},
}


@dataclass(frozen=True)
class Learned:
    """A plant after four simulated hours."""

    plant: Plant
    run: Run
    model: Model


@pytest.fixture(scope="module", params=[TANK, AIR, TAGS], ids=lambda plant: plant.name)
def learned(request: pytest.FixtureRequest) -> Learned:
    """Learn a plant."""
    run = Run(request.param, 1)
    model = derive(learn(run.record(4.0)))
    return Learned(request.param, run, model)


def after(finding: Finding, run: Run) -> float:
    return (finding.time_ns - START) / SECOND - run.seconds - BEGIN


def watch(learned: Learned, attack: Attack, most: int = 32768) -> list[Finding]:
    frames = copy.deepcopy(learned.run).record(1.2, attack.forger(), attack.steer)
    return judge(learned.model, frames, most)


def test_two_ordinary_hours_are_silent(learned: Learned) -> None:
    assert judge(learned.model, copy.deepcopy(learned.run).record(2.0)) == []


@pytest.mark.parametrize("number", range(6))
def test_each_attack_is_found_with_its_bytes(learned: Learned, number: int) -> None:
    attacks = ATTACKS[learned.plant.name]
    if number >= len(attacks):
        pytest.skip("this plant has fewer attacks")
    attack = attacks[number]
    found = watch(learned, attack)
    assert found
    assert min(after(f, learned.run) for f in found) >= 0
    places = {PLACES[learned.plant.name][name] for name in attack.fields}
    assert places & {span for f in found for span in f.ranges}
    assert {f.kind for f in found} <= {Kind.PROCESS_CONTRADICTION, Kind.UNKNOWN_VALUE, Kind.UNKNOWN_COMBINATION}


def test_findings_do_not_depend_on_batches(learned: Learned) -> None:
    attack = ATTACKS[learned.plant.name][0]
    whole = watch(learned, attack)
    assert whole == watch(learned, attack, 997)
    assert whole == watch(learned, attack, 50)


def test_a_clock_that_is_set_back_begins_anew(learned: Learned) -> None:
    frames = copy.deepcopy(learned.run).record(0.5)
    back = [(at - 3600 * SECOND, raw) for at, raw in copy.deepcopy(learned.run).record(0.5)]
    assert [f for f in judge(learned.model, frames + back) if f.kind is Kind.PROCESS_CONTRADICTION] == []


def test_one_time_far_ahead_costs_nothing(learned: Learned) -> None:
    frames = copy.deepcopy(learned.run).record(0.5)
    at, raw = frames[1000]
    frames[1000] = (at + 10**18, raw)
    assert [f for f in judge(learned.model, frames) if f.kind is Kind.PROCESS_CONTRADICTION] == []


def halves() -> tuple[Run, list[Baseline]]:
    run = Run(TANK, 2)
    return run, [learn(run.record(1.5)) for _ in range(3)]


def test_sessions_learned_apart_find_together_what_none_would_alone() -> None:
    run, (a, b, c) = halves()
    one, other = merge(merge(a, b), c), merge(c, merge(b, a))
    assert baseline_digest(*baseline_json(one)) == baseline_digest(*baseline_json(other))
    model = derive(one)
    assert {r.target for r in derive(other).process.relations} == {r.target for r in model.process.relations} != set()
    attack = ATTACKS["tank"][0]
    told = judge(model, copy.deepcopy(run).record(1.2, attack.forger(), attack.steer))
    assert (9, 11) in {span for f in told for span in f.ranges}

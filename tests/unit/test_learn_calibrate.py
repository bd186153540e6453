"""The alarm budget: what is refused, what is muted, what is then promised, and that muting silences."""

import numpy as np
import pytest

from appliance.detect.locate import locate
from appliance.errors import UsageError
from appliance.learn.counting.counts import BLOCK, held_back
from appliance.learn.meaning.calibrate import (
    DAY,
    NEWCOMER,
    Budget,
    Class,
    Events,
    all_events,
    apply,
    budget,
    choose,
    largest_occasion,
    rate,
)
from appliance.learn.meaning.model import Model, ServiceModel, derive
from appliance.learn.meaning.poisson import OCCASION, upper
from appliance.learn.messages.structure import Side
from tests.unit.dialogue import START, Plant, judge, learn, request
from tests.unit.frames import SECOND


def classes(n: int) -> tuple[Class, ...]:
    return tuple(((6, 502), "d", i) for i in range(n))


Times = np.ndarray[tuple[int], np.dtype[np.int64]]


def made(which: Times, stream: np.ndarray[tuple[int], np.dtype[np.uint64]], time: Times) -> tuple[Events, ...]:
    return (Events(BLOCK, which, stream, time, time, np.zeros(len(which), bool)),)


def events(counts: list[int], newcomers: int = 0, days: int = 10, seed: int = 1) -> tuple[Events, ...]:
    """So many events of each class, each in an occasion and in a conversation of its own."""
    random = np.random.default_rng(seed)
    which = np.repeat(np.arange(-1, len(counts)), [newcomers, *counts])
    time = random.choice(days * DAY // OCCASION, len(which), replace=False) * OCCASION
    return made(which, random.integers(1, 1 << 62, len(which)).astype(np.uint64), time)


def test_without_events_the_rule_of_three_is_promised() -> None:
    found = choose(events([0, 0]), classes(2), 10 * DAY, 1.0)
    assert (found.muted, found.expected) == (frozenset(), 0)
    assert found.promised == pytest.approx(3 / 10, rel=2e-3)
    assert found.needed_seconds == pytest.approx(3 * 86_400, rel=2e-3)


def test_where_the_budget_holds_nothing_is_muted() -> None:
    found = choose(events([2, 3]), classes(2), 10 * DAY, 1.1)
    assert found.muted == frozenset()
    assert found.promised == pytest.approx(upper(5) / 10)


def test_the_noisiest_is_muted_first_and_no_more_than_needed() -> None:
    found = choose(events([0, 2, 60, 1, 20]), classes(5), 10 * DAY, 2.0)
    assert {c[2] for c in found.muted} == {2, 4}
    assert found.promised == 2.0
    assert found.expected <= upper(3) / 7.5


def test_the_choice_is_made_on_other_time_than_the_promise() -> None:
    """Many classes of one rate: the choice by what was counted would keep all that had the luck to be silent."""
    (all_,) = found = events([1] * 200)
    tested = ~held_back(all_.stream, all_.first // BLOCK)
    chosen = choose(found, classes(200), 10 * DAY, 8.0)
    kept = np.array([c not in chosen.muted for c in classes(200)])
    count = int(np.count_nonzero(tested & kept[all_.which]))
    assert upper(count) / 7.5 <= 8.0 < upper(count + 1) / 7.5
    assert np.count_nonzero(kept) < 100  # of 200 events, 8 a day are 80: by what was counted alone, 60 of them and no more
    assert chosen.promised == 8.0


def split(held: list[int], tested: list[int]) -> tuple[Events, ...]:
    """So many events of each class in held-back time, and in the other."""
    (pool,) = events([2000], days=100)
    in_held = held_back(pool.stream, pool.first // BLOCK)
    rows = np.r_[np.flatnonzero(in_held)[: sum(held)], np.flatnonzero(~in_held)[: sum(tested)]]
    which = np.r_[np.repeat(np.arange(len(held)), held), np.repeat(np.arange(len(tested)), tested)]
    return made(which, pool.stream[rows], pool.first[rows])


def test_who_is_noisy_is_asked_of_held_back_time_only() -> None:
    loud = split(held=[10, 0], tested=[0, 10])  # class 0 seems noisy, and class 1, which is asked first, is
    assert len(choose(loud, classes(2), 10 * DAY, 0.5).muted) == 2


def test_how_noisy_the_rest_is_is_asked_of_the_other_time_only() -> None:
    assert choose(split(held=[10, 11], tested=[0, 0]), classes(2), 10 * DAY, 0.5).muted == frozenset()


def test_what_comes_together_is_one_occasion() -> None:
    apart = events([40])
    together = made(apart[0].which, apart[0].stream, np.full(40, 5))
    keep = np.ones(1, bool)
    assert rate(apart, keep, 10 * DAY)[0] == pytest.approx(upper(40) / 10, rel=0.02)
    assert rate(together, keep, 10 * DAY)[0] == pytest.approx(40 * upper(1) / 10, rel=0.01)
    assert (largest_occasion(apart, 10 * DAY), largest_occasion(together, 10 * DAY)) == (1, 40)


def test_a_class_that_showed_nothing_may_bring_occasions_as_large_as_others_do() -> None:
    """The budget is refused although the kept class has no event: fifty conversations cried at once in another."""
    loud = made(np.zeros(50, np.int64), np.arange(50, dtype=np.uint64) + 1, np.full(50, 5))
    with pytest.raises(UsageError, match="promises no less than"):
        choose(loud, classes(2), 10 * DAY, 1.0)


def test_what_came_twice_widens_the_limit_and_is_no_event() -> None:
    once = events([20])[0]
    more = np.arange(30) * OCCASION
    columns = (np.r_[once.which, np.zeros(30, np.int64)], np.r_[once.stream, np.arange(30, dtype=np.uint64)])
    first, last = np.r_[once.first, more], np.r_[once.last, more + DAY]
    both = Events(BLOCK, *columns, first, last, np.arange(50) >= 20)
    keep = np.ones(1, bool)
    narrow, wide = rate((once,), keep, 10 * DAY), rate((both,), keep, 10 * DAY)
    assert (narrow[1], wide[1]) == (2.0, 2.0)
    assert wide[0] == pytest.approx(4 * upper(5) / 10, rel=0.02)  # variance 20 + 2 * 30, four times that of 20


def test_a_conversation_is_counted_once_in_a_block() -> None:
    same = made(np.arange(7), np.full(7, 9, np.uint64), np.arange(7))
    assert rate(same, np.ones(7, bool), 10 * DAY) == pytest.approx((upper(1) / 10, 0.1))


@pytest.mark.parametrize("asked", [0.0, -1.0, float("nan")])
def test_a_budget_of_nothing_is_refused(asked: float) -> None:
    with pytest.raises(UsageError, match="must be more than 0"):
        budget(Model(learn(Plant().run(30).sorted())), asked, locate)


def test_a_budget_beyond_the_clean_time_is_refused_and_told_from_when() -> None:
    model = derive(learn(Plant().run(600).sorted()))
    with pytest.raises(UsageError, match=r"1 minutes|1\.\d+ minutes") as told:
        budget(model, 1.0, locate)
    assert "from 3 days on" in str(told.value)
    assert "\n" not in str(told.value)
    assert budget(model, 5000.0, locate).promised <= 5000


def test_what_newcomers_bring_is_not_muted_but_refused() -> None:
    with pytest.raises(UsageError, match="promises no less than") as told:
        choose(events([3], newcomers=50), classes(1), 10 * DAY, 2.0)
    assert "ask for that" in str(told.value)


def odd_plant(n: int, d: int, asks: bool, payload: bytes) -> bytes:
    """Two requests in the learning that came once only."""
    return payload[:6] + bytes([100 + n // 600]) + payload[7:] if n in (400, 1400) and d == 0 else payload


def test_what_came_once_is_what_detection_would_have_cried_at() -> None:
    model = derive(learn(Plant(edit=odd_plant).run(2400).sorted()))
    port, (digest,) = (6, 7001), model.baseline.services[6, 7001]
    numbers = {(port, digest, t): t for t in range(len(model.services[port][0].opaque))}
    per_unit = {e.unit: e for e in all_events(model, numbers, locate)}
    assert set(per_unit) == {10 * SECOND, 60 * SECOND}
    found = per_unit[10 * SECOND]
    # requests only: the answers to them are their consequence
    assert sorted((found.first // BLOCK)[~found.twice].tolist()) == [
        (START + SECOND + n * SECOND // 10) // BLOCK for n in (400, 1400)
    ]
    quiet = derive(learn(Plant().run(2400).sorted()))
    assert [len(e.which) for e in all_events(quiet, numbers, locate)] == [0, 0]


def test_what_detection_takes_for_normal_is_no_event() -> None:
    model = derive(learn(Plant(edit=odd_plant).run(2400).sorted()))
    port, (digest,) = (6, 7001), model.baseline.services[6, 7001]
    numbers = {(port, digest, t): t for t in range(len(model.services[port][0].opaque))}
    assert [len(e.which) for e in all_events(model, numbers, lambda *_, **__: None)] == [0, 0]


def test_a_conversation_that_came_once_is_an_event_that_cannot_be_muted() -> None:
    wire = Plant().run(2400)
    wire.udp(START + 100 * SECOND, "10.0.0.77", 5000, "10.0.0.11", 6000, b"who is there")
    model = derive(learn(wire.sorted()))
    found = all_events(model, {}, locate)
    assert [(e.which.tolist(), e.first.tolist()) for e in found] == [([NEWCOMER], [START + 100 * SECOND])] * 2
    with pytest.raises(UsageError, match="promises no less than"):
        budget(model, upper(0) / 0.75 * DAY / model.baseline.watched * 1.01, locate)


def test_what_is_muted_is_silent_and_the_rest_is_not() -> None:
    def unknown(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return payload[:7] + b"\x63" + payload[8:] if n == 20 else payload

    baseline = learn(Plant(edit=odd_plant).run(2400).sorted())
    frames = Plant(2, edit=unknown).run(60).sorted()
    loud, muted = derive(baseline), derive(baseline)
    assert any(f.frame is not None for f in judge(loud, frames))
    total = baseline.watched
    chosen = budget(muted, upper(0) / 0.75 * DAY / total * 1.01, locate)
    assert 0 < len(chosen.muted) < chosen.classes
    apply(muted, chosen)
    silenced = {c[2] for c in chosen.muted}
    (service,) = muted.services[6, 7001]
    assert set(np.flatnonzero(service.opaque & ~loud.services[6, 7001][0].opaque).tolist()) == silenced
    assert [f for f in judge(muted, frames) if f.frame is not None and f.src == f.client] == []


def test_the_answers_to_what_is_muted_are_not_told_in_its_place() -> None:
    def unknown(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return payload[:8] + b"\x63" + payload[9:] if n == 20 else payload

    frames = Plant(2, edit=unknown).run(60).sorted()
    model = learned_with_answers_that_follow()
    told = [f for f in judge(model, frames) if f.frame is not None]
    assert told
    assert {f.src == f.client for f in told} == {True}
    (digest,) = model.baseline.services[6, 7001]
    sides = model.services[6, 7001][0].sides
    requests = frozenset(((6, 7001), digest, t) for t in np.flatnonzero(sides == Side.REQUEST).tolist())
    apply(model, Budget(1.0, requests, 1.0, 0.0, 1.0, len(sides)))
    assert [f for f in judge(model, frames) if f.frame is not None] == []


def learned_with_answers_that_follow() -> Model:
    return derive(learn(Plant().run(600).sorted()))


def test_what_is_rare_is_judged_by_the_other_rare_things_of_its_conversation() -> None:
    """A conversation of which every message came once is not taken for one that never was."""
    wire = Plant().run(2400)
    wire.open(START + 500, "10.0.0.2", 50000, "10.0.0.11", 7001)
    for n in range(12):  # one in a block of 10 s each
        wire.tcp(START + (5 + 15 * n) * SECOND, "10.0.0.2", 50000, "10.0.0.11", 7001, request(n, 1, 6, 500 + n, n))
    model = derive(learn(wire.sorted()))
    (digest,) = model.baseline.services[6, 7001]
    left: list[int] = []

    def seen(
        service: ServiceModel, head: object, length: int, stream: int, answers: bool, asked: int, template: int = -1
    ) -> None:
        left.append(len(service.by_stream[stream, answers]))

    numbers = {((6, 7001), digest, t): t for t in range(len(model.services[6, 7001][0].opaque))}
    all_events(model, numbers, seen)
    assert len(left) >= 12
    assert left[:12] == [11] * 12


def test_the_same_baseline_gives_the_same_budget() -> None:
    model = derive(learn(Plant(edit=odd_plant).run(1200).sorted()))
    assert budget(model, 8000.0, locate) == budget(derive(model.baseline), 8000.0, locate)

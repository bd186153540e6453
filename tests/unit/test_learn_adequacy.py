"""How much is not known yet: the share of new things, its interval, what cannot be known, and when learning may end."""

import numpy as np
import pytest

from appliance.learn.baselines.baseline import Baseline
from appliance.learn.meaning.adequacy import Adequacy, Readiness, Share, Verdict, adequacy, earliest, good_turing, verdict
from appliance.learn.meaning.poisson import lower, occasion_size, upper
from appliance.report.learned import learned_lines
from tests.unit.dialogue import START, Plant, Wire, learn
from tests.unit.frames import SECOND

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND


@pytest.mark.parametrize(("count", "limit"), [(0, 2.9957), (1, 4.7439), (2, 6.2958), (5, 10.5130), (10, 16.9622), (100, 118.08)])
def test_the_upper_limit_is_that_of_the_tables(count: int, limit: float) -> None:
    assert upper(count) == pytest.approx(limit, rel=5e-5)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(1, 0.0253, 5.572), (3, 0.619, 8.767), (10, 4.795, 18.39), (100, 81.36, 121.6)]
)
def test_two_limits_are_garwoods_interval(count: int, low: float, high: float) -> None:
    assert (lower(count, 0.975), upper(count, 0.975)) == pytest.approx((low, high), rel=2e-3)


def test_limits_of_large_counts_go_on_where_the_small_ones_end() -> None:
    for limit in (upper, lower):
        values = [limit(k) for k in (398.0, 398.9, 399.1, 400.1, 401.0)]
        assert values == sorted(values)
        assert limit(399.05) == pytest.approx((limit(398.9) + limit(399.2)) / 2, rel=1e-4)
    assert lower(0) == 0


def seen(counts: np.ndarray[tuple[int], np.dtype[np.int64]], blocks: int = 100) -> Share | None:
    """Things that came each on occasions of its own."""
    first = np.arange(len(counts)) * HOUR
    return good_turing(counts, first, first + (counts - 1) * HOUR, HOUR, blocks * HOUR)


def test_the_share_is_what_was_seen_once_among_all() -> None:
    share = seen(np.array([1, 1, 4, 10], np.int64), 10)
    assert share is not None
    assert (share.once, share.all_, share.share, share.number) == (2, 16, 2 / 16, 2 / 10)
    assert share.low < share.share < share.high <= 1
    assert share.number_low < share.number < share.number_high
    assert seen(np.zeros(0, np.int64)) is None


def test_without_anything_rare_the_upper_limit_is_the_rule_of_three() -> None:
    share = seen(np.full(50, 100, np.int64), 100)
    assert share is not None
    assert (share.share, share.low) == (0, 0)
    assert share.number_high == pytest.approx(3 / 100, rel=2e-3)


def test_fifty_things_that_came_at_once_are_one_occasion() -> None:
    ones = np.ones(50, np.int64)
    apart = good_turing(ones, np.arange(50) * HOUR, np.arange(50) * HOUR, HOUR, 100 * HOUR)
    together = good_turing(ones, ones, ones, HOUR, 100 * HOUR)
    assert apart is not None
    assert together is not None
    assert (apart.number_low, apart.number_high) == pytest.approx((lower(50) / 100, upper(50) / 100))
    assert (together.number_low, together.number_high) == pytest.approx((50 * lower(1) / 100, 50 * upper(1) / 100), rel=0.02)


def test_the_interval_holds_what_really_comes_next() -> None:
    """Kinds of very different rates for 100 blocks: what is expected of block 101 lies in the 90 % interval."""
    generator = np.random.default_rng(7)
    chance = 1 - np.exp(-1 / np.arange(1, 1001))
    inside = 0
    for _ in range(200):
        came = generator.random((100, 1000)) < chance
        counts = came.sum(axis=0)
        use = counts > 0
        first, last = came.argmax(axis=0) * HOUR, (99 - came[::-1].argmax(axis=0)) * HOUR
        share = good_turing(counts[use].astype(np.int64), first[use], last[use], HOUR, 100 * HOUR)
        assert share is not None
        inside += share.number_low <= chance[~use].sum() <= share.number_high
    assert inside >= 165


def test_a_length_of_which_less_than_two_were_watched_is_not_knowable() -> None:
    blocks = adequacy(Baseline(watched=3 * HOUR))
    assert [block.knowable for block in blocks] == [True, True, False]
    assert all(block.messages is None for block in blocks)
    assert [block.knowable for block in adequacy(Baseline(watched=2 * HOUR - 1))] == [True, False, False]
    assert verdict(blocks, 3 * HOUR).readiness is Readiness.NOTHING


def test_an_occasion_is_shorter_where_less_was_watched() -> None:
    apart = np.arange(12) * 20 * SECOND
    nothing = np.zeros((2, 0), np.int64)
    assert occasion_size(apart, nothing, 240.0 * SECOND) == pytest.approx(1, abs=0.01)
    assert occasion_size(apart, nothing, 10.0 * DAY) > 11


def test_a_plant_that_only_polls_is_known_and_one_that_says_new_things_is_not() -> None:
    known = adequacy(learn(Plant().run(2400).sorted()))[0].messages
    growing = adequacy(learn(Plant(edit=_two_new_units).run(2400).sorted()))[0].messages
    assert known is not None
    assert growing is not None
    assert known.once == 0
    assert growing.once == 2 * 2  # two new requests and their answers
    assert growing.number == pytest.approx(1, rel=0.05)  # in four minutes
    assert growing.number_low < 1 < growing.number_high


def _two_new_units(n: int, d: int, asks: bool, payload: bytes) -> bytes:
    return payload[:6] + bytes([100 + n // 600]) + payload[7:] if n in (700, 1900) and d == 0 else payload


def block(unit: int, knowable: bool, high: float) -> Adequacy:
    share = Share(1, 100, high / 2, 0.0, high, 1.0, 0.0, 2.0)
    return Adequacy(unit, knowable, share, share)


@pytest.mark.parametrize(
    ("hours", "high", "readiness"),
    [(1, 0.0, Readiness.SHORT), (2, 0.5, Readiness.LEARNING), (2, 0.02, Readiness.ENOUGH), (60, 0.03, Readiness.LEARNING)],
)
def test_learning_ends_when_an_hour_is_knowable_and_little_is_new(hours: int, high: float, readiness: Readiness) -> None:
    watched = hours * HOUR
    found = verdict(tuple(block(u, watched >= 2 * u, high) for u in (MINUTE, HOUR, DAY)), watched)
    assert found.readiness is readiness
    assert found.block_ns == (DAY if hours >= 48 else HOUR if hours >= 2 else MINUTE)
    assert found.cycle_ns == watched // 2


def test_a_conversation_that_came_once_counts_as_new_for_each_length() -> None:
    wire = Wire()
    for n in range(30):
        wire.udp(START + n * 10 * SECOND, "10.0.0.1", 5000, "10.0.0.2", 6000, b"poll" + bytes(4))
    wire.udp(START + 100 * SECOND, "10.0.0.3", 5000, "10.0.0.2", 6000, b"poll" + bytes(4))
    shares = [b.conversations for b in adequacy(learn(wire.sorted()))]
    assert [s.once for s in shares if s is not None] == [1, 2, 2]


@pytest.mark.parametrize(
    ("watched", "words"),
    [(MINUTE, "too short to judge"), (3 * HOUR, "go on learning; at most 100 % of a next hour is new"), (0, "nothing was seen")],
)
def test_the_verdict_is_said_in_words(watched: int, words: str) -> None:
    baseline = learn(Plant(edit=_two_new_units).run(2400).sorted()) if watched else Baseline()
    baseline.watched = watched
    assert f"verdict: {words}" in list(learned_lines("plant", baseline, "0" * 16))[-2]


@pytest.mark.parametrize(
    ("readiness", "block", "new", "watched", "goal", "left"),
    [
        (Readiness.NOTHING, 0, 1.0, 0, 0, None),
        (Readiness.SHORT, MINUTE, 0.3, HOUR, 0, HOUR),
        (Readiness.LEARNING, HOUR, 0.08, 3 * HOUR, 0, 8 * HOUR),
        (Readiness.LEARNING, HOUR, 1.0, 3 * HOUR, 0, None),
        (Readiness.ENOUGH, HOUR, 0.02, 3 * HOUR, 0, 0),
        (Readiness.SHORT, MINUTE, 0.3, HOUR, 8 * HOUR, 7 * HOUR),
        (Readiness.LEARNING, HOUR, 0.3, 9 * HOUR, 8 * HOUR, 0),
    ],
)
def test_how_long_learning_still_takes_at_the_least(
    readiness: Readiness, block: int, new: float, watched: int, goal: int, left: int | None
) -> None:
    assert earliest(Verdict(readiness, block, new, watched // 2), watched, goal) == left


def test_the_time_that_was_said_is_enough_where_nothing_new_comes() -> None:
    hours = 4
    counts = np.concatenate([np.full(40, hours), np.ones(2, np.int64)])
    share = seen(counts, hours)
    assert share is not None
    found = Verdict(Readiness.LEARNING, HOUR, share.high, hours * HOUR // 2)
    left = earliest(found, hours * HOUR)
    assert left is not None
    later = hours + 1 + -(-left // HOUR)
    after = seen(np.concatenate([np.full(40, later), np.ones(2, np.int64)]), later)
    before = seen(np.concatenate([np.full(40, later // 2), np.ones(2, np.int64)]), later // 2)
    assert after is not None
    assert before is not None
    assert after.high <= 0.0225
    assert before.high > 0.02

"""Requests that no one answers by their nature silence nobody: the others of their conversation are still missed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from appliance.detect.finding import Kind
from appliance.learn.counting.counts import RowTable
from appliance.learn.counting.sparse import counted
from appliance.learn.meaning.model import derive
from appliance.learn.timing.pace import derive_pace
from appliance.learn.timing.rhythm import MAX_BINS, Rhythm, gap_bin
from appliance.pipeline import learn_session
from tests.order_time.score import judge
from tests.order_time.traffic import SECOND, Exchange, Traffic, frames_of
from tests.unit.dialogue import START, answer, passes, request

MILLI = SECOND // 1000
FLOW = (17, "10.0.0.1", 40_000, "10.0.0.11", 7001)


def plant(seconds: int, start: int, lost: frozenset[int] = frozenset()) -> Traffic:
    """Three reads a second, and every fourth second one of a register that the device does not have and never answers."""
    random, found = np.random.default_rng(seconds), list[Exchange]()
    for n in range(seconds):
        for k, register in enumerate((0, 100, 200, 900) if n % 4 == 3 else (0, 100, 200)):
            at, number = start + n * SECOND + k * 200 * MILLI + int(random.integers(0, MILLI)), 4 * n + k
            told = answer(number, 1, 3, random.integers(0, 256, 4, np.uint8).tobytes())
            answers = () if register == 900 or number in lost else ((at + 3 * MILLI, told),)
            found.append(Exchange(FLOW, at, request(number, 1, 3, register, 2), answers))
    return Traffic(found, [])


def test_what_nobody_ever_answers_is_not_missed_and_what_else_stays_without_an_answer_is() -> None:
    model = derive(learn_session(passes(frames_of(plant(300, START)))))
    pace = model.services[17, 7001][0].pace
    assert pace.answered.all()
    assert np.count_nonzero(pace.loses) == 1
    clean = plant(120, START + 3600 * SECOND)
    assert judge(model, frames_of(clean)) == []
    gone = clean.exchanges[200]
    assert gone.answers
    found = judge(model, frames_of(clean.with_({gone}, [replace(gone, answers=())])))
    assert [(f.kind, f.time_ns) for f in found] == [(Kind.MISSING_ANSWER, gone.at)]


def test_answers_that_a_line_loses_are_no_nature_of_a_request() -> None:
    """Losses here and there say that any may be lost: then none is missed."""
    lost = frozenset(int(n) for n in np.random.default_rng(5).choice(1200, 12, replace=False))
    pace = derive(learn_session(passes(frames_of(plant(300, START, lost))))).services[17, 7001][0].pace
    assert not pace.answered.any()
    assert np.count_nonzero(pace.loses) == 1


def pace_of(gaps: list[float]) -> Callable[[float], bool]:
    """Whether a gap (seconds) is usual for a request that came in these."""
    row = np.full(len(gaps), 5, np.uint64)
    bins = gap_bin((np.array(gaps) * SECOND).astype(np.int64)).astype(np.uint64)
    said = Rhythm(gaps=counted(row, bins, np.arange(len(gaps)), MAX_BINS), rows=row[:1], busy=np.ones(1, np.int64))
    pace = derive_pace(said, RowTable())
    assert pace.timed.all()
    return lambda gap: bool(pace.usual(np.zeros(1, np.intp), gap_bin(np.array([int(gap * SECOND)])))[0])


def test_few_gaps_that_spread_wide_have_no_sure_limits_and_many_or_steady_ones_do() -> None:
    """Of a set-point that is written now and then the next gap is beyond all others in one of n / 2 cases."""
    random = np.random.default_rng(2)
    spread = random.uniform(12, 40, 24).tolist()
    few, many, steady = pace_of(spread * 2), pace_of(spread * 8), pace_of(random.uniform(9.9, 10.1, 48).tolist())
    assert [few(gap) for gap in (3, 7, 75, 160)] == [False, True, True, False]
    assert [many(gap) for gap in (7, 75)] == [False, False]
    assert [steady(gap) for gap in (8, 10, 12)] == [False, True, False]

"""Which request an answer belongs to, where some kinds of requests carry no number that it repeats."""

import struct
from dataclasses import replace

import numpy as np

from appliance.detect.finding import Kind
from appliance.learn.meaning.model import derive
from appliance.pipeline import learn_session
from tests.order_time.score import judge
from tests.order_time.traffic import SECOND, Exchange, Traffic, frames_of
from tests.unit.dialogue import START, answer, passes, request

MILLI = SECOND // 1000
FLOW = (6, "10.0.0.1", 40_000, "10.0.0.11", 7001)


def plant(seconds: int, start: int = START) -> Traffic:
    """Five numbered reads a second; every third second twice the date in one go, unnumbered, answered in their order."""
    random, found = np.random.default_rng(seconds), list[Exchange]()
    for n in range(seconds):
        for k in range(5):
            at = start + n * SECOND + k * 150 * MILLI + int(random.integers(0, MILLI))
            asks, number = request(5 * n + k, 1, 3, 100 * k, 2), 5 * n + k
            told = answer(number, 1, 3, random.integers(0, 256, 4, np.uint8).tobytes())
            found.append(Exchange(FLOW, at, asks, ((at + 3 * MILLI, told),)))
        if n % 3 == 2:
            at = start + n * SECOND + 850 * MILLI
            date, tell = b"\x24\x06\x00\x00\x00\x03\x01\x2b", b"\x81\x00\x00\x00\x00\x06\x01\x2b\x20\x26\x11\x21"
            contexts = [struct.pack(">B", (2 * n + k) % 256) for k in range(2)]
            found += [Exchange(FLOW, at + k * MILLI, date + c, ((at + (20 + k) * MILLI, tell),)) for k, c in enumerate(contexts)]
    return Traffic(found, [])


def test_two_alike_on_the_way_at_once_are_both_answered() -> None:
    model = derive(learn_session(passes(frames_of(plant(300)))))
    pace = model.services[6, 7001][0].pace
    assert pace.answered.all()
    assert pace.asked.all()


def test_one_that_stays_without_its_answer_is_told_and_no_answer_is_one_too_many() -> None:
    model = derive(learn_session(passes(frames_of(plant(300)))))
    clean = plant(120, START + 3600 * SECOND)
    assert judge(model, frames_of(clean)) == []
    twins = [e for e in clean.exchanges if e.asks[7] == 0x2B][20:22]
    for lost in (twins[0], twins[1], next(e for e in clean.exchanges if e.at > clean.exchanges[300].at)):
        found = judge(model, frames_of(clean.with_({lost}, [replace(lost, answers=())])))
        assert [f.kind for f in found] == [Kind.MISSING_ANSWER]
    again = replace(twins[1], answers=(*twins[1].answers, (twins[1].answers[0][0] + MILLI, twins[1].answers[0][1])))
    assert [f.kind for f in judge(model, frames_of(clean.with_({twins[1]}, [again])))] == [Kind.UNASKED_ANSWER]

"""What servers send by themselves has a pace and an order of its own; what belongs to an answer has none."""

import struct
from dataclasses import replace

import numpy as np

from appliance.detect.finding import Kind
from appliance.learn.meaning.model import Model, derive
from appliance.pipeline import learn_session
from tests.order_time.others import others
from tests.order_time.score import judge, learned
from tests.order_time.traffic import SECOND, Exchange, Traffic, exchanges, frames_of
from tests.unit.dialogue import START, answer, passes, request
from tests.unit.dialogue import judge as findings

MILLI = SECOND // 1000
PLANT = next(plant for plant in others(3) if plant.name == "pushed")


def test_a_value_that_is_not_published_is_told_at_its_server() -> None:
    model, clean = learned(PLANT), exchanges(PLANT.test)
    assert judge(model, PLANT.test) == []
    gone = clean.exchanges[len(clean.exchanges) // 2]
    assert not gone.answers  # one that nobody asked for
    found = judge(model, frames_of(clean.with_({gone}, [])))
    assert [f.kind for f in found] == [Kind.PERIOD_CHANGE] or {f.kind for f in found} == {Kind.WRONG_ORDER}
    assert {f.src for f in found} == {gone.flow[1]}
    assert all(gone.at < f.time_ns < gone.at + 10 * SECOND for f in found)


def test_batches_end_anywhere() -> None:
    model, clean = learned(PLANT), exchanges(PLANT.test)
    gone = clean.exchanges[len(clean.exchanges) // 2]
    frames = frames_of(clean.with_({gone}, []))
    told = [[(f.kind, f.frame, f.time_ns) for f in findings(model, frames, most)] for most in (32768, 5)]
    assert told[0] == told[1] != []
    parts = derive(learn_session(passes(PLANT.train, 7)))
    assert (parts.services[6, 7001][0].pushed.normal == model.services[6, 7001][0].pushed.normal).all()


def polled(seconds: int, start: int, seed: int) -> Traffic:
    """Each answer comes in two segments that are two messages, the second of which no request calls for."""
    random, found = np.random.default_rng(seed), list[Exchange]()
    flow = (6, "10.0.0.1", 40_000, "10.0.0.11", 7001)
    for n in range(seconds):
        at = start + n * SECOND + int(random.integers(0, MILLI))
        tell = answer(n, 1, 3, random.integers(0, 256, 4, np.uint8).tobytes())
        more = struct.pack(">HHHBB", 0, 0, 6, 1, 99) + random.integers(0, 256, 4, np.uint8).tobytes()
        answers = ((at + 3 * MILLI, tell), (at + 5 * MILLI + int(random.integers(0, 60)) * MILLI, more))
        found.append(Exchange(flow, at, request(n, 1, 3, 0, 2), answers))
    return Traffic(found, [])


def test_the_rest_of_an_answer_is_none() -> None:
    model: Model = derive(learn_session(passes(frames_of(polled(240, START, 1)))))
    service = model.services[6, 7001][0]
    assert len(service.pace.rows) == 1
    assert len(service.pushed.rows) == 0
    clean = polled(120, START + 3600 * SECOND, 2)
    late = clean.exchanges[60]
    later = replace(late, answers=(late.answers[0], (late.answers[1][0] + 150 * MILLI, late.answers[1][1])))
    assert judge(model, frames_of(clean.with_({late}, [later]))) == []

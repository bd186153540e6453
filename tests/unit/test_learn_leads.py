"""Requests of one list keep their order, however many lists run side by side in their conversation."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from appliance.detect.finding import Kind
from appliance.learn.baselines.baseline import merge
from appliance.learn.baselines.codec import baseline_from, baseline_json
from appliance.learn.meaning.model import Model, derive
from appliance.pipeline import learn_session
from tests.order_time.score import judge
from tests.order_time.traffic import SECOND, Exchange, Traffic, frames_of
from tests.unit.dialogue import START, answer, passes, request
from tests.unit.dialogue import judge as findings

MILLI = SECOND // 1000
FLOW = (6, "10.0.0.1", 40_000, "10.0.0.11", 7001)
LISTS = ((1000, (10, 20, 30)), (1300, (40, 50, 60)), (1700, (70, 80)))  # period in ms and registers


def lists(seconds: int, seed: int, start: int = START) -> Traffic:
    """Three lists on one connection, each with its own period and jitter, so that their requests mix anew in each round."""
    random, due = np.random.default_rng(seed), []
    for period, registers in LISTS:
        for n in range(seconds * 1000 // period):
            at = start + n * period * MILLI + int(random.integers(0, 20 * MILLI))
            for register in registers:
                due.append((at, register))
                at += 8 * MILLI + int(random.integers(0, 4 * MILLI))
    found, free = list[Exchange](), 0
    for number, (at, register) in enumerate(sorted(due)):
        now = max(at, free)
        told = now + 2 * MILLI + int(random.integers(0, MILLI))
        body = answer(number, 1, 3, random.integers(0, 256, 4, np.uint8).tobytes())
        found.append(Exchange(FLOW, now, request(number, 1, 3, register, 2), ((told, body),)))
        free = told + MILLI
    return Traffic(found, [])


@pytest.fixture(scope="module")
def model() -> Model:
    return derive(learn_session(passes(frames_of(lists(240, 1)))))


def register(e: Exchange) -> int:
    return int.from_bytes(e.asks[8:10], "big")


def test_each_request_of_a_list_follows_one_of_its_own_and_the_first_follows_none(model: Model) -> None:
    service = model.services[6, 7001][0]
    pace, table = service.pace, service.table
    order = np.argsort(table.row)
    at = order[np.searchsorted(table.row[order], pace.rows)]
    registers = (table.bytes[at, 8].astype(int) << 8 | table.bytes[at, 9]).tolist()
    leader = {registers[i]: registers[k] if k >= 0 else None for i, k in enumerate(pace.leader.tolist())}
    assert leader == {10: None, 20: 10, 30: 20, 40: None, 50: 40, 60: 50, 70: None, 80: 70}
    assert not pace.led.any()  # the step from one request to the next says nothing here


def test_two_requests_that_change_places_are_told_and_nothing_else_is(model: Model) -> None:
    clean = lists(120, 2, START + 3600 * SECOND)
    assert judge(model, frames_of(clean)) == []
    pairs = [(a, b) for a, b in pairwise(clean.exchanges) if (register(a), register(b)) in ((20, 30), (50, 60), (70, 80))]
    for a, b in pairs[20:60:10]:
        found = judge(model, frames_of(clean.with_({a, b}, [b.moved(a.at), a.moved(b.at)])))
        assert Kind.WRONG_ORDER in {f.kind for f in found}
        assert {f.kind for f in found} <= {Kind.WRONG_ORDER, Kind.PERIOD_CHANGE}
        assert all(abs(f.time_ns - a.at) < 3 * SECOND for f in found)


def test_a_message_in_the_place_of_the_leader_is_told_by_its_bytes_only(model: Model) -> None:
    clean = lists(120, 2, START + 3600 * SECOND)
    a = [e for e in clean.exchanges if register(e) == 50][40]
    changed = replace(a, asks=a.asks[:8] + b"\x77\x77" + a.asks[10:])
    found = judge(model, frames_of(clean.with_({a}, [changed])))
    assert not any(f.kind is Kind.WRONG_ORDER for f in found)


def test_lists_that_are_learned_in_parts_are_learned_as_well() -> None:
    parts = [learn_session(passes(frames_of(lists(120, n, START + n * 600 * SECOND)))) for n in range(2)]
    both = merge(*parts)
    pace = derive(both).services[6, 7001][0].pace
    assert np.count_nonzero(pace.leader >= 0) == 5
    head, arrays = baseline_json(both)
    assert (derive(baseline_from(head, arrays)).services[6, 7001][0].pace.leader == pace.leader).all()
    older = {name: array for name, array in arrays.items() if not name.endswith(".leads")}  # counted before leads were
    assert (derive(baseline_from(head, older)).services[6, 7001][0].pace.leader == -1).all()


def test_batches_end_anywhere(model: Model) -> None:
    frames = frames_of(lists(60, 3))
    whole, parts = (baseline_json(learn_session(passes(frames, most)))[1] for most in (32768, 7))
    assert whole.keys() == parts.keys()
    assert all((array == parts[name]).all() for name, array in whole.items())
    clean = lists(60, 2, START + 3600 * SECOND)
    a, b = next((a, b) for a, b in pairwise(clean.exchanges[60:]) if (register(a), register(b)) == (50, 60))
    swapped = frames_of(clean.with_({a, b}, [b.moved(a.at), a.moved(b.at)]))
    told = [[(f.kind, f.frame, f.time_ns) for f in findings(model, swapped, most)] for most in (32768, 5)]
    assert told[0] == told[1] != []

"""A known conversation that carries far more than it ever did is a flood: one finding for every ten seconds of it."""

import pytest

from appliance.detect.finding import Kind
from appliance.detect.rates import MORE
from appliance.learn.meaning.model import Model, derive
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Wire, answer, judge, learn, request
from tests.unit.frames import SECOND

DEVICE, LATER = "10.0.0.11", START + 3600 * SECOND


def polls(number: int, gap: int, start: int) -> Frames:
    wire = Wire()
    for n in range(number):
        wire.tcp(start + n * gap, CENTRE, 40000, DEVICE, 7001, request(n, 1, 3, 0, 1))
        wire.tcp(start + n * gap + gap // 2, DEVICE, 7001, CENTRE, 40000, answer(n, 1, 3, b"\x01\x02"))
    return wire.sorted()


@pytest.fixture(scope="module")
def model() -> Model:
    """Ten polls a second: 200 frames in ten seconds."""
    return derive(learn(polls(600, 100 * MILLI, START)))


@pytest.mark.parametrize("most", [50, 32768])
def test_four_times_the_rate_is_a_flood_told_once_per_block(model: Model, most: int) -> None:
    found = [f for f in judge(model, polls(800, 25 * MILLI, LATER), most) if f.kind is Kind.FLOOD and f.count >= 200 + MORE]
    assert len(found) == 2  # 20 seconds of 800 frames in ten
    assert all((f.src, f.dst, f.service) == (CENTRE, DEVICE, "tcp/7001") for f in found)


def test_twice_the_rate_is_no_flood_but_another_period(model: Model) -> None:
    assert [f.kind for f in judge(model, polls(400, 50 * MILLI, LATER))] == [Kind.PERIOD_CHANGE]

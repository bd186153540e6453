"""Numbers in answers: a value may drift, and step inside what it has shown; a jump out of it is told, once, with its bytes."""

import math
import struct
from collections.abc import Callable

import numpy as np
import pytest

from appliance.detect.content import IN_HEADER
from appliance.detect.finding import Kind
from appliance.detect.values import _carried, _Fields
from appliance.learn.meaning.model import Model, derive
from appliance.learn.messages.words import SPAN, no_limits, steps, words_of
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Wire, answer, judge, learn, request
from tests.unit.frames import SECOND

DEVICE, LATER = "10.0.0.11", START + 3600 * SECOND
Value = Callable[[int], bytes]


def run(value: Value, polls: int, start: int) -> Frames:
    """One register polled every half second; `value` gives the data of each answer."""
    wire = Wire()
    for n in range(polls):
        at = start + n * 500 * MILLI
        wire.tcp(at, CENTRE, 40000, DEVICE, 7001, request(n, 1, 3, 0, 1))
        wire.tcp(at + MILLI, DEVICE, 7001, CENTRE, 40000, answer(n, 1, 3, value(n)))
    return wire.sorted()


def level(n: int) -> int:
    """A level that goes up and down between 400 and 500 in steps of at most 8."""
    return 450 + round(50 * math.sin(n / 7))


def integer(n: int) -> bytes:
    return struct.pack(">H", level(n))


def real(n: int, order: str = ">") -> bytes:
    return struct.pack(order + "f", level(n) / 10)


@pytest.fixture(scope="module", params=["integer", "real"])
def case(request: pytest.FixtureRequest) -> tuple[Model, Value, Callable[[float], bytes]]:
    """A model, the values it was learned with, and how a value is written."""
    write = (lambda v: struct.pack(">H", round(v))) if request.param == "integer" else (lambda v: struct.pack(">f", v / 10))
    value = integer if request.param == "integer" else real
    return derive(learn(run(value, 300, START))), value, write


def test_values_like_the_learned_are_normal(case: tuple[Model, Value, Callable[[float], bytes]]) -> None:
    model, value, _ = case
    assert judge(model, run(lambda n: value(n + 40), 200, LATER)) == []


def test_a_jump_far_out_is_told_with_its_bytes(case: tuple[Model, Value, Callable[[float], bytes]]) -> None:
    model, value, write = case
    found = judge(model, run(lambda n: write(3000.0) if 100 <= n < 110 else value(n), 200, LATER))
    assert {f.kind for f in found} == {Kind.UNKNOWN_VALUE}
    assert found[0].frame == 2 * 100 + 2
    assert len(found) <= IN_HEADER  # told once, beside the header thrice, and not on the way back
    (first, end), *more = found[0].ranges
    assert (first, more) == (9, [])
    assert found[0].seen == write(3000.0)[: end - first]
    assert found[0].normal


def test_a_slow_drift_is_no_jump(case: tuple[Model, Value, Callable[[float], bytes]]) -> None:
    model, _, write = case
    assert judge(model, run(lambda n: write(450.0 + 4 * n), 200, LATER)) == []


@pytest.mark.parametrize("most", [1, 7, 32768])
def test_jumps_do_not_depend_on_batches(case: tuple[Model, Value, Callable[[float], bytes]], most: int) -> None:
    model, value, write = case
    frames = run(lambda n: write(3000.0) if n == 100 else value(n), 200, LATER)
    assert [f.frame for f in judge(model, frames, most)] == [202]


def test_limits_are_the_same_however_a_capture_is_batched() -> None:
    frames = run(integer, 120, START)
    tables = [next(iter(learn(frames, most).services[6, 7001].values())).table for most in (1, 13, 32768)]
    assert all(np.array_equal(tables[0].limits, t.limits) for t in tables[1:])
    assert tables[0].limits[:, 1].any()


def test_windows_are_read_in_both_byte_orders() -> None:
    words = words_of(np.array([[1, 2, 3]], np.uint8))
    assert words.shape == (1, 2, SPAN)
    assert words[0, 0, :3].tolist() == [0x0102, 0x0203, 0]
    assert words[0, 1, :3].tolist() == [0x0201, 0x0302, 0]
    assert steps(words, words_of(np.array([[1, 1, 3]], np.uint8)))[0, 0, :2].tolist() == [1, 0x100]
    assert no_limits(2)[:, 0].min() == 0xFFFF


def noisy(n: int, base: float) -> float:
    """A real value whose lower bits are never the same."""
    return base + 10 * math.sin(n / 7) + 0.001 * math.sin(n * 1.7)


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_real_value_may_pass_zero_after_ten_minutes_but_not_grow_out_of_its_domain(order: str, sign: int) -> None:
    """Too short a learning for the process image: the ranges of both halves say that it is a single."""
    model = derive(learn(run(lambda n: struct.pack(order + "f", sign * noisy(n, 30.0)), 300, START)))
    assert model.process.singles() == frozenset()
    falling = run(lambda n: struct.pack(order + "f", sign * noisy(n, 30.0 - 0.3 * n)), 200, LATER)
    assert judge(model, falling[:280]) == []
    grown = run(lambda n: struct.pack(order + "f", sign * (noisy(n, 30.0) + 3e6 * (n == 100))), 200, LATER)
    assert [f.frame for f in judge(model, grown)] == [202]


@pytest.mark.parametrize(
    ("before", "now", "jumped", "carried"),
    [
        ((0x00F6, 0x4AF6), (0x0004, 0x4B04), (True, False), True),  # the second one has carried by 14
        ((0x00F6, 0x4AF6), (0x0004, 0x4A04), (True, True), False),  # it has leapt itself
        ((0x00F6, 0x4AF6), (0x0104, 0x4B04), (True, False), False),  # the byte in front has changed, too
        ((0x00F6, 0x4AF6), (0x0004, 0x4C04), (True, False), False),
    ],
)
def test_the_lower_byte_of_a_little_endian_number_is_no_number_with_what_stands_before_it(
    before: tuple[int, int], now: tuple[int, int], jumped: tuple[bool, bool], carried: bool
) -> None:
    low, high, jump = (np.array([pair]) for pair in ((70, 0x4A00), (250, 0x4B00), (120, 120)))
    fields = _Fields(np.array([0, 1]), np.array([21, 22]), low, high, jump, *np.zeros((2, 1, 2), bool))
    assert _carried(fields, 0, np.array(now), np.array(before), np.array(jumped)).tolist() == [carried, False]


def bcd(tenths: int) -> bytes:
    return bytes.fromhex(f"{tenths:06d}")


def test_figures_that_carry_in_bcd_are_no_jump_and_a_jump_of_as_many_bits_is_one() -> None:
    """Learned below 1000, then on to 1020 by steps of one; 0999 and 1000 differ by 0x667."""
    model = derive(learn(run(lambda n: bcd(950 + round(40 * math.sin(n / 9))), 300, START)))
    assert judge(model, run(lambda n: bcd(min(960 + n // 3, 1020)), 200, LATER)) == []
    (told,) = judge(model, run(lambda n: bcd(2600 if n == 100 else 960), 200, LATER))[:1]
    assert told.frame == 202

"""What carries is no change: the byte beside a rising number; what stands beside a check or a counter's low end is one."""

import hashlib
import math
import struct
from collections.abc import Callable

import pytest

from appliance.detect.finding import Finding
from appliance.learn.meaning.model import derive
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Wire, answer, judge, learn, request
from tests.unit.frames import SECOND

POLLS = 1000
DEVICE, LATER = "10.0.0.11", START + 3600 * SECOND


def run(ask: Callable[[int], bytes], tell: Callable[[int], bytes], polls: int, start: int) -> Frames:
    wire = Wire()
    for n in range(polls):
        at = start + n * 500 * MILLI
        wire.tcp(at, CENTRE, 40000, DEVICE, 7001, ask(n))
        wire.tcp(at + MILLI, DEVICE, 7001, CENTRE, 40000, tell(n))
    return wire.sorted()


def checked(number: int, tag: int) -> bytes:
    """A request with a tag of one byte and a check of four right behind it."""
    body = request(number, 1, 3, 0, 1) + bytes([tag])
    return body + hashlib.sha256(body).digest()[:4]


def found(ask: Callable[[int, int], bytes], tell: Callable[[int], bytes], learned: int, now: int) -> list[Finding]:
    model = derive(learn(run(lambda n: ask(n, learned), tell, POLLS, START)))
    return judge(model, run(lambda n: ask(n + POLLS, now if n % 10 == 9 else learned), lambda n: tell(n + POLLS), 200, LATER))


CHANGED = {2 * n + 1 for n in range(9, 200, 10)}


def plain(n: int) -> bytes:
    return answer(n, 1, 3, struct.pack(">H", 450))


@pytest.mark.parametrize("tag", [0x30, 0x7F, 0x01])
def test_a_value_one_higher_in_front_of_a_check_is_told_each_time(tag: int) -> None:
    """The first byte of a check goes anywhere, so half the time it looks like the lower part of a number that has carried."""
    told = {f.frame for f in found(checked, plain, tag, tag + 1) if f.ranges[0][0] == 12}
    assert told == CHANGED


def test_a_constant_in_front_of_a_little_endian_counter_does_not_carry() -> None:
    def ask(n: int, mark: int) -> bytes:
        return b"\x68\x08" + struct.pack("<BHH", mark, 350 * n & 0xFFFF, 7) + b"\x01\x02\x03"

    told = {f.frame for f in found(ask, plain, 1, 2)}
    assert told == CHANGED


def test_a_level_that_crosses_a_multiple_of_256_is_normal() -> None:
    def level(n: int) -> bytes:
        return answer(n, 1, 3, struct.pack(">H", 400 + round(40 * math.sin(n / 9)) + (n - POLLS) * (n > POLLS)))

    assert found(lambda n, _: request(n, 1, 3, 0, 1), level, 0, 0) == []


@pytest.mark.parametrize("order", [">", "<"])
def test_a_clock_in_seconds_that_answers_repeat_may_carry_in_either_byte_order(order: str) -> None:
    """Six requests in each: the seconds are no counter, and only their last byte moved while learning."""

    def seconds(n: int) -> bytes:
        return struct.pack(order + "I", 0x5365F100 + n % POLLS // 6 + (240 if n >= POLLS else 0))

    def clock(n: int, mark: int) -> bytes:
        return b"\x7e" + seconds(n) + bytes([0x11 + 0x11 * (n % 3 == 0), mark])

    def tell(n: int) -> bytes:
        return b"\x7e" + seconds(n) + b"\x91" + hashlib.sha256(bytes([n % 251])).digest()[:2]

    assert found(clock, tell, 1, 1) == []
    assert {f.frame for f in found(clock, tell, 1, 2) if f.frame} == CHANGED


def figures(value: float) -> bytes:
    return answer(0, 1, 3, b"%.2f;%.2f" % (value, value / 3))


def test_a_number_in_text_may_grow_a_figure_and_the_answer_with_it() -> None:
    """Learned below 100; what is longer by more than its figures may be, or carries none, is told."""
    model = derive(learn(run(lambda n: request(0, 1, 3, 0, 1), lambda n: figures(80 + 15 * math.sin(n / 9)), 400, START)))

    def judged(tell: Callable[[int], bytes]) -> list[int | None]:
        return [f.frame for f in judge(model, run(lambda n: request(0, 1, 3, 0, 1), tell, 100, LATER))]

    assert judged(lambda n: figures(80 + n / 2)) == []
    assert judged(lambda n: answer(0, 1, 3, b"80.00;26.671234567" if n == 50 else figures(80 + n % 9)[9:])) == [102]
    assert judged(lambda n: answer(0, 1, 3, b"not a number" if n == 50 else figures(80 + n % 9)[9:])) == [102]

"""Content that says nothing: what stands in front of the noise is watched all the same."""

import zlib

import numpy as np
import pytest

from appliance.detect.finding import Kind
from appliance.learn.meaning.model import Model, derive
from tests.unit.dialogue import START, Plant, judge, learn
from tests.unit.frames import SECOND

LATER = START + 3600 * SECOND
SEALED = bytes.fromhex("170303")  # a header of three bytes, as TLS has


def sealed(n: int, d: int, asks: bool, payload: bytes) -> bytes:
    """Header, unit, and 24 bytes that nobody can read."""
    return SEALED + bytes([d]) + np.random.default_rng((n, d, asks)).bytes(24)


def checked(n: int, d: int, asks: bool, payload: bytes) -> bytes:
    """The message and a check over it: the counter in it makes the check look like noise."""
    return payload + zlib.crc32(payload).to_bytes(4, "big")[:2]


@pytest.fixture(scope="module")
def encrypted() -> Model:
    return derive(learn(Plant(1, edit=sealed).run(600).sorted()))


@pytest.fixture(scope="module")
def with_check() -> Model:
    return derive(learn(Plant(1, devices=1, edit=checked).run(3000).sorted()))


def test_other_noise_is_normal(encrypted: Model) -> None:
    plant = Plant(2, edit=lambda n, d, asks, payload: sealed(n + 10_000, d, asks, payload), opens=False)
    assert judge(encrypted, plant.run(200, LATER).sorted()) == []


@pytest.mark.parametrize("at", [0, 1, 2, 3])
@pytest.mark.parametrize("asks", [True, False])
def test_a_header_in_front_of_noise_is_watched_in_a_flood_of_unknown_messages_too(encrypted: Model, at: int, asks: bool) -> None:
    def edit(n: int, d: int, is_request: bool, payload: bytes) -> bytes:
        message = sealed(n + 10_000, d, is_request, payload)
        hit = n == 150 and d == 0 and is_request == asks
        return message[:at] + b"\x99" + message[at + 1 :] if hit else message

    found = judge(encrypted, Plant(2, edit=edit, opens=False).run(200, LATER).sorted())
    assert [(f.frame, f.ranges, f.seen) for f in found] == [(150 * 4 + (1 if asks else 2), ((at, at + 1),), b"\x99")]
    assert found[0].kind is (Kind.UNKNOWN_COMMAND if asks else Kind.UNKNOWN_VALUE)


def test_a_check_over_a_counter_is_open_and_everything_else_stays_watched(with_check: Model) -> None:
    (service,) = with_check.services[6, 7001]
    requests = [t for t in service.structure.templates if t.side == 0]
    assert requests
    for template in requests:
        assert not template.closed[12:14].any()  # the check
        assert template.closed[6:8].all()  # unit and function

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        hit = n == 50 and asks
        return checked(n, d, asks, payload[:8] + b"\x01" + payload[9:] if hit else payload)

    plant = Plant(7, devices=1, first_number=20_000, edit=edit, opens=False)
    assert [(f.frame, f.ranges) for f in judge(with_check, plant.run(300, LATER).sorted())] == [(101, ((8, 9),))]


@pytest.mark.parametrize(("wrong", "told"), [(b"\x10", True), (b"\x10\x11", True), (b"\x10\x11\x12", False)])
def test_where_new_rows_come_all_the_time_what_is_nearer_than_they_are_is_told(wrong: bytes, told: bool) -> None:
    model = derive(learn(Plant(1).run(600).sorted()))
    (service,) = model.services[6, 7001]
    service.opaque[:] = True
    service.calibration.opaque = {False: 3, True: 3}  # as three late rows would have it that differ in three bytes

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return payload[:7] + wrong + payload[7 + len(wrong) :] if n == 151 and d == 0 and asks else payload

    found = judge(model, Plant(2, edit=edit, opens=False).run(200, LATER).sorted())
    header = ((7, 9),)  # in front of the noise everything is told
    assert [(f.frame, f.ranges) for f in found] == [(151 * 4 + 1, ((7, 7 + len(wrong)),) if told else header)]

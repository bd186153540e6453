"""Bytes that have had all their values: noise and checks are told from lists that are gone through."""

import numpy as np
import pytest

from appliance.learn.messages.noise import is_noise
from appliance.learn.messages.sample import StreamOrder

N = 3000
COUNTER = np.arange(N) % 256


def judged(values: object, counters: tuple[object, ...] = (), streams: int = 1) -> bool:
    order = StreamOrder.of((np.arange(N) % streams).astype(np.int32))
    return is_noise(np.asarray(values).astype(np.uint8), [np.asarray(c).astype(np.uint8) for c in counters], order)


def test_random_bytes_are_noise_in_one_stream_and_in_several() -> None:
    random = np.random.default_rng(1).integers(0, 256, N)
    assert judged(random)
    assert judged(random, streams=4)


def test_a_check_that_follows_a_counter_is_noise_only_where_the_counter_is_known() -> None:
    check = np.random.default_rng(2).integers(0, 256, 256)[COUNTER]
    assert judged(check, (COUNTER,))
    assert not judged(check)  # without its counter it is a cycle like any other


@pytest.mark.parametrize("length", [100, 128, 200, 256])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_addresses_gone_through_in_order_are_no_noise(length: int, step: int) -> None:
    assert not judged(np.arange(N) % length * step, (COUNTER,))


@pytest.mark.parametrize("length", [100, 150, 200])
def test_a_list_in_any_order_that_repeats_itself_is_no_noise(length: int) -> None:
    listed = np.random.default_rng(3).permutation(256)[:length]
    assert not judged(listed[np.arange(N) % length], (COUNTER,))


def test_few_values_are_no_noise_however_they_come() -> None:
    assert not judged(np.random.default_rng(4).integers(0, 64, N))


def test_many_streams_with_few_values_each_are_no_noise() -> None:
    streams = 200
    values = (np.arange(N) % streams) + np.random.default_rng(5).integers(0, 2, N)
    assert not judged(values, streams=streams)


def test_a_counter_is_no_noise() -> None:
    assert not judged(COUNTER)

"""Bits that go with any request are no part of what it is; bits that select, even among few, are."""

import numpy as np
import pytest

from appliance.learn.baselines.codec import PLAIN, baseline_from, baseline_json
from appliance.learn.messages.flags import free_bits, told_bits
from appliance.learn.messages.sample import WIDTH, Sample
from tests.evaluate.detectors import Sekisho
from tests.evaluate.invented import Recipe, invented_plant

OPEN = np.zeros(WIDTH, bool)
SEEDS = range(4)


def sample(rows: list[tuple[int, list[int]]]) -> Sample:
    """Messages as (conversation, bytes), in time order."""
    heads = np.zeros((len(rows), WIDTH), np.uint8)
    for i, (_, raw) in enumerate(rows):
        heads[i, : len(raw)] = raw
    stream = np.array([stream for stream, _ in rows], np.int32)
    length = np.array([len(raw) for _, raw in rows], np.int32)
    return Sample(heads, length, stream, stream.astype(np.int64), stream)


def polls(random: np.random.Generator, flags: bool) -> list[tuple[int, list[int]]]:
    """Ten devices: registers of their own, some read often, one written now and then; a flag set in one of eight."""
    rows = []
    for n in range(4000):
        device = int(random.integers(10))
        register = int(random.choice([0, 1, 3, 8, 9, 11, 12], p=[0.4, 0.3, 0.15, 0.06, 0.04, 0.03, 0.02])) + 16 * device
        write = random.random() < 0.06
        mark = 0x40 * int(random.random() < 0.125) | 0x08 * (n // 3 & 1)
        rows.append((device, [0x7E, (mark if flags else 0) | (0 if write else 1), 6 if write else 3, register]))
    return rows


@pytest.mark.parametrize("seed", SEEDS)
def test_flags_are_free_and_the_bit_that_follows_from_the_command_is_not(seed: int) -> None:
    free = free_bits(sample(polls(np.random.default_rng(seed), True)), OPEN)
    assert {at: int(free[at]) for at in np.flatnonzero(free).tolist()} == {1: 0x48}


@pytest.mark.parametrize("seed", SEEDS)
def test_registers_and_commands_are_not_free(seed: int) -> None:
    assert not free_bits(sample(polls(np.random.default_rng(seed), False)), OPEN).any()


def test_a_list_that_is_polled_round_and_round_is_not_free() -> None:
    """All values of two bits go with everything else, but none of them is new after the first round."""
    rows = [(n % 5, [0x7E, 3, n // 5 % 4, 1]) for n in range(2000)]
    assert not free_bits(sample(rows), OPEN).any()


def test_a_few_messages_tell_nothing() -> None:
    assert not free_bits(sample(polls(np.random.default_rng(1), True)[:60]), OPEN).any()


def test_flags_of_requests_are_flags_of_answers_where_they_are_set_as_often() -> None:
    free = np.zeros(WIDTH, np.uint8)
    free[1] = 0x48
    asked = sample([(0, [1, 0x40 * (n % 8 == 0) | 0x08 * (n & 1)]) for n in range(200)])
    told = sample([(0, [9, 0x40 * (n % 7 == 0) | 0x08 * (n % 5 > 0)]) for n in range(200)])
    assert np.flatnonzero(told_bits(free, asked, told)).tolist() == [1]
    assert told_bits(free, asked, told)[1] == 0x40


@pytest.mark.parametrize("seed", [120, 135, 155, 162])
def test_invented_protocols_with_flags_clocks_events_and_numbers_that_count_down_stay_quiet(seed: int) -> None:
    """12, 7, 8 and 10 false incidents before."""
    head, rest = invented_plant(Recipe(seed)).split(0.6)
    detector = Sekisho()
    detector.learn(head)
    detector.detect(rest)
    assert len(detector.incidents) <= 1


def test_a_baseline_with_free_bits_is_of_a_later_format_and_comes_back_with_them() -> None:
    """Who does not know them would take every flag for a part of the command."""
    detector = Sekisho()
    detector.learn(invented_plant(Recipe(120)).split(0.3)[0])
    assert detector.model is not None
    head, arrays = baseline_json(detector.model.baseline)
    (learned,) = baseline_from(head, arrays).services[6, 9950].values()
    assert head["version"] > PLAIN
    assert learned.structure.free.any()
    assert [counter.down for counter in learned.structure.counters] == [True]

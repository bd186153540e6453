"""Time stamps and numbers that only grow are no process data: what stands behind them is watched."""

import numpy as np
import numpy.typing as npt
import pytest

from appliance.decode.framing import WHOLE, Framing
from appliance.learn.messages.clocks import find_clocks, wire_clocks
from appliance.learn.messages.sample import WIDTH, Sample
from tests.evaluate.detectors import Sekisho
from tests.evaluate.foreign import FOREIGN, foreign_plant
from tests.evaluate.mutate import measure

SECOND = 1_000_000_000
BIG = Framing(0, 2, True, 0)


def sample(columns: list[npt.NDArray[np.uint8]], time: npt.NDArray[np.float64] | None = None) -> Sample:
    """Messages of one connection; time: seconds."""
    n = len(columns[0])
    heads = np.zeros((n, WIDTH), np.uint8)
    for at, column in enumerate(columns):
        heads[:, at] = column
    one = np.zeros(n, np.int32)
    length, flow = np.full(n, len(columns), np.int32), one.astype(np.int64)
    return Sample(heads, length, one, flow, one, *([] if time is None else [(time * SECOND).astype(np.int64)]))


def bytes_of(number: npt.NDArray[np.int64], width: int, big: bool) -> list[npt.NDArray[np.uint8]]:
    columns = [(number >> 8 * k & 255).astype(np.uint8) for k in range(width)]
    return columns[::-1] if big else columns


def polled(seed: int) -> npt.NDArray[np.float64]:
    """Times of 900 requests: three lists of periods of their own, each with jitter; seconds since 1970."""
    random = np.random.default_rng(seed)
    parts = [np.cumsum(random.uniform(0.98, 1.02, 300) * period) for period in (0.4, 0.5, 0.7)]
    return 1_700_000_000.5 + np.sort(np.concatenate(parts))


@pytest.mark.parametrize("big", [True, False])
@pytest.mark.parametrize(("a_second", "width"), [(1, 4), (1000, 8), (10_000, 8)])
def test_a_number_that_goes_on_as_the_wires_time_is_a_clock_up_to_the_byte_it_will_carry_into(
    big: bool, a_second: int, width: int
) -> None:
    """Of the seconds only the lowest byte moves in the three minutes; that they are those since 1970 tells their order."""
    time = polled(1)
    stamp = ((time - 0.004) * a_second).astype(np.int64)
    mark, kind = np.full(900, 0x55, np.uint8), np.resize(np.array([3, 4, 6], np.uint8), 900)
    found = np.flatnonzero(wire_clocks(sample([mark, kind, *bytes_of(stamp, width, big), mark, kind], time)))
    place, moved = range(2, 2 + width), int(np.count_nonzero([len(np.unique(c)) > 1 for c in bytes_of(stamp, width, big)]))
    assert found.tolist() == list(place[-moved - 1 :] if big else place[: moved + 1])


def test_where_nothing_tells_a_clocks_order_only_what_moved_is_one() -> None:
    time = polled(2)
    since_start = (time - time[0] + 1).astype(np.int64)
    columns = [np.full(900, 7, np.uint8), *bytes_of(since_start, 4, True), np.full(900, 9, np.uint8)]
    assert np.flatnonzero(wire_clocks(sample(columns, time), WHOLE)).tolist() == [4]
    assert np.flatnonzero(wire_clocks(sample(columns, time), BIG)).tolist() == [3, 4]


def test_what_counts_messages_or_comes_back_is_no_clock_however_steady_the_polls_are() -> None:
    time = 1_700_000_000 + np.arange(900, dtype=np.float64) * 0.5
    number, n = np.arange(900) + 700, np.arange(900)
    addresses = 0x1000 + 4 * (n % 60)
    assert not wire_clocks(sample([*bytes_of(number, 2, True), *bytes_of(addresses, 2, True)], time)).any()
    assert not wire_clocks(sample([*bytes_of(3 * number, 2, False), *bytes_of(addresses, 4, False)], time)).any()


def test_a_clock_that_stands_or_is_set_is_none() -> None:
    time = polled(3)
    stamp = time.astype(np.int64)
    stamp[450:] -= 3600
    assert not wire_clocks(sample(bytes_of(stamp, 4, True), time)).any()
    assert not wire_clocks(sample(bytes_of(np.full(900, 1_700_000_000), 4, True), time)).any()


def test_clocks_are_told_from_kinds_and_values_beside_them() -> None:
    random, n = np.random.default_rng(1), np.arange(600)
    stamp = 7_000_000 + n * 1000 + random.integers(0, 9, 600)  # ms, every second
    level = 20_000 + np.cumsum(random.integers(-90, 91, 600))
    kind = np.where(n % 10 == 3, 0x2D, 0x0D)
    rare = np.where(n > 580, 0xCD, 0xCC)  # rose once, and is no clock for it
    columns = [kind, stamp >> 24, stamp >> 16 & 255, stamp >> 8 & 255, stamp & 255, rare, kind, level >> 8, level & 255]
    found = np.flatnonzero(find_clocks(sample([c.astype(np.uint8) for c in columns])))
    assert set(found.tolist()) >= {2, 3, 4}
    assert not set(found.tolist()) & {0, 6, 7, 8}


def test_a_number_that_falls_as_often_as_it_rises_is_no_clock() -> None:
    walk = np.cumsum(np.random.default_rng(2).integers(-1, 2, 600)) + 100
    assert not find_clocks(sample([walk.astype(np.uint8)])).any()


@pytest.mark.parametrize(("name", "least"), [("Tele", 0.95), ("Rest", 0.95), ("Trace", 0.9)])
def test_fields_of_protocols_nobody_knows_are_found(name: str, least: float) -> None:
    head, rest = foreign_plant(name, 600, 3).split(0.6)
    tally = measure([Sekisho()], head, rest, FOREIGN[name].grammar, 6, 3)[Sekisho.name]
    assert sum(tally.total.values()) > 30
    assert tally.share(tally.found, swapped=False) >= least
    assert tally.clean_incidents <= 2

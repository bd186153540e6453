"""Time stamps and numbers that only grow are no process data: what stands behind them is watched."""

import numpy as np
import numpy.typing as npt
import pytest

from appliance.learn.dynamics import find_clocks
from appliance.learn.sample import WIDTH, Sample
from tests.evaluate.detectors import Sekisho
from tests.evaluate.foreign import FOREIGN, foreign_plant
from tests.evaluate.mutate import measure


def sample(columns: list[npt.NDArray[np.uint8]]) -> Sample:
    n = len(columns[0])
    heads = np.zeros((n, WIDTH), np.uint8)
    for at, column in enumerate(columns):
        heads[:, at] = column
    one = np.zeros(n, np.int32)
    return Sample(heads, np.full(n, len(columns), np.int32), one, one.astype(np.int64), one)


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

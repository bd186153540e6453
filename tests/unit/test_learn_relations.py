"""Relations are found where there are some, not where there are none; what contradicts them is outside their bounds."""

import numpy as np
import pytest

from appliance.learn.numbers.grid import Grid, Series
from appliance.learn.numbers.relations import MIN_STEPS, find_relations
from appliance.learn.numbers.residual import WINDOWS, contradicts, residual, window_sums
from appliance.learn.numbers.series import F64, Field

N = 4000


def grid(*columns: F64) -> Grid:
    """Columns as a grid of numbers of as many rows."""
    series = tuple(Series(((6, 502), "x", n), Field(0, "float")) for n in range(len(columns)))
    return Grid(series, np.stack(columns, axis=1), 2)


def wander(seed: int, n: int = N) -> F64:
    """A number that wanders and returns."""
    noise = np.random.default_rng(seed).normal(0, 1, n)
    out = np.zeros(n)
    for t in range(1, n):
        out[t] = 0.97 * out[t - 1] + noise[t]
    return out


def test_a_linear_relation_with_lag_is_found_and_a_small_shift_contradicts_it() -> None:
    x = wander(1)
    y = 3 * np.r_[np.zeros(2), x[:-2]] + 10 + np.random.default_rng(2).normal(0, 0.2, N)
    found = [r for r in find_relations(grid(x, y)) if r.target == 1 and not r.rate]
    assert len(found) == 1
    assert found[0].fit > 0.99
    shifted = np.stack([x, y + 1.0 * (np.arange(N) >= 2000)], axis=1)
    beyond = contradicts(shifted, found[0])
    assert not beyond[:2000].any()
    assert 2000 <= int(np.flatnonzero(beyond)[0]) < 2000 + WINDOWS[-1]


def test_a_rate_is_found_from_a_state() -> None:
    on = (np.arange(N) // 60 % 2).astype(float)
    y = 500 + np.cumsum(np.where(on > 0, 1.0, -1.0)) + np.random.default_rng(3).normal(0, 0.3, N)
    found = [r for r in find_relations(grid(on, y)) if r.target == 1 and r.rate]
    assert len(found) == 1
    assert found[0].fit > 0.9
    frozen = np.stack([on, np.where(np.arange(N) < 2000, y, y[2000])], axis=1)
    assert int(np.flatnonzero(contradicts(frozen, found[0]))[0]) in range(2000, 2000 + WINDOWS[-1])


@pytest.mark.parametrize("seed", range(8))
def test_numbers_that_have_nothing_to_do_with_each_other_have_no_relation(seed: int) -> None:
    found = find_relations(grid(*(wander(100 * seed + k) for k in range(5))))
    assert [r for r in found if not r.rate] == []


def test_little_says_nothing() -> None:
    x = wander(4, MIN_STEPS - 1)
    assert find_relations(grid(x, 2 * x)) == []


def test_a_driver_beyond_what_it_was_silences_the_relation() -> None:
    x = wander(5)
    relation = next(r for r in find_relations(grid(x, 2 * x + np.sin(np.arange(N)))) if r.target == 1)
    far = np.stack([np.full(300, x.max() * 3), np.zeros(300)], axis=1)
    assert np.isnan(residual(far, relation)).all()
    assert not contradicts(far, relation).any()


def test_sums_do_not_depend_on_where_they_begin() -> None:
    e = np.random.default_rng(6).normal(0, 1, 500)
    e[40:45] = np.nan
    whole = window_sums(e, 0.01)
    assert (whole[300:] == window_sums(e[300 - WINDOWS[-1] :], 0.01)[WINDOWS[-1] :]).all()

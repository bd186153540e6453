"""Relations held against numbers at once: to the last bit what one by one gives, wherever the numbers have holes."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.learn.numbers.residual import MEAN, WINDOWS, Relation, Term, residual, window_sums
from appliance.learn.numbers.together import Together

NUMBERS = 6


def relations(seed: int, count: int) -> tuple[Relation, ...]:
    """Relations of every form: levels and rates, products, lags and means, one that has only its target as a term."""
    rng = np.random.default_rng(seed)
    lags = (0, 1, 4, MEAN + 8, MEAN + 24)

    def term(target: int) -> Term:
        first, second = (int(n) for n in rng.integers(0, NUMBERS, 2))
        lag, second_lag = (int(n) for n in rng.choice(lags, 2))
        return Term(first, lag, second, second_lag) if rng.random() < 0.5 else Term(target if rng.random() < 0.2 else first, lag)

    made = []
    for number in range(count):
        target = number % NUMBERS
        terms = (Term(target, 1),) if number == 0 else tuple(term(target) for _ in range(int(rng.integers(1, 6))))
        weights = tuple(rng.normal(size=len(terms)).tolist())
        low, high = np.full(NUMBERS, -1.5), np.full(NUMBERS, 1.5 + rng.random())
        made.append(
            Relation(
                target, bool(rng.random() < 0.5), terms, weights, float(rng.normal()), 0.01, (9,) * len(WINDOWS), low, high, 0.9
            )
        )
    return tuple(made)


@pytest.mark.parametrize("steps", [1, 3, 40, 400])
@pytest.mark.parametrize("seed", range(5))
def test_all_at_once_is_one_by_one(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(steps, NUMBERS))
    values[rng.random(values.shape) < 0.1] = np.nan
    many = relations(seed, 20)
    alone = np.stack([window_sums(residual(values, r), r.unit) for r in many])
    together = Together(many)
    assert together.sums(values).tolist() == alone.tolist()
    assert steps < 40 or alone.any()
    assert together.bounds.tolist() == [list(r.bounds) for r in many]


def test_no_relation_is_held_against_nothing() -> None:
    assert Together(()).sums(np.zeros((5, NUMBERS))).shape == (0, 5, len(WINDOWS))

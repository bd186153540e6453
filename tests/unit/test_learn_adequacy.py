"""How much is not known yet: the share of new things, its interval, and what cannot be known."""

import numpy as np
import pytest

from appliance.learn.adequacy import adequacy, good_turing, poisson_interval
from appliance.learn.baseline import Baseline

HOUR = 3_600_000_000_000


@pytest.mark.parametrize(
    ("count", "low", "high"),  # exact limits (Garwood 1936)
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (3, 0.619, 8.767), (10, 4.795, 18.39), (100, 81.36, 121.6)],
)
def test_the_interval_is_that_of_a_poisson_count(count: int, low: float, high: float) -> None:
    found = poisson_interval(count)
    assert found[0] == pytest.approx(low, rel=0.02, abs=0.02)
    assert found[1] == pytest.approx(high, rel=0.02)


def test_the_share_is_what_was_seen_once_among_all() -> None:
    share = good_turing(np.array([1, 1, 4, 10], np.int64))
    assert share is not None
    assert (share.once, share.all_, share.share) == (2, 16, 2 / 16)
    assert share.low < share.share < share.high <= 1
    assert good_turing(np.zeros(0, np.int64)) is None


def test_the_estimate_meets_what_really_comes_next() -> None:
    """Draw from many kinds of very different frequency: the share of the next draws that are new lies in the interval."""
    generator = np.random.default_rng(7)
    weights = 1 / np.arange(1, 2001)
    inside = 0
    for _ in range(40):
        drawn = generator.choice(2000, 1000, p=weights / weights.sum())
        kinds, counts = np.unique(drawn, return_counts=True)
        after = generator.choice(2000, 20_000, p=weights / weights.sum())
        share = good_turing(counts.astype(np.int64))
        assert share is not None
        inside += share.low <= float(np.mean(~np.isin(after, kinds))) <= share.high
    assert inside >= 36


def test_a_length_of_which_less_than_two_were_watched_is_not_knowable() -> None:
    blocks = adequacy(Baseline(watched=3 * HOUR))
    assert [block.knowable for block in blocks] == [True, True, False]
    assert all(block.messages is None for block in blocks)

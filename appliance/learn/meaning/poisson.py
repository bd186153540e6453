"""Exact limits of the mean of a Poisson count (Garwood 1936), also for counts that are not whole.

The limits are quantiles of the gamma distribution: lower(k) that of shape k, upper(k) that of shape k + 1. A count that is not
whole is one of clusters: events that come together are fewer occasions than they are events.
"""

from __future__ import annotations

from math import exp, lgamma, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LARGE = 400.0  # shape from which on Wilson and Hilferty's approximation is closer than 1e-6
_STEPS = 200
OCCASION = 600 * 1_000_000_000  # ns in which what is new is taken to have come of one cause ...
SHORTEST, PARTS = 10 * 1_000_000_000, 144  # ... and less, down to ten seconds, where less than so many of them were watched


def occasion(watched: float) -> int:
    """Length of an occasion in ns for so many ns watched."""
    return int(min(OCCASION, max(SHORTEST, watched / PARTS)))


def occasion_size(once: npt.NDArray[np.int64], twice: npt.NDArray[np.int64], watched: float) -> float:
    """How many events an occasion has, at least 1: the variance of what a Good-Turing estimate misses by, over its count.

    The variance is that of the events seen once, and twice the number of those seen twice (Esty 1983). Where events come
    together, the first is multiplied by the index of dispersion of their times, and clusters of the second count squared.

    once     int64 [k], ns of events that were seen once
    twice    int64 [2, n], ns of the first and the last time of events that were seen twice
    watched  ns
    """
    length = occasion(watched)
    pairs = np.unique(twice // length, axis=1, return_counts=True)[1].astype(float) if twice.size else np.zeros(0)
    squares = float((pairs * pairs).sum())
    if not len(once):
        return squares / float(pairs.sum()) if len(pairs) else 1.0
    counts = np.unique(once // length, return_counts=True)[1].astype(float)
    return _dispersion(counts, watched / length) + 2 * squares / len(once)


def _dispersion(counts: npt.NDArray[np.float64], blocks: float) -> float:
    """Variance over mean of the events of a block, at least 1; counts of the blocks that have any."""
    total, squares = float(counts.sum()), float((counts * counts).sum())
    if blocks < 2:
        return squares / total
    mean = total / blocks
    return max(1.0, (squares - blocks * mean * mean) / (blocks - 1) / mean)


def upper(count: float, confidence: float = 0.95) -> float:
    """One-sided upper limit of the mean: 3.00 after nothing (the rule of three), 4.74 after one event."""
    return _gamma_quantile(count + 1.0, confidence)


def lower(count: float, confidence: float = 0.95) -> float:
    """One-sided lower limit of the mean; 0 after nothing."""
    return _gamma_quantile(count, 1.0 - confidence) if count > 0 else 0.0


def _gamma_quantile(shape: float, probability: float) -> float:
    guess = _wilson_hilferty(shape, probability)
    if shape >= LARGE:
        return guess
    low, high = 0.0, 2.0 * guess + 10.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if high - low <= 1e-9 * high:
            break
        if _gamma_cdf(shape, middle) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _wilson_hilferty(shape: float, probability: float) -> float:
    z = NormalDist().inv_cdf(probability)
    return shape * max(0.0, 1 - 1 / (9 * shape) + z / (3 * sqrt(shape))) ** 3


def _gamma_cdf(shape: float, x: float) -> float:
    """Regularised lower incomplete gamma function, by its series (Abramowitz and Stegun 6.5.29): all terms are positive."""
    if x <= 0:
        return 0.0
    term = total = 1.0 / shape
    n = shape
    while term > 1e-16 * total:
        n += 1.0
        term *= x / n
        total += term
    return min(1.0, total * exp(shape * log(x) - x - lgamma(shape)))

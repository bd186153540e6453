"""Exact limits of the mean of a Poisson count (Garwood 1936), also for counts that are not whole.

The limits are quantiles of the gamma distribution: lower(k) that of shape k, upper(k) that of shape k + 1. A count that is not
whole is one of clusters: events that come together are fewer occasions than they are events.
"""

from __future__ import annotations

from math import exp, lgamma, log, sqrt
from statistics import NormalDist

LARGE = 400.0  # shape from which on Wilson and Hilferty's approximation is closer than 1e-6
_STEPS = 200


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

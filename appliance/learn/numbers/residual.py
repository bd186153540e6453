"""What a relation says about a number, and by how much the number contradicts it, over short and long windows.

    level   y(t)          = c + sum a_j u_j(t)                  e(t) = y(t) - ...
    rate    y(t) - y(t-1) = c + sum a_j u_j(t) + d y(t)         e(t) = y(t) - y(t-1) - ...

A term *u* is one number with a lag, or the product of two; under a rate it is the mean of this step and the one before (what
acted in between). The sum of *e* over *W* steps is, for a rate, what the number moved beyond what the others account for.
Sums are of integers (units of a small share of the residual's scale), so they do not depend on where batches end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.learn.numbers.series import F64

WINDOWS = (2, 8, 32, 128)  # steps
MEAN = 1000  # a lag of MEAN + n stands for the mean of the last n steps
REACH = WINDOWS[-1] + 72  # steps of the past that a residual over the longest window needs, lags included
FINE = 256  # units of a residual's scale
_CLIP = 1 << 40
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Term:
    """One number of the grid (`first`), or the product of two, each with its lag in steps. Second -1: none."""

    first: int
    lag: int = 0
    second: int = -1
    second_lag: int = 0

    def columns(self) -> tuple[int, ...]:
        """Numbers it is made of."""
        return (self.first,) if self.second < 0 else (self.first, self.second)

    def parts(self) -> tuple[tuple[int, int], ...]:
        """Numbers it is made of, each with its lag."""
        first = (self.first, self.lag)
        return (first,) if self.second < 0 else (first, (self.second, self.second_lag))


@dataclass(frozen=True, slots=True)
class Relation:
    """What one number of the grid has to do with others.

    target   column of y; rate: the form of the relation
    terms    with `weights`, and `constant`
    unit     of the integer residual
    bounds   of the sums over WINDOWS, in units; beyond: contradiction
    low, high   float64 [s]: range of every number as learned, with slack; beyond it the relation says nothing
    fit      share of the variance that it explained in time it was not fitted to
    """

    target: int
    rate: bool
    terms: tuple[Term, ...]
    weights: tuple[float, ...]
    constant: float
    unit: float
    bounds: tuple[int, ...]
    low: F64
    high: F64
    fit: float


def lagged(x: F64, lag: int) -> F64:
    """The column `lag` steps earlier, or its mean over the last `lag - MEAN` steps; NaN at its head; float64 [..., t]."""
    if not lag:
        return x
    if lag > MEAN:
        return moving_sum(x, lag - MEAN) / (lag - MEAN)
    out = np.empty(x.shape)
    out[..., :lag] = np.nan
    out[..., lag:] = x[..., :-lag]
    return out


def moving_sum(x: F64, width: int) -> F64:
    """Sum over the last `width` steps, NaN where one is missing; float64 [..., t].

    Sums of 1, 2, 4, ... steps are put together, so what is added in which order does not depend on where x begins.
    """
    total, part, size, done = np.zeros(x.shape), x, 1, 0
    while True:
        if width & size:
            total += lagged(part, done)
            done += size
        if done == width:
            return total
        part, size = part + lagged(part, size), 2 * size


def term_values(values: F64, term: Term, rate: bool) -> F64:
    """The term at every step; float64 [t]."""
    u = lagged(values[:, term.first], term.lag)
    if term.second >= 0:
        u = np.multiply(u, lagged(values[:, term.second], term.second_lag))
    return of_form(u, rate)


def of_form(u: F64, rate: bool) -> F64:
    """A term as the form of the relation takes it: under a rate the mean of this step and the one before; float64 [..., t]."""
    return (u + lagged(u, 1)) / 2 if rate else u


def predicted(values: F64, relation: Relation) -> F64:
    """What the relation expects of y (level), or of its step (rate); NaN where it does not say; float64 [t]."""
    total = np.full(len(values), relation.constant)
    inside = np.ones(len(values), bool)
    for term, weight in zip(relation.terms, relation.weights, strict=True):
        for column in term.columns():
            if column != relation.target:  # its own range is not held against the number that is judged
                x = values[:, column]
                inside &= ~((x < relation.low[column]) | (x > relation.high[column]))
        total = total + weight * term_values(values, term, relation.rate)
    total[~inside] = np.nan
    return total


def residual(values: F64, relation: Relation) -> F64:
    """How far y, or its step, is from what is expected; NaN where nothing is; float64 [t]."""
    y = values[:, relation.target]
    actual = y - lagged(y, 1) if relation.rate else y
    return actual - predicted(values, relation)


def window_sums(e: F64, unit: float | F64) -> I64:
    """Sums of the residual over every window that ends at a step, in units; int64 [..., t, windows].

    e   float64 [..., t]; unit: one, or one for each, [..., 1]

    Steps without a residual count nothing, and a window with more than a quarter of them is 0.
    """
    known = ~np.isnan(e)
    whole = np.where(known, np.clip(np.rint(np.where(known, e, 0) / unit), -_CLIP, _CLIP), 0).astype(np.int64)
    total, there = np.zeros((2, *e.shape[:-1], e.shape[-1] + 1), np.int64)
    np.cumsum(whole, axis=-1, out=total[..., 1:])
    np.cumsum(known, axis=-1, out=there[..., 1:])
    out = np.zeros((*e.shape, len(WINDOWS)), np.int64)
    for k, width in enumerate(WINDOWS):
        if e.shape[-1] >= width:
            enough = 4 * (there[..., width:] - there[..., :-width]) >= 3 * width
            out[..., width - 1 :, k] = np.where(enough, total[..., width:] - total[..., :-width], 0)
    return out


def contradicts(values: F64, relation: Relation) -> npt.NDArray[np.bool_]:
    """Steps at which a sum is out of its bounds; bool [t]."""
    sums = np.abs(window_sums(residual(values, relation), relation.unit))
    beyond: npt.NDArray[np.bool_] = np.any(sums > np.array(relation.bounds), axis=1)
    return beyond

"""Which numbers of a plant account for which, found by forward selection and tested on time it was not fitted to.

For every number *y* and both forms (see `numbers.residual`): a few others are screened out of all, at several lags, by the
share of what is left of *y* that each explains (a Schur complement of the Gram matrix); then they and their products are
selected for good. A relation stands if it explains enough of each third of the time after being fitted to the two others,
and its bounds are the largest sums that it left there, with slack. Everything is derived from the merged image.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.numbers.residual import (
    FINE,
    MEAN,
    WINDOWS,
    Relation,
    Term,
    lagged,
    moving_sum,
    of_form,
    residual,
    window_sums,
)
from appliance.learn.numbers.series import F64, FEW
from appliance.packets.ordering import distinct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.learn.numbers.grid import Grid

LAGS = (0, 1, 2, 4, MEAN + 8, MEAN + 24, MEAN + 64)  # steps
HORIZON = 6  # steps over which a rate is fitted: in one step the noise is larger than what moves
MIN_STEPS = 400  # with all numbers there
SCREENED = 7  # numbers that are looked at closely for one y
MAX_TERMS = 6
GAIN = 0.02  # share of what is left of y that a further term must explain
MIN_FIT = {False: 0.80, True: 0.10}  # by form: explained in each third, for the relation to stand
SLACK = 1.5  # of the largest sums learned
SHORT = 30.0  # more slack after short learning: SHORT / sqrt(steps)
MAX_TARGETS = 64
MAX_CELLS = 2 << 20  # of the matrix that screens
AT_ONCE = 1 << 18  # ... of columns that are read side by side
MAX_FITTED = 4000  # steps that a relation is fitted to; bounds are taken from all
WORTH = 0.1  # share that the screened numbers must explain, for a closer look
FEW_FIT = 0.9  # for a state to be accounted for by others
RIDGE = 1e-9
FOLDS = 3

B = npt.NDArray[np.bool_]


def find_relations(grid: Grid) -> list[Relation]:
    """The relations between the numbers of a grid, in the order of their targets."""
    values = grid.values
    there = ~np.isnan(values)
    covered = there.mean(axis=0) >= 0.6 * there.any(axis=1).mean()
    columns = np.flatnonzero(covered)
    if len(columns) < 2 or there[:, columns].all(axis=1).sum() < MIN_STEPS:
        return []
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    slack = 0.05 * (high - low)
    limits = (low - slack, high + slack)
    drivers = np.array([c for c in columns if not _counts(values[:, c])], np.intp)
    many = {c: len(distinct(values[there[:, c], c])) > FEW for c in columns.tolist()}
    targets = sorted(many, key=lambda c: (not many[c], c))[:MAX_TARGETS]
    found: list[Relation] = []
    for rate in (False, True):
        screen = _Screen(values, drivers, rate)
        for target in targets:
            if rate and not many[target]:
                continue  # a state has no rate
            relation = _relation(values, target, screen.best(target), rate, limits)
            if relation is not None and (many[target] or relation.fit >= FEW_FIT):
                found.append(relation)
    return sorted(found, key=lambda r: (r.target, r.rate))


def _counts(x: F64) -> bool:
    """Whether a number only ever grows (or only falls): a clock explains everything and nothing."""
    moves = np.diff(x[~np.isnan(x)])
    moves = moves[moves != 0]
    return len(moves) > 0 and max((moves > 0).mean(), (moves < 0).mean()) > 0.95


def _standard(x: F64) -> F64:
    """Columns, in which nothing is missing, with mean 0 and variance 1; what does not vary is 0."""
    spread = x.std(axis=0)
    scaled: F64 = (x - x.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    return scaled


class _Screen:
    """All drivers at all lags against every target, by one Gram matrix."""

    def __init__(self, values: F64, drivers: npt.NDArray[np.intp], rate: bool) -> None:
        self._rate, self._values = rate, values
        self._names = [(int(c), lag) for lag in LAGS for c in drivers]
        self._number = np.tile(drivers, len(LAGS))
        there = np.ones(len(values), bool)
        for _, acts in self._acting(drivers, LAGS[-1]):  # what is there for the longest of lags is there for all
            there &= ~np.isnan(acts).any(axis=0)
        self._rows = _thinned(np.flatnonzero(there), MAX_CELLS // max(1, len(self._names)))
        design = np.empty((len(self._rows), len(self._names)))
        for k, lag in enumerate(LAGS):
            for first, acts in self._acting(drivers, lag):
                design[:, k * len(drivers) + first :][:, : len(acts)] = acts[:, self._rows].T
        self._design = _standard(design) if len(design) else design
        self._gram = self._design.T @ self._design

    def _acting(self, drivers: npt.NDArray[np.intp], lag: int) -> Iterator[tuple[int, F64]]:
        """Some drivers after the other, with that lag, as they act on what is fitted: place of the first, float64 [some, t]."""
        some = max(1, AT_ONCE // len(self._values))
        for first in range(0, len(drivers), some):
            values = np.ascontiguousarray(self._values[:, drivers[first : first + some]].T)
            yield first, _over(of_form(lagged(values, lag), self._rate), self._rate)

    def best(self, target: int) -> list[tuple[int, int]]:
        """(number, lag) of the drivers that explain most of a target, at most SCREENED."""
        y = _aim(self._values[:, target], self._rate)[self._rows]
        known = ~np.isnan(y)
        if known.sum() < MIN_STEPS // 2:
            return []
        y = np.where(known, y - y[known].mean(), 0)
        against = self._design.T @ y
        picked: list[int] = []
        barred, explained, total = self._number == target, 0.0, float(y @ y)
        for _ in range(SCREENED):
            gain = _gains(self._gram, against, picked)
            gain[barred] = 0
            k = int(gain.argmax())
            if gain[k] <= 1e-4 * total:
                break
            picked.append(k)
            explained += float(gain[k])
            barred |= self._number == self._number[k]
        return [self._names[k] for k in picked] if explained >= WORTH * total else []


def _thinned(rows: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """Every k-th row, so that at most so many are left."""
    return rows[:: -(-len(rows) // most)] if len(rows) else rows


def _gains(gram: F64, against: F64, picked: list[int]) -> F64:
    """By how much each column would lower the squared residual, given those already picked."""
    scale = gram.diagonal()
    left, rest = against.copy(), scale.copy()
    if picked:
        rows, columns = gram.take(picked, axis=0), gram.take(picked, axis=1)
        inner = rows.take(picked, axis=1) + RIDGE * np.diag(scale[picked] + 1)
        solved = np.linalg.solve(inner, np.concatenate([against[picked, None], rows], axis=1))
        left -= columns @ solved[:, 0]
        rest -= np.einsum("kp,pk->k", columns, solved[:, 1:])
    return np.where(rest > 1e-6 * scale, left**2 / np.maximum(rest, 1e-12), 0)


def _aim(y: F64, rate: bool) -> F64:
    """What is fitted: the number, or its move over HORIZON."""
    return y - lagged(y, HORIZON) if rate else y


def _over(u: F64, rate: bool) -> F64:
    """A term as it acts on what is fitted: itself, or its sum over HORIZON."""
    return moving_sum(u, HORIZON) if rate else u


def _relation(values: F64, target: int, drivers: list[tuple[int, int]], rate: bool, limits: tuple[F64, F64]) -> Relation | None:
    """The relation of one target to the drivers screened for it, None where it does not hold."""
    if not drivers:
        return None
    pool = [Term(c, lag) for c, lag in drivers] + ([Term(target)] if rate else [])
    pool += [Term(a.first, a.lag, b.first, b.lag) for a, b in combinations_with_replacement(pool, 2)]
    laid = _laid(values, pool, rate)
    y = _aim(values[:, target], rate)
    use = np.flatnonzero(~np.isnan(y) & ~np.isnan(laid).any(axis=0))
    if len(use) < MIN_STEPS:
        return None
    use = _thinned(use, MAX_FITTED)
    design, y = np.ascontiguousarray(laid[:, use].T), y[use]
    fold = np.arange(len(use)) * FOLDS // len(use)
    picked = _select(design[fold < FOLDS - 1], y[fold < FOLDS - 1])
    if not picked or (rate and all(pool[k].columns() == (target,) for k in picked)):
        return None
    design = design[:, picked]
    fits, sums = [], []
    for k in range(FOLDS):
        fitted = _made(values, target, rate, [pool[i] for i in picked], _solve(design[fold != k], y[fold != k], rate), limits)
        test = fold == k
        left = y[test] - design[test] @ np.array(fitted.weights) - fitted.constant * (HORIZON if rate else 1)
        fits.append(1 - left.var() / max(y[test].var(), 1e-12) - (left.mean() ** 2 / max(y[test].var(), 1e-12)))
        sums.append((fitted, use[test]))
        if fits[-1] < MIN_FIT[rate]:
            return None
    whole = _made(values, target, rate, [pool[i] for i in picked], _solve(design, y, rate), limits)
    return _bounded(values, whole, sums, float(np.mean(fits)))


def _laid(values: F64, pool: list[Term], rate: bool) -> F64:
    """Terms as they act on what is fitted, each number with its lag read once; float64 [terms, t]."""
    pieces = {part: lagged(values[:, part[0]], part[1]) for term in pool for part in term.parts()}
    laid = np.empty((len(pool), len(values)))
    for u, term in zip(laid, pool, strict=True):
        first, *second = (pieces[part] for part in term.parts())
        np.multiply(first, second[0], out=u) if second else np.copyto(u, first)
    return _over(of_form(laid, rate), rate)


def _select(design: F64, y: F64) -> list[int]:
    """Columns that explain y, by forward selection."""
    z, aim = _standard(design), y - y.mean()
    gram, against = z.T @ z, z.T @ aim
    total, picked = float(aim @ aim), list[int]()
    left = total
    while len(picked) < MAX_TERMS and left > 1e-9 * total:
        gain = _gains(gram, against, picked)
        gain[picked] = 0
        k = int(gain.argmax())
        if gain[k] < GAIN * left:
            break
        picked.append(k)
        left -= float(gain[k])
    return picked


def _solve(design: F64, y: F64, rate: bool) -> tuple[list[float], float]:
    """Weights and constant by least squares."""
    z = np.c_[design, np.full(len(design), HORIZON if rate else 1.0)]
    scale = np.maximum(np.sqrt((z**2).mean(axis=0)), 1e-12)
    answer = np.linalg.lstsq(z / scale, y, rcond=1e-10)[0] / scale
    return [float(a) for a in answer[:-1]], float(answer[-1])


def _made(
    values: F64, target: int, rate: bool, terms: list[Term], solved: tuple[list[float], float], limits: tuple[F64, F64]
) -> Relation:
    bounds = (0,) * len(WINDOWS)
    return Relation(target, rate, tuple(terms), tuple(solved[0]), solved[1], 1.0, bounds, *limits, 0.0)


def _bounded(values: F64, whole: Relation, folds: list[tuple[Relation, npt.NDArray[np.intp]]], fit: float) -> Relation | None:
    """The relation with bounds from what was left of each third when it was fitted to the others."""
    out = np.full(len(values), np.nan)
    for fitted, rows in folds:
        span = slice(int(rows[0]), int(rows[-1]) + 1)
        out[span] = residual(values, fitted)[span]
    scale = float(np.nanstd(out))
    unit = max(scale, 1e-9) / FINE
    largest = np.abs(window_sums(out, unit)).max(axis=0)
    y = values[:, whole.target]
    steps = np.abs(np.diff(y[~np.isnan(y)]))
    finest = float(steps[steps > 0].min()) if (steps > 0).any() else 0.0
    slack = SLACK + SHORT / float(np.count_nonzero(~np.isnan(out))) ** 0.5
    bounds = tuple(int(b * slack + 3 * finest / unit) for b in largest)
    return Relation(
        whole.target, whole.rate, whole.terms, whole.weights, whole.constant, unit, bounds, whole.low, whole.high, fit
    )

"""All relations of a process held against its numbers at once: what `numbers.residual` says of each, in the same order of sums.

A batch brings few steps and a plant has many relations: one by one, most of the time would go into calling NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.learn.numbers.residual import WINDOWS, Relation, lagged, window_sums

if TYPE_CHECKING:
    from appliance.learn.numbers.series import F64

Places = npt.NDArray[np.intp]
I64 = npt.NDArray[np.int64]


class _Terms(NamedTuple):
    """The n-th term of every relation that has one: relations, their pieces, and which of these are products or of rates."""

    relation: Places
    first: Places
    product: Places
    second: Places
    rate: Places
    weight: F64


class _Ranges(NamedTuple):
    """Numbers that must lie within what was learned: column and bounds [n]; of which relations, and where each begins."""

    column: Places
    low: F64
    high: F64
    relation: Places
    start: Places


class Together:
    """Relations as arrays.

    bounds   int64 [relations, windows], of the sums in units
    """

    def __init__(self, relations: tuple[Relation, ...]) -> None:
        """Lay the terms of the relations side by side; a number with its lag is read once, however many terms it is in."""
        self.bounds = np.array([r.bounds for r in relations], np.int64).reshape(len(relations), len(WINDOWS))
        self._target = np.array([r.target for r in relations], np.intp)
        self._rate = np.flatnonzero([r.rate for r in relations])
        self._constant = np.array([[r.constant] for r in relations], np.float64).reshape(-1, 1)
        self._unit = np.array([[r.unit] for r in relations], np.float64).reshape(-1, 1)
        both = [part for r in relations for t in r.terms for part in ((t.lag, t.first), (t.second_lag, t.second)) if part[1] >= 0]
        pieces = sorted(set(both))
        place = {piece: i for i, piece in enumerate(pieces)}
        lags = sorted({lag for lag, _ in pieces})
        self._lags = [(lag, np.array([column for its, column in pieces if its == lag], np.intp)) for lag in lags]
        most = max((len(r.terms) for r in relations), default=0)
        self._terms = [_terms(relations, place, n) for n in range(most)]
        self._ranges = _ranges(relations)

    def sums(self, values: F64) -> I64:
        """What `window_sums` gives for the residual of each relation; int64 [relations, t, windows].

        values   float64 [t, s]
        """
        x = np.ascontiguousarray(values.T)
        total = np.repeat(self._constant, x.shape[1], axis=1)
        pieces = [lagged(x[columns], lag) for lag, columns in self._lags]
        laid = np.concatenate(pieces) if pieces else x[:0]
        for terms in self._terms:
            u = laid[terms.first]
            u[terms.product] = u[terms.product] * laid[terms.second]
            u[terms.rate] = (u[terms.rate] + lagged(u[terms.rate], 1)) / 2
            total[terms.relation] = total[terms.relation] + terms.weight * u
        ranges = self._ranges
        if len(ranges.start):
            seen = x[ranges.column]
            outside = np.logical_or.reduceat((seen < ranges.low) | (seen > ranges.high), ranges.start, axis=0)
            total[ranges.relation] = np.where(outside, np.nan, total[ranges.relation])
        actual = x[self._target]
        actual[self._rate] = actual[self._rate] - lagged(actual[self._rate], 1)
        return window_sums(actual - total, self._unit)


def _terms(relations: tuple[Relation, ...], place: dict[tuple[int, int], int], n: int) -> _Terms:
    """The term number `n` of all relations that have so many."""
    having = [i for i, r in enumerate(relations) if len(r.terms) > n]
    terms = [relations[i].terms[n] for i in having]
    return _Terms(
        relation=np.array(having, np.intp),
        first=np.array([place[t.lag, t.first] for t in terms], np.intp),
        product=np.flatnonzero([t.second >= 0 for t in terms]),
        second=np.array([place[t.second_lag, t.second] for t in terms if t.second >= 0], np.intp),
        rate=np.flatnonzero([relations[i].rate for i in having]),
        weight=np.array([[relations[i].weights[n]] for i in having], np.float64),
    )


def _ranges(relations: tuple[Relation, ...]) -> _Ranges:
    """Numbers whose range is held against them: all of a relation but its target, each once."""
    held = [(i, sorted({c for t in r.terms for c in t.columns()} - {r.target})) for i, r in enumerate(relations)]
    held = [(i, columns) for i, columns in held if columns]
    start = np.cumsum([0, *(len(columns) for _, columns in held)])[:-1] if held else np.zeros(0, np.intp)
    return _Ranges(
        column=np.array([c for _, columns in held for c in columns], np.intp),
        low=np.array([[relations[i].low[c]] for i, columns in held for c in columns], np.float64).reshape(-1, 1),
        high=np.array([[relations[i].high[c]] for i, columns in held for c in columns], np.float64).reshape(-1, 1),
        relation=np.array([i for i, _ in held], np.intp),
        start=start,
    )

"""What is known of the process behind the messages: relations between numbers, numbers that never stand still, closed sets.

Derived from the merged image; nothing of it is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.numbers.grid import Series, make_grid
from appliance.learn.numbers.relations import MIN_STEPS, find_relations
from appliance.learn.numbers.residual import Relation
from appliance.learn.numbers.series import F64, FEW
from appliance.packets.ordering import distinct

if TYPE_CHECKING:
    from appliance.learn.numbers.image import Image

STILL = 12  # steps: a number that never stood longer is alive
STILLER, LEAST_STILL = 4, 24  # and stands still beyond so many times its longest stand, and at least so many steps
MIN_VISITS = 3  # visits of each value on average, for a set of values to be closed
DWELL = 10  # steps that a value stays, for the number to be set and not measured
MIN_CHANGES = 8  # for a range; told is what lies FAR of it beyond
FAR = 1.0
MANY_CHANGES = 24  # from which on no new value was due: by the rule of three, at most one change in eight brings one
BESIDE = 0.1  # of its range, by which such a number may leave it


@dataclass(frozen=True, slots=True)
class Alive:
    """A number that never stood still for long; most: steps beyond which it does."""

    column: int
    most: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """A number that somebody sets: few values. Beyond low or high it never was; closed: any other value is new as well."""

    column: int
    values: tuple[float, ...]
    low: float
    high: float
    closed: bool

    def strange(self, x: F64) -> npt.NDArray[np.bool_]:
        """Which values are not among those; NaN is not strange."""
        beyond = (x < self.low) | (x > self.high)
        return beyond | (~np.isnan(x) & ~np.isin(x, self.values)) if self.closed else beyond


@dataclass(frozen=True, slots=True)
class ProcessModel:
    """Numbers on a grid of `step` cells, and what is known of them."""

    series: tuple[Series, ...] = ()
    step: int = 1
    relations: tuple[Relation, ...] = ()
    alive: tuple[Alive, ...] = ()
    chosen: tuple[Chosen, ...] = ()

    def singles(self) -> frozenset[tuple[int, int, int]]:
        """(row, order: 0 big or 1 little, offset) of the 16-bit windows that are the upper half of an IEEE 754 single."""
        upper = {"float": (0, 0), "float-words": (0, 2), "float-little": (1, 2)}
        known = [(s.key[2], s.field) for s in self.series if s.field.reading in upper]
        return frozenset((row, upper[f.reading][0], f.offset + upper[f.reading][1]) for row, f in known)

    def watches(self) -> bool:
        """Whether there is anything to hold numbers against."""
        return bool(self.relations or self.alive or self.chosen)


def process_model(image: Image) -> ProcessModel:
    """Derive what is known of the process."""
    grid = make_grid(image)
    if grid is None or len(grid.values) < MIN_STEPS:
        return ProcessModel()
    alive, chosen = [], []
    for column in range(len(grid.series)):
        x = grid.values[:, column]
        stand = _longest_stand(x)
        if stand is not None:
            alive.append(Alive(column, stand))
        one = _chosen(x, column)
        if one is not None:
            chosen.append(one)
    return ProcessModel(grid.series, grid.step, tuple(find_relations(grid)), tuple(alive), tuple(chosen))


def _longest_stand(x: F64) -> int | None:
    """Steps that a number may stand still, None where it is no number that is always on the move."""
    known = x[~np.isnan(x)]
    if len(known) < MIN_STEPS or len(distinct(known)) <= FEW:
        return None
    moved = np.flatnonzero(known[1:] != known[:-1])
    longest = int(np.diff(np.r_[-1, moved, len(known) - 1]).max())
    return max(STILLER * longest, LEAST_STILL) if longest <= STILL else None


def _chosen(x: F64, column: int) -> Chosen | None:
    """What is known of a number that takes few values; None where it takes many, or too few changes were seen.

    The set is closed if each value was visited more than once and none came first in the last third (as for rows).
    """
    known = x[~np.isnan(x)]
    if len(known) < MIN_STEPS:
        return None
    start = np.flatnonzero(np.r_[True, known[1:] != known[:-1]])
    values, first, visits = np.unique(known[start], return_index=True, return_counts=True)
    if not 2 <= len(values) <= FEW or len(start) < MIN_CHANGES:
        return None
    if np.median(np.diff(np.r_[start, len(known)])) < DWELL:
        return None  # it flickers: a measured value in coarse units
    late = start[first] > len(known) * 2 // 3
    if late[0] or late[-1]:
        return None  # its range still grows
    many = len(start) >= MANY_CHANGES
    slack = (BESIDE if many else FAR) * float(values[-1] - values[0])
    closed = many and len(start) >= MIN_VISITS * len(values) and visits.min() > 1 and not late.any()
    return Chosen(column, tuple(values.tolist()), float(values[0]) - slack, float(values[-1]) + slack, bool(closed))

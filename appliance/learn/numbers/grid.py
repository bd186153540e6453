"""Numbers of many messages on one axis of time: a value in every step, held for a while, NaN where there is none.

The step is one of a fixed list (so that sessions of one plant agree): the pace of the polls. Polls of a minute and of a
second meet at the slower one's pace only if most are that slow; a row that comes much more rarely than the step is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.learn.numbers.image import Image, Key, RowImage
from appliance.learn.numbers.series import F64, Field, find_fields, read
from appliance.packets.ordering import distinct, quantile

HOLD = 4  # steps that a value is held
STEPS = tuple(sorted(k << n for n in range(8) for k in (1, 3)))  # cells: 0.5 s to 192 s
MAX_SERIES = 160
SEAM = 256  # steps without values that stand for any longer gap
MAX_STEPS = 40_000


@dataclass(frozen=True, slots=True)
class Series:
    """One number: of which row, where in its messages."""

    key: Key
    field: Field


@dataclass(frozen=True, slots=True)
class Grid:
    """values float64 [t, s], NaN where there is none; step: cells of one step."""

    series: tuple[Series, ...]
    values: F64
    step: int


def make_grid(image: Image) -> Grid | None:
    """The numbers of an image on a common axis; None where nothing moves or too little was seen."""
    gaps = {
        key: float(np.median(np.diff(one.cell)))
        for key, one in sorted(image.rows.items(), key=lambda i: i[0])
        if len(one.cell) > 2
    }
    if not gaps:
        return None
    pace = quantile(np.array(list(gaps.values())), 0.75)
    step = next((step for step in STEPS if step >= pace), STEPS[-1])
    chosen: list[Series] = []
    for key in sorted(gaps, key=lambda k: (k[2], k)):
        one = image.rows[key]
        if gaps[key] <= HOLD * step and len(chosen) < MAX_SERIES:
            chosen += [Series(key, field) for field in find_fields(one.data, one.low)]
    chosen = chosen[:MAX_SERIES]
    if not chosen:
        return None
    steps = distinct(np.concatenate([image.rows[s.key].cell // step for s in {s.key: s for s in chosen}.values()]))
    place = np.cumsum(np.minimum(np.diff(steps, prepend=steps[0]), SEAM))
    if place[-1] >= MAX_STEPS:
        keep = place < MAX_STEPS
        steps, place = steps[keep], place[keep]
    values = np.full((int(place[-1]) + 1, len(chosen)), np.nan)
    for i, series in enumerate(chosen):
        _put(values[:, i], image.rows[series.key], series.field, steps, place, step)
    return Grid(tuple(chosen), held(values), step)


def _put(column: F64, one: RowImage, field: Field, steps: npt.NDArray[np.int64], place: npt.NDArray[np.int64], step: int) -> None:
    """Write a row's last value of every step into its column."""
    mine = one.cell // step
    inside = mine <= steps[-1]
    last = np.r_[mine[1:] != mine[:-1], True] & inside
    column[place[np.searchsorted(steps, mine[last])]] = read(one.data[last], field, one.low)


def held(values: F64) -> F64:
    """Values held for HOLD steps; float64 [t, s]."""
    out = values.copy()
    for _ in range(HOLD):
        gone = np.isnan(out[1:])
        out[1:][gone] = out[:-1][gone]
    return out

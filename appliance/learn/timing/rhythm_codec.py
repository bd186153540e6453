"""Order and time as plain arrays, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.sparse import Pairs
from appliance.learn.timing.rhythm import COUNTS, Rhythm

LATELY = ("leads", "lost")  # not there in what was learned before these were counted, which reads and digests alike
Arrays = dict[str, npt.NDArray[Any]]


def rhythm_arrays(arrays: Arrays, name: str, rhythm: Rhythm) -> None:
    """Put a rhythm into `arrays`, under names that begin with `name`."""
    for key in ("gaps", "steps", *LATELY):
        pairs: Pairs = getattr(rhythm, key)
        if key in LATELY and not len(pairs):
            continue
        arrays[f"{name}.{key}"] = np.stack([pairs.a, pairs.b, pairs.count.view(np.uint64), pairs.first.view(np.uint64)])
    arrays[f"{name}.busy"] = np.stack([rhythm.rows, rhythm.busy.view(np.uint64)])
    arrays[f"{name}.streams"] = rhythm.streams
    arrays[f"{name}.counts"] = rhythm.counts


def rhythm_from(arrays: Arrays, name: str) -> Rhythm:
    """A rhythm from what `rhythm_arrays` made. Raises ValueError or KeyError on anything else."""
    busy, streams = _stack(arrays[f"{name}.busy"], 2), arrays[f"{name}.streams"].astype(np.uint64)
    counts = arrays[f"{name}.counts"].astype(np.int64)
    if counts.shape != (len(streams), len(COUNTS)) or not _rising(busy[0]) or not _rising(streams):
        raise ValueError("columns of a wrong shape")
    gaps, steps = (_pairs(arrays[f"{name}.{key}"]) for key in ("gaps", "steps"))
    leads, lost = (_pairs(arrays[f"{name}.{key}"]) if f"{name}.{key}" in arrays else Pairs() for key in LATELY)
    return Rhythm(gaps, steps, busy[0], busy[1].view(np.int64), streams, counts, leads, lost)


def _pairs(array: npt.NDArray[Any]) -> Pairs:
    a, b, count, first = _stack(array, 4)
    ordered = (a[1:] > a[:-1]) | ((a[1:] == a[:-1]) & (b[1:] > b[:-1]))
    if not ordered.all():
        raise ValueError("pairs that are not sorted")
    return Pairs(a, b, count.view(np.int64), first.view(np.int64))


def _stack(array: npt.NDArray[Any], rows: int) -> npt.NDArray[np.uint64]:
    if array.ndim != 2 or len(array) != rows:
        raise ValueError("columns of a wrong shape")
    return np.ascontiguousarray(array, np.uint64)


def _rising(keys: npt.NDArray[np.uint64]) -> bool:
    return keys.ndim == 1 and bool((keys[1:] > keys[:-1]).all())

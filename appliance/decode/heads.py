"""Bytes of many messages as one array, a row each: taken out of the batch's buffer without a loop."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

SHORT = 96  # bytes that most messages do not exceed
WORD = 8  # bytes that are masked at once
STRETCH = 1024  # messages that are masked at once: their masks stay near the processor


def heads_of(
    data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64], length: npt.NDArray[np.int32], width: int
) -> npt.NDArray[np.uint8]:
    """First `width` bytes of every message, zero beyond its end; uint8 [n, width]."""
    if not len(at):
        return np.zeros((0, width), np.uint8)
    items: npt.NDArray[np.void] = np.ndarray((len(data) - width + 1,), dtype=f"V{width}", buffer=data.data, strides=(1,))
    heads = items[np.minimum(at, len(items) - 1)].view(np.uint8).reshape(len(at), width)
    if width % WORD:
        short = np.flatnonzero(length < width)
        if len(short):
            heads[short] = np.where(np.arange(width)[None, :] >= length[short, None], 0, heads[short])
    else:
        words, kept, ones = heads.view(np.uint64), np.minimum(length, width), _ones(width)
        for first in range(0, len(words), STRETCH):
            words[first : first + STRETCH] &= ones.take(kept[first : first + STRETCH], axis=0)
    return heads


def cut(heads: npt.NDArray[np.uint8], first: int, end: int, rows: npt.NDArray[np.intp] | None = None) -> npt.NDArray[np.uint8]:
    """Bytes first .. end of every row, or of `rows` only, each of which is copied as a whole; uint8 [n, end - first]."""
    part = heads[:, first:end]
    if rows is None:
        return np.ascontiguousarray(part)
    items: npt.NDArray[np.void] = part.view(f"V{end - first}")[:, 0]
    return items[rows].view(np.uint8).reshape(len(rows), end - first)


@cache
def _ones(width: int) -> npt.NDArray[np.uint64]:
    """Row n has its first n bytes set, the others zero; uint64 [width + 1, width / 8]."""
    return (np.tri(width + 1, width, -1, np.uint8) * np.uint8(255)).view(np.uint64)

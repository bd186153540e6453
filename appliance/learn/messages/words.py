"""Numbers in process data: for every pair of neighbouring open bytes, how far it ranged and by how much it stepped.

Nobody tells where numbers lie, how wide they are or in which byte order. But a 16-bit window that hits the upper part of a
number (or of an IEEE 754 float, whose upper half is monotone in the value) moves within narrow bounds and in small steps, and
one that hits it wrongly ranges over everything. So both byte orders of every window are counted, and only the narrow ones
say something. Minimum, maximum and the largest step merge by min and max.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPAN = 64  # windows looked at: those that begin in the first SPAN bytes

Words = npt.NDArray[np.uint16]


def words_of(heads: npt.NDArray[np.uint8], windows: npt.NDArray[np.intp] | None = None) -> Words:
    """uint16 [n, 2, w]: the windows of every message, big-endian and little-endian.

    heads    uint8 [n, any width]
    windows  offsets, int [w]; None: all SPAN; a window that reaches beyond the width is zero
    """
    windows = np.arange(SPAN) if windows is None else windows
    out = np.zeros((len(heads), 2, len(windows)), np.uint16)
    inside = windows + 1 < heads.shape[1]
    first, second = heads[:, windows[inside]].astype(np.uint16), heads[:, windows[inside] + 1].astype(np.uint16)
    out[:, 0, inside] = first << 8 | second
    out[:, 1, inside] = second << 8 | first
    return out


def steps(words: Words, before: Words) -> Words:
    """How far each window moved, without sign."""
    moved: Words = np.where(words > before, words - before, before - words)
    return moved


def no_limits(n: int) -> Words:
    """Neutral limits of n rows, uint16 [n, 3, 2, SPAN]: minimum at the top, maximum and step at zero."""
    limits = np.zeros((n, 3, 2, SPAN), np.uint16)
    limits[:, 0] = 0xFFFF
    return limits

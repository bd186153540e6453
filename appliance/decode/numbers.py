"""Numbers in the bytes of many messages at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def read_number(heads: npt.NDArray[np.uint8], offset: int, width: int, big: bool) -> npt.NDArray[np.int64]:
    """Unsigned number at heads[:, offset:offset+width] as int64 [n]."""
    span = range(offset, offset + width)
    value = np.zeros(len(heads), np.int64)
    for at in span if big else reversed(span):
        value = (value << 8) | heads[:, at]
    return value

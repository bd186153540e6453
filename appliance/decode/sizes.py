"""Length fields of many messages at once; `decode.framing` stands alone, for those who never load arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.framing import Coding
from appliance.decode.numbers import read_number

if TYPE_CHECKING:
    from appliance.decode.framing import Framing


def sizes_of(heads: npt.NDArray[np.uint8], framing: Framing) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`size_of` for many messages at once: sizes, and how many bytes say so (one number where it is the same for all); int64.

    heads   uint8 [n, framing.reach or more], zero beyond the message's end (zeros end a field: its bytes then lie beyond)
    """
    if framing.coding is Coding.FIXED:
        return read_number(heads, framing.offset, framing.width, framing.big) + framing.constant, np.array(framing.end)
    field = heads[:, framing.offset : framing.reach].astype(np.int64)
    place = np.arange(framing.width)
    if framing.coding is Coding.COUNTED:
        used = 1 + np.where(field[:, 0] >= 128, field[:, 0] - 128, 0)
        number = np.where(used > 1, 0, field[:, 0])
        for at in range(1, framing.width):
            number = np.where(at < used, number << 8 | field[:, at], number)
        sound = field[:, 0] != 128
    else:
        used = 1 + np.logical_and.accumulate(field >= 128, axis=1).sum(axis=1)
        number = np.where(place < used[:, None], (field & 127) << 7 * place, 0).sum(axis=1)
        sound = np.ones(len(field), bool)
    sound &= used <= framing.width
    return (
        np.where(sound, number + framing.constant + used - 1, -1),
        np.where(sound, framing.offset + used, framing.end),
    )

"""Which bytes of answers carry process data: what varies though the request is the same; what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.wholes import BYTES

if TYPE_CHECKING:
    from appliance.learn.messages.wholes import Words


def changes_of(heads: npt.NDArray[np.uint8], group: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], int]:
    """Per byte, how often it changed between consecutive answers to equal requests; and how many chances there were."""
    order = np.argsort(group, kind="stable")
    together = group[order][1:] == group[order][:-1]
    sorted_heads = heads[order]
    return ((sorted_heads[1:] != sorted_heads[:-1]) & together[:, None]).sum(axis=0), int(np.count_nonzero(together))


def data_after_first(
    data: npt.NDArray[np.bool_], echoed: npt.NDArray[np.bool_], identity: npt.NDArray[np.bool_], head: int, words: Words = BYTES
) -> npt.NDArray[np.bool_]:
    """Open bytes of an answer: what varies, and everything from the first process byte on that is not in its head.

    Where words are known, an answer needs no head: what follows is open where it may be data (`Words.resting`).
    """
    process = data & ~echoed & ~identity
    process[:head] = False
    opened: npt.NDArray[np.bool_] = data | echoed | identity | words.behind(process)
    return opened

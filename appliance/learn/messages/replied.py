"""How far the head of an answer reaches: as far as it repeats what was asked.

In front of its data an answer often says again which unit, command or object it is about, as it was asked or with a bit set;
flags, numbers and times may stand between. What varies there is no process data, and nothing follows from it for what is behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from appliance.learn.messages.sample import Sample

REACH = 64  # bytes looked at
LEAST = 4  # answers of one kind and length
VALUES = 3  # different values that must have been repeated at a place, 00 and FF aside: those are values of data that rests
TRAILER, MAX_TRAILER = 3, 8  # lengths of messages that must end alike; bytes looked at
STEADY = 0.97  # share of answers that repeat a place in the same way; others may belong to another request
SHARE = 0.25  # kinds and lengths in which a place must be repeated in the same way, of those that have it

_I64 = npt.NDArray[np.int64]


def repeated_heads(
    sample: Sample, asked: _I64, told: npt.NDArray[np.intp], kind: npt.NDArray[np.int32]
) -> dict[tuple[int, int], int]:
    """(kind of request, length of answer) -> bytes of the answer's head, 0 where it repeats nothing.

    asked, told   rows of requests and of their answers; kind int32 [k]: of the requests
    """
    groups, which = np.unique(np.stack([kind, sample.length[told]]), axis=1, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    which, size = which.ravel()[order], np.bincount(which.ravel())
    start = np.cumsum(size) - size
    said, answered = sample.heads[asked[order], :REACH], sample.heads[told[order], :REACH]
    turned = said ^ answered  # 00: as it was asked
    usual = np.stack([np.partition(turned[a : a + n], n // 2, axis=0)[n // 2] for a, n in zip(start, size, strict=True)])
    steady = np.add.reduceat((turned == usual[which]).astype(np.int64), start) >= STEADY * size[:, None]
    low, high = (f.reduceat(said, start) for f in (np.minimum, np.maximum))
    shortest = np.minimum(np.minimum.reduceat(sample.length[asked[order]], start), groups[1])
    there = (np.arange(REACH)[None, :] < shortest[:, None]) & (size >= LEAST)[:, None]
    says = there & ((low != 0x00) | (high != 0x00)) & ((low != 0xFF) | (high != 0xFF))
    ends = np.zeros(len(size), np.int64)
    for at in range(REACH):
        there = np.flatnonzero(says[:, at] & steady[:, at])
        for turn in np.unique(usual[there, at]):
            alike = there[usual[there, at] == turn]
            values = np.setdiff1d(said[np.isin(which, alike), at], [0x00, 0xFF])
            if len(values) >= VALUES and len(alike) >= SHARE * np.count_nonzero(says[:, at]):
                ends[alike] = at + 1
    return {(int(k), int(n)): int(end) for k, n, end in zip(*groups, ends, strict=True)}


def trailer(sample: Sample, rows: npt.NDArray[np.intp]) -> int:
    """How many bytes at the end are the same in all messages of TRAILER lengths or more: what ends a message, and no data."""
    length = sample.length[rows]
    whole = rows[length <= sample.heads.shape[1]]
    if len(np.unique(length)) < TRAILER or 2 * len(whole) < len(rows):
        return 0
    most = min(MAX_TRAILER, int(sample.length[whole].min()))
    last = sample.heads[whole[:, None], sample.length[whole][:, None] - 1 - np.arange(most)]
    same = (last == last[:1]).all(axis=0) & (last[0] != 0x00) & (last[0] != 0xFF)  # those are values of data that rests
    return most if same.all() else int(same.argmin())

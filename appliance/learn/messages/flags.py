"""Bits of requests that go with anything: flags, toggles, marks that a client sets now and then.

Rows are joint values, so a rare command with a rare flag would be new for as long as both have not met. A bit is *free* where

- every message that came often enough to show both its values did (what selects has messages that always select the same), and
- messages go on meeting it for the first time in the last third of their time (a list that is polled is complete after a round).

What is often enough follows from how often the bit changes between equal messages: of so many changes expected, none at all
has a probability below one in a hundred.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.rowhash import odd_keys
from appliance.learn.messages.sample import WIDTH, Sample, group_order

SEARCH = 64  # offsets looked at
MAX_VALUES = 16  # values of a byte of flags
EXPECTED = 5.0  # changes, of which a message shows one in 99 of 100 cases
WITNESSES, EXCEPTIONS = 8, 0.2  # messages that came so often; share of them that never show both values all the same
ALIKE = 0.1  # difference of the shares of messages in which a bit is set, up to which it is the same flag
FRESH = 4  # messages that met a value of the bit late; half of them where twice the witnesses agree without an exception

_KEYS = odd_keys(WIDTH)
_STREAM, _LENGTH = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


def free_bits(sample: Sample, opened: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Uint8 [WIDTH]: in every byte the bits that are free.

    sample   requests in time order
    opened   bool [WIDTH]: bytes that say nothing of what a message does
    """
    free = np.zeros(sample.heads.shape[1], np.uint8)
    if len(sample) < WITNESSES * FRESH:
        return free
    heads = np.where(opened, np.uint8(0), sample.heads)
    total = heads.astype(np.uint64) @ _KEYS  # modulo 2**64, so that a bit can be taken out again
    total += sample.stream.astype(np.uint64) * _STREAM + sample.length.astype(np.uint64) * _LENGTH
    candidates = [(at, np.uint8(1 << k)) for at, varying in enumerate(_varying(heads)) for k in range(8) if varying >> k & 1]
    found = True
    while found:  # without a free bit, messages are equal that were not, and show more
        found = False
        for at, bit in candidates:
            is_set = heads[:, at] & bit != 0
            without = total - is_set * (_KEYS[at : at + 1] * bit)
            if not free[at] & bit and _is_free(without, is_set):
                free[at] |= bit
                total, found = without, True
    return free


def told_bits(free: npt.NDArray[np.uint8], asked: Sample, told: Sample) -> npt.NDArray[np.uint8]:
    """Uint8 [WIDTH]: free bits of requests that are flags in what servers say as well: at the same place, set about as often."""
    also = np.zeros_like(free)
    reach = min(int(sample.length.min(initial=WIDTH)) for sample in (asked, told))
    for at in np.flatnonzero(free[:reach]).tolist() if len(asked) and len(told) else []:
        for bit in (np.uint8(1 << k) for k in range(8) if free[at] >> k & 1):
            asks, tells = (float(np.mean(sample.heads[:, at] & bit != 0)) for sample in (asked, told))
            if tells > 0 and abs(asks - tells) <= ALIKE:
                also[at] |= bit
    return also


def _varying(heads: npt.NDArray[np.uint8]) -> list[int]:
    """The bits that vary of each byte of few values, 0 for others."""
    reach = heads[:, :SEARCH].T
    few = [len(np.unique(column)) <= MAX_VALUES for column in reach]
    return [int(np.bitwise_or.reduce(column ^ column[0])) * is_few for column, is_few in zip(reach, few, strict=True)]


def _is_free(message: npt.NDArray[np.uint64], is_set: npt.NDArray[np.bool_]) -> bool:
    """Whether a bit is free; message uint64 [n]: what a message is but for the bit, in time order."""
    order = group_order(message)
    which, value = message[order], is_set[order]
    begins = np.r_[True, which[1:] != which[:-1]]
    number = np.cumsum(begins) - 1
    size = np.bincount(number)
    changed = np.r_[False, value[1:] != value[:-1]] & ~begins
    changes = np.bincount(number, weights=changed)
    chances = size - 1
    if not changed.any():
        return False
    often = chances * (changes.sum() / chances.sum()) >= EXPECTED
    steady = often & (changes == 0)
    if np.count_nonzero(often) < WITNESSES or np.count_nonzero(steady) > EXCEPTIONS * np.count_nonzero(often):
        return False
    change = np.flatnonzero(changed)
    met = change[np.unique(number[change], return_index=True)[1]]  # where a message has its other value for the first time
    clear = not steady.any() and np.count_nonzero(often) >= 2 * WITNESSES
    return int(np.count_nonzero(order[met] >= len(order) * 2 // 3)) >= (FRESH // 2 if clear else FRESH)

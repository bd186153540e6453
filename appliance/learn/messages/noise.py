"""Bytes that have had all their values and still say nothing: checks over a message, nonces, noise.

A byte is open where time keeps bringing new values. A checksum over a message that carries a counter runs out of new values
after some thousand messages, and would then be taken for a byte with 256 learned values, each with a meaning; so would
everything that is random. Such bytes are told from a list of addresses that is gone through by what follows: after an address
comes the next one of the list, after a random value anything. A check that depends on a counter alone comes in the counter's
order, which is a cycle as well, but one that hops and that the counter foretells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from appliance.learn.messages.sample import StreamOrder

Codes = npt.NDArray[np.int64]

SPREAD = 96  # different values of a stream, below which a byte may be a list
ENOUGH = 32  # comparisons
FOLLOWS = 0.25  # share of values after which the same came as the last time, up to which a byte is random
FORETOLD = 0.95  # share of messages with the same counter that agree, from which on a byte is a function of it
HOPS = 0.25  # share of the most frequent difference between neighbours, from which on a byte is gone through in steps


def is_noise(values: npt.NDArray[np.uint8], counters: list[npt.NDArray[np.uint8]], order: StreamOrder) -> bool:
    """Whether a byte is random, or a function of one of the counters.

    values    uint8 [n], rows in time order; counters: the bytes of counters, likewise
    """
    value, stream = values[order.order].astype(np.int64), order.index
    pairs = np.unique(stream << 8 | value)
    if len(pairs) < SPREAD or np.bincount(pairs >> 8).max() < SPREAD:
        return False
    begin = order.first.copy()
    begin[1:] |= value[1:] != value[:-1]
    at = np.flatnonzero(begin)  # visits
    value, stream = value[at], stream[at]
    together = stream[1:] == stream[:-1]
    steps = ((value[1:] - value[:-1]) % 256)[together]
    if not len(steps) or np.bincount(steps).max() > HOPS * len(steps):
        return False
    if _agrees((stream[:-1] << 8 | value[:-1])[together], value[1:][together], 1.0) <= FOLLOWS:
        return True
    keys = (order.index[at] << 8 | counter[order.order][at].astype(np.int64) for counter in counters)
    return any(_agrees(key, value, 0.0) >= FORETOLD for key in keys)


def _agrees(key: Codes, value: Codes, otherwise: float) -> float:
    """Share of rows that have the value of the row before with the same key; `otherwise` where too few have one."""
    at = np.argsort(key, kind="stable")
    same = key[at][1:] == key[at][:-1]
    if np.count_nonzero(same) < ENOUGH:
        return otherwise
    return float((value[at][1:] == value[at][:-1])[same].mean())

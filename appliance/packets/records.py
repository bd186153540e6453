"""What a walker hands to the reader: raw columns of the complete records it stepped over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from appliance.packets.batch import I32, I64, U8, U16

MAX_CAPTURED = 262144  # bytes; what libpcap and Wireshark believe as the largest snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Raw columns (see `schema.COLUMNS`), where the walk goes on, and why it cannot (empty text: it can).

    `after` may lie beyond the window: the block it ends is of no interest and is read past.
    """

    time: I64
    offset: I64
    captured: I32
    wire: I32
    link: U16
    interface: U16
    after: int
    damage: str = ""


class Walker(Protocol):
    """Finds the records between `start` and `stop` of the window, at most `limit` of them."""

    def walk(self, data: U8, memory: memoryview, start: int, stop: int, limit: int) -> Records:
        """Return the complete records from `start` on; none when the window holds no complete one."""
        ...


def no_records(after: int, damage: str = "") -> Records:
    """Return records of length 0."""
    long, short, narrow = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint16)
    return Records(long, long, short, short, narrow, narrow, after, damage)

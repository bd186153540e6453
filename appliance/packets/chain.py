"""Following the chain of records: the one place where a record's position depends on the record before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from struct import Struct

    from appliance.packets.batch import I64, U8


def follow(data: U8, memory: memoryview, start: int, stop: int, limit: int, length: Struct, header: int) -> I64:
    """Return the offsets of at most `limit` records from `start`, each `header` + its length further on.

    `length` reads the payload length at a record's offset. The last offset may belong to a record that does not end
    before `stop`, or to one whose length is nonsense: the caller looks at the lengths all at once, which is cheaper.
    """
    offsets: list[int] = []
    append = offsets.append
    unpack = length.unpack_from
    at, last = start, stop - header
    for _ in range(limit):
        if at > last:
            break
        append(at)
        at += unpack(memory, at)[0] + header
    return np.array(offsets, np.int64)

"""Many that nobody knows at once: counted, not followed one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import POOL, POOLED
from appliance.decode.names import address_text, service_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counting.counts import BLOCK

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Assigned

CROWD = 2_560  # frames of unknown conversations in ten seconds, from which on they are a crowd
TIMES = 10  # a crowd is told again when it is so many times larger


@dataclass(slots=True)
class CrowdDetector:
    """Counts frames of unknown conversations in blocks of ten seconds, those beyond the table's room included."""

    _block: int = -1
    _count: int = 0

    def judge(self, batch: DecodedBatch, assigned: Assigned, familiar: npt.NDArray[np.bool_]) -> list[Finding]:
        """One finding when a block's count reaches CROWD, and one each time it has grown to TIMES as many.

        familiar    bool [conversations]: nothing to be told of
        """
        pooled = (assigned.conversation == POOLED) & (assigned.flow == POOL)
        followed = (assigned.conversation >= 0) & ~familiar[np.maximum(assigned.conversation, 0)]
        rows = np.flatnonzero((pooled | followed) & ~batch.dup)
        if not len(rows):
            return []
        block = batch.time[rows] // BLOCK
        start = np.flatnonzero(np.r_[True, block[1:] != block[:-1]])
        findings: list[Finding] = []
        for at, end in zip(start.tolist(), [*start[1:].tolist(), len(rows)], strict=True):
            if int(block[at]) != self._block:
                self._block, self._count = int(block[at]), 0
            size = CROWD
            while size <= self._count + end - at:
                if size > self._count:  # what smaller crowds of the block were told is not counted twice
                    more = size if size == CROWD else size - size // TIMES
                    findings.append(_crowd(batch, int(rows[at + size - self._count - 1]), more))
                size *= TIMES
            self._count += end - at
        return findings


def _crowd(batch: DecodedBatch, row: int, count: int) -> Finding:
    source = address_text(int(batch.src_hi[row]), int(batch.src_lo[row]))
    return Finding(
        frame=int(batch.frame[row]),
        time_ns=int(batch.time[row]),
        src=source,
        dst=address_text(int(batch.dst_hi[row]), int(batch.dst_lo[row])),
        client=source,
        service=service_text(int(batch.proto[row]), int(batch.dport[row]), int(batch.ethertype[row])),
        kind=Kind.SCAN,
        score=0.001,
        payload=batch.payload_of(row)[:64],
        count=count,
    )


__all__ = ["CROWD", "CrowdDetector"]

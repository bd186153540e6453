"""Frames damaged in a way that learning never met: a bad cable, a dying card, or somebody who crafts frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.columns import HARMLESS, Damage
from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counting.quota import MAX_TRACKED
from appliance.learn.meaning.model import Model

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch

PAYLOAD_KEPT = 1500


@dataclass(slots=True)
class DamageDetector:
    """Tells the first frame of each new sort of damage from each sender; `count`: damaged frames of any sort."""

    model: Model
    count: int = 0
    _told: set[tuple[int, int]] = field(default_factory=set)  # sort, hardware address of the sender
    _harm: npt.NDArray[np.bool_] = field(init=False)
    _new: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Tables by code of damage: whether it is any, and whether learning never met it."""
        self._harm = np.array([code not in HARMLESS for code in Damage])
        self._new = np.array([code not in HARMLESS and int(code) not in self.model.baseline.damaged for code in Damage])

    def judge(self, batch: DecodedBatch) -> list[Finding]:
        """Findings of one batch."""
        self.count += int(np.count_nonzero(self._harm[batch.damage]))
        rows = np.flatnonzero(self._new[batch.damage])
        if not len(rows):
            return []
        keys = np.stack([batch.damage[rows].astype(np.uint64), batch.src_mac[rows]])
        first = np.unique(keys, axis=1, return_index=True)[1]
        findings = []
        for row in sorted(rows[first].tolist()):
            key = int(batch.damage[row]), int(batch.src_mac[row])
            if key not in self._told and len(self._told) < MAX_TRACKED:
                self._told.add(key)
                findings.append(_damaged(batch, row))
        return findings


def _damaged(batch: DecodedBatch, row: int) -> Finding:
    """The ends are those of the innermost header that was read."""
    source = address_text(int(batch.src_hi[row]), int(batch.src_lo[row]))
    return Finding(
        frame=int(batch.frame[row]),
        time_ns=int(batch.time[row]),
        src=source,
        dst=address_text(int(batch.dst_hi[row]), int(batch.dst_lo[row])),
        client=source,
        service=f"eth/0x{int(batch.ethertype[row]):04x}",
        kind=Kind.DAMAGE,
        score=0.01,
        payload=batch.payload_of(row)[:PAYLOAD_KEPT],
    )

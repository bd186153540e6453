"""TCP segments that say something else than what was said before at the same place of their stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from appliance.detect.finding import Finding, Kind
from appliance.detect.making import finding_at
from appliance.learn.counting.quota import Quota

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Assigned, Conversation


@dataclass(slots=True)
class OverlapDetector:
    """Tells overlaps that differ, a few per conversation and second."""

    _quota: Quota = field(default_factory=Quota)

    def judge(self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation]) -> list[Finding]:
        """Findings of one batch; segments of pooled conversations are left out."""
        rows = np.flatnonzero(batch.overlap & (assigned.conversation >= 0))
        number = assigned.conversation[rows].astype(np.int64)
        return [
            finding_at(batch, row, conversations[assigned.conversation[row]], bool(assigned.request[row]), Kind.OVERLAP)
            for row in self._quota.take(batch, rows, number)
        ]

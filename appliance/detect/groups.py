"""Groups that nobody ever joined: a new multicast service announces itself by IGMP before its first frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counting.quota import MAX_TRACKED
from appliance.learn.meaning.standing import MAPPED, Standing
from appliance.learn.site.groups import IGMP, joins

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch


@dataclass(slots=True)
class GroupDetector:
    """Tells the first join of every asset to a group that was not in use while learning."""

    standing: Standing
    _told: set[tuple[int, int, int]] = field(default_factory=set)

    def judge(self, batch: DecodedBatch) -> list[Finding]:
        """Findings of one batch."""
        findings: list[Finding] = []
        for row, group in joins(batch):
            key = (int(batch.src_hi[row]), int(batch.src_lo[row]), group)
            if group in self.standing.joined or key in self._told or len(self._told) >= MAX_TRACKED:
                continue
            self._told.add(key)
            source = address_text(*key[:2])
            findings.append(
                Finding(
                    frame=int(batch.frame[row]),
                    time_ns=int(batch.time[row]),
                    src=source,
                    dst=address_text(0, MAPPED | group),
                    client=source,
                    service=f"ip/{IGMP}",
                    kind=Kind.NEW_SERVICE,
                    score=0.01,
                    payload=batch.payload_of(row)[:1500],
                )
            )
        return findings

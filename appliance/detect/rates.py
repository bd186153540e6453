"""Known conversations that carry far more than they ever did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counting.counts import BLOCK
from appliance.learn.meaning.model import Model
from appliance.packets.ordering import stable_order

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Assigned, Conversation

TIMES, MORE = 3, 300  # a flood has so many times the frames of the busiest ten seconds learned, and so many more at the least
NEVER = np.iinfo(np.int64).max


@dataclass(slots=True)
class RateDetector:
    """Counts frames of each conversation in blocks of ten seconds; a mirror's copies do not count."""

    model: Model
    _limits: list[int] = field(default_factory=list)
    _counts: dict[int, tuple[int, int]] = field(default_factory=dict)  # conversation -> block, frames in it

    def judge(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], watched: npt.NDArray[np.bool_]
    ) -> list[Finding]:
        """Findings of one batch: one for every block in which the limit is passed, at the frame that passes it."""
        for i in range(len(self._limits), len(conversations)):
            usual = self.model.baseline.number(conversations[i], "rate_max") if watched[i] else 0
            usual = max(usual, self.model.accepted.busiest(conversations[i])) if usual else 0
            self._limits.append(max(TIMES * usual, usual + MORE) if usual > 0 else NEVER)
        rows = np.flatnonzero((assigned.conversation >= 0) & ~batch.dup)
        rows = rows[np.array(self._limits or [NEVER], np.int64)[assigned.conversation[rows]] < NEVER]
        if not len(rows):
            return []
        number, block = assigned.conversation[rows].astype(np.int64), batch.time[rows] // BLOCK
        order = stable_order(number)
        number, block, rows = number[order], block[order], rows[order]
        start = np.flatnonzero(np.r_[True, (number[1:] != number[:-1]) | (block[1:] != block[:-1])])
        size = np.diff(np.r_[start, len(rows)])
        before = np.zeros(len(start), np.int64)
        first = np.flatnonzero(np.r_[True, number[start[1:]] != number[start[:-1]]])  # only this block may have begun before
        for k, last in zip(first.tolist(), [*(first[1:] - 1).tolist(), len(start) - 1], strict=True):
            c = int(number[start[k]])
            open_block, seen = self._counts.get(c, (NEVER, 0))
            before[k] = seen if open_block == block[start[k]] else 0
            self._counts[c] = (int(block[start[last]]), int(before[last] + size[last]))
        rank = np.arange(len(rows)) - np.repeat(start, size) + np.repeat(before, size) + 1
        limit = np.array(self._limits, np.int64)[number]
        return [
            self._flood(batch, int(rows[at]), conversations[number[at]], int(limit[at]))
            for at in np.flatnonzero(rank == limit).tolist()
        ]

    @staticmethod
    def _flood(batch: DecodedBatch, row: int, conversation: Conversation, count: int) -> Finding:
        client, server = address_text(*conversation.client), address_text(*conversation.server)
        frame, when = int(batch.frame[row]), int(batch.time[row])
        return Finding(frame, when, client, server, client, conversation.service, Kind.FLOOD, score=0.001, count=count)

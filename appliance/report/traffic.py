"""What a run saw, for the page: who talked how much with whom, and how many frames when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.conversation import Address, Conversation, ConversationTable
from appliance.decode.names import address_text
from appliance.detect.newcomers import ARP
from appliance.learn.site.topology import TopologyCounter
from appliance.report.inventory import Talk, inventory
from appliance.report.plant import Conversation as Link
from appliance.report.timeline import Buckets

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from appliance.decode.columns import DecodedBatch
    from appliance.learn.baselines.baseline import Baseline
    from appliance.report.assets import AssetRow

MOST_BUCKETS = 240
FINEST = 1_000_000  # ns


@dataclass(slots=True)
class Histogram:
    """Frames per interval in at most MOST_BUCKETS intervals, whatever times come in whatever order.

    An interval is FINEST * 2^k ns long and starts at a multiple of its length, so the result does not depend on the order.
    """

    step: int = FINEST
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, time: npt.NDArray[np.int64]) -> None:
        """Count times, int64 [n] ns."""
        if not len(time):
            return
        ends = [int(time.min()) // self.step, int(time.max()) // self.step, *self._ends()]
        while max(ends) - min(ends) >= MOST_BUCKETS:
            self._coarser()
            ends = [end // 2 for end in ends]
        for bucket, n in zip(*np.unique(time // self.step, return_counts=True), strict=True):
            self.counts[int(bucket)] = self.counts.get(int(bucket), 0) + int(n)

    def _ends(self) -> list[int]:
        return [min(self.counts), max(self.counts)] if self.counts else []

    def _coarser(self) -> None:
        self.step *= 2
        merged: dict[int, int] = {}
        for bucket, n in self.counts.items():
            merged[bucket // 2] = merged.get(bucket // 2, 0) + n
        self.counts = merged

    def buckets(self) -> Buckets:
        """The intervals from the first to the last frame, empty ones included."""
        if not self.counts:
            return Buckets(0, self.step, ())
        low, high = self._ends()
        return Buckets(low * self.step, self.step, tuple(self.counts.get(i, 0) for i in range(low, high + 1)))


@dataclass(slots=True)
class Traffic:
    """Counts a run batch by batch; `table` is the one the detector assigns with (assigning twice changes nothing)."""

    table: ConversationTable
    topology: TopologyCounter = field(default_factory=TopologyCounter)
    times: Histogram = field(default_factory=Histogram)

    def add(self, batch: DecodedBatch) -> None:
        """Take in a batch that was judged."""
        assigned = self.table.assign(batch)
        self.topology.add(batch, assigned, len(self.table.conversations))
        self.times.add(batch.time)

    def assets(self, baseline: Baseline, vendor: Callable[[str], str | None]) -> tuple[AssetRow, ...]:
        """All assets of the baseline and of this run; frames are those of this run."""
        seen = self.topology.assets
        talks = [Talk(c, 0) for c in baseline.conversations]
        talks += [Talk(c, frames) for c, frames in zip(self.table.conversations, self._frames(), strict=True)]
        joined = {
            address: asset.merged(seen[address]) if address in seen else asset for address, asset in baseline.assets.items()
        }
        rows = inventory({**seen, **joined}, talks, vendor, known=_endpoints(baseline))
        return tuple(rows)

    def conversations(self, baseline: Baseline) -> tuple[Link, ...]:
        """All conversations of the baseline and of this run but ARP, that all have with all; messages are those of this run."""
        counts = dict.fromkeys(baseline.conversations, 0) | dict(zip(self.table.conversations, self._messages(), strict=True))
        return tuple(
            Link(address_text(*c.client), address_text(*c.server), c.service, n, _known(baseline, c))
            for c, n in sorted(counts.items())
            if c.port != ARP
        )

    def _column(self, name: str) -> list[int]:
        column: list[int] = self.topology.columns[name].tolist()
        return column + [0] * (len(self.table.conversations) - len(column))

    def _frames(self) -> list[int]:
        return self._column("frames")

    def _messages(self) -> list[int]:
        """Frames that carry something; all frames where none does (a service that is only its header)."""
        carrying = zip(self._column("requests"), self._column("answers"), self._frames(), strict=True)
        return [asked + told or frames for asked, told, frames in carrying]


def _endpoints(baseline: Baseline) -> set[Address]:
    """Addresses that were there while learning: those that talked, and those that were talked to."""
    return {*baseline.assets, *(end for c in baseline.conversations for end in (c.client, c.server))}


def _known(baseline: Baseline, c: Conversation) -> bool:
    """Known, or chatter to a group or on the link that is no finding when a known asset starts it."""
    return c in baseline.conversations or ((c.group or c.port[0] < 0) and c.client in baseline.assets)

"""How long it took from a frame to what was told of it, as a cumulative histogram: small, and sums up over time and sites."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, TypedDict

# Upper ends in seconds. The sensor looks at its rings every `latency_ms` (10 ms to 5 s), so most of it lies in between.
BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LatencyRecord(TypedDict):
    """`buckets`: pairs of an upper end in seconds and how many took at most so long; `count` of all, `sum` of their seconds."""

    buckets: list[list[float]]
    count: int
    sum: float


@dataclass(slots=True)
class Latency:
    """Counts since the sensor started."""

    total: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """One finding took so long. A clock that was set back makes it 0, never less."""
        seconds = max(seconds, 0.0)
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def record(self) -> LatencyRecord:
        """As it stands in the status record."""
        buckets: list[list[float]] = []
        below = 0
        for bound, count in zip(BOUNDS, self._counts, strict=False):
            below += count
            buckets.append([bound, below])
        return {"buckets": buckets, "count": sum(self._counts), "sum": round(self.total, 6)}

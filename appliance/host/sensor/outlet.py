"""Where the records of the sensor go: each to the keeper, and as a line of JSON to the sink, many lines at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from appliance.host.sensor.feed import Feeder
from appliance.report.latency import Latency
from appliance.report.records import dumps

LINES = 4096  # collected before they are written


@dataclass(slots=True)
class Outlet:
    """Use `tell` for every record, `found` for the time of what a finding is about, `flush` when all of a look is told.

    feed      takes every record to the keeper; write: lines to the sink
    latency   from a frame to its finding being written
    """

    feed: Feeder
    write: Callable[[str], None]
    latency: Latency = field(default_factory=Latency)
    _lines: list[str] = field(default_factory=list)
    _found: list[int] = field(default_factory=list)

    def tell(self, *records: Mapping[str, object]) -> None:
        """Records in their order."""
        for record in records:
            line = dumps(record)
            self._lines.append(line)
            self.feed.give(line)
            if len(self._lines) >= LINES:
                self.flush()

    def found(self, time_ns: int) -> None:
        """A finding among what was told is about a frame of this time (ns since the epoch)."""
        self._found.append(time_ns)

    def flush(self) -> None:
        """What was told may go."""
        self.feed.push()
        if self._lines:
            self.write("\n".join(self._lines) + "\n")
            self._lines = []
            now = time.time_ns()
            for when in self._found:
                self.latency.add((now - when) * 1e-9)
            self._found = []

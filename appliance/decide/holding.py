"""Leases in force: what they stop, whether it still goes on, and which are to be renewed; without a socket or a clock.

A lease ends by itself. Where what it stops was asked for again in the second half of its time, it is renewed shortly before its
end, so that the first request after it does not pass. Each renewal counts as a block of the hour, renewals take half of the
hour's blocks at most, so that a second attacker still finds room, and one lease is renewed `RENEWALS` times in a row at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.decide.judge import window as value_at
from appliance.decide.policy import SECOND
from appliance.decide.rules import Lease

if TYPE_CHECKING:
    from appliance.decide.ladder import Scene
    from appliance.decide.policy import Limits

AHEAD = 10 * SECOND  # before its end a lease is renewed, of a short one a quarter of its time


@dataclass(slots=True)
class Holding:
    """Leases by name; of each, when what it stops was last asked for (ns since the epoch); those that are not renewed."""

    leases: dict[str, Lease] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    last: set[str] = field(default_factory=set)

    def take(self, lease: Lease) -> None:
        """A lease is in force, or is so for longer."""
        self.leases[lease.id] = lease
        self.asked.pop(lease.id, None)

    def drop(self, name: str) -> None:
        """A lease is in force no more, or never was."""
        self.leases.pop(name, None)
        self.asked.pop(name, None)
        self.last.discard(name)

    def stopping(self, scene: Scene, now: int) -> Lease | None:
        """The lease that already stops a request; what is over is forgotten."""
        for name in [name for name, x in self.leases.items() if x.until <= now]:
            self.drop(name)
        return next((x for x in self.leases.values() if covers(x, scene)), None)

    def due(self, limits: Limits, now: int) -> list[Lease]:
        """Leases that end soon, and what they stop was asked for in the second half of their time."""
        term = limits.longest_lease
        held = (x for x in self.leases.values() if x.id not in self.last)
        soon = [x for x in held if now < x.until <= now + min(AHEAD, term // 4)]
        return [x for x in soon if self.asked.get(x.id, 0) >= x.until - term // 2]


def covers(lease: Lease, scene: Scene) -> bool:
    """Whether a lease stops this request."""
    if scene.client not in lease.source or (lease.target is not None and scene.server not in lease.target):
        return False
    if lease.service is None or lease.pattern is None:
        return True
    value = value_at(scene.payload, lease.offset)
    return lease.service == scene.service and value is not None and lease.pattern.first <= value <= lease.pattern.last

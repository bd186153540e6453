"""[enforce]: whether incidents are answered, by which policy, and who may change the rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from appliance.decide.policy import SECOND, Limits
from appliance.decide.rules import Mode, Step

if TYPE_CHECKING:
    from appliance.config.table import Table

POSTURES = tuple(map(str, Mode))
LONGEST = 86_400 * SECOND
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}|\d{1,10}")


@dataclass(frozen=True, slots=True)
class Enforce:
    """What incidents are answered with.

    policy     whole path of the policy (docs/policy.md), "" for none: then nothing is answered
    posture    observe: it is said what would be done; shadow: asked of the enforcer and counted in the kernel, nothing is
               refused; enforce: done
    bridge     the box is a bridge, not a router
    operators  users, by name or number, who may change rules besides root
    per_hour, longest   leases within an hour at most; the longest one in ns: whatever a policy says
    """

    policy: str = ""
    posture: Mode = Mode.OBSERVE
    bridge: bool = False
    operators: tuple[str, ...] = ()
    per_hour: int = 12
    longest: int = 3600 * SECOND

    @property
    def limits(self) -> Limits:
        """What the enforcer holds every lease to."""
        return Limits(tuple(Step), self.per_hour, self.longest)

    @classmethod
    def read(cls, table: Table) -> Self:
        """What the table says. Raises UsageError."""
        operators = table.texts("operators")
        for name in operators:
            if not _USER.fullmatch(name):
                raise table.wrong("operators", f"{name[:40]!r} is no name or number of a user; see `getent passwd`")
        policy = table.path("policy", "/") if "policy" in table.plain else ""
        posture = Mode(table.choice("posture", str(Mode.OBSERVE), POSTURES))
        if posture is not Mode.OBSERVE and not policy:
            raise table.wrong("posture", f"{posture} needs a policy; name its file with policy = ")
        longest = table.duration("longest", 3600 * SECOND)
        if longest > LONGEST:
            raise table.wrong("longest", "is more than a day; a lease is for hours")
        bridge = table.flag("bridge", False)
        return cls(policy, posture, bridge, operators, table.number("per_hour", 12, 0, 1000), longest)

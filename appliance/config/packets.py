"""[packets]: the packets of incidents, in memory and on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from appliance.config.table import Table

_MIB = 1 << 20
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Packets:
    """What is kept.

    memory   bytes for the last frames; 0: no packets are kept at all
    disk     bytes for all excerpts; the oldest go first
    before, after   ns around a finding
    payloads_leave_site   whether an export holds payloads, or headers only
    """

    memory: int = 16 * _MIB
    disk: int = 256 * _MIB
    before: int = 10 * _SECOND
    after: int = 5 * _SECOND
    payloads_leave_site: bool = True

    @classmethod
    def read(cls, table: Table) -> Self:
        """What the table says. Raises UsageError."""
        return cls(
            memory=table.number("memory_mib", 16, 0, 1024) * _MIB,
            disk=table.number("keep_mib", 256, 4, 1 << 20) * _MIB,
            before=table.duration("before", 10 * _SECOND),
            after=table.duration("after", 5 * _SECOND),
            payloads_leave_site=table.flag("payloads_leave_site", True),
        )

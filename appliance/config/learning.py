"""[learning]: how long, and how much disk it may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from appliance.config.table import Table

_MIB = 1 << 20
SURVEY = 600 * 1_000_000_000  # ns


@dataclass(frozen=True, slots=True)
class Learning:
    """`for_ns` 0: until adequate. `survey_ns`: time from which structures are inferred. `spool_bytes`: disk it may use."""

    for_ns: int = 0
    survey_ns: int = SURVEY
    spool_bytes: int = 512 * _MIB

    @classmethod
    def read(cls, table: Table) -> Self:
        """What the table says. Raises UsageError."""
        return cls(
            for_ns=table.duration("for", 0),
            survey_ns=table.duration("survey", SURVEY),
            spool_bytes=table.number("spool_mib", 512, 16, 1 << 20) * _MIB,
        )

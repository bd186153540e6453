"""[output]: language of the words, and how often the sensor says how it fares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from appliance.config.table import Table

STATUS = 60 * 1_000_000_000  # ns


@dataclass(frozen=True, slots=True)
class Output:
    """Language of the words, and how often a status record is written."""

    language: str = "en"
    status_ns: int = STATUS

    @classmethod
    def read(cls, table: Table) -> Self:
        """What the table says. Raises UsageError."""
        return cls(table.choice("language", "en", ("en", "ja")), table.duration("status_every", STATUS))

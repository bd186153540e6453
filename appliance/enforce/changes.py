"""What the kernel is told, and how far it reaches: tables laid out anew, or elements that come and go in those that stand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tables:
    """Text that lays out tables anew, in one transaction; `policy`: that of the policy too, whose counters then begin at zero."""

    text: str
    policy: bool = False


@dataclass(frozen=True, slots=True)
class Elements:
    """Text that adds elements to standing tables, or deletes some: neither rules nor their listing change. "": nothing at all."""

    text: str = ""


Change = Tables | Elements

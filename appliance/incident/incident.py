"""An incident: findings that belong together, told to a person. See docs/records.md for its JSON form."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.detect.finding import Finding


class Cause(StrEnum):
    """Why, in the four words the whole product uses."""

    SECURITY = "security"
    FAULT = "fault"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"


class State(StrEnum):
    """Life cycle of an incident."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(slots=True)
class Incident:
    """Findings that share a story (the first finding's initiator, service and behaviour decide).

    id           stable for the life of the incident ("i-7")
    revision     grows with every change that is reported
    opened_ns, updated_ns   nanoseconds since the epoch of the first and the latest finding
    title, impact, advice   words for people, filled by `explain`; because: what speaks for the cause, a phrase
    technique    ATT&CK for ICS technique id ("T0855") or "" where none applies
    plan         what the work plans say of it, "" where there are none
    total        findings that belong here, also those that were counted and not kept
    """

    id: str
    opened_ns: int
    updated_ns: int
    revision: int = 1
    state: State = State.OPEN
    cause: Cause = Cause.UNKNOWN
    confidence: float = 0.0
    title: str = ""
    technique: str = ""
    assets: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    impact: str = ""
    plan: str = ""
    because: str = ""
    findings: list[Finding] = field(default_factory=list)
    total: int = 0

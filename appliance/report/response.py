"""What was done, or would have been, about an incident, as a record (`docs/records.md`, `docs/schema/response.json`)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypedDict

from appliance.report.records import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.decide.rules import Lease, Mode, Step


class Act(StrEnum):
    """What became of it. The vocabulary is closed."""

    NONE = "none"  # no step fits; the reasons say why each was passed over
    WOULD = "would"  # posture observe, or shadow where the enforcer had nothing against it: nothing was done
    APPLIED = "applied"  # in the kernel
    REFUSED = "refused"  # the enforcer did not do it; the reason is its own
    ENDED = "ended"  # its time is over
    UNDONE = "undone"  # ended by an operator before its time


DONE = frozenset({Act.APPLIED, Act.ENDED, Act.UNDONE})


class LeaseRecord(TypedDict):
    """The lease of a step; `pattern` are the first and the last value of the 32 bits at `offset` of the payload."""

    id: str
    source: str
    target: str
    service: str
    offset: int
    pattern: list[int]
    until: float


class ResponseRecord(TypedDict):
    """One thing that was done, or was not; see `docs/records.md` for every key."""

    type: Literal["response"]
    incident: str
    time: float
    posture: str
    act: str
    step: str
    lease: LeaseRecord | None
    effect: str
    reasons: list[str]
    done: bool


def response_record(
    incident: str, now: int, posture: Mode, act: Act, step: Step, lease: Lease | None, effect: str, reasons: Sequence[str]
) -> ResponseRecord:
    """One record; `now` in ns since the epoch, `effect` what the step does to the plant ("" where none was chosen)."""
    return {
        "type": "response",
        "incident": incident,
        "time": seconds(now),
        "posture": posture.value,
        "act": act.value,
        "step": step.value,
        "lease": None if lease is None else lease_record(lease),
        "effect": effect,
        "reasons": [reason[:400] for reason in reasons[:8]],
        "done": act in DONE,
    }


def lease_record(lease: Lease) -> LeaseRecord:
    """A lease for people and programs."""
    return {
        "id": lease.id,
        "source": str(lease.source),
        "target": "" if lease.target is None else str(lease.target),
        "service": "" if lease.service is None else str(lease.service),
        "offset": lease.offset,
        "pattern": [lease.pattern.first, lease.pattern.last] if lease.pattern else [],
        "until": seconds(lease.until),
    }

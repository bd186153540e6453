"""What was done, or would have been, about an incident, as a record (`docs/records.md`, `docs/schema/response.json`)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from appliance.decide.rules import Step
from appliance.report.records import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from appliance.decide.rules import Lease, Mode


class Act(StrEnum):
    """What became of it. The vocabulary is closed."""

    NONE = "none"  # no step fits; the reasons say why each was passed over
    WOULD = "would"  # posture observe, or shadow where the enforcer had nothing against it: nothing was done
    APPLIED = "applied"  # in the kernel
    RENEWED = "renewed"  # for longer, because what it stops went on
    ADOPTED = "adopted"  # in the kernel since before this keeper was started, which follows it from now on
    REFUSED = "refused"  # the enforcer did not do it; the reason is its own
    ENDED = "ended"  # its time is over
    UNDONE = "undone"  # ended by an operator before its time


OVER = frozenset({Act.ENDED, Act.UNDONE})
DONE = OVER | frozenset({Act.APPLIED, Act.RENEWED, Act.ADOPTED})


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


def in_force(records: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Of response records in their order the last one of every lease that, by them, is still in force; by the lease's id."""
    last: dict[str, Mapping[str, Any]] = {}
    for record in records:
        if record["done"] and record["lease"]:
            last.pop(record["lease"]["id"], None)
            if record["act"] not in OVER:
                last[record["lease"]["id"]] = record
    return last


def end_record(record: Mapping[str, Any], now: int, act: Act) -> ResponseRecord:
    """That the lease of an earlier record was over at `now` (ns since the epoch), in the same incident."""
    kept = {key: record[key] for key in ("type", "incident", "posture", "step", "lease", "reasons")}
    return cast("ResponseRecord", kept | {"time": seconds(now), "act": act.value, "effect": "", "done": True})


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


def response_line(record: Mapping[str, Any], lang: str) -> str:
    """What was done, as one line for a person."""
    acts, steps = _ACTS[lang], _STEPS[lang]
    said = [acts[Act(record["act"])], steps[Step(record["step"])] if record["lease"] else ""]
    if record["lease"]:
        said.append(f"{record['lease']['source']} → {record['lease']['target'] or '*'}")
    why = "; ".join(map(str, record["reasons"]))
    return "  ".join(part for part in (*said, f"({why})" if why else "") if part)


_ACTS: dict[str, dict[Act, str]] = {
    "en": {
        Act.NONE: "nothing was blocked",
        Act.WOULD: "would be blocked, posture permitting:",
        Act.APPLIED: "blocked:",
        Act.RENEWED: "blocked for longer, it went on:",
        Act.ADOPTED: "still blocked after a restart:",
        Act.REFUSED: "the enforcer refused:",
        Act.ENDED: "block ended:",
        Act.UNDONE: "block ended by an operator:",
    },
    "ja": {
        Act.NONE: "遮断していません",
        Act.WOULD: "設定が許せば遮断:",
        Act.APPLIED: "遮断:",
        Act.RENEWED: "継続したため遮断を延長:",
        Act.ADOPTED: "再起動後も遮断中:",
        Act.REFUSED: "エンフォーサーが拒否:",
        Act.ENDED: "遮断終了:",
        Act.UNDONE: "オペレーターが遮断を解除:",
    },
}
_STEPS: dict[str, dict[Step, str]] = {
    "en": {
        Step.LOG: "log",
        Step.FUNCTION: "this function only",
        Step.PAIR: "all between the two",
        Step.ISOLATE: "the whole device",
    },
    "ja": {
        Step.LOG: "記録のみ",
        Step.FUNCTION: "この機能のみ",
        Step.PAIR: "二者間すべて",
        Step.ISOLATE: "機器全体",
    },
}

"""Findings, incidents and the summary as JSON lines (`docs/records.md`; schemas in `docs/schema/`).

Two runs over the same input give identical lines: nothing here reads a clock, keys keep their order, and the seconds of
the summary are the seconds *captured*, not the seconds it took.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from appliance.report.numbering import ALONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.detect.finding import Finding
    from appliance.incident.incident import Incident
    from appliance.report.numbering import Numbering

VERSION: Final = 1  # grows when a key changes its meaning or leaves; a new key alone does not make it grow
HEAD: Final = 64  # bytes of a request that its finding carries: what an answer to it needs to see


class FindingRecord(TypedDict):
    """One finding; see `docs/records.md` for every key."""

    type: Literal["finding"]
    incident: str
    file: str | None
    frame: int | None
    time: float
    src: str
    dst: str
    client: str
    service: str
    kind: str
    bytes: list[list[int]]
    seen: str
    normal: str
    score: float
    count: int
    match: str
    head: str


class IncidentRecord(TypedDict):
    """One revision of one incident; offline only the last revision is written."""

    type: Literal["incident"]
    id: str
    revision: int
    state: str
    opened: float
    updated: float
    cause: str
    confidence: float
    title: str
    technique: str
    assets: list[str]
    advice: list[str]
    impact: str
    because: str
    findings: int
    plan: str


class SummaryRecord(TypedDict):
    """The last line of every complete output."""

    type: Literal["summary"]
    version: int
    frames: int
    findings: int
    incidents: int
    seconds: float
    damaged: int


class PacketsRecord(TypedDict):
    """Where the frames of an incident are, and what proves that they were not changed since."""

    type: Literal["packets"]
    incident: str
    file: str
    frames: int
    bytes: int
    sha256: str
    since: float
    until: float


def seconds(time_ns: int) -> float:
    """Nanoseconds since the epoch -> seconds with microseconds (what a float can hold until the year 2100 and beyond)."""
    return (time_ns // 1000) / 1_000_000


def finding_record(finding: Finding, incident_id: str, numbering: Numbering = ALONE) -> FindingRecord:
    """One finding as the record of the incident it belongs to.

    `numbering` says in which capture a running frame number stands; `file` is None where there is one capture only.
    `bytes` are half-open offsets in the transport payload; `seen` is hex; `normal` is hex, one group for each learned
    example, separated by one space; `frame` is None for an absence; `head` is hex, of requests only, and stays on the site.
    """
    file, frame = (None, None) if finding.frame is None else numbering.place(finding.frame)
    return {
        "type": "finding",
        "incident": incident_id,
        "file": file,
        "frame": frame,
        "time": seconds(finding.time_ns),
        "src": finding.src,
        "dst": finding.dst,
        "client": finding.client,
        "service": finding.service,
        "kind": finding.kind.value,
        "bytes": [[first, end] for first, end in finding.ranges],
        "seen": finding.seen.hex(),
        "normal": " ".join(example.hex() for example in finding.normal),
        "score": float(finding.score),
        "count": finding.count,
        "match": finding.match,
        "head": finding.payload[:HEAD].hex() if finding.src == finding.client else "",
    }


def incident_record(incident: Incident) -> IncidentRecord:
    """The present revision of an incident; `findings` counts all that belong to it, also those that were not kept."""
    return {
        "type": "incident",
        "id": incident.id,
        "revision": incident.revision,
        "state": incident.state.value,
        "opened": seconds(incident.opened_ns),
        "updated": seconds(incident.updated_ns),
        "cause": incident.cause.value,
        "confidence": round(float(incident.confidence), 4),
        "title": incident.title,
        "technique": incident.technique,
        "assets": list(incident.assets),
        "advice": list(incident.advice),
        "impact": incident.impact,
        "because": incident.because,
        "findings": max(incident.total, len(incident.findings)),
        "plan": incident.plan,
    }


def summary_record(frames: int, findings: int, incidents: int, seconds: float, damaged: int) -> SummaryRecord:
    """The closing record.

    `seconds` are captured seconds (last frame's time minus the first's, never negative), so that the line is the same on
    every machine; `damaged` counts frames with damage of any layer.
    """
    return {
        "type": "summary",
        "version": VERSION,
        "frames": frames,
        "findings": findings,
        "incidents": incidents,
        "seconds": round(max(0.0, float(seconds)), 6),
        "damaged": damaged,
    }


def packets_record(*, incident: str, file: str, frames: int, size: int, sha256: str, since: int, until: int) -> PacketsRecord:
    """The excerpt of an incident as it is on disk now.

    file   relative to the state directory; size: its bytes; sha256: of the whole file, hex
    since, until   ns since the epoch of its earliest and its latest frame
    """
    return {
        "type": "packets",
        "incident": incident,
        "file": file,
        "frames": frames,
        "bytes": size,
        "sha256": sha256,
        "since": seconds(since),
        "until": seconds(until),
    }


_JSON = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def dumps(record: Mapping[str, object]) -> str:
    """One record as one line without its line end: compact, ASCII only, keys in the order of the record.

    ASCII because words that come from the wire may end up here: a terminal, a log or a pipe in any locale must get them
    unharmed. Raises ValueError for NaN or infinity, which JSON cannot say.
    """
    return _JSON.encode(record)

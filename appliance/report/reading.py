"""Findings read back from JSON lines that `detect` wrote: of one incident, complete or not at all."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from appliance.detect.finding import Finding, Kind
from appliance.errors import UsageError
from appliance.report.records import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_LINE = 1 << 20  # characters of a line
MAX_LINES = 5_000_000
MAX_BYTES = 1 << 12  # of what was seen at a place
_MATCH = re.compile(r"(?:[0-9a-f]{16}:(?:row|exact):[0-9a-f]{16},?){0,50}")
_SERVICE = re.compile(r"[a-z]{2,4}(?:/(?:0x)?[0-9a-f]{1,5})?")
_ADDRESS = re.compile(r"[0-9a-fA-F.:]{2,45}")


class Told(NamedTuple):
    """An incident as its lines told it."""

    title: str
    findings: list[Finding]


def read_incident(name: str, lines: Iterable[str], incident: str) -> Told:
    """The findings of one incident.

    name   what the lines are called in an error
    Raises UsageError where they are no such lines, were cut short, or hold no such incident.
    """
    findings: list[Finding] = []
    title, complete, others = "", False, []
    for number, line in enumerate(lines, start=1):
        record = _record(name, number, line)
        if record.get("incident") == incident and record.get("type") == "finding":
            findings.append(_finding(name, number, record))
        elif record.get("type") == "incident":
            others.append(str(record.get("id")))
            title = str(record.get("title"))[:300] if record.get("id") == incident else title
        elif record.get("type") == "summary":
            complete = record.get("version") == VERSION
    if not complete:
        raise UsageError(
            f"{name}: no summary of this version at its end, it was cut short or is no output of `detect`; run it again"
        )
    if not findings:
        known = f"it has {', '.join(others[:12])}" if others else "it has none"
        raise UsageError(f"{name}: no incident {incident!r} in it; {known}")
    return Told(title, findings)


def _record(name: str, number: int, line: str) -> dict[str, Any]:
    if number > MAX_LINES or len(line) > MAX_LINE:
        raise UsageError(f"{name}: line {number} is beyond what is read; give the output of one run of `detect --format jsonl`")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise UsageError(f"{name}: line {number} is no JSON object; give what `sekisho detect --format jsonl` wrote")
    return record


def _finding(name: str, number: int, record: dict[str, Any]) -> Finding:
    try:
        return finding_from(record)
    except ValueError as error:
        raise UsageError(
            f"{name}: line {number} is not a finding as this version writes it ({error}); run `detect` again"
        ) from error


def finding_from(record: Mapping[str, Any]) -> Finding:
    """A finding from its record. Raises ValueError for anything else."""
    try:
        frame = record.get("frame")
        return Finding(
            frame=None if frame is None else int(frame),
            time_ns=round(float(record["time"]) * 1e6) * 1000,
            src=_like(_ADDRESS, record["src"]),
            dst=_like(_ADDRESS, record["dst"]),
            client=_like(_ADDRESS, record["client"]),
            service=_like(_SERVICE, record["service"]),
            kind=Kind(record["kind"]),
            ranges=tuple((int(a), int(b)) for a, b in record["bytes"][:64]),
            seen=_bytes(record["seen"]),
            normal=tuple(_bytes(part) for part in record["normal"].split()[:64]),
            score=float(record["score"]),
            payload=_bytes(record.get("head", "")),
            count=int(record["count"]),
            match=_like(_MATCH, record.get("match", "")),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _like(form: re.Pattern[str], text: object) -> str:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise ValueError(f"{str(text)[:40]!r} is not of its form")
    return text


def _bytes(text: str) -> bytes:
    if len(text) > 2 * MAX_BYTES:
        raise ValueError("too many bytes")
    return bytes.fromhex(text)

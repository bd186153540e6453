"""What goes out of the site: one revision of one incident, with some of its findings, before it takes a form.

The forms are `ocsf`, `cef` and lines of text; `syslog` wraps any of them. Here is what they share: how grave it is, its names,
and that a record from another process has the types it should have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

Json = Mapping[str, Any]

# The techniques that command a device, load it or shut it down: with the cause "security" nothing is graver.
_COMMANDS: Final = frozenset({"T0814", "T0816", "T0836", "T0843", "T0848", "T0855", "T0857", "T0858"})
SEVERITIES: Final = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}  # OCSF severity_id
MAX_FINDINGS = 64  # of an incident that may go out with it
_INCIDENT: Final[dict[str, type | tuple[type, ...]]] = {
    "id": str,
    "revision": int,
    "state": str,
    "opened": (int, float),
    "updated": (int, float),
    "cause": str,
    "confidence": (int, float),
    "title": str,
    "technique": str,
    "assets": list,
    "advice": list,
    "impact": str,
    "findings": int,
    "plan": str,
}
_FINDING: Final[dict[str, type | tuple[type, ...]]] = {
    "frame": (int, type(None)),
    "time": (int, float),
    "src": str,
    "dst": str,
    "client": str,
    "service": str,
    "kind": str,
    "bytes": list,
    "seen": str,
    "normal": str,
    "score": (int, float),
    "count": int,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One revision on its way.

    seq       place in the outbox, from 1, without a gap: receivers see by it what they miss
    logged    when it was put there, ns since the epoch
    record    incident record of docs/records.md
    findings  finding records, the first ones of the incident
    test      nothing happened: somebody tries the way
    first     the first revision of its incident that is reported: the keeper tells the latest one only
    """

    seq: int
    logged: int
    record: Json
    findings: tuple[Json, ...] = ()
    test: bool = False
    first: bool = False

    @property
    def closed(self) -> bool:
        """Whether this revision ends the incident."""
        return bool(self.record["state"] == "closed")


@dataclass(frozen=True, slots=True)
class About:
    """Who reports: the gateway's name (printable ASCII without spaces), the program's version, the language of the words."""

    gateway: str
    version: str
    language: str = "en"

    def finding(self, event: Event) -> str:
        """What the incident is called outside of the site: the same in every revision."""
        return f"{self.gateway}:{event.record['id']}"

    def uid(self, event: Event) -> str:
        """What this revision is called: the same however often it is sent, so that a receiver can tell repeats."""
        return f"{self.finding(event)}:{event.record['revision']}"


def severity(record: Json) -> int:
    """OCSF severity_id, 1 informational to 5 critical, from cause, confidence and technique."""
    cause, confidence = record["cause"], record["confidence"]
    if cause == "maintenance":
        return 1
    if cause == "fault":
        return 3 if confidence >= 0.8 else 2
    if cause == "security":
        return 5 if record["technique"] in _COMMANDS and confidence >= 0.7 else 4 if confidence >= 0.7 else 3
    return 3


def headline(event: Event) -> str:
    """The title; what is known without words where there is none yet."""
    title = str(event.record["title"])
    if title:
        return title
    first = event.findings[0] if event.findings else None
    what = f"{first['kind']}: {first['src']} -> {first['dst']} ({first['service']})" if first else "no words yet"
    return f"Incident {event.record['id']}, {what}"


def checked(record: object, findings: object) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """An incident and its findings as another process told them: keys, types and sizes. Raises ValueError in a few words."""
    if not isinstance(record, dict) or record.get("type") != "incident":
        raise ValueError("no incident record")
    _types(record, _INCIDENT)
    for key in ("assets", "advice"):
        if not all(isinstance(text, str) for text in record[key]):
            raise ValueError(f"{key}: not a list of texts")
    if not isinstance(findings, Sequence) or isinstance(findings, str):
        raise ValueError("no list of findings")
    kept = []
    for finding in findings[:MAX_FINDINGS]:
        if not isinstance(finding, dict):
            raise ValueError("a finding is no record")
        _types(finding, _FINDING)
        if not all(isinstance(r, list) and len(r) == 2 and all(isinstance(n, int) for n in r) for r in finding["bytes"]):
            raise ValueError("bytes: not a list of ranges")
        kept.append({key: finding[key] for key in _FINDING})
    return {"type": "incident", **{key: record[key] for key in _INCIDENT}}, tuple(kept)


def _types(record: dict[str, Any], wanted: dict[str, type | tuple[type, ...]]) -> None:
    for key, kind in wanted.items():
        if key not in record or not isinstance(record[key], kind) or isinstance(record[key], bool):
            raise ValueError(f"{key}: missing, or of another type")


def is_ip(text: str) -> bool:
    """Whether a name of an asset is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

"""Records as they come over the feed (`docs/records.md`): checked by their form before anything is kept of them."""

from __future__ import annotations

import re
from typing import Any

from appliance.report.response import Act

TYPES = ("finding", "incident", "status", "summary", "packets", "response")
MAX_RECORDS = 4096  # in one request
ID = re.compile(r"i-(?:[0-9]{1,18}-)?[0-9]{1,12}")
CAUSES = ("security", "fault", "maintenance", "unknown")
STATES = ("open", "closed")
ACTS = frozenset(map(str, Act))
_WHOLE = 1 << 53  # numbers of JSON are exact up to here


def wrong_with(record: object) -> str:
    """Why a record is not taken, "" where it is.

    Only what the keeper itself relies on is looked at: types, ids, times, counts. Words are words.
    """
    if not isinstance(record, dict):
        return "it is no object"
    kind = record.get("type")
    if kind not in TYPES:
        return f"type {str(kind)[:20]!r} is none of {', '.join(TYPES)}"
    if kind == "incident":
        return _incident(record)
    if kind in ("finding", "packets", "response") and not is_id(record.get("incident")):
        return f"incident {str(record.get('incident'))[:40]!r} is no id of an incident"
    if kind == "finding":
        return _finding(record)
    if kind == "response":
        return _response(record)
    if kind == "status" and not is_time(record.get("time")):
        return "time is no number of seconds"
    return ""


def _finding(record: dict[str, Any]) -> str:
    if not is_count(record.get("count")) or not (record.get("frame") is None or is_count(record["frame"])):
        return "count or frame is no whole number"
    if not all(isinstance(record.get(key), str) for key in ("src", "dst", "service", "kind", "seen", "normal")):
        return "src, dst, service, kind, seen or normal is no text"
    ranges = record.get("bytes")
    if not isinstance(ranges, list) or not all(isinstance(r, list) and len(r) == 2 and all(map(is_count, r)) for r in ranges):
        return "bytes are no ranges"
    return ""


def _incident(record: dict[str, Any]) -> str:
    if not is_id(record.get("id")):
        return f"id {str(record.get('id'))[:40]!r} is no id of an incident"
    if record.get("cause") not in CAUSES or record.get("state") not in STATES:
        return "cause or state is none of those there are"
    if not is_time(record.get("opened")) or not is_time(record.get("updated")):
        return "opened or updated is no number of seconds"
    if not is_count(record.get("revision")) or not is_count(record.get("findings")):
        return "revision or findings is no whole number"
    if not all(isinstance(record.get(key), str) for key in ("title", "technique", "impact", "plan")):
        return "title, technique, impact or plan is no text"
    if not all(
        isinstance(record.get(key), list) and all(isinstance(x, str) for x in record[key]) for key in ("assets", "advice")
    ):
        return "assets or advice is no list of texts"
    if not is_time(record.get("confidence")) or record["confidence"] > 1:
        return "confidence is no share"
    return ""


def _response(record: dict[str, Any]) -> str:
    if record.get("act") not in ACTS or type(record.get("done")) is not bool or not is_time(record.get("time")):
        return "act, done or time is none"
    if not all(isinstance(record.get(key), str) for key in ("posture", "step")) or not isinstance(record.get("reasons"), list):
        return "posture or step is no text, or reasons are no list"
    lease = record.get("lease", "")
    if lease is not None and not (isinstance(lease, dict) and isinstance(lease.get("id"), str) and is_time(lease.get("until"))):
        return "lease has no id or no end"
    return ""


def is_id(value: object) -> bool:
    """Whether it is the id of an incident: i-7 of a file, i-3-7 of the third run of a sensor."""
    return isinstance(value, str) and ID.fullmatch(value) is not None


def is_count(value: object) -> bool:
    """Whether it is a whole number from 0 that JSON can say."""
    return type(value) is int and 0 <= value < _WHOLE


def is_time(value: object) -> bool:
    """Whether it is seconds since the epoch."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11

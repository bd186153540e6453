"""Incidents as OCSF Detection Findings (class 2004), schema 1.9.0 (https://schema.ocsf.io, August 2026).

What we emit is `docs/schema/ocsf.json`; what each attribute is made of stands in docs/reporting.md. OCSF has no place for the
bytes of an automation protocol, so they are in an object `ot` of an extension of our own. Its number is the one that OCSF
keeps for development (999): it will be registered when somebody besides us reads it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from appliance.explain.technique import name as technique_name
from appliance.report.event import SEVERITIES, headline, is_ip, severity

if TYPE_CHECKING:
    from appliance.report.event import About, Event, Json

VERSION: Final = "1.9.0"
CLASS_UID: Final = 2004
EXTENSION: Final = {"name": "ot", "uid": "999", "version": "1.0.0"}
_ACTIVITIES: Final = {1: "Create", 2: "Update", 3: "Close"}
_PROTOCOLS: Final = {"tcp": 6, "udp": 17}
_ATTACK: Final = "18.0"  # the version of ATT&CK for ICS whose ids `explain.technique` gives
_IP, _MAC, _OTHER = (2, "IP Address"), (3, "MAC Address"), (99, "Other")
MAX_ASSETS = 64  # of an incident that are written out; `ot.assets_total` says how many there are


def detection_finding(event: Event, about: About) -> dict[str, Any]:
    """The event as plain values, in a fixed order of keys; times are milliseconds since the epoch."""
    record = event.record
    activity = 3 if event.closed else 1 if event.first else 2
    grave = severity(record)
    opened, updated = _ms(record["opened"]), _ms(record["updated"])
    assets = [str(asset) for asset in record["assets"][:MAX_ASSETS]]
    finding = {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS_UID,
        "class_name": "Detection Finding",
        "type_uid": CLASS_UID * 100 + activity,
        "type_name": f"Detection Finding: {_ACTIVITIES[activity]}",
        "severity_id": grave,
        "severity": SEVERITIES[grave],
        "status_id": 4 if event.closed else 1,
        "status": "Resolved" if event.closed else "New",
        "is_alert": not event.closed and not event.test and record["cause"] != "maintenance",
        "time": opened,  # 1.9.0: when the finding was first generated, in every revision
        "start_time": opened,
        "end_time": updated,
        "message": headline(event),
        **_confidence(record),
        "metadata": _metadata(event, about, updated),
        "finding_info": _info(event, about, opened, updated),
        "resources": [{"uid": asset, "name": asset, "type": "OT asset"} for asset in assets],
        "observables": [_observable(number, asset) for number, asset in enumerate(assets)],
        "evidences": [_evidence(finding) for finding in event.findings],
        "ot": _ot(event),
    }
    if record["advice"]:
        finding["remediation"] = {"desc": "\n".join(record["advice"])}
    return {key: value for key, value in finding.items() if value != []}


def fitted(event: Event, about: About, limit: int) -> str:
    """The event as one line of JSON of at most `limit` characters, ASCII only.

    What does not fit is left out from the end: findings with their evidence, then all but eight assets, then words, then
    all assets and captions; that something is missing is said in `metadata.is_truncated`. Raises ValueError where the limit is
    below any event.
    """
    whole = detection_finding(event, about)
    line = _line(whole)
    if len(line) <= limit:
        return line
    whole["metadata"] |= {"is_truncated": True, "untruncated_size": -(-len(line) // 1024)}
    while whole.get("evidences"):
        keep = len(whole["evidences"]) // 2
        whole["evidences"], whole["ot"]["findings"] = whole["evidences"][:keep], whole["ot"]["findings"][:keep]
        if len(line := _line({k: v for k, v in whole.items() if v != []})) <= limit:
            return line
    for step in (_fewer_assets, _fewer_words, _bare):
        step(whole)
        if len(line := _line({k: v for k, v in whole.items() if v != []})) <= limit:
            return line
    raise ValueError(f"{limit} characters are too few for one event")


def _fewer_assets(whole: dict[str, Any]) -> None:
    for key in ("resources", "observables"):
        whole[key] = whole.get(key, [])[:8]


def _fewer_words(whole: dict[str, Any]) -> None:
    whole.pop("remediation", None)
    whole["ot"] |= {"advice": [], "impact": "", "plan": ""}
    whole["finding_info"].pop("desc", None)
    whole["message"] = whole["finding_info"]["title"] = whole["message"][:120]


def _bare(whole: dict[str, Any]) -> None:
    for key in ("resources", "observables"):
        whole[key] = []
    for key in ("types", "data_sources", "modified_time", "first_seen_time", "last_seen_time", "related_events_count"):
        whole["finding_info"].pop(key, None)
    for key in ("original_event_uid", "event_code", "log_name", "log_provider", "modified_time"):
        whole["metadata"].pop(key, None)
    whole["message"] = whole["finding_info"]["title"] = whole["message"][:20]
    for key in ("activity_name", "category_name", "class_name", "type_name", "severity", "status", "confidence"):
        del whole[key]


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _confidence(record: Json) -> dict[str, Any]:
    score = max(0.0, min(1.0, float(record["confidence"])))
    number, words = (1, "Low") if score < 0.5 else (2, "Medium") if score < 0.8 else (3, "High")
    return {"confidence_id": number, "confidence": words, "confidence_score": round(score * 100)}


def _metadata(event: Event, about: About, updated: int) -> dict[str, Any]:
    metadata = {
        "version": VERSION,
        "product": {"name": "Sekisho", "vendor_name": "Sekisho", "version": about.version, "lang": about.language},
        "uid": about.uid(event),
        "sequence": event.seq,
        "correlation_uid": about.finding(event),
        "original_event_uid": str(event.record["id"]),
        "event_code": str(event.record["technique"]) or "incident",
        "log_name": "incident",
        "log_provider": about.gateway,
        "logged_time": event.logged // 1_000_000,
        "modified_time": updated,
        "extensions": [dict(EXTENSION)],
    }
    return metadata | ({"labels": ["test"]} if event.test else {})


def _info(event: Event, about: About, opened: int, updated: int) -> dict[str, Any]:
    record = event.record
    info: dict[str, Any] = {
        "uid": about.finding(event),
        "title": headline(event),
        "analytic": {"name": "Sekisho baseline", "uid": "sekisho-baseline", "type_id": 2, "type": "Behavioral"},
        "types": sorted({str(finding["kind"]) for finding in event.findings}),
        "created_time": opened,
        "modified_time": updated,
        "first_seen_time": opened,
        "last_seen_time": updated,
        "related_events_count": record["findings"],
        "data_sources": ["network traffic"],
    }
    words = " ".join(text for text in (record["impact"], record["plan"]) if text)
    if words:
        info["desc"] = words
    if record["technique"]:
        technique = {"uid": record["technique"], "name": technique_name(record["technique"], "en") or record["technique"]}
        info["attacks"] = [{"version": _ATTACK, "technique": technique}]
    return {key: value for key, value in info.items() if value != []}


def _observable(number: int, asset: str) -> dict[str, Any]:
    type_id, words = _IP if is_ip(asset) else _MAC if _is_mac(asset) else _OTHER
    return {"name": f"resources[{number}].uid", "type_id": type_id, "type": words, "value": asset}


def _evidence(finding: Json) -> dict[str, Any]:
    """Who to whom, over what. The port belongs to the side that is asked; OCSF knows no direction for us: 0, unknown."""
    transport, _, number = str(finding["service"]).partition("/")
    asked = finding["dst"] if finding["client"] == finding["src"] else finding["src"]
    port = int(number) if transport in _PROTOCOLS and number.isdigit() else None
    connection: dict[str, Any] = {"direction_id": 0, "direction": "Unknown", "protocol_name": transport}
    if transport in _PROTOCOLS:
        connection["protocol_num"] = _PROTOCOLS[transport]
    evidence = {
        "name": finding["kind"],
        "src_endpoint": _endpoint(finding["src"], port if asked == finding["src"] else None),
        "dst_endpoint": _endpoint(finding["dst"], port if asked == finding["dst"] else None),
        "connection_info": connection,
    }
    return evidence | ({"uid": f"frame {finding['frame']}"} if finding["frame"] is not None else {})


def _endpoint(address: str, port: int | None) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"uid": address}
    if is_ip(address):
        endpoint["ip"] = address
    elif _is_mac(address):
        endpoint["mac"] = address
    return endpoint | ({"port": port} if port is not None else {})


def _ot(event: Event) -> dict[str, Any]:
    """What OCSF has no place for, in the words of docs/records.md; `findings` are in the order of `evidences`."""
    record = event.record
    return {
        "incident": record["id"],
        "revision": record["revision"],
        "cause": record["cause"],
        "confidence": record["confidence"],
        "impact": record["impact"],
        "advice": list(record["advice"]),
        "plan": record["plan"],
        "assets_total": len(record["assets"]),
        "findings_total": record["findings"],
        "findings": [
            {key: finding[key] for key in ("time", "service", "kind", "bytes", "seen", "normal", "score", "count")}
            for finding in event.findings
        ],
    }


def _is_mac(text: str) -> bool:
    parts = text.split(":")
    return len(parts) == 6 and all(len(part) == 2 and part.isalnum() for part in parts)

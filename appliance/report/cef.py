"""Incidents in ArcSight's Common Event Format, version 0 of the header, for collectors that know nothing else.

CEF:0|vendor|product|version|signature|name|severity 0 to 10|key=value ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.report.event import headline, is_ip, severity

if TYPE_CHECKING:
    from appliance.report.event import About, Event, Json

_GRAVE: Final = {1: 1, 2: 3, 3: 5, 4: 8, 5: 10}  # OCSF severity_id -> CEF
_MOST: Final = 1023  # characters of msg, name and custom strings; the dictionary of CEF allows 1023 to 4000


def cef(event: Event, about: About) -> str:
    """The event as one line without its end."""
    record = event.record
    first = event.findings[0] if event.findings else None
    signature = str(record["technique"]) or (str(first["kind"]) if first else "incident")
    head = ["Sekisho", "Sekisho", about.version, signature, headline(event)[:512], str(_GRAVE[severity(record)])]
    pairs: list[tuple[str, str]] = [
        ("externalId", about.uid(event)),
        ("rt", str(round(record["updated"] * 1000))),
        ("start", str(round(record["opened"] * 1000))),
        ("dvchost", about.gateway),
        ("cat", str(record["cause"])),
        ("cnt", str(record["findings"])),
        ("act", "closed" if event.closed else "alert"),
        *(_sides(first) if first else ()),
        ("cs1Label", "incident"),
        ("cs1", str(record["id"])),
        ("cs2Label", "advice"),
        ("cs2", " ".join(record["advice"])),
        ("cs3Label", "bytes"),
        ("cs3", " ".join(f"{a}-{b}" for a, b in first["bytes"]) if first else ""),
        ("cs4Label", "seen"),
        ("cs4", str(first["seen"]) if first else ""),
        ("cs5Label", "normal"),
        ("cs5", str(first["normal"]) if first else ""),
        ("cn1Label", "revision"),
        ("cn1", str(record["revision"])),
        ("cn2Label", "confidence"),
        ("cn2", str(round(record["confidence"] * 100))),
        ("msg", ("TEST, nothing happened. " if event.test else "") + str(record["impact"])),
    ]
    given = {key for key, value in pairs if value}
    kept = [(key, value) for key, value in pairs if value and (not key.endswith("Label") or key[:-5] in given)]
    return "CEF:0|" + "|".join(map(_head, head)) + "|" + " ".join(f"{key}={_value(value[:_MOST])}" for key, value in kept)


def _sides(finding: Json) -> list[tuple[str, str]]:
    """Client and server of the leading finding, where they have IP addresses; CEF has none of another kind but MAC."""
    client = str(finding["client"])
    server = str(finding["dst"] if finding["src"] == client else finding["src"])
    pairs = [(key, address) for key, address in (("src", client), ("dst", server)) if is_ip(address)]
    transport, _, port = str(finding["service"]).partition("/")
    if transport in ("tcp", "udp"):
        pairs += [("proto", transport.upper()), ("dpt", port)]
    return pairs


def _head(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "").replace("\n", "\\n")


def _plain(text: str) -> str:
    return " ".join(text.split())

"""Syslog messages (RFC 5424) and their framing on a stream (RFC 5425 section 4.3, octet counting).

    <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG

The structured data are `meta sequenceId` and `origin` of RFC 5424 section 7, and `sekisho@32473`: 32473 is the enterprise
number that RFC 5612 keeps for documentation, to be replaced by a number of one's own (docs/reporting.md).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from appliance.report.cef import cef
from appliance.report.event import headline, severity
from appliance.report.ocsf import fitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.report.event import About, Event

ENTERPRISE: Final = 32473
FORMATS: Final = ("ocsf", "cef", "text")
LEAST, MOST = 2048, 1 << 20  # RFC 5425 section 4.3.1: every receiver takes 2048 octets, and should take 8192
_FACILITY: Final = 13  # log audit
_LEVELS: Final = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}  # OCSF severity_id -> syslog severity: info, notice, warning, err, crit
_BOM: Final = b"\xef\xbb\xbf"
_LAST: Final = 253_402_300_799  # 9999-12-31T23:59:59
_MAX_SEQUENCE: Final = 2_147_483_647


def message(event: Event, about: About, form: str = "ocsf", limit: int = 8192) -> bytes:
    """One message of at most `limit` octets; `form` is one of FORMATS.

    What is too long is cut by its meaning (OCSF, see `ocsf.fitted`) or at its end; a message is never cut in the middle of a
    character. Raises ValueError where the limit is below any message.
    """
    head = _head(event, about)
    room = limit - len(head) - 1
    if form == "ocsf":
        body = fitted(event, about, room)
    elif form == "cef":
        body = cef(event, about)
    else:
        body = _text(event)
    return head + b" " + _msg(body, room)


def framed(syslog: bytes) -> bytes:
    """The message on a stream: its length in octets, a space, the message."""
    return str(len(syslog)).encode("ascii") + b" " + syslog


def _msg(body: str, room: int) -> bytes:
    """MSG-ANY for ASCII, MSG-UTF8 with its byte order mark for everything else (RFC 5424 section 6.4)."""
    octets = body.encode("utf-8", "backslashreplace")
    if not body.isascii():
        octets = _BOM + octets
    if len(octets) <= room:
        return octets
    return octets[: max(room, 0)].decode("utf-8", "ignore").encode("utf-8")


def _head(event: Event, about: About) -> bytes:
    record = event.record
    data = {
        "uid": about.uid(event),
        "incident": str(record["id"]),
        "revision": str(record["revision"]),
        "state": str(record["state"]),
        "cause": str(record["cause"]),
        "confidence": f"{record['confidence']:.2f}",
        "technique": str(record["technique"]),
        "findings": str(record["findings"]),
        "test": "1" if event.test else "",
    }
    sequence = str((event.seq - 1) % _MAX_SEQUENCE + 1)
    structured = (
        _element("meta", {"sequenceId": sequence})
        + _element("origin", {"software": "sekisho", "swVersion": about.version, "enterpriseId": str(ENTERPRISE)})
        + _element(f"sekisho@{ENTERPRISE}", {key: value for key, value in data.items() if value})
    )
    priority = _FACILITY * 8 + _LEVELS[severity(record)]
    host = _name(about.gateway, 255)
    return f"<{priority}>1 {_timestamp(record['updated'])} {host} sekisho - incident {structured}".encode()


def _element(name: str, parameters: Mapping[str, str]) -> str:
    r"""An SD-ELEMENT; in values `"`, `\\` and `]` are escaped (section 6.3.3), control characters are left out."""
    return "[" + name + "".join(f' {key}="{_escaped(value)}"' for key, value in parameters.items()) + "]"


def _escaped(value: str) -> str:
    seen = "".join(char for char in value if char.isprintable())
    return seen.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds; the nil value for what no calendar has."""
    if not 0 <= seconds <= _LAST:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _name(text: str, most: int) -> str:
    """A header field: printable US-ASCII without spaces, the nil value where nothing is left."""
    return "".join(char for char in text if "!" <= char <= "~")[:most] or "-"


def _text(event: Event) -> str:
    record = event.record
    kind = "TEST, nothing happened: " if event.test else ""
    state = "closed: " if event.closed else ""
    words = [kind + state + headline(event), record["impact"], *record["advice"], record["plan"]]
    return " ".join(" ".join(text.split()) for text in words if text)

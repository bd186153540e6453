"""What stays in the site: addresses become names that say nothing, values of the process are left out.

It works on the records, before any form is given to them, so that no form can forget it. A name is an HMAC of the address
under a key of this gateway: the same device has the same name in every report, and nobody outside can try addresses.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.report.event import Event

CHOICES: Final = ("addresses", "values")
_MAC = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![\w:])")
_V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_V6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?:%\w+)?(?!\w|:[\w:])")
_HARDWARE = frozenset({"address-change", "duplicate-address", "readdressed"})  # kinds whose `seen` is a hardware address


@dataclass(frozen=True, slots=True)
class Redaction:
    """`what` is a part of CHOICES; `key` is 32 octets, used for addresses only."""

    what: frozenset[str] = frozenset()
    key: bytes = b""

    def event(self, event: Event) -> Event:
        """The event without what may not leave."""
        if not self.what:
            return event
        record: dict[str, Any] = dict(event.record)
        findings = [dict(finding) for finding in event.findings]
        record["plan"] = ""  # names people and times
        if "values" in self.what:
            # Titles are made of what decoders read, values among it; so the title is made anew of what surely is none.
            first = findings[0] if findings else None
            kind = f"{first['kind']}: {first['src']} -> {first['dst']} ({first['service']})" if first else record["cause"]
            record["title"] = f"{kind}, {record['findings']} findings"
            for finding in findings:
                finding["seen"] = finding["normal"] = ""
        if "addresses" in self.what:
            for finding in findings:
                if finding["kind"] in _HARDWARE:
                    finding["seen"] = finding["normal"] = ""
                finding |= {key: self.name(finding[key]) for key in ("src", "dst", "client")}
            names = self._names(record, event)
            record["assets"] = [self.name(asset) for asset in record["assets"]]
            record["advice"] = [self._words(text, names) for text in record["advice"]]
            record |= {key: self._words(record[key], names) for key in ("title", "impact")}
        return replace(event, record=record, findings=tuple(findings))

    def name(self, address: str) -> str:
        """What the address is called outside."""
        return "asset-" + hmac.new(self.key, address.encode("utf-8", "replace"), "sha256").hexdigest()[:12]

    def _names(self, record: Mapping[str, Any], event: Event) -> tuple[str, ...]:
        known = set(record["assets"]) | {str(finding[key]) for finding in event.findings for key in ("src", "dst", "client")}
        return tuple(sorted((name for name in known if name), key=lambda name: (-len(name), name)))

    def _words(self, text: str, names: tuple[str, ...]) -> str:
        """Known addresses first, longest first, then whatever else has the form of one."""
        for name in names:
            text = re.sub(rf"(?<![\w.:]){re.escape(name)}(?!\w|[.:]\w)", self.name(name), text)
        for form in (_MAC, _V4, _V6):
            text = form.sub(self._found, text)
        return text

    def _found(self, match: re.Match[str]) -> str:
        text = match[0]
        if ":" not in text or _MAC.fullmatch(text):
            return self.name(text)
        address = text if text.endswith("::") else text.rstrip(":")  # "fe80::1: it ..."
        try:
            ip_address(address)
        except ValueError:
            return text  # a time, 12:30:05
        return self.name(address) + text[len(address) :]

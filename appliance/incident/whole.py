"""What no single share of several sensors can know: that another one told it already, and how many one client has tried.

Findings of all shares pass here on their way to `Grouping`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from appliance.detect.finding import Finding, Kind
from appliance.detect.newcomers import MAX_CLIENTS, SCAN_TARGETS
from appliance.learn.counting.quota import MAX_TRACKED

_ONCE = frozenset(
    {Kind.NEW_SERVICE, Kind.IDENTITY_CHANGE, Kind.DAMAGE, Kind.ADDRESS_CHANGE, Kind.READDRESSED, Kind.DUPLICATE_ADDRESS}
)
_TRIES = frozenset({Kind.NEW_ASSET, Kind.NEW_CONVERSATION, Kind.SIMILAR_ASSET, Kind.DARK_ADDRESS, Kind.ROLE_CHANGE})
_SCAN_SCORE = 0.001


@dataclass(slots=True)
class Whole:
    """Use `seen` for every finding of a share, in the order of their times."""

    _told: dict[tuple[object, ...], int] = field(default_factory=dict)  # what is told once -> the share that did
    _targets: dict[str, set[tuple[str, str]]] = field(default_factory=dict)  # client -> servers and services it newly tried

    def seen(self, finding: Finding, share: int) -> Finding | None:
        """The finding as one sensor would have told it; None where another share has told it."""
        if finding.kind in _ONCE:
            f = finding
            # a device takes up a service once, whichever groups it sends it to; a group it joins (IGMP) is named by its address
            group = f.dst if f.service == "ip/2" else ""
            key = (f.kind, f.src, f.service, group) if f.kind is Kind.NEW_SERVICE else (f.kind, f.src, f.seen)
            if len(self._told) >= MAX_TRACKED and key not in self._told:
                return finding
            return finding if self._told.setdefault(key, share) == share else None
        if finding.kind in _TRIES and finding.service.startswith(("tcp/", "udp/")):
            return self._tried(finding)
        return finding

    def _tried(self, finding: Finding) -> Finding:
        """Shares see some of the targets each: from the same number on as for one sensor it is a scan."""
        targets = self._targets.get(finding.client, set())
        if len(self._targets) < MAX_CLIENTS:
            self._targets[finding.client] = targets
        if len(targets) < MAX_TRACKED:
            targets.add((finding.dst if finding.src == finding.client else finding.src, finding.service))
        return replace(finding, kind=Kind.SCAN, score=_SCAN_SCORE) if len(targets) >= SCAN_TARGETS else finding

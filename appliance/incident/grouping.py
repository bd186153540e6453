"""Findings become incidents: what one initiator newly does is one story, what one conversation asks or answers another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from appliance.detect.finding import Finding, Kind
from appliance.incident.incident import Incident

KEPT, KEPT_CROWD = 15_000, 2_000  # findings kept of one incident, and of that of a crowd; more are counted
_CROWD = ("newcomer", "crowd")
AFTERMATH = 120 * 1_000_000_000  # ns after an act in which a failure of its target is taken for its consequence
EXCHANGE = 3600 * 1_000_000_000  # ns after a failure in which other hardware under the same address is the device exchanged
EFFECT = 15 * 1_000_000_000  # ns after an act within which others see what it did
RECOVERY = 30 * 1_000_000_000  # ns after a failure in which its partners find together again
TOGETHER = 60 * 1_000_000_000  # ns within which a client that falls silent is missed by all whom it asked: its slowest polls
AT_ONCE = 2 * 1_000_000_000  # ns by which what follows may be dated before what caused it: an answer that never came
CROWD, CROWD_TIME = 16, 600 * 1_000_000_000  # newcomers' stories within so many ns, beyond which the next ones are one story
ACTORS = 4  # stories of acts on one asset that are remembered
MAX_ASSETS = 64  # addresses named by an incident
_NEWCOMER = frozenset(
    {Kind.NEW_ASSET, Kind.NEW_CONVERSATION, Kind.SCAN, Kind.SIMILAR_ASSET, Kind.DARK_ADDRESS, Kind.ROLE_CHANGE, Kind.READDRESSED}
)
_HARDWARE = frozenset({Kind.ADDRESS_CHANGE, Kind.DUPLICATE_ADDRESS})
_TIMING = frozenset({Kind.WRONG_ORDER, Kind.PERIOD_CHANGE})
_OUTAGE = frozenset({Kind.SILENCE, Kind.CONNECTION_FAILURE, Kind.MISSING_ANSWER})


def story_key(finding: Finding) -> tuple[str, ...]:
    """Findings with equal keys belong to one incident."""
    f = finding
    if f.kind in _NEWCOMER:
        return ("newcomer", f.client)
    if f.kind in _OUTAGE:
        return ("outage", f.dst if f.src == f.client else f.src)
    if f.kind is Kind.IDENTITY_CHANGE:
        return ("identity", f.src)
    if f.kind is Kind.PERIOD_CHANGE:
        return ("pace", f.client)
    if f.kind is Kind.DAMAGE:
        return ("damage", f.src)
    if f.kind in _HARDWARE:  # one piece of hardware that takes many addresses is one story
        return ("address", f.seen.hex() or f.src)
    if f.kind is Kind.NEW_SERVICE:  # and so is a service that many take up
        return ("service", f.dst, f.service) if f.service == "ip/2" else ("service", f.service)
    if f.src == f.client:
        return ("request", f.client, f.src, f.dst, f.service)
    return ("answer", f.src, f.service)  # a device that answers otherwise does so to all who ask


@dataclass(slots=True)
class Grouping:
    """Assigns findings to incidents; ids are given in the order in which incidents open.

    series  what ids begin with: "i-" for a file, "i-RUN-" where the runs of a sensor must not use an id twice
    """

    series: str = "i-"
    incidents: dict[tuple[str, ...], Incident] = field(default_factory=dict)

    _outages: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # asset -> last failure: ns, story
    _acts: dict[str, list[tuple[int, tuple[str, ...]]]] = field(default_factory=dict)  # asset -> last acts on it: ns, story
    _deeds: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # the same, where something was said to it
    _lost: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # client -> last failure it met: ns, story
    _quiet: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # client -> last silence of it: ns, story
    _paced: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # client -> last change of pace: ns, story
    _slowed: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # asset -> last change of its pace: ns, story
    _moves: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # asset -> other hardware since: ns, story
    _searches: set[tuple[str, ...]] = field(default_factory=set)  # stories of who scans
    _newcomers: deque[int] = field(default_factory=deque)  # ns at which the last stories of newcomers opened

    def _pooled(self, key: tuple[str, ...], now: int) -> tuple[str, ...]:
        """The story of a newcomer: its own, or that of all where so many come at once that nobody could read them."""
        if key[0] != "newcomer" or key in self.incidents:
            return key
        while self._newcomers and now - self._newcomers[0] > CROWD_TIME:
            self._newcomers.popleft()
        if len(self._newcomers) >= CROWD:
            return _CROWD
        self._newcomers.append(now)
        return key

    def _consequence(self, key: tuple[str, ...], finding: Finding) -> tuple[str, ...] | None:
        """What follows from something belongs to its incident; `key` is that of the finding's own story.

        A device that fails or comes back changed right after somebody acted on it belongs to that act; a device that comes
        back with other hardware or other words of itself belongs to its outage; what a known pair says otherwise than before,
        while it finds together again after an outage or speaks through other hardware, belongs to that; what a device tells
        others otherwise after somebody acted on it, and that it looks for his address to answer him, belongs to who acted.
        """
        now = finding.time_ns
        if finding.kind is Kind.DARK_ADDRESS and ("newcomer", finding.dst) in self.incidents:
            return ("newcomer", finding.dst)  # who answers a newcomer, or looks for it, is part of its story
        if finding.kind is Kind.NEW_ASSET and key not in self.incidents:
            return self._found(finding)
        server = finding.dst if finding.src == finding.client else finding.src
        if key[0] in ("request", "answer", "pace"):
            story = self._still(self._outages.get(server), now, AFTERMATH if finding.kind in _TIMING else RECOVERY)
            if story is None and key[0] == "pace":
                story = self._acted(server, now)
            if story is None and finding.kind in _TIMING:  # who loses his pace with many is late with some
                story = self._still(self._paced.get(finding.client), now, RECOVERY)
            if story is not None or key[0] != "pace":
                return story or self._changed(key, finding, server)
        match key[0]:
            case "outage":
                return self._acted(server, now) or self._failing(finding, server)
            case "pace":
                return self._still(self._moves.get(server), now, AFTERMATH)
            case "address":
                return self._exchanged(finding.src, now) or self._acted(finding.src, now)
            case "identity":
                moved = self._still(self._moves.get(finding.src), now, AFTERMATH)
                return self._acted(finding.src, now) or self._exchanged(finding.src, now) or moved
        return None

    def _acted(self, asset: str, now: int) -> tuple[str, ...] | None:
        """The story of who acted on an asset before it changed or failed; what goes on failing is still the same story."""
        acts = self._acts.get(asset, [])
        for place in reversed(range(len(acts))):
            acted = self._still(acts[place], now, AFTERMATH)
            if acted is not None:
                acts[place] = (max(now, acts[place][0]), acted)
                return acted
        return None

    def _found(self, finding: Finding) -> tuple[str, ...] | None:
        """The story of who searches: what nobody knew and now answers him is what he found, not somebody who came."""
        for act in reversed(self._acts.get(finding.src, [])):
            if act[1] == ("newcomer", finding.dst) and act[1] in self._searches:
                return self._still(act, finding.time_ns, EFFECT)
        return None

    def _act(self, asset: str, time_ns: int, key: tuple[str, ...]) -> None:
        """Note an act. Some are kept: what is told late, an answer that never came, is older than the reconnect it led to."""
        acts = [act for act in self._acts.get(asset, ()) if act[1] != key]
        self._acts[asset] = [*acts[1 - ACTORS :], (time_ns, key)]

    def _exchanged(self, asset: str, now: int) -> tuple[str, ...] | None:
        """The story of the failure after which an asset is another one."""
        for failed in (self._outages, self._lost, self._slowed):
            story = self._still(failed.get(asset), now, EXCHANGE)
            if story is not None:
                return story
        return None

    def _failing(self, finding: Finding, server: str) -> tuple[str, ...] | None:
        """The story of what fails besides: the same device, one that has moved or was late before, or all one client asked."""
        now = finding.time_ns
        story = self._still(self._outages.get(server), now, RECOVERY) or self._still(self._moves.get(server), now, AFTERMATH)
        story = story or self._still(self._slowed.get(server), now, RECOVERY)
        if story is None and finding.kind is Kind.SILENCE:
            return self._still(self._quiet.get(finding.client), now, TOGETHER)
        return story

    def _changed(self, key: tuple[str, ...], finding: Finding, server: str) -> tuple[str, ...] | None:
        """The story of what a known pair says otherwise: one of them has moved, or somebody else acted on the server."""
        now = finding.time_ns
        for asset in (server, finding.client):
            moved = self._still(self._moves.get(asset), now, AFTERMATH)
            if moved is not None:
                return moved
        acted = self._still(self._deeds.get(server), now, EFFECT) if key[0] == "answer" else None
        return acted if acted is not None and acted[1] != finding.client else None

    def _still(self, last: tuple[int, tuple[str, ...]] | None, now: int, most: int) -> tuple[str, ...] | None:
        """The story of something that happened at most so many ns before, else None.

        What is told late has an earlier time than the story's last finding; it counts from where the story began.
        """
        if last is None or now - last[0] > most or (now < last[0] and self.incidents[last[1]].opened_ns - now > AT_ONCE):
            return None
        return last[1]

    def add(self, finding: Finding) -> tuple[Incident, bool]:
        """The incident a finding belongs to, and whether it was opened by it."""
        own = story_key(finding)
        key = self._consequence(own, finding) or self._pooled(own, finding.time_ns)
        incident = self.incidents.get(key)
        opened = incident is None
        if incident is None:
            number = len(self.incidents) + 1
            incident = Incident(id=f"{self.series}{number}", opened_ns=finding.time_ns, updated_ns=finding.time_ns)
            self.incidents[key] = incident
        incident.opened_ns = min(incident.opened_ns, finding.time_ns)
        incident.updated_ns = max(incident.updated_ns, finding.time_ns)
        incident.total += max(1, finding.count)
        if len(incident.findings) < (KEPT_CROWD if key == _CROWD else KEPT):
            incident.findings.append(finding)
        self._remember(finding, key, answers=own[0] == "answer")
        for address in (finding.client, finding.src, finding.dst):
            if address not in incident.assets and len(incident.assets) < MAX_ASSETS:
                incident.assets.append(address)
        return incident, opened

    def _remember(self, finding: Finding, key: tuple[str, ...], *, answers: bool) -> None:
        """Note what later findings may be the consequence of; `answers`: by itself the finding is what a device answers."""
        if finding.kind in _OUTAGE:
            _note(self._outages, finding.dst if finding.src == finding.client else finding.src, finding.time_ns, key)
            _note(self._lost, finding.client, finding.time_ns, key)
            if finding.kind is Kind.SILENCE:
                _note(self._quiet, finding.client, finding.time_ns, key)
        if finding.kind is Kind.PERIOD_CHANGE:
            self._paced[finding.client] = (finding.time_ns, key)
            for asset in (finding.src, finding.dst):
                self._slowed[asset] = (finding.time_ns, key)
        if finding.kind in _HARDWARE:
            self._moves[finding.src] = (finding.time_ns, key)
        elif key[0] in ("newcomer", "request") and not answers:
            if finding.kind is Kind.SCAN:
                self._searches.add(key)
            asset = finding.dst if finding.src == finding.client else finding.src
            self._act(asset, finding.time_ns, key)
            if finding.payload and finding.kind is not Kind.SCAN:
                self._deeds[asset] = (finding.time_ns, key)


def _note(table: dict[str, tuple[int, tuple[str, ...]]], asset: str, time_ns: int, key: tuple[str, ...]) -> None:
    """Enter what happened last; what is told late happened earlier, and does not make the same story older."""
    before = table.get(asset)
    table[asset] = (max(time_ns, before[0]) if before is not None and before[1] == key else time_ns, key)

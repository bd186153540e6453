"""Who was never seen: new assets, new conversations, roles that change, addresses nobody uses, scans, new group services."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.columns import L2_TAG, DecodedBatch
from appliance.decode.conversation import ACK, RST, SYN, Address
from appliance.decode.names import address_text
from appliance.detect.crowd import CrowdDetector
from appliance.detect.finding import Finding, Kind
from appliance.detect.kin import Kin
from appliance.detect.making import finding_at
from appliance.learn.counting.quota import MAX_TRACKED, PER_SECOND, Quota
from appliance.learn.meaning.model import Model
from appliance.learn.meaning.standing import TRANSPORTS, Standing, standing

if TYPE_CHECKING:
    from appliance.decode.conversation import Assigned, Conversation
    from appliance.decode.messages import Messages

ARP = (-1, 0x0806)
ICMP_ERRORS = {(1, 0): {3, 11}, (58, 0): {1, 3}}  # destination unreachable, time exceeded (RFC 792, RFC 4443)
MOST = 256  # frames of newcomers that are looked at in a second, whoever they are; a crowd is counted
MAX_CLIENTS = 4096  # newcomers whose targets are followed
SCAN_TARGETS = 8  # targets of one initiator, none of them known, from which on it is a scan
MILD, PLAIN, STRONG = 0.05, 0.01, 0.001  # scores: like its kind, odd by itself, never seen


@dataclass(slots=True)
class NewcomerDetector:
    """Compares who talks to whom with the baseline."""

    model: Model
    standing: Standing = field(init=False)
    _kin: Kin = field(init=False)
    _familiar: list[bool] = field(default_factory=list)
    _watched: list[bool] = field(default_factory=list)
    _targets: dict[str, set[object]] = field(default_factory=dict)
    _quota: Quota = field(default_factory=Quota)
    _overall: Quota = field(default_factory=lambda: Quota(MOST))
    _crowd: CrowdDetector = field(default_factory=CrowdDetector)
    _alive: dict[Address, int] = field(default_factory=dict)  # address that nobody knew -> frame of its first answer
    _told: set[tuple[Address, object]] = field(default_factory=set)  # (client, dark address or group service)

    def __post_init__(self) -> None:
        """Look up once what every batch asks for."""
        self.standing = standing(self.model.baseline)
        self._kin = Kin(self.model, self.standing)

    def watched(self, conversations: list[Conversation]) -> npt.NDArray[np.bool_]:
        """Bool [conversations]: which are in the baseline, and not of those that come and go here."""
        for c in conversations[len(self._watched) :]:
            known, comes_and_goes = c in self.model.baseline.conversations, self.model.open.admits(c)
            self._familiar.append(known or comes_and_goes)
            self._watched.append(known and not comes_and_goes)
        return np.array(self._watched or [False], bool)

    def judge(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], messages: Messages
    ) -> list[Finding]:
        """Findings of one batch."""
        self.watched(conversations)
        known = self.model.accepted.among(conversations, np.array(self._familiar or [False], bool))
        findings = self._crowd.judge(batch, assigned, known)
        rows = np.flatnonzero((assigned.conversation >= 0) & ~known[np.maximum(assigned.conversation, 0)])
        if not len(rows):
            return findings
        self._note_alive(batch, assigned, conversations, rows)
        self._kin.look(batch, assigned, conversations, messages, known)
        rows = np.array(self._quota.take(batch, rows, assigned.conversation[rows].astype(np.int64)), np.intp)
        for row in self._overall.take(batch, rows, np.zeros(len(rows), np.int64)):
            conversation, request = conversations[int(assigned.conversation[row])], bool(assigned.request[row])
            for kind, score in self._kinds(batch, row, int(assigned.conversation[row]), conversation, request):
                found = finding_at(batch, row, conversation, request, kind, score)
                # an ICMP error answers whoever it is sent to: he asked, its sender is the one that failed
                findings.append(replace(found, client=found.dst) if kind is Kind.CONNECTION_FAILURE else found)
        return findings

    def _note_alive(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], rows: npt.NDArray[np.intp]
    ) -> None:
        """Remember since when servers that nobody knew answer."""
        answers = rows[~assigned.request[rows]]
        number, first = np.unique(assigned.conversation[answers], return_index=True)
        for c, row in zip(number.tolist(), answers[first].tolist(), strict=True):
            if len(self._alive) < MAX_TRACKED:
                self._alive.setdefault(conversations[c].server, int(batch.frame[row]))

    def _kinds(
        self, batch: DecodedBatch, row: int, number: int, conversation: Conversation, request: bool
    ) -> list[tuple[Kind, float]]:
        """What is to be told of a frame of a conversation that was never seen."""
        if conversation.port == ARP:
            return []
        if conversation.port[0] < 0 or conversation.group:
            return self._chatter(conversation)
        if self._is_failure(batch, row, conversation):
            return [(Kind.CONNECTION_FAILURE, STRONG)]
        client = address_text(*conversation.client)
        targets = self._targets.get(client, set())
        if len(self._targets) < MAX_CLIENTS:
            self._targets[client] = targets
        if len(targets) < MAX_TRACKED:
            targets.add((conversation.server, conversation.port))
        if len(targets) >= SCAN_TARGETS:
            return [(Kind.SCAN, STRONG)]
        if self._kin.alike(number, conversation, int(batch.frame[row])):
            return [(Kind.SIMILAR_ASSET, MILD)]
        sender = conversation.client if request else conversation.server
        kind = Kind.NEW_ASSET if sender not in self.model.endpoints else Kind.NEW_CONVERSATION
        if kind is Kind.NEW_CONVERSATION and self._role_changes(batch, row, conversation, request):
            kind = Kind.ROLE_CHANGE
        dark = request and self._is_dark(conversation, int(batch.frame[row]))
        if dark and kind is not Kind.NEW_ASSET:
            return [(Kind.DARK_ADDRESS, PLAIN)]
        return [(kind, STRONG), (Kind.DARK_ADDRESS, STRONG)] if dark else [(kind, STRONG)]

    def _is_failure(self, batch: DecodedBatch, row: int, conversation: Conversation) -> bool:
        """True for an ICMP error between assets that converse: a port or host that is not there any more."""
        errors = ICMP_ERRORS.get(conversation.port)
        if errors is None or not batch.payload_len[row] or int(batch.data[batch.payload[row]]) not in errors:
            return False
        pair = {conversation.client, conversation.server}
        return any({c.client, c.server} == pair and c.port != conversation.port for c in self.model.baseline.conversations)

    def _is_dark(self, conversation: Conversation, frame: int) -> bool:
        """True while nobody has ever used the address that is asked, by learning and by all frames up to this one."""
        hi, lo = server = conversation.server
        if server in self.model.endpoints or self._alive.get(server, frame) < frame:
            return False
        asked_for = hi == 0 and lo >> 32 == 0xFFFF and lo & 0xFFFF_FFFF in self.model.baseline.arp_targets
        if asked_for or (conversation.client, server) in self._told:
            return False
        if len(self._told) < MAX_TRACKED:
            self._told.add((conversation.client, server))
        return True

    def _role_changes(self, batch: DecodedBatch, row: int, conversation: Conversation, request: bool) -> bool:
        """A server's first own opening, or a client's first acceptance of one; for datagrams what they carry tells."""
        proto, flags = conversation.port[0], int(batch.tcp_flags[row]) & (SYN | ACK | RST)
        if proto not in TRANSPORTS or (proto == 6 and flags != (SYN if request else SYN | ACK)):
            return False
        s, party = self.standing, conversation.client if request else conversation.server
        return party in s.serves and party not in s.asks if request else party in s.asks and party not in s.serves

    def _chatter(self, conversation: Conversation) -> list[tuple[Kind, float]]:
        """Frames to a group or without IP: who is new says so, who is known only when the service is new."""
        new = conversation.client not in self.model.baseline.assets and not self._unknown_hardware_only(conversation)
        usual = conversation.port in self.standing.groups
        if new:
            return [(Kind.SIMILAR_ASSET, MILD)] if usual else [(Kind.NEW_ASSET, STRONG)]
        if usual or self.standing.brief or (conversation.client, conversation.port) in self._told:
            return []
        if len(self._told) < MAX_TRACKED:
            self._told.add((conversation.client, conversation.port))
        return [(Kind.NEW_SERVICE, PLAIN)]

    def _unknown_hardware_only(self, conversation: Conversation) -> bool:
        """A hardware address that belongs to an asset known by its IP address is no newcomer."""
        hi, lo = conversation.client
        return hi == L2_TAG and lo in self.standing.hardware


__all__ = ["ARP", "PER_SECOND", "SCAN_TARGETS", "NewcomerDetector"]

"""Who was never seen: new assets, new conversations, scans, addresses that moved to other hardware."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.columns import L2_TAG, DecodedBatch
from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counts import SECOND
from appliance.learn.model import Model
from appliance.learn.topology import sender_key

if TYPE_CHECKING:
    from appliance.decode.conversation import Assigned, Conversation

ARP = (-1, 0x0806)
ICMP_ERRORS = {(1, 0): {3, 11}, (58, 0): {1, 3}}  # destination unreachable, time exceeded (RFC 792, RFC 4443)
SCAN_TARGETS = 8  # targets of one initiator, none of them known, from which on it is a scan
PER_SECOND = 4  # findings per new conversation and second; the rest is counted by the incident's first and last
MAX_TRACKED = 65_536
UNSPECIFIED = (0, 0xFFFF_0000_0000)  # lower halves of :: and 0.0.0.0, which nobody owns
PAYLOAD_KEPT = 1500


@dataclass(slots=True)
class NewcomerDetector:
    """Compares who talks to whom with the baseline."""

    model: Model
    _known: list[bool] = field(default_factory=list)
    _targets: dict[str, set[object]] = field(default_factory=dict)
    _budget: dict[tuple[int, int, bool], int] = field(default_factory=dict)
    _moved: set[tuple[int, int, int]] = field(default_factory=set)
    _dark: dict[int, set[int]] = field(default_factory=dict)
    _present: set[int] = field(init=False)  # IPv4 addresses of known assets
    _hardware: set[int] = field(init=False)  # hardware addresses of known assets

    def __post_init__(self) -> None:
        """Look up once what every batch asks for."""
        assets = self.model.baseline.assets
        self._present = {lo & 0xFFFF_FFFF for hi, lo in assets if hi == 0}
        self._hardware = {mac for asset in assets.values() for mac in asset.macs}

    def watched(self, conversations: list[Conversation]) -> npt.NDArray[np.bool_]:
        """Bool [conversations]: which are in the baseline."""
        self._known.extend(c in self.model.baseline.conversations for c in conversations[len(self._known) :])
        return np.array(self._known or [False], bool)

    def judge(self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation]) -> list[Finding]:
        """Findings of one batch."""
        return self._new_conversations(batch, assigned, conversations) + self._arp(batch) + self._moves(batch, assigned)

    def _new_conversations(self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation]) -> list[Finding]:
        known = self.watched(conversations)
        rows = np.flatnonzero((assigned.conversation >= 0) & ~known[np.maximum(assigned.conversation, 0)])
        findings: list[Finding] = []
        for row in self._bounded(batch, assigned, rows):
            number = int(assigned.conversation[row])
            conversation = conversations[number]
            kind = self._kind(conversation)
            if kind is not None and self._is_failure(batch, row, conversation):
                kind = Kind.CONNECTION_FAILURE
            if kind is not None:
                findings.append(_finding(batch, row, conversation, bool(assigned.request[row]), kind))
        return findings

    def _is_failure(self, batch: DecodedBatch, row: int, conversation: Conversation) -> bool:
        """True for an ICMP error between assets that converse: a port or host that is not there any more."""
        errors = ICMP_ERRORS.get(conversation.port)
        if errors is None or not batch.payload_len[row] or int(batch.data[batch.payload[row]]) not in errors:
            return False
        pair = {conversation.client, conversation.server}
        return any({c.client, c.server} == pair and c.port != conversation.port for c in self.model.baseline.conversations)

    def _bounded(self, batch: DecodedBatch, assigned: Assigned, rows: npt.NDArray[np.intp]) -> list[int]:
        """At most PER_SECOND rows that carry something and as many bare ones of a conversation in a second."""
        if not len(rows):
            return []
        second, carries = batch.time[rows] // SECOND, batch.payload_len[rows] > 0
        order = np.lexsort((rows, carries, second, assigned.conversation[rows]))
        keys = np.stack([assigned.conversation[rows].astype(np.int64), second, carries.astype(np.int64)])[:, order]
        start = np.flatnonzero(np.r_[True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)])
        size = np.diff(np.r_[start, len(order)])
        groups = [(k[0], k[1], bool(k[2])) for k in keys[:, start].T.tolist()]
        spent = np.array([self._budget.get(g, 0) for g in groups], np.int64)
        if len(self._budget) > MAX_TRACKED:
            self._budget.clear()
        self._budget.update(zip(groups, (spent + size).tolist(), strict=True))
        rank = np.arange(len(order)) - np.repeat(start, size) + np.repeat(spent, size)
        return sorted(int(r) for r in rows[order[rank < PER_SECOND]])

    def _kind(self, conversation: Conversation) -> Kind | None:
        """What a conversation that was never seen is; None where it is the chatter every link has."""
        b = self.model.baseline
        new_client = conversation.client not in b.assets
        link = conversation.port[0] < 0
        if conversation.port == ARP:
            return None
        if link or conversation.group:
            return Kind.NEW_ASSET if new_client and not self._unknown_hardware_only(conversation) else None
        client = address_text(*conversation.client)
        targets = self._targets.setdefault(client, set())
        if len(targets) < MAX_TRACKED:
            targets.add((conversation.server, conversation.port))
        if len(targets) >= SCAN_TARGETS:
            return Kind.SCAN
        return Kind.NEW_ASSET if new_client or conversation.server not in self.model.endpoints else Kind.NEW_CONVERSATION

    def _unknown_hardware_only(self, conversation: Conversation) -> bool:
        """A hardware address that belongs to an asset known by its IP address is no newcomer."""
        hi, lo = conversation.client
        return hi == L2_TAG and lo in self._hardware

    def _arp(self, batch: DecodedBatch) -> list[Finding]:
        """Who asks for many addresses that nobody has."""
        asked = np.flatnonzero((batch.arp_op == 1) & (batch.arp_target_ip != batch.arp_sender_ip))
        if not len(asked):
            return []
        b = self.model.baseline
        findings: list[Finding] = []
        for row in asked.tolist():
            target, sender = int(batch.arp_target_ip[row]), int(batch.arp_sender_mac[row])
            if target in self._present or target in b.arp_targets:
                continue
            dark = self._dark.setdefault(sender, set())
            if len(dark) < MAX_TRACKED:
                dark.add(target)
            if len(dark) >= SCAN_TARGETS:
                source = address_text(0, 0xFFFF_0000_0000 | int(batch.arp_sender_ip[row]))
                findings.append(
                    Finding(
                        frame=int(batch.frame[row]),
                        time_ns=int(batch.time[row]),
                        src=source,
                        dst=address_text(0, 0xFFFF_0000_0000 | target),
                        client=source,
                        service="eth/0x0806",
                        kind=Kind.SCAN,
                        score=0.001,
                        payload=batch.payload_of(row)[:PAYLOAD_KEPT],
                    )
                )
        return findings

    def _moves(self, batch: DecodedBatch, assigned: Assigned) -> list[Finding]:
        """Addresses that appear behind another hardware address than the ones learned."""
        rows = np.flatnonzero((assigned.flow >= 0) & batch.ip & (batch.src_mac != 0))
        if not len(rows):
            return []
        findings: list[Finding] = []
        for row in np.sort(rows[np.unique(sender_key(batch, rows), return_index=True)[1]]).tolist():
            address = (int(batch.src_hi[row]), int(batch.src_lo[row]))
            mac = int(batch.src_mac[row])
            asset = self.model.baseline.assets.get(address)
            if (
                asset is None
                or not asset.macs
                or address[1] in UNSPECIFIED
                or mac in asset.macs
                or (*address, mac) in self._moved
            ):
                continue
            if len(self._moved) < MAX_TRACKED:
                self._moved.add((*address, mac))
            text = address_text(*address)
            findings.append(
                Finding(
                    frame=int(batch.frame[row]),
                    time_ns=int(batch.time[row]),
                    src=text,
                    dst=address_text(int(batch.dst_hi[row]), int(batch.dst_lo[row])),
                    client=text,
                    service="eth",
                    kind=Kind.ADDRESS_CHANGE,
                    seen=mac.to_bytes(6, "big"),
                    normal=tuple(m.to_bytes(6, "big") for m in sorted(asset.macs)[:4]),
                    score=0.01,
                )
            )
        return findings


def _finding(batch: DecodedBatch, row: int, conversation: Conversation, request: bool, kind: Kind) -> Finding:
    client, server = address_text(*conversation.client), address_text(*conversation.server)
    return Finding(
        frame=int(batch.frame[row]),
        time_ns=int(batch.time[row]),
        src=client if request else server,
        dst=server if request else client,
        client=client,
        service=conversation.service,
        kind=kind,
        score=0.001,
        payload=batch.payload_of(row)[:PAYLOAD_KEPT],
    )

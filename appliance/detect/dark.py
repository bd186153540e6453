"""ARP: who is new on the link, and who asks for addresses that nobody uses; the first such address is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counting.counts import SECOND
from appliance.learn.counting.quota import MAX_TRACKED
from appliance.learn.meaning.model import Model
from appliance.learn.meaning.standing import MAPPED, Standing
from appliance.learn.site.topology import claims

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch

ROUTER_PLACES = (1, 254)  # last byte of the address that routers customarily have
STAYS = SECOND  # a stranger's claim is told once it is heard again so much later
TOLD = -1
MINUTE = 60 * SECOND
SWEEP = 8  # dark addresses of one sender, from which on it is a scan


@dataclass(slots=True)
class DarkDetector:
    """Follows ARP requests and claims."""

    model: Model
    standing: Standing
    _asked: dict[int, set[int]] = field(default_factory=dict)  # hardware of who asks -> dark addresses
    _guests: dict[tuple[int, int], set[int]] = field(default_factory=dict)  # hardware of who asks, minute -> addresses
    _used: set[int] = field(default_factory=set)  # addresses that somebody claimed since
    _strangers: dict[tuple[int, int], int] = field(default_factory=dict)  # pair -> ns of its first claim, TOLD
    _ordinary: npt.NDArray[np.uint32] = field(init=False)  # addresses that learning showed, in use or asked for
    _routers: dict[int, int] = field(default_factory=dict)  # hardware of who asks -> the place of a router that it asked for

    def __post_init__(self) -> None:
        """Sort once what every batch looks up."""
        self._ordinary = np.array(sorted(self.standing.present | self.model.baseline.arp_targets), np.uint32)

    def judge(self, batch: DecodedBatch) -> list[Finding]:
        """Findings of one batch."""
        rows = np.flatnonzero((batch.arp_op == 1) | (batch.arp_op == 2))
        if not len(rows):
            return []
        claimed = set(claims(batch).tolist())
        findings: list[Finding] = []
        for row in self._worth(batch, rows):
            if row in claimed and self._is_stranger(batch, row):
                findings.append(_arp(batch, row, Kind.NEW_ASSET, 0.001))
            if batch.arp_op[row] == 1:
                kind = self._asks(batch, row)
                if kind is not None:
                    findings.append(_arp(batch, row, kind, 0.001 if kind is Kind.SCAN else 0.01))
        return findings

    def _worth(self, batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> list[int]:
        """Rows with a sender or a target that learning did not show; the rest is what every link does."""
        fresh = ~np.isin(batch.arp_target_ip[rows], self._ordinary) | ~np.isin(batch.arp_sender_ip[rows], self._ordinary)
        return [int(row) for row in rows[fresh]]

    def _is_stranger(self, batch: DecodedBatch, row: int) -> bool:
        """Neither the address nor the hardware was there while learning, and it stays; told once each."""
        ip, mac = int(batch.arp_sender_ip[row]), int(batch.arp_sender_mac[row])
        self._used.add(ip)
        if (
            ip in self.standing.present
            or self.model.open.moves((0, MAPPED | ip))
            or mac in self.standing.hardware
            or len(self._strangers) >= MAX_TRACKED
        ):
            return False
        first = self._strangers.setdefault((ip, mac), int(batch.time[row]))
        if first == TOLD or int(batch.time[row]) - first < STAYS:
            return False
        self._strangers[ip, mac] = TOLD
        return True

    def _asks(self, batch: DecodedBatch, row: int) -> Kind | None:
        target, sender = int(batch.arp_target_ip[row]), int(batch.arp_sender_mac[row])
        announces = target == int(batch.arp_sender_ip[row]) or int(batch.arp_sender_ip[row]) == 0  # also a probe (RFC 5227)
        if announces or target in self._used or target in self.standing.present or target in self.model.baseline.arp_targets:
            return None
        if self.model.open.moves((0, MAPPED | target)):
            return self._asks_for_guest(int(batch.time[row]) // MINUTE, target, sender)
        dark = self._asked.setdefault(sender, set())
        if not dark and self._looks_for_router(batch, row, target, sender):
            return None
        again = target in dark
        if len(dark) < MAX_TRACKED:
            dark.add(target)
        if len(dark) >= SWEEP:
            return Kind.SCAN
        return None if again else Kind.DARK_ADDRESS

    def _asks_for_guest(self, minute: int, target: int, sender: int) -> Kind | None:
        """Where hosts come and go, somebody always asks for one that has left: only many at once are a scan."""
        if len(self._guests) >= MAX_TRACKED:
            self._guests.clear()
        asked = self._guests.setdefault((sender, minute), set())
        asked.add(target)
        return Kind.SCAN if len(asked) >= SWEEP else None

    def _looks_for_router(self, batch: DecodedBatch, row: int, target: int, sender: int) -> bool:
        """A known device asks for the place where its network's router would be, and for nothing else that is dark.

        Hosts do that now and then for a default gateway that was never installed; a search goes on to other addresses.
        """
        known = int(batch.arp_sender_ip[row]) in self.standing.present and sender in self.standing.hardware
        near = target >> 8 == int(batch.arp_sender_ip[row]) >> 8
        if not (known and near and target & 0xFF in ROUTER_PLACES) or len(self._routers) >= MAX_TRACKED:
            return False
        return self._routers.setdefault(sender, target) == target


def _arp(batch: DecodedBatch, row: int, kind: Kind, score: float) -> Finding:
    source = address_text(0, MAPPED | int(batch.arp_sender_ip[row]))
    return Finding(
        frame=int(batch.frame[row]),
        time_ns=int(batch.time[row]),
        src=source,
        dst=address_text(0, MAPPED | int(batch.arp_target_ip[row])),
        client=source,
        service="eth/0x0806",
        kind=kind,
        score=score,
        payload=batch.payload_of(row)[:1500],
    )

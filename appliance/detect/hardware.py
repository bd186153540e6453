"""Which hardware stands behind an address: exchanged, doubled, or known hardware under a new address."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Address
from appliance.decode.names import address_text, service_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counting.counts import SECOND
from appliance.learn.counting.quota import MAX_TRACKED
from appliance.learn.meaning.model import Model
from appliance.learn.meaning.standing import MAPPED, Standing
from appliance.learn.site.topology import claims
from appliance.packets.ordering import firsts

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Assigned

UNSPECIFIED = (0, MAPPED)  # lower halves of :: and 0.0.0.0, which nobody owns
RETURNS = 60 * SECOND  # an address that is back at its former hardware within so long has two owners
MAX_CONTESTED = 4096
_K = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class _Senders:
    """Frames that show who owns an address, in the order of frames: row, halves of the address, hardware address."""

    row: npt.NDArray[np.intp]
    hi: npt.NDArray[np.uint64]
    lo: npt.NDArray[np.uint64]
    mac: npt.NDArray[np.uint64]

    def take(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> _Senders:
        return _Senders(self.row[which], self.hi[which], self.lo[which], self.mac[which])

    def address(self, i: int) -> Address:
        return int(self.hi[i]), int(self.lo[i])


@dataclass(slots=True)
class HardwareDetector:
    """Compares pairs of address and hardware with the learned ones and with each other."""

    model: Model
    standing: Standing
    _seen: dict[tuple[int, int, int], int] = field(default_factory=dict)  # new pairs -> frame that showed them first
    _claimed: dict[int, set[int]] = field(default_factory=dict)  # IPv4 address that nobody knew -> hardware that claims it
    _contested: dict[Address, tuple[int, int, int]] = field(default_factory=dict)  # address -> last hardware, ns, frame
    _doubled: set[tuple[int, int, int]] = field(default_factory=set)

    def judge(self, batch: DecodedBatch, assigned: Assigned) -> list[Finding]:
        """Findings of one batch."""
        senders = _senders(batch, assigned)
        if not len(senders.row):
            return []
        key = (senders.lo * _K ^ senders.hi) ^ senders.mac << np.uint64(13)
        fresh = firsts(key)
        findings: list[Finding] = []
        for i in fresh.tolist():
            findings += self._new_pair(batch, senders, i)
        if self._contested:
            lows = np.array([lo for _, lo in self._contested], np.uint64)
            findings += self._returns(batch, senders.take(np.isin(senders.lo, lows)))
        return findings

    def _new_pair(self, batch: DecodedBatch, s: _Senders, i: int) -> list[Finding]:
        """A pair of address and hardware that is met for the first time."""
        address, mac = s.address(i), int(s.mac[i])
        if address[1] in UNSPECIFIED or (*address, mac) in self._seen or len(self._seen) >= MAX_TRACKED:
            return []
        asset = self.model.baseline.assets.get(address)
        if self.model.open.moves(address):
            return []  # an address that is given to whoever comes
        row = int(s.row[i])
        if asset is not None and (not asset.macs or mac in asset.macs):
            return []
        self._seen[(*address, mac)] = int(batch.frame[row])
        if asset is not None:
            self._contest(address, mac, batch, row)
            return [_pair(batch, row, address, mac, Kind.ADDRESS_CHANGE, sorted(asset.macs)[:4])]
        if address[0] == 0 and address[1] >> 32 == 0xFFFF and batch.arp_op[row]:
            claimed = self._claimed.setdefault(address[1], set())
            claimed.add(mac)
            if len(claimed) == 2:
                self._contest(address, mac, batch, row)
        former = self.standing.owner.get(mac)
        near = bool(batch.arp_op[row]) or (former is not None and former[1] >> 8 == address[1] >> 8)  # else it is a router
        if former is None or address[0] != 0 or former == address or not near:
            return []
        return [_pair(batch, row, address, mac, Kind.READDRESSED, [former[1] & 0xFFFF_FFFF], width=4)]

    def _contest(self, address: Address, mac: int, batch: DecodedBatch, row: int) -> None:
        if len(self._contested) < MAX_CONTESTED:
            self._contested.setdefault(address, (mac, int(batch.time[row]), int(batch.frame[row])))

    def _returns(self, batch: DecodedBatch, s: _Senders) -> list[Finding]:
        """Contested addresses that go back to hardware they had before: two answer for one address, each told once."""
        findings: list[Finding] = []
        if not len(s.row):
            return findings
        order = np.lexsort((np.arange(len(s.row)), s.lo, s.hi))
        s = s.take(order)
        same = np.r_[False, (s.lo[1:] == s.lo[:-1]) & (s.hi[1:] == s.hi[:-1])]
        turns = ~same | np.r_[False, s.mac[1:] != s.mac[:-1]] | np.r_[~same[1:], True]
        for i in np.flatnonzero(turns).tolist():
            address, mac = s.address(i), int(s.mac[i])
            last, when, frame = self._contested.get(address, (0, 0, 0))
            row, now = int(s.row[i]), int(batch.time[s.row[i]])
            if not last or batch.frame[row] <= frame:
                continue
            if i and same[i] and batch.frame[s.row[i - 1]] > frame:
                when = int(batch.time[s.row[i - 1]])
            self._contested[address] = (mac, now, int(batch.frame[row]))
            pair = (*address, max(mac, last))
            if mac == last or now - when > RETURNS or pair in self._doubled or not self._had(address, mac, frame):
                continue
            self._doubled.add(pair)
            findings.append(_pair(batch, row, address, last, Kind.DUPLICATE_ADDRESS, [mac]))
        return findings

    def _had(self, address: Address, mac: int, frame: int) -> bool:
        """True where the hardware had the address before this frame's turn, by learning or in this run."""
        asset = self.model.baseline.assets.get(address)
        return (asset is not None and mac in asset.macs) or self._seen.get((*address, mac), frame + 1) <= frame


def _senders(batch: DecodedBatch, assigned: Assigned) -> _Senders:
    """IP frames by their source, ARP frames by what they claim."""
    frames = np.flatnonzero((assigned.flow >= 0) & batch.ip & (batch.src_mac != 0))
    said = claims(batch)
    low = batch.arp_sender_ip[said].astype(np.uint64) | np.uint64(MAPPED)
    rows = np.concatenate([frames, said])
    order = np.argsort(rows, kind="stable") if len(said) else np.arange(len(rows))  # two runs in order: merged, not sorted
    hi = np.concatenate([batch.src_hi[frames], np.zeros(len(said), np.uint64)])
    lo, mac = np.concatenate([batch.src_lo[frames], low]), np.concatenate([batch.src_mac[frames], batch.arp_sender_mac[said]])
    return _Senders(rows[order], hi[order], lo[order], mac[order])


def _pair(batch: DecodedBatch, row: int, address: Address, mac: int, kind: Kind, usual: list[int], width: int = 6) -> Finding:
    """A finding about hardware: `seen` is the hardware that is odd, `normal` what stood there (or the former address)."""
    text = address_text(*address)
    by_arp = bool(batch.arp_op[row])
    target = address_text(0, MAPPED | int(batch.arp_target_ip[row])) if by_arp else None
    return Finding(
        frame=int(batch.frame[row]),
        time_ns=int(batch.time[row]),
        src=text,
        dst=target or address_text(int(batch.dst_hi[row]), int(batch.dst_lo[row])),
        client=text,
        service=service_text(0, 0, 0x0806) if by_arp else f"eth/0x{int(batch.ethertype[row]):04x}",
        kind=kind,
        seen=mac.to_bytes(6, "big"),
        normal=tuple(m.to_bytes(width, "big") for m in usual),
        score=0.001 if kind is Kind.DUPLICATE_ADDRESS else 0.01,
    )

"""What a capture, or a short look at an interface, tells about the mirror port it came from: counts over decoded columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.columns import HARMLESS, Damage
from appliance.report.mirror_copies import Copies
from appliance.report.mirror_flows import Flows

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.packets.batch import I64, U64, Flags

ETHERNET = 1
LARGEST = 1522  # bytes of an Ethernet frame with one tag, without its check sequence 1518
MOST = 65_536  # assets and hardware addresses that are told apart
BACK = -1_000_000_000  # ns; two ports of a switch may be out of order, but not by a second
_GROUP = np.uint64(1 << 40)  # the bit of a hardware address that says group
_L2_GROUPS = (0x88B8, 0x88BA, 0x88F7, 0x88CC)  # GOOSE, sampled values, PTP, LLDP: to groups by their nature
_HARMLESS = np.array(sorted(HARMLESS), np.uint8)

Address = tuple[int, int]


@dataclass(slots=True)
class Mirror:
    """All that is counted; `add` every batch.

    own   addresses of the appliance itself

    The two directions of a tap or a bridge come in over two interfaces: their mirrors share `flows`, `senders`, `receivers`.
    """

    own: frozenset[Address] = frozenset()
    frames: int = 0
    bytes: int = 0
    first: int = 0
    last: int = 0
    single: int = 0  # frames to one station
    group: int = 0  # to many, without those that always are
    cut: int = 0
    large: int = 0  # TCP or UDP frames that no wire carries without jumbo frames
    largest: int = 0
    damaged: int = 0
    unknown: int = 0  # of a link type that is not decoded
    timeless: int = 0
    backward: int = 0
    most_back: int = 0  # ns
    ours: int = 0
    looked: float = 0.0  # s that a live look took
    missed: int = 0  # frames that a live look itself lost
    vlans: dict[int, int] = field(default_factory=dict)
    untagged: int = 0
    senders: dict[Address, int] = field(default_factory=dict)
    receivers: dict[Address, int] = field(default_factory=dict)  # of frames to one station
    tags: dict[int, int] = field(default_factory=dict)  # flow -> 1 seen tagged, 2 untagged, 3 both
    copies: Copies = field(default_factory=Copies)
    flows: Flows = field(default_factory=Flows)

    def add(self, batch: DecodedBatch) -> None:
        """Count a batch."""
        if not len(batch):
            return
        self._time(batch.time)
        packets = batch.packets
        self.frames += len(batch)
        self.bytes += int(packets.wire.sum())
        self.cut += int((packets.captured < packets.wire).sum())
        self.largest = max(self.largest, int(packets.wire.max()))
        transport = batch.ip & ((batch.proto == 6) | (batch.proto == 17)) & (packets.link == ETHERNET)
        self.large += int((transport & (packets.wire > LARGEST)).sum())
        self.damaged += int((~np.isin(batch.damage, _HARMLESS)).sum())
        self.unknown += int((batch.damage == Damage.UNKNOWN_LINK).sum())
        single = self._stations(batch)
        self._tagged(batch, single)
        self.copies.add(batch)
        self.flows.add(batch)

    def _time(self, time: I64) -> None:
        known = time[time != 0]
        self.timeless += int(time.size - known.size)
        if not known.size:
            return
        step = np.diff(known, prepend=self.last or known[0])
        back = step < BACK
        self.backward += int(back.sum())
        self.most_back = max(self.most_back, -int(step.min()) if back.any() else 0)
        self.first = int(known.min()) if not self.first else min(self.first, int(known.min()))
        self.last = int(known[-1])

    def _stations(self, batch: DecodedBatch) -> Flags:
        """Who sends and who is sent to; returns which frames go to one station."""
        hardware = batch.packets.link == ETHERNET
        many = hardware & ((batch.dst_mac & _GROUP) != 0)
        many |= batch.ip & (batch.dst_hi == 0) & ((batch.dst_lo & np.uint64(0xF0000000)) == np.uint64(0xE0000000))
        many |= batch.ip & (batch.dst_hi >> np.uint64(56) == np.uint64(0xFF))
        single: Flags = ~many & (batch.damage != Damage.UNKNOWN_LINK)
        self.single += int(single.sum())
        self.group += int((many & ~np.isin(batch.ethertype, _L2_GROUPS)).sum())
        ours = np.zeros(len(batch), np.bool_)
        for high, low in self.own:
            ours |= (batch.src_hi == high) & (batch.src_lo == low) | (batch.dst_hi == high) & (batch.dst_lo == low)
        self.ours += int((ours & batch.ip).sum())
        _count(self.senders, batch.src_hi[batch.ip], batch.src_lo[batch.ip])
        to = single & batch.ip
        _count(self.receivers, batch.dst_hi[to], batch.dst_lo[to])
        return single

    def _tagged(self, batch: DecodedBatch, single: Flags) -> None:
        used = single & batch.ip & ~batch.dup
        numbers, counts = np.unique(batch.vlan[used], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            if number:
                self.vlans[number] = self.vlans.get(number, 0) + count
            else:
                self.untagged += count
        for mark, rows in ((1, used & (batch.vlan != 0)), (2, used & (batch.vlan == 0))):
            for flow in np.unique(batch.flow[rows]).tolist():
                if flow in self.tags or len(self.tags) < MOST:
                    self.tags[flow] = self.tags.get(flow, 0) | mark

    @property
    def seconds(self) -> float:
        """From the first to the last frame."""
        return max(0.0, (self.last - self.first) * 1e-9)

    @property
    def mixed(self) -> int:
        """Flows of which some frames are tagged and some are not."""
        return sum(1 for marks in self.tags.values() if marks == 3)

    def unheard(self, least: int = 10) -> tuple[list[Address], int]:
        """Addresses that are sent at least so many frames and send none; and how many are sent so many at all."""
        busy = [address for address, count in self.receivers.items() if count >= least]
        return [address for address in busy if address not in self.senders], len(busy)


def _count(into: dict[Address, int], high: U64, low: U64) -> None:
    flat = high == 0
    numbers, counts = np.unique(low[flat], return_counts=True)
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if (0, number) in into or len(into) < MOST:
            into[0, number] = into.get((0, number), 0) + count
    high, low = high[~flat], low[~flat]
    if not high.size:
        return
    pairs, counts = np.unique(np.stack([high, low], axis=1), axis=0, return_counts=True)
    for (hi, lo), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        if (hi, lo) in into or len(into) < MOST:
            into[hi, lo] = into.get((hi, lo), 0) + count

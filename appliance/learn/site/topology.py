"""Assets and conversations as counted columns, mergeable by sum, min, max and bottom-k.

An *asset* is an address that was seen sending. The statistics of a conversation hold what timing and adequacy need: in how
many blocks of time it was active, its longest pause, its busiest block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from struct import pack
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.columns import HARMLESS, DecodedBatch
from appliance.decode.conversation import ACK, RST, SYN, Address, Assigned, Conversation
from appliance.learn.counting.counts import ADEQUACY_BLOCKS, BLOCK, NEVER
from appliance.learn.site.groups import joins

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ASSETS = 65_536
MAX_CONVERSATIONS = 65_536
MAX_MACS = 16  # hardware addresses kept per asset
MAX_DARK = 65_536
MAX_JOINED = 4096

SUMS = ("frames", "requests", "answers", "bytes", "opened", "refused", "repeats", "blocks", "minutes", "hours", "days")
MINS = ("first",)
MAXS = ("last", "gap_max", "rate_max")
NUMBERS = SUMS + MINS + MAXS
START = dict.fromkeys(SUMS, 0) | dict.fromkeys(MINS, NEVER) | dict.fromkeys(MAXS, -1)


def stream_key(conversation: Conversation) -> int:
    """64-bit content hash of a conversation: the same on every machine."""
    c = conversation
    packed = pack(">QQQQiI?", *c.client, *c.server, c.port[0], c.port[1], c.group)
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), "big")


def sender_key(batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """uint64 [len(rows)]: tells who sent a frame, by address and hardware address together."""
    mixed: npt.NDArray[np.uint64] = batch.src_lo[rows] * np.uint64(0x9E3779B97F4A7C15) ^ batch.src_hi[rows]
    return mixed ^ batch.src_mac[rows] << np.uint64(13)


def claims(batch: DecodedBatch) -> npt.NDArray[np.intp]:
    """Rows in which somebody says by ARP that an IPv4 address is his; probes, which ask with no address, are none."""
    rows = np.flatnonzero((batch.arp_op == 1) | (batch.arp_op == 2))
    said: npt.NDArray[np.intp] = rows[(batch.arp_sender_ip[rows] != 0) & (batch.arp_sender_mac[rows] != 0)]
    return said


def stream_keys(conversations: Sequence[Conversation], known: list[int]) -> npt.NDArray[np.uint64]:
    """Keys of all conversations; `known` caches them and grows."""
    known.extend(stream_key(c) for c in conversations[len(known) :])
    return np.array(known or [0], np.uint64)


@dataclass(slots=True)
class Asset:
    """What was seen of one address: hardware addresses, ns of first and last frame, frames sent."""

    macs: set[int] = field(default_factory=set)
    first: int = NEVER
    last: int = -1
    frames: int = 0

    def merged(self, other: Asset) -> Asset:
        """Both together."""
        macs = set(sorted(self.macs | other.macs)[:MAX_MACS])
        return Asset(macs, min(self.first, other.first), max(self.last, other.last), self.frames + other.frames)


@dataclass(slots=True)
class TopologyCounter:
    """Counts assets and conversations batch by batch within one session."""

    assets: dict[Address, Asset] = field(default_factory=dict)
    columns: dict[str, npt.NDArray[np.int64]] = field(default_factory=lambda: {n: np.zeros(0, np.int64) for n in NUMBERS})
    arp_targets: set[int] = field(default_factory=set)
    joined: set[int] = field(default_factory=set)
    frames: int = 0
    damaged: dict[int, int] = field(default_factory=dict)
    first: int = NEVER
    last: int = -1
    _claims: dict[int, set[int]] = field(default_factory=dict)  # IPv4 address -> hardware that said by ARP to have it
    _now: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 6), np.int64))

    def add(self, batch: DecodedBatch, assigned: Assigned, conversations: int) -> None:
        """Take in a batch; `conversations` is how many there are by now."""
        n = len(batch)
        self.frames += n
        if not n:
            return
        for code, count in zip(*np.unique(batch.damage, return_counts=True), strict=True):
            if int(code) not in {int(h) for h in HARMLESS}:
                self.damaged[int(code)] = self.damaged.get(int(code), 0) + int(count)
        self.first, self.last = min(self.first, int(batch.time.min())), max(self.last, int(batch.time.max()))
        self._grow(conversations)
        self._add_assets(batch, assigned)
        rows = np.flatnonzero(assigned.conversation >= 0)
        if len(rows):
            self._add_conversations(batch, assigned, rows)
        asked = batch.arp_op == 1
        if asked.any() and len(self.arp_targets) < MAX_DARK:
            self.arp_targets.update(np.unique(batch.arp_target_ip[asked]).tolist())
        if len(self.joined) < MAX_JOINED:
            self.joined.update(group for _, group in joins(batch))
        self._add_claims(batch)

    def _add_claims(self, batch: DecodedBatch) -> None:
        """Note who says by ARP which address is his."""
        rows = claims(batch)
        key = batch.arp_sender_mac[rows] * np.uint64(0x9E3779B97F4A7C15) ^ batch.arp_sender_ip[rows]
        _, first = np.unique(key, return_index=True)
        for row in rows[first].tolist():
            if int(batch.arp_sender_ip[row]) in self._claims or len(self._claims) < MAX_ASSETS:
                self._claims.setdefault(int(batch.arp_sender_ip[row]), set()).add(int(batch.arp_sender_mac[row]))

    def known_assets(self) -> dict[Address, Asset]:
        """Assets with all their hardware: what their frames bear and what they claim by ARP (a virtual router has both)."""
        for (hi, lo), asset in self.assets.items():
            said = self._claims.get(lo & 0xFFFF_FFFF) if hi == 0 and lo >> 32 == 0xFFFF else None
            if said:
                asset.macs = set(sorted(asset.macs | said)[:MAX_MACS])
        return self.assets

    def _grow(self, size: int) -> None:
        have = len(self._now)
        if size > have:
            for name in NUMBERS:
                self.columns[name] = np.r_[self.columns[name], np.full(size - have, START[name], np.int64)]
            fresh = np.full((size - have, 6), -1, np.int64)
            self._now = np.r_[self._now, fresh]

    def _add_assets(self, batch: DecodedBatch, assigned: Assigned) -> None:
        rows = np.flatnonzero(assigned.flow >= 0)
        key = sender_key(batch, rows)
        _, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        low, high = np.full(len(first), NEVER, np.int64), np.full(len(first), -1, np.int64)
        np.minimum.at(low, inverse, batch.time[rows])
        np.maximum.at(high, inverse, batch.time[rows])
        for i, row in enumerate(rows[first].tolist()):
            address = (int(batch.src_hi[row]), int(batch.src_lo[row]))
            macs = {int(batch.src_mac[row])} - {0}
            seen = Asset(macs, int(low[i]), int(high[i]), int(counts[i]))
            have = self.assets.get(address)
            if have is not None:
                self.assets[address] = have.merged(seen)
            elif len(self.assets) < 2 * MAX_ASSETS:
                self.assets[address] = seen

    def _add_conversations(self, batch: DecodedBatch, assigned: Assigned, rows: npt.NDArray[np.intp]) -> None:
        c = assigned.conversation[rows]
        column, size = self.columns, len(self._now)
        carries = batch.payload_len[rows] > 0
        flags = batch.tcp_flags[rows]
        opened = (flags & (SYN | ACK | RST)) == SYN
        refused = (flags & RST != 0) & ~assigned.request[rows]
        column["frames"] += np.bincount(c, minlength=size)
        column["requests"] += np.bincount(c[carries & assigned.request[rows]], minlength=size)
        column["answers"] += np.bincount(c[carries & ~assigned.request[rows]], minlength=size)
        column["bytes"] += np.bincount(c, weights=batch.payload_len[rows], minlength=size).astype(np.int64)
        column["opened"] += np.bincount(c[opened], minlength=size)
        column["refused"] += np.bincount(c[refused], minlength=size)
        column["repeats"] += np.bincount(c[batch.repeat[rows]], minlength=size)
        np.minimum.at(column["first"], c, batch.time[rows])
        self._add_times(c, batch.time[rows])
        np.maximum.at(column["last"], c, batch.time[rows])

    def _add_times(self, conversation: npt.NDArray[np.int32], time: npt.NDArray[np.int64]) -> None:
        """Pauses, blocks, busiest block; rows of `_now`: last time, last blocks (10 s, 1 min, 1 h, 1 d), frames in 10 s."""
        order = np.lexsort((time, conversation))
        c, t = conversation[order], time[order]
        start = np.flatnonzero(np.r_[True, c[1:] != c[:-1]])
        end = np.r_[start[1:], len(c)] - 1
        which = c[start]
        previous = np.r_[0, t[:-1]]
        previous[start] = np.where(self._now[which, 0] >= 0, self._now[which, 0], t[start])
        np.maximum.at(self.columns["gap_max"], which, np.maximum.reduceat(np.maximum(t - previous, 0), start))
        for i, (name, unit) in enumerate(zip(("blocks", "minutes", "hours", "days"), (BLOCK, *ADEQUACY_BLOCKS), strict=True)):
            block = t // unit
            before = np.r_[-1, block[:-1]]
            before[start] = self._now[which, 1 + i]
            entered = block != before
            self.columns[name][which] += np.add.reduceat(entered.astype(np.int64), start)
            if unit == BLOCK:
                self._add_rates(c, entered, start, which)
            self._now[which, 1 + i] = block[end]
        self._now[which, 0] = np.maximum(self._now[which, 0], t[end])

    def _add_rates(
        self, c: npt.NDArray[np.int32], entered: npt.NDArray[np.bool_], start: npt.NDArray[np.intp], which: npt.NDArray[np.int32]
    ) -> None:
        """Frames per 10 s block: a block that goes on from the last batch keeps its count."""
        begins = entered.copy()
        begins[start] = True
        first = np.flatnonzero(begins)
        count = np.diff(np.r_[first, len(c)])
        goes_on = ~entered[first]
        count = count + np.where(goes_on, np.maximum(self._now[c[first], 5], 0), 0)
        np.maximum.at(self.columns["rate_max"], c[first], count)
        last_run = np.searchsorted(first, np.r_[start[1:], len(c)] - 1, side="right") - 1
        self._now[which, 5] = count[last_run]

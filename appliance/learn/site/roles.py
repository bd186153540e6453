"""Which endpoints serve, for flows whose opening nobody saw.

In this order: the endpoint with more peers; the port that more hosts use; for equal ports on both sides the hub (it has at
least twice as many peers) asks; who repeats the numbers of the other side answers (`site.repeats`); where one port only is out
of the range that is never assigned to services, the other side serves; then the side whose answers come after steadier gaps (the
median misleads under bursts).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import ACK, RST, SYN, Address, Port, is_group
from appliance.decode.heads import heads_of
from appliance.learn.site.repeats import HEAD, Repeats

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch

MAX_FLOWS = 200_000
DYNAMIC = 49_152  # ports from here on are never assigned to a service (RFC 6335, section 6)
HUB = 2  # times as many partners as the other side, from which on an endpoint is a hub; a few stations more prove nothing
Endpoint = tuple[Address, Port]


@dataclass(slots=True)
class _Gaps:
    """Gaps until the other side speaks, of one side: count, sum and sum of squares in seconds."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def spread(self) -> float:
        return float("inf") if self.n < 4 else max(0.0, self.squares / self.n - (self.total / self.n) ** 2)


@dataclass(slots=True)
class RoleStats:
    """What a first pass over a capture collects to decide roles."""

    flows: dict[int, tuple[Endpoint, Endpoint]] = field(default_factory=dict)  # hash -> (endpoint `up` comes from, the other)
    server_of: dict[int, bool] = field(default_factory=dict)  # hash -> True: the side `up` comes from serves
    gaps: dict[tuple[int, bool], _Gaps] = field(default_factory=lambda: defaultdict(_Gaps))
    last: dict[int, tuple[int, bool]] = field(default_factory=dict)
    repeats: Repeats = field(default_factory=Repeats)

    def add(self, batch: DecodedBatch) -> None:
        """Take in a batch."""
        transport = np.flatnonzero(batch.ip & ((batch.proto == 6) | (batch.proto == 17)))
        if not len(transport):
            return
        keys, first = np.unique(batch.flow[transport], return_index=True)
        for key, at in zip(keys.tolist(), transport[first].tolist(), strict=True):
            if key not in self.flows and len(self.flows) < MAX_FLOWS:
                self._new(batch, key, at)
        flags = batch.tcp_flags[transport]
        for at in transport[(flags & (SYN | RST) == SYN) & (batch.proto[transport] == 6)].tolist():
            from_server = bool(batch.tcp_flags[at] & ACK)
            self.server_of.setdefault(int(batch.flow[at]), bool(batch.up[at]) == from_server)
        self._add_gaps(batch, transport[batch.payload_len[transport] > 0])

    def _new(self, batch: DecodedBatch, key: int, at: int) -> None:
        source = ((int(batch.src_hi[at]), int(batch.src_lo[at])), (int(batch.proto[at]), int(batch.sport[at])))
        target = ((int(batch.dst_hi[at]), int(batch.dst_lo[at])), (int(batch.proto[at]), int(batch.dport[at])))
        if not is_group(target[0]):
            self.flows[key] = (source, target) if batch.up[at] else (target, source)

    def _add_gaps(self, batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> None:
        """Gaps between a payload of one side and the next of the other, and what is repeated, for flows without a SYN."""
        rows = rows[~np.isin(batch.flow[rows], np.array(list(self.server_of), np.uint64))]
        order = rows[np.argsort(batch.flow[rows], kind="stable")]
        heads = heads_of(batch.data, batch.payload[order], batch.payload_len[order], HEAD)
        self.repeats.add(batch.flow[order], batch.up[order], heads)
        flow, up, time = self._with_last(batch.flow[order], batch.up[order], batch.time[order])
        turns = np.flatnonzero((flow[1:] == flow[:-1]) & (up[1:] != up[:-1]))
        if not len(turns):
            return
        gap = np.maximum(time[turns + 1] - time[turns], 0) * 1e-9
        sides, which = np.unique(np.stack([flow[turns + 1], up[turns + 1].astype(np.uint64)]), axis=1, return_inverse=True)
        n, total, squares = (np.bincount(which.ravel(), weights=w) for w in (np.ones_like(gap), gap, gap * gap))
        for i, (key, side) in enumerate(sides.T.tolist()):
            if key in self.flows and key not in self.server_of:
                g = self.gaps[key, bool(side)]
                g.n, g.total, g.squares = g.n + int(n[i]), g.total + float(total[i]), g.squares + float(squares[i])

    def _with_last(
        self, flow: npt.NDArray[np.uint64], up: npt.NDArray[np.bool_], time: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """The payloads of a batch behind the last ones of earlier batches; notes the last ones of this."""
        first = np.flatnonzero(np.r_[True, flow[1:] != flow[:-1]]) if len(flow) else np.zeros(0, np.intp)
        last = np.r_[first[1:], len(flow)] - 1 if len(flow) else first
        keys = flow[first].tolist()
        before = [(at, self.last[key]) for at, key in zip(first.tolist(), keys, strict=True) if key in self.last]
        for key, at in zip(keys, last.tolist(), strict=True):
            if key in self.flows and key not in self.server_of:
                self.last[key] = (int(time[at]), bool(up[at]))
        where = [at for at, _ in before]
        times, sides = np.array([b[0] for _, b in before], np.int64), np.array([b[1] for _, b in before], bool)
        return np.insert(flow, where, flow[where]), np.insert(up, where, sides), np.insert(time, where, times)

    def servers(self) -> frozenset[Endpoint]:
        """Endpoints that serve."""
        peers: dict[Endpoint, set[Endpoint]] = defaultdict(set)
        partners: dict[Endpoint, set[Address]] = defaultdict(set)
        for a, b in self.flows.values():
            peers[a].add(b)
            peers[b].add(a)
            partners[a].add(b[0])
            partners[b].add(a[0])
        known = {self.flows[key][0 if up_serves else 1] for key, up_serves in self.server_of.items() if key in self.flows}
        hosts = Counter(endpoint[1] for endpoint in peers)
        found: set[Endpoint] = set(known)
        for key, (a, b) in self.flows.items():
            if key not in self.server_of and (a in known) == (b in known):
                found.add(self._serves(key, a, b, peers, partners, hosts))
        return frozenset(found)

    def _serves(
        self,
        key: int,
        a: Endpoint,
        b: Endpoint,
        peers: dict[Endpoint, set[Endpoint]],
        partners: dict[Endpoint, set[Address]],
        hosts: Counter[Port],
    ) -> Endpoint:
        if a[1] == b[1]:  # equal ports: the hub asks
            few, many = sorted((a, b), key=lambda endpoint: len(partners[endpoint]))
            steady = [self.gaps[key, side].spread() for side in (True, False)]
            if len(partners[many]) >= HUB * len(partners[few]) or (
                len(partners[many]) > len(partners[few]) and steady[0] == steady[1]
            ):
                return few
        elif len(peers[a]) != len(peers[b]):
            return a if len(peers[a]) > len(peers[b]) else b
        elif hosts[a[1]] != hosts[b[1]]:
            return a if hosts[a[1]] > hosts[b[1]] else b
        answering = self.repeats.answering(key)
        if answering is not None:
            return a if answering else b
        if (a[1][1] >= DYNAMIC) != (b[1][1] >= DYNAMIC):
            return b if a[1][1] >= DYNAMIC else a
        # the gap before a side speaks is its thinking time: the server's is steady
        spread_a, spread_b = self.gaps[key, True].spread(), self.gaps[key, False].spread()
        if spread_a != spread_b:
            return a if spread_a < spread_b else b
        return a if a[1] <= b[1] else b

"""Who talks to whom: flows (one connection, or one pair of ports) belong to conversations (client, server, service).

Which side serves is decided once per flow: by the SYN; else by endpoints known to serve; else by ports known to be served
somewhere; else whoever spoke first asks. No port has a meaning here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.decode.names import address_text, service_text
from appliance.decode.openers import FirstFrames, Roles, to_group
from appliance.packets.ordering import grouped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.decode.columns import DecodedBatch

Address = tuple[int, int]  # upper and lower half, as in the columns *_hi, *_lo
Port = tuple[int, int]  # (IP protocol, port); (-1, ethertype) for frames that are not IP

SYN, RST, ACK = 0x02, 0x04, 0x10
MAX_FLOWS = 200_000
MAX_CONVERSATIONS = 100_000
MAX_SHARED = 16_384
FLOW_BIT = 24  # of a flow's number, beside that of a conversation and a direction
TOGETHER = 16  # flows in a row that are worth columns
POOLED = -1  # conversation number of frames beyond MAX_CONVERSATIONS ...
POOL = 0  # ... and their flow number; flows that are followed count from 1
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Conversation(NamedTuple):
    """A client asset, a server asset and the service between them; `group`: the server is a group of receivers."""

    client: Address
    server: Address
    port: Port
    group: bool = False

    @property
    def service(self) -> str:
        """Service as text: "tcp/502", "eth/0x8892"."""
        proto, port = self.port
        return service_text(0, 0, port) if proto < 0 else service_text(proto, port, 0x0800)

    def text(self) -> str:
        """Read as "10.0.0.1 -> 10.0.0.2 tcp/502"."""
        return f"{address_text(*self.client)} -> {address_text(*self.server)} {self.service}"


@dataclass(frozen=True, slots=True)
class Assigned:
    """Columns beside a DecodedBatch: flow int64 (-1: not decodable), conversation int32 (POOLED beyond the cap), request bool."""

    flow: npt.NDArray[np.int64]
    conversation: npt.NDArray[np.int32]
    request: npt.NDArray[np.bool_]


@dataclass(slots=True)
class ConversationTable:
    """State: flows seen, conversations found.

    servers     (address, port) known to serve
    ports       ports that are served somewhere
    fresh       flows whose opening SYN was seen
    flows       flow hash -> its number, conversation and direction (see `_packed`)
    """

    servers: set[tuple[Address, Port]] = field(default_factory=set)
    ports: set[Port] = field(default_factory=set)
    conversations: list[Conversation] = field(default_factory=list)
    number: dict[tuple[Address, Address, Port, bool], int] = field(default_factory=dict)  # of every conversation
    flows: dict[int, int] = field(default_factory=dict)
    opened: int = 0
    fresh: set[int] = field(default_factory=set)
    reserved: Collection[Conversation] = ()
    _shared: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # addresses, ports: one object each
    _homes: npt.NDArray[np.uint64] | None = None  # mixed addresses of all that is followed or reserved, once the table is full

    def reserve(self, conversations: Collection[Conversation]) -> None:
        """Conversations that get a number also when the table is full: a flood of others does not push them out."""
        self.reserved = conversations

    def know(self, servers: Iterable[tuple[Address, Port]]) -> None:
        """Tell which endpoints serve (from a baseline, or from a first pass)."""
        for server in servers:
            self.servers.add(server)
            self.ports.add(server[1])

    def assign(self, batch: DecodedBatch) -> Assigned:
        """Flow, conversation and direction of every frame of the batch."""
        n = len(batch)
        flow = np.full(n, -1, np.int64)
        conversation = np.full(n, POOLED, np.int32)
        request = np.zeros(n, bool)
        rows = np.flatnonzero(batch.src_hi | batch.src_lo | batch.dst_hi | batch.dst_lo)
        if not len(rows):
            return Assigned(flow, conversation, request)
        groups = grouped(batch.flow[rows])
        first, inverse = groups.first, groups.spread(np.arange(len(groups.start)))
        keys = batch.flow[rows[first]]
        opening = self._openings(batch, rows, inverse, len(keys))
        known = list(map(self.flows.get, keys.tolist()))
        entries = np.empty((len(keys), 3), np.int64)
        entries[:] = (POOL, POOLED, 1)
        followed = self._may_be_followed(batch, rows[first])
        new = np.array([entry is None for entry in known], bool)
        entries[~new] = _unpacked(np.array([entry for entry in known if entry is not None], np.int64))
        coming = np.flatnonzero(new & followed)
        coming = coming[np.argsort(first[coming], kind="stable")]
        if len(coming):
            entries[coming] = self._new_flows(FirstFrames.of(batch, rows[first[coming]], opening[coming]))
            kept = coming[entries[coming, 0] != POOL]
            self.flows.update(zip(keys[kept].tolist(), _packed(entries[kept]).tolist(), strict=True))
        flow[rows] = entries[:, 0].take(inverse)
        conversation[rows] = entries[:, 1].take(inverse)
        request[rows] = batch.up[rows] == entries[:, 2].astype(bool).take(inverse)
        if len(self.flows) > MAX_FLOWS:
            self._forget_flows()
        return Assigned(flow, conversation, request)

    def _may_be_followed(self, batch: DecodedBatch, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Bool [len(rows)]: False where the table is full and not both addresses are of what is followed or reserved."""
        if len(self.conversations) < MAX_CONVERSATIONS:
            return np.ones(len(rows), bool)
        if self._homes is None:
            ends = [half for c in (*self.conversations, *self.reserved) for half in (*c.client, *c.server)]
            both = np.array(ends, np.uint64).reshape(-1, 2)
            self._homes = np.unique(both[:, 1] * _MIX ^ both[:, 0])
        source, target = batch.src_lo[rows] * _MIX ^ batch.src_hi[rows], batch.dst_lo[rows] * _MIX ^ batch.dst_hi[rows]
        found: npt.NDArray[np.bool_] = np.isin(source, self._homes) & np.isin(target, self._homes)
        return found

    @staticmethod
    def _openings(
        batch: DecodedBatch, rows: npt.NDArray[np.intp], inverse: npt.NDArray[np.intp], flows: int
    ) -> npt.NDArray[np.int8]:
        """Per flow: 1 where the side `up` opened the connection, 0 where the other did, -1 where no SYN tells."""
        opening = np.full(flows, -1, np.int8)
        flags = batch.tcp_flags[rows]
        with_syn = np.flatnonzero((flags & (SYN | RST) == SYN) & (batch.proto[rows] == 6))[::-1]
        from_client = flags[with_syn] & ACK == 0
        opening[inverse[with_syn]] = (batch.up[rows[with_syn]] == from_client).astype(np.int8)
        return opening

    def _new_flows(self, frames: FirstFrames) -> npt.NDArray[np.int64]:
        """Flow number, conversation number and whether `up` is the request's direction, of new flows by their first frames.

        One after the other, as a flow may tell who serves in the next; in a row of flows that tell it themselves, all at once.
        """
        entries = np.empty((len(frames), 3), np.int64)
        told = frames.decided()
        ends = [*(np.flatnonzero(told[1:] != told[:-1]) + 1).tolist(), len(frames)]
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            part = frames.part(begin, end)
            roles = part.roles() if told[begin] and end - begin >= TOGETHER else None
            if roles is not None and roles.alike():
                entries[begin:end] = self._decided(roles)
            else:
                entries[begin:end] = [self._new_flow(*one) for one in part.rows()]
        return entries

    def _decided(self, roles: Roles) -> npt.NDArray[np.int64]:
        """Entries of flows whose roles are known; conversations are met in the order of the flows."""
        groups = roles.groups
        numbers = np.empty(len(groups.start), np.int64)
        for which in np.argsort(groups.first).tolist():
            client, server, port, group = roles.of_group(which)
            numbers[which] = self._number_of(client, server, port, group)
            if numbers[which] != POOLED and not group:
                self.servers.add((server, port))
                self.ports.add(port)
        number = groups.spread(numbers)
        kept = number != POOLED
        opened = np.where(kept, self.opened + np.cumsum(kept), POOL)
        self.opened += int(kept.sum())
        self.fresh.update(opened[kept & ~roles.group].tolist())
        return np.stack([opened, number, roles.up], axis=1)

    def _new_flow(
        self, opening: int, source: Address, target: Address, sport: Port, dport: Port, up: bool, group: bool
    ) -> tuple[int, int, bool]:
        """Decide the roles of a flow by its first frame: (flow number, conversation number, `up` is the request's direction)."""
        if group:
            asks = True
        elif opening >= 0:
            asks = (opening == 1) == up
        else:
            asks = self._source_asks((source, sport), (target, dport))
        client, server, port = (source, target, dport) if asks else (target, source, sport)
        number = self._number_of(client, server, port, group)
        if number == POOLED:
            return POOL, POOLED, up == asks
        self.opened += 1
        if opening >= 0 and not group:
            self.fresh.add(self.opened)
            self.servers.add((server, port))
            self.ports.add(port)
        return self.opened, number, up == asks

    def _source_asks(self, source: tuple[Address, Port], target: tuple[Address, Port]) -> bool:
        if (target in self.servers) != (source in self.servers):
            return target in self.servers
        if (target[1] in self.ports) != (source[1] in self.ports):
            return target[1] in self.ports
        low, high = sorted((source[1][1], target[1][1]))
        if low < 1024 <= high and source[1][0] in (6, 17):
            return target[1][1] == low
        return True

    def _number_of(self, client: Address, server: Address, port: Port, group: bool) -> int:
        """The conversation's number, a new one where it is new, POOLED where there is no room for it."""
        number = self.number.get((client, server, port, group))
        return self._admit(Conversation(client, server, port, group)) if number is None else number

    def _admit(self, new: Conversation) -> int:
        """Its number, POOLED where there is no room for it."""
        number = len(self.conversations)
        if number >= MAX_CONVERSATIONS and new not in self.reserved:
            return POOLED
        new = Conversation(self._one(new.client), self._one(new.server), self._one(new.port), new.group)
        self.number[new] = number
        self.conversations.append(new)
        return number

    def _one(self, pair: tuple[int, int]) -> tuple[int, int]:
        """The same object for equal addresses or ports: a hundred thousand conversations are then a third smaller."""
        return self._shared.get(pair, pair) if len(self._shared) >= MAX_SHARED else self._shared.setdefault(pair, pair)

    def _forget_flows(self) -> None:
        """Drop the older half: a flow that comes back is only decided again."""
        for key in list(self.flows)[: len(self.flows) // 2]:
            self.fresh.discard(self.flows.pop(key) >> FLOW_BIT)


def _packed(entries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Flow number, conversation number and direction as one number: a dictionary of these costs the collector nothing."""
    packed: npt.NDArray[np.int64] = entries[:, 0] << FLOW_BIT | entries[:, 1] << 1 | entries[:, 2]
    return packed


def _unpacked(packed: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.stack([packed >> FLOW_BIT, (packed & ((1 << FLOW_BIT) - 1)) >> 1, packed & 1], axis=1)


def is_group(address: Address) -> bool:
    """True for multicast and broadcast addresses of IPv4, IPv6 and hardware."""
    return bool(to_group(*address))

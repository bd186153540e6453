"""The first frames of new flows as columns, and what they say by themselves: who asks whom for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from appliance.decode.columns import L2_TAG
from appliance.decode.identity import mix
from appliance.packets.batch import I64, U64, Flags
from appliance.packets.ordering import Groups, grouped

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Address, Port


@dataclass(frozen=True, slots=True)
class FirstFrames:
    """Columns [n], a row each flow: source and target with their ports, and what is known of the direction.

    proto    int64, -1 for frames that are not IP; sport, dport int64, then the ethertype
    up       bool, as in the batch; group bool, the target is a group of receivers
    opening  int8: 1 where the side `up` opened the connection, 0 where the other did, -1 where no SYN tells
    """

    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    proto: I64
    sport: I64
    dport: I64
    up: Flags
    group: Flags
    opening: npt.NDArray[np.int8]

    @classmethod
    def of(cls, batch: DecodedBatch, rows: npt.NDArray[np.intp], opening: npt.NDArray[np.int8]) -> FirstFrames:
        """The frames `rows` of a batch."""
        ip, ethertype = batch.ip.take(rows), batch.ethertype.take(rows)
        proto, sport, dport = (
            np.where(ip, column.take(rows), other).astype(np.int64)
            for column, other in ((batch.proto.astype(np.int16), -1), (batch.sport, ethertype), (batch.dport, ethertype))
        )
        hi, lo = batch.dst_hi.take(rows), batch.dst_lo.take(rows)
        group = (batch.dst_mac.take(rows) >> np.uint64(40) & np.uint64(1)).astype(bool) | to_group(hi, lo)
        source = batch.src_hi.take(rows), batch.src_lo.take(rows)
        return cls(*source, hi, lo, proto, sport, dport, batch.up.take(rows), group, opening)

    def __len__(self) -> int:
        return len(self.up)

    def part(self, begin: int, end: int) -> FirstFrames:
        """Rows begin .. end."""
        return FirstFrames(*(getattr(self, name)[begin:end] for name in self.__slots__))

    def rows(self) -> list[tuple[int, Address, Address, Port, Port, bool, bool]]:
        """One by one: opening, source, target, their ports, `up`, `group`."""
        its = {name: getattr(self, name).tolist() for name in self.__slots__}
        source, target = zip(its["src_hi"], its["src_lo"], strict=True), zip(its["dst_hi"], its["dst_lo"], strict=True)
        sport, dport = (zip(its["proto"], its[port], strict=True) for port in ("sport", "dport"))
        return list(zip(its["opening"], source, target, sport, dport, its["up"], its["group"], strict=True))

    def decided(self) -> Flags:
        """Flows whose roles the frame tells whatever else is known; bool [n]."""
        told: Flags = self.group | (self.opening >= 0)
        return told

    def roles(self) -> Roles:
        """Who asks whom in flows that are all `decided`."""
        asks = self.group | ((self.opening == 1) == self.up)
        client_hi, server_hi = np.where(asks, self.src_hi, self.dst_hi), np.where(asks, self.dst_hi, self.src_hi)
        client_lo, server_lo = np.where(asks, self.src_lo, self.dst_lo), np.where(asks, self.dst_lo, self.src_lo)
        port = np.where(asks, self.dport, self.sport)
        kind = (self.proto + 1 << 17 | port << 1 | self.group).astype(np.uint64)
        key = mix(mix(mix(mix(client_lo + mix(client_hi)) + server_lo) + server_hi) + kind)
        return Roles(self.up == asks, client_hi, client_lo, server_hi, server_lo, self.proto, port, self.group, grouped(key))


@dataclass(frozen=True, slots=True)
class Roles:
    """Client, server and service of flows as columns [n]; up bool: that side asks; groups: flows that have all else in common."""

    up: Flags
    client_hi: U64
    client_lo: U64
    server_hi: U64
    server_lo: U64
    proto: I64
    port: I64
    group: Flags
    groups: Groups

    def alike(self) -> bool:
        """Whether flows of one group are really the same (as hashes they are)."""
        names = ("client_hi", "client_lo", "server_hi", "server_lo", "proto", "port", "group")
        order, start = self.groups.order, self.groups.start
        inner = np.ones(len(order), bool)
        inner[start] = False
        return all(not (((x := getattr(self, name).take(order))[1:] != x[:-1]) & inner[1:]).any() for name in names)

    def of_group(self, which: int) -> tuple[Address, Address, Port, bool]:
        """Client, server, port and whether the server is a group of receivers, of one group's flows."""
        i = int(self.groups.first[which])
        client, server = (int(self.client_hi[i]), int(self.client_lo[i])), (int(self.server_hi[i]), int(self.server_lo[i]))
        return client, server, (int(self.proto[i]), int(self.port[i])), bool(self.group[i])


def to_group(hi: Any, lo: Any) -> Any:
    """Whether addresses are of multicast or broadcast, of IPv4, IPv6 or hardware; halves as numbers, or as columns of them."""
    v4 = lo & 0xFFFF_FFFF
    hardware = (hi == L2_TAG) & (lo >> 40 & 1 == 1)
    mapped = (hi == 0) & (lo >> 32 == 0xFFFF) & ((v4 >> 28 == 0xE) | (v4 == 0xFFFF_FFFF))
    return hardware | mapped | ((hi >> 56 == 0xFF) & (hi != L2_TAG))

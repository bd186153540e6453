"""Frames that a mirror shows twice: as they enter and leave the switch, tagged and untagged, before and behind a router.

A copy has the addresses, ports, IP identification and bytes behind the IP header of a frame shortly before. Only IPv4 with an
identification other than 0 can be told from a sender that says the same thing again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.duplicates import MOST_COPIES, OTHER_WINDOW_NS, TCP_WINDOW_NS
from appliance.decode.identity import directed, mix
from appliance.packets.gather import equal_bytes, gather, layout

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.packets.batch import I64, U64

_KIND = layout(2, kind=("u2", 0))
_IPV4 = layout(20, size=("u2", 2), number=("u2", 4), ttl=("u1", 8))
_TAGS = (0x8100, 0x88A8, 0x9100)
_ETHERNET, _TYPE = 1, 0x0800
_HEAD = 20  # of IPv4, without options
_COMPARED = 256  # bytes behind it


@dataclass(slots=True)
class Copies:
    """Counts: frames that could be told, and copies among them.

    same     neither hardware addresses nor tags nor time to live differ: a port mirrored as frames enter and leave
    tagged   the tag differs
    routed   the time to live differs: seen before and behind a router
    other    the hardware addresses differ and nothing else
    """

    told: int = 0
    same: int = 0
    tagged: int = 0
    routed: int = 0
    other: int = 0

    @property
    def copies(self) -> int:
        """All of them."""
        return self.same + self.tagged + self.routed + self.other

    def add(self, batch: DecodedBatch) -> None:
        """Count a batch; a copy in the next batch is not found."""
        rows, at = _network(batch)
        if not rows.size:
            return
        head = gather(batch.data, at, _IPV4)
        good = head["number"] != 0
        rows, at, head = rows[good], at[good], head[good]
        self.told += rows.size
        first, second = _pairs(_keys(batch, rows, head["size"].astype(np.uint64), head["number"].astype(np.uint64)))
        window = np.where(batch.proto[rows[second]] == 6, TCP_WINDOW_NS, OTHER_WINDOW_NS)
        near = np.abs(batch.time[rows[second]] - batch.time[rows[first]]) <= window
        first, second = first[near], second[near]
        end = (batch.packets.offset + batch.packets.captured)[rows] - at - _HEAD
        length = np.minimum(np.minimum(head["size"][second].astype(np.int64) - _HEAD, end[second]), _COMPARED)
        equal = equal_bytes(batch.data, at[first] + _HEAD, at[second] + _HEAD, np.maximum(np.minimum(length, end[first]), 0))
        first, second = first[equal], second[equal]
        a, b = rows[first], rows[second]
        routed = head["ttl"][first] != head["ttl"][second]
        tagged = ~routed & (at[first] - batch.packets.offset[a] != at[second] - batch.packets.offset[b])
        tagged |= ~routed & (batch.vlan[a] != batch.vlan[b])
        moved = (batch.src_mac[a] != batch.src_mac[b]) | (batch.dst_mac[a] != batch.dst_mac[b])
        self.routed += int(routed.sum())
        self.tagged += int(tagged.sum())
        self.other += int((~routed & ~tagged & moved).sum())
        self.same += int((~routed & ~tagged & ~moved).sum())


def _network(batch: DecodedBatch) -> tuple[I64, I64]:
    """Rows of whole IPv4 datagrams on Ethernet, and where they begin."""
    packets = batch.packets
    rows = np.flatnonzero(batch.ip & (batch.ethertype == _TYPE) & (packets.link == _ETHERNET) & ~batch.fragment)
    at = packets.offset[rows] + 14
    for _ in range(2):
        kind = gather(batch.data, at - 2, _KIND)["kind"]
        at = at + 4 * np.isin(kind, _TAGS)
    whole = (gather(batch.data, at - 2, _KIND)["kind"] == _TYPE) & (at + _HEAD <= packets.offset[rows] + packets.captured[rows])
    return rows[whole], at[whole]


def _keys(batch: DecodedBatch, rows: I64, size: U64, number: U64) -> U64:
    numbers = batch.tcp_seq[rows].astype(np.uint64) << np.uint64(32) | batch.tcp_ack[rows]
    rest = number << np.uint64(24) | size << np.uint64(8) | batch.tcp_flags[rows]
    return mix(mix(directed(batch.flow[rows], batch.up[rows]) ^ numbers) + rest)


def _pairs(keys: U64) -> tuple[I64, I64]:
    """Neighbours of equal key in their order; keys that come more than MOST_COPIES times are no sign of copies."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, ordered.size), np.bool_), ordered[1:] != ordered[:-1])))
    sizes = np.diff(np.append(starts, ordered.size))
    copies = np.repeat((sizes > 1) & (sizes <= MOST_COPIES), sizes)
    copies[starts] = False
    later = np.flatnonzero(copies)
    return order[later - 1], order[later]

"""The columns that decoding adds to a batch: one table, and the codes of its damage column."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from appliance.packets.batch import I32, I64, U8, U16, U32, U64, Arena, Flags, PacketBatch
from appliance.packets.schema import Column


class Damage(IntEnum):
    """What is wrong with a frame. `TEXTS` says it in words; codes are stable."""

    NONE = 0
    SNAPLEN_CUT = 1
    UNKNOWN_LINK = 2
    TRUNCATED_LINK = 3
    TRUNCATED_NETWORK = 4
    TRUNCATED_TRANSPORT = 5
    BAD_IP_HEADER = 6
    BAD_LENGTH = 7
    BAD_TRANSPORT_HEADER = 8
    FRAGMENT_OVERLAP = 9
    BAD_FRAGMENT = 10
    FRAGMENT_LIMIT = 11


TEXTS: dict[Damage, str] = {
    Damage.NONE: "sound",
    Damage.SNAPLEN_CUT: "the capture kept only the head of the frame",
    Damage.UNKNOWN_LINK: "link type that is not decoded",
    Damage.TRUNCATED_LINK: "ends inside the link header",
    Damage.TRUNCATED_NETWORK: "ends inside the network header",
    Damage.TRUNCATED_TRANSPORT: "ends inside the transport header",
    Damage.BAD_IP_HEADER: "IP header of a wrong version or impossible length",
    Damage.BAD_LENGTH: "a header claims more bytes than the frame has",
    Damage.BAD_TRANSPORT_HEADER: "transport header of impossible length",
    Damage.FRAGMENT_OVERLAP: "fragments overlap with different bytes",
    Damage.BAD_FRAGMENT: "a fragment at an impossible place or of an impossible length",
    Damage.FRAGMENT_LIMIT: "too many unfinished fragments at once, this one was not put together",
}

# A short snapshot and an odd link type are choices of whoever captured; everything else was on the wire.
HARMLESS = frozenset({Damage.NONE, Damage.SNAPLEN_CUT, Damage.UNKNOWN_LINK})

COLUMNS: tuple[Column, ...] = (
    Column("damage", "uint8", "Damage", "first thing found wrong with the frame, from the outside in"),
    Column("src_mac", "uint64", "EUI-48", "source hardware address, 0 where the link has none"),
    Column("dst_mac", "uint64", "EUI-48", "destination hardware address, 0 where the link has none"),
    Column("vlan", "uint16", "VLAN id", "of the outermost tag, 0 without one"),
    Column("ethertype", "uint16", "ethertype", "after tags, labels and SNAP; below 0x600: DSAP of an LLC frame"),
    Column("src_hi", "uint64", "address", "source, upper half: 0 for IPv4, L2_TAG for a hardware address"),
    Column("src_lo", "uint64", "address", "source, lower half: ::ffff:a.b.c.d for IPv4, the hardware address for L2"),
    Column("dst_hi", "uint64", "address", "destination, upper half"),
    Column("dst_lo", "uint64", "address", "destination, lower half"),
    Column("proto", "uint8", "IP protocol", "after IPv6 extension headers; meaningful where `ip`"),
    Column("ip", "bool", "-", "a sound IPv4 or IPv6 header was read"),
    Column("sport", "uint16", "port", "source port of TCP or UDP, else 0"),
    Column("dport", "uint16", "port", "destination port of TCP or UDP, else 0"),
    Column("tcp_flags", "uint8", "CWR..FIN", "low eight flags of TCP"),
    Column("tcp_seq", "uint32", "byte", "sequence number"),
    Column("tcp_ack", "uint32", "byte", "acknowledgement number"),
    Column("payload", "int64", "byte in data", "first byte of what the innermost decoded header carries"),
    Column("payload_len", "int32", "bytes", "captured length without padding; 0 where `dup`, `repeat` or `fragment` took it"),
    Column("payload_base", "int32", "bytes", "bytes in front of `payload` in this segment that were a repetition and left out"),
    Column("flow", "uint64", "hash", "symmetric hash of both addresses, ports and protocol (or ethertype)"),
    Column("up", "bool", "-", "source (address, port) is smaller than destination: (flow, up) names a direction"),
    Column("fragment", "bool", "-", "IP fragment that does not complete its datagram: its payload comes with the one that does"),
    Column("dup", "bool", "-", "copy of a recent frame, as a mirror port shows it"),
    Column("repeat", "bool", "-", "TCP: bytes at the front or all of them were seen before and left out"),
    Column("overlap", "bool", "-", "TCP: bytes differ from those seen before at the same place of the stream; kept"),
    Column("gap", "bool", "-", "TCP: bytes before this segment were not seen (yet)"),
    Column("arp_op", "uint8", "ARP opcode", "1 request, 2 reply, 0 where the frame is no sound ARP for IPv4"),
    Column("arp_sender_ip", "uint32", "IPv4", "sender protocol address"),
    Column("arp_target_ip", "uint32", "IPv4", "target protocol address"),
    Column("arp_sender_mac", "uint64", "EUI-48", "sender hardware address"),
)

L2_TAG = 0xFFFE << 48  # upper half of an address that is a hardware address; fffe::/16 is never an IPv6 address on a wire


@dataclass(frozen=True, slots=True, eq=False)
class DecodedBatch:
    """A batch and what its frames say, as columns of the same length described by `COLUMNS`."""

    packets: PacketBatch
    damage: U8
    src_mac: U64
    dst_mac: U64
    vlan: U16
    ethertype: U16
    src_hi: U64
    src_lo: U64
    dst_hi: U64
    dst_lo: U64
    proto: U8
    ip: Flags
    sport: U16
    dport: U16
    tcp_flags: U8
    tcp_seq: U32
    tcp_ack: U32
    payload: I64
    payload_len: I32
    payload_base: I32
    flow: U64
    up: Flags
    fragment: Flags
    dup: Flags
    repeat: Flags
    overlap: Flags
    gap: Flags
    arp_op: U8
    arp_sender_ip: U32
    arp_target_ip: U32
    arp_sender_mac: U64

    def __len__(self) -> int:
        """Return the number of packets."""
        return len(self.packets)

    @property
    def data(self) -> U8:
        """The buffer that `payload` points into."""
        return self.packets.data

    @property
    def arena(self) -> Arena:
        """Room behind the capture bytes of `data`, for payloads that are put together."""
        return self.packets.arena

    @property
    def time(self) -> I64:
        """Capture times in ns."""
        return self.packets.time

    @property
    def frame(self) -> I64:
        """1-based frame numbers."""
        return self.packets.frame

    def payload_of(self, row: int) -> bytes:
        """Return the payload of one row."""
        start = int(self.payload[row])
        return self.packets.data[start : start + int(self.payload_len[row])].tobytes()


def harmed(batch: DecodedBatch) -> int:
    """How many frames of the batch have damage that was on the wire."""
    return int(np.count_nonzero(~np.isin(batch.damage, [int(h) for h in HARMLESS])))

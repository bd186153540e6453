"""The columns while they are being decoded: layer by layer, each moves `at` behind its own header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.columns import COLUMNS, Damage, DecodedBatch

if TYPE_CHECKING:
    from appliance.packets.batch import I32, I64, U8, U16, U32, U64, Flags, PacketBatch
    from appliance.packets.gather import Rows


class Work:
    """Mutable columns of one batch (see `columns.COLUMNS`) and what only decoding needs.

    at        int64, offset of the header that is next
    end       int64, where the captured bytes of the present layer end (padding and trailers excluded)
    claimed   int64, where they end by what the headers say: beyond `end` where the capture cut the frame
    cut       bool, the capture cut the frame
    ipid      uint32, identification of the IP datagram (0: none)
    whole     bool, `at` is the start of a whole transport header: IP, sound, and no fragment
    tcp       bool, a sound TCP header was read
    """

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

    def __init__(self, batch: PacketBatch) -> None:
        """Start at the link header of every frame."""
        self.batch = batch
        self.data = batch.data
        self.size = len(batch)
        for column in COLUMNS:
            setattr(self, column.name, np.zeros(self.size, column.dtype))
        self.at: I64 = batch.offset.copy()
        self.end: I64 = batch.offset + batch.captured
        self.claimed: I64 = batch.offset + batch.wire
        self.cut: Flags = batch.captured < batch.wire
        self.ipid: U32 = np.zeros(self.size, np.uint32)
        self.whole: Flags = np.zeros(self.size, np.bool_)
        self.tcp: Flags = np.zeros(self.size, np.bool_)
        self.cuts = bool(self.cut.any())
        self.hurt = False

    def harm(self, rows: Rows, wrong: Flags, code: Damage, *, short: bool = False) -> None:
        """Give `code` to those `rows` that are `wrong` and unharmed so far.

        `short` marks what a cut by the capture explains: such rows get SNAPLEN_CUT instead.
        """
        if not wrong.any():
            return
        self.hurt = True
        hit = np.flatnonzero(wrong) if isinstance(rows, slice) else rows[wrong]
        hit = hit[self.damage[hit] == 0]
        self.damage[hit] = np.where(self.cut[hit], Damage.SNAPLEN_CUT, code) if short else code

    def sound(self, mask: Flags) -> Flags:
        """Return `mask` without the rows that are harmed (a cut by the capture is no harm as long as headers are there)."""
        return mask & (self.damage == 0) if self.hurt else mask

    def freeze(self) -> DecodedBatch:
        """Return the finished columns."""
        return DecodedBatch(self.batch, *(getattr(self, column.name) for column in COLUMNS))

"""Network headers: IPv4 (RFC 791), IPv6 with extension headers (RFC 8200), ARP (RFC 826)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.columns import L2_TAG, Damage
from appliance.decode.link import ARP, IPV4, IPV6
from appliance.packets.gather import Rows, gather, layout, rows_of

if TYPE_CHECKING:
    from appliance.decode.work import Work
    from appliance.packets.batch import I64, Flags

_IPV4 = layout(
    20, head=("u1", 0), total=("u2", 2), ipid=("u2", 4), place=("u2", 6), proto=("u1", 9), src=("u4", 12), dst=("u4", 16)
)
_IPV6 = layout(
    40,
    head=("u1", 0),
    length=("u2", 4),
    next=("u1", 6),
    src_hi=("u8", 8),
    src_lo=("u8", 16),
    dst_hi=("u8", 24),
    dst_lo=("u8", 32),
)
_EXTENSION = layout(8, next=("u1", 0), size=("u1", 1), place=("u2", 2), ipid=("u4", 4))
_ARP = layout(
    28, hardware=("u2", 0), protocol=("u2", 2), sizes=("u2", 4), op=("u2", 6), mac=("u8", 6), sender=("u4", 14), target=("u4", 24)
)
_MAPPED = np.uint64(0xFFFF_0000_0000)
_LOW48 = np.uint64(0xFFFF_FFFF_FFFF)
_MAX_EXTENSIONS = 8
_HOPS, _ROUTING, _FRAGMENT, _AUTH, _OPTIONS, _MOBILITY, _HIP, _SHIM = 0, 43, 44, 51, 60, 135, 139, 140
_SKIPPED = (_HOPS, _ROUTING, _AUTH, _OPTIONS, _MOBILITY, _HIP, _SHIM)


class Fragments:
    """Fragments that the network layer met: rows, their place in the datagram in bytes, and whether more follow."""

    def __init__(self) -> None:
        """Start with none."""
        self.rows: list[I64] = []
        self.starts: list[I64] = []
        self.more: list[I64] = []

    def add(self, rows: I64, starts: I64, more: I64) -> None:
        """Note some."""
        self.rows.append(rows)
        self.starts.append(starts)
        self.more.append(more)

    def columns(self) -> tuple[I64, I64, I64]:
        """Return rows, starts and `more` (0 or 1), by frame order."""
        rows = np.concatenate(self.rows)
        order = np.argsort(rows, kind="stable")
        return rows[order], np.concatenate(self.starts)[order], np.concatenate(self.more)[order]


def parse(work: Work) -> Fragments:
    """Read network headers: addresses and protocol; `at` and `end` then bound what they carry."""
    fragments = Fragments()
    four = work.sound(work.ethertype == IPV4)
    all_four = bool(four.all())
    if all_four or four.any():
        _ipv4(work, rows_of(four), fragments)
    if not all_four:
        six = work.sound(work.ethertype == IPV6)
        if six.any():
            _ipv6(work, rows_of(six), fragments)
        arp = work.sound(work.ethertype == ARP)
        if arp.any():
            _arp(work, rows_of(arp))
    plain = ~work.ip
    if plain.any():
        rows = rows_of(plain)
        work.src_hi[rows] = work.dst_hi[rows] = L2_TAG
        work.src_lo[rows], work.dst_lo[rows] = work.src_mac[rows], work.dst_mac[rows]
        if work.cuts:
            work.harm(rows, work.cut[rows], Damage.SNAPLEN_CUT)
    return fragments


def _room(work: Work, rows: Rows, size: int) -> Rows:
    enough = work.at[rows] + size <= work.end[rows]
    if enough.all():
        return rows
    work.harm(rows, ~enough, Damage.TRUNCATED_NETWORK, short=True)
    return np.flatnonzero(enough) if isinstance(rows, slice) else rows[enough]


def _ipv4(work: Work, rows: Rows, fragments: Fragments) -> None:
    rows = _room(work, rows, 20)
    head = gather(work.data, work.at[rows], _IPV4)
    at, end = work.at[rows], work.end[rows]
    first = head["head"]
    size = (first & 15).astype(np.int64) * 4
    total = head["total"].astype(np.int64)
    # Segmentation offload leaves the total length 0: then the frame says how long the datagram is.
    total = np.where(total == 0, end - at, total)
    good = (first >> 4 == 4) & (size >= 20) & (total >= size)
    if not good.all():
        work.harm(rows, ~good, Damage.BAD_IP_HEADER)
        rows = np.flatnonzero(good) if isinstance(rows, slice) else rows[good]
        head, at, end, size, total = head[good], at[good], end[good], size[good], total[good]
    work.ip[rows] = True
    work.whole[rows] = True
    work.proto[rows] = head["proto"]
    work.ipid[rows] = head["ipid"]
    work.src_lo[rows] = head["src"] | _MAPPED
    work.dst_lo[rows] = head["dst"] | _MAPPED
    _bound(work, rows, at + size, at + total, end)
    place = head["place"] & 0x3FFF
    if place.any():
        _note_fragments(work, rows, place.astype(np.int64), place & 0x2000 != 0, fragments)


def _note_fragments(work: Work, rows: Rows, place: I64, more: Flags, fragments: Fragments) -> None:
    hit = np.flatnonzero(place)
    mine = hit if isinstance(rows, slice) else rows[hit]
    fragments.add(mine, (place[hit] & 0x1FFF) * 8, more[hit].astype(np.int64))
    work.whole[mine] = False
    work.fragment[mine] = True


def _bound(work: Work, rows: Rows, start: I64, claimed: I64, end: I64) -> None:
    """Set where the layer above begins and ends; say so when the frame is shorter than the header claims."""
    work.claimed[rows] = np.minimum(claimed, work.claimed[rows])
    work.at[rows] = np.minimum(start, end)
    work.end[rows] = np.minimum(claimed, end)
    short = claimed > end
    if short.any():
        work.harm(rows, start > end, Damage.TRUNCATED_NETWORK, short=True)
        work.harm(rows, short, Damage.BAD_LENGTH, short=True)
        work.whole[rows] = start <= end


def _ipv6(work: Work, rows: Rows, fragments: Fragments) -> None:
    rows = _room(work, rows, 40)
    head = gather(work.data, work.at[rows], _IPV6)
    good = head["head"] >> 4 == 6
    if not good.all():
        work.harm(rows, ~good, Damage.BAD_IP_HEADER)
        rows = np.flatnonzero(good) if isinstance(rows, slice) else rows[good]
        head = head[good]
    at, end = work.at[rows], work.end[rows]
    length = head["length"].astype(np.int64)
    claimed = np.where(length == 0, end, at + 40 + length)  # 0: jumbogram or segmentation offload
    work.ip[rows] = True
    work.whole[rows] = True
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"):
        getattr(work, name)[rows] = head[name]
    work.proto[rows] = head["next"]
    _bound(work, rows, at + 40, claimed, end)
    _extensions(work, np.arange(work.size)[rows], fragments)


def _extensions(work: Work, rows: I64, fragments: Fragments) -> None:
    """Step over extension headers, at most eight; a fragment header ends the walk unless the fragment is the whole datagram."""
    for _ in range(_MAX_EXTENSIONS):
        kind = work.proto[rows]
        rows = rows[(kind == _FRAGMENT) | np.isin(kind, _SKIPPED)]
        if not rows.size:
            return
        enough = work.at[rows] + 8 <= work.end[rows]
        work.harm(rows, ~enough, Damage.TRUNCATED_NETWORK, short=True)
        work.whole[rows[~enough]] = False
        rows = rows[enough]
        kind = work.proto[rows]
        head = gather(work.data, work.at[rows], _EXTENSION)
        split = kind == _FRAGMENT
        size = head["size"].astype(np.int64)
        step = np.where(split, 8, np.where(kind == _AUTH, (size + 2) * 4, (size + 1) * 8))
        beyond = work.at[rows] + step > work.end[rows]
        work.harm(rows, beyond, Damage.TRUNCATED_NETWORK, short=True)
        work.whole[rows[beyond]] = False
        work.at[rows] = np.minimum(work.at[rows] + step, work.end[rows])
        work.proto[rows] = head["next"]
        place = np.where(split, head["place"], 0)
        partly = np.flatnonzero(place & 0xFFF9)
        if partly.size:
            mine = rows[partly]
            fragments.add(mine, (place[partly] & 0xFFF8).astype(np.int64), (place[partly] & 1).astype(np.int64))
            work.ipid[mine] = head["ipid"][partly]
            work.whole[mine] = False
            work.fragment[mine] = True
        rows = rows[~beyond & (place & 0xFFF9 == 0)]


def _arp(work: Work, rows: Rows) -> None:
    rows = _room(work, rows, 28)
    head = gather(work.data, work.at[rows], _ARP)
    known = (head["hardware"] == 1) & (head["protocol"] == IPV4) & (head["sizes"] == 0x0604)
    if not known.all():
        rows = np.flatnonzero(known) if isinstance(rows, slice) else rows[known]
        head = head[known]
    work.arp_op[rows] = np.minimum(head["op"], 255)
    work.arp_sender_mac[rows] = head["mac"] & _LOW48
    work.arp_sender_ip[rows] = head["sender"]
    work.arp_target_ip[rows] = head["target"]

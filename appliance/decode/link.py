"""Link headers: Ethernet with tags, LLC and labels; raw IP; BSD loopback; Linux cooked captures (tcpdump.org/linktypes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.columns import Damage
from appliance.packets.gather import Rows, gather, layout, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.decode.work import Work
    from appliance.packets.batch import Flags

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
_LOW48 = np.uint64(0xFFFF_FFFF_FFFF)
_ETHERNET = layout(16, dst=("u8", 0), src=("u8", 4), kind=("u2", 12))
_TAG = layout(4, tci=("u2", 0), kind=("u2", 2))
_LLC = layout(8, dsap=("u1", 0), ssap=("u1", 1), control=("u1", 2), vendor=("u4", 2), kind=("u2", 6))
_LABEL = layout(8, bottom=("u1", 2), below=("u1", 4))
_PPPOE = layout(8, code=("u1", 1), kind=("u2", 6))
_COOKED = layout(16, size=("u2", 4), mac=("u8", 6), kind=("u2", 14))
_COOKED2 = layout(20, kind=("u2", 0), size=("u1", 11), mac=("u8", 12))
_FAMILY = layout(4, big=("u4", 0))
_BYTE = layout(1, first=("u1", 0))
_TAGS = (0x8100, 0x88A8, 0x9100, 0x9200)
_MAX_TAGS = 4
_MAX_LABELS = 8


def parse(work: Work) -> None:
    """Read every frame's link header: addresses, VLAN, ethertype; `at` then stands at the network header."""
    links = work.batch.link
    if not work.size:
        return
    if (links == links[0]).all():
        _PARSERS.get(int(links[0]), _unknown)(work, slice(None))
    else:
        rest = np.ones(work.size, np.bool_)
        for kind, parser in _PARSERS.items():
            mine = links == kind
            if mine.any():
                parser(work, np.flatnonzero(mine))
                rest &= ~mine
        if rest.any():
            _unknown(work, np.flatnonzero(rest))
    if (work.ethertype == IPV4).all():
        return
    _tags(work)
    _labels(work)
    _llc(work)


def _fits(work: Work, rows: Rows, size: int) -> Rows:
    """Harm those rows that have no `size` bytes left and return the others."""
    enough = work.at[rows] + size <= work.end[rows]
    if enough.all():
        return rows
    work.harm(rows, ~enough, Damage.TRUNCATED_LINK, short=True)
    return np.flatnonzero(enough) if isinstance(rows, slice) else rows[enough]


def _ethernet(work: Work, rows: Rows) -> None:
    rows = _fits(work, rows, 14)
    head = gather(work.data, work.at[rows], _ETHERNET)
    work.dst_mac[rows] = head["dst"] >> np.uint64(16)
    work.src_mac[rows] = head["src"] & _LOW48
    work.ethertype[rows] = head["kind"]
    work.at[rows] += 14


def _raw_ip(work: Work, rows: Rows) -> None:
    rows = _fits(work, rows, 1)
    version = gather(work.data, work.at[rows], _BYTE)["first"] >> 4
    work.ethertype[rows] = np.where(version == 4, IPV4, np.where(version == 6, IPV6, 0))
    work.harm(rows, (version != 4) & (version != 6), Damage.BAD_IP_HEADER)


def _loopback(work: Work, rows: Rows) -> None:
    """The address family stands in the byte order of the host that captured: small numbers, so either order shows."""
    rows = _fits(work, rows, 4)
    big = gather(work.data, work.at[rows], _FAMILY)["big"].astype(np.uint32)
    family = np.where(big > 0xFFFF, big.byteswap(), big)
    work.ethertype[rows] = np.where(family == 2, IPV4, np.where(np.isin(family, (10, 24, 28, 30)), IPV6, 0))
    work.at[rows] += 4


def _cooked(work: Work, rows: Rows) -> None:
    rows = _fits(work, rows, 16)
    head = gather(work.data, work.at[rows], _COOKED)
    work.src_mac[rows] = np.where(head["size"] == 6, head["mac"] >> np.uint64(16), 0)
    work.ethertype[rows] = head["kind"]
    work.at[rows] += 16


def _cooked2(work: Work, rows: Rows) -> None:
    rows = _fits(work, rows, 20)
    head = gather(work.data, work.at[rows], _COOKED2)
    work.src_mac[rows] = np.where(head["size"] == 6, head["mac"] >> np.uint64(16), 0)
    work.ethertype[rows] = head["kind"]
    work.at[rows] += 20


def _unknown(work: Work, rows: Rows) -> None:
    size = work.size if isinstance(rows, slice) else rows.size
    work.harm(rows, np.ones(size, np.bool_), Damage.UNKNOWN_LINK)


_PARSERS: dict[int, Callable[[Work, Rows], None]] = {
    0: _loopback,
    1: _ethernet,
    12: _raw_ip,
    14: _raw_ip,
    101: _raw_ip,
    108: _loopback,
    113: _cooked,
    228: _raw_ip,
    229: _raw_ip,
    276: _cooked2,
}


def _tags(work: Work) -> None:
    """Step over 802.1Q and 802.1ad tags; the outermost names the VLAN."""
    for depth in range(_MAX_TAGS):
        kind = work.ethertype
        tagged: Flags = (kind == _TAGS[0]) | (kind == _TAGS[1]) | (kind == _TAGS[2]) | (kind == _TAGS[3])
        tagged = work.sound(tagged)
        if not tagged.any():
            return
        rows = _fits(work, rows_of(tagged), 4)
        head = gather(work.data, work.at[rows], _TAG)
        if depth == 0:
            work.vlan[rows] = head["tci"] & 0xFFF
        work.ethertype[rows] = head["kind"]
        work.at[rows] += 4


def _labels(work: Work) -> None:
    """Step over MPLS labels and PPPoE session headers where IP follows."""
    for _ in range(_MAX_LABELS):
        labelled = work.sound((work.ethertype == 0x8847) | (work.ethertype == 0x8848))
        if not labelled.any():
            break
        rows = _fits(work, rows_of(labelled), 5)
        head = gather(work.data, work.at[rows], _LABEL)
        version = head["below"] >> 4
        last = (head["bottom"] & 1) == 1
        inner = np.where(version == 4, IPV4, np.where(version == 6, IPV6, 0xFFFF))  # 0xFFFF: reserved, so never mistaken
        work.ethertype[rows] = np.where(last, inner, work.ethertype[rows])
        work.at[rows] += 4
    session = work.sound(work.ethertype == 0x8864)
    if session.any():
        rows = _fits(work, rows_of(session), 8)
        head = gather(work.data, work.at[rows], _PPPOE)
        kind = head["kind"]
        inner = np.where(kind == 0x0021, IPV4, np.where(kind == 0x0057, IPV6, 0x8864))
        work.ethertype[rows] = inner
        work.at[rows] += np.where(inner != 0x8864, 8, 0)


def _llc(work: Work) -> None:
    """802.3 with LLC (802.2): the length bounds the frame, SNAP carries an ethertype, anything else is named by its DSAP."""
    length = work.ethertype < 0x0600
    if length.any():
        length = work.sound(length & np.isin(work.batch.link, (1, 113, 276)))
    if not length.any():
        return
    rows = rows_of(length)
    ethernet = work.batch.link[rows] == 1
    claimed = work.at[rows] + work.ethertype[rows]
    work.claimed[rows] = np.where(ethernet, claimed, work.claimed[rows])
    long = ethernet & (claimed > work.end[rows])
    work.end[rows] = np.where(ethernet, np.minimum(work.end[rows], claimed), work.end[rows])
    rows = _fits(work, rows, 3)
    work.harm(rows_of(length), long, Damage.BAD_LENGTH, short=True)
    head = gather(work.data, work.at[rows], _LLC)
    dsap, ssap, control = head["dsap"], head["ssap"], head["control"]
    room = work.end[rows] - work.at[rows]
    # 802.2: control of 1 byte for unnumbered frames, 2 bytes otherwise. 0xFFFF is Novell's IPX without LLC.
    size = np.where((dsap == 0xFF) & (ssap == 0xFF), 0, np.where(control & 3 == 3, 3, 4))
    ethernet_in_snap = (head["vendor"] & 0x00FFFFFF == 0) | (head["vendor"] & 0x00FFFFFF == 0xF8)
    snap = (dsap == 0xAA) & (ssap == 0xAA) & (room >= 8)
    work.ethertype[rows] = np.where(snap & ethernet_in_snap, head["kind"], dsap)
    work.at[rows] += np.minimum(np.where(snap, 8, size), room)

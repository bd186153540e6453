"""Transport headers: TCP (RFC 9293) and UDP (RFC 768); everything else over IP is payload as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.columns import Damage
from appliance.packets.gather import Rows, gather, layout, rows_of

if TYPE_CHECKING:
    from appliance.decode.work import Work
    from appliance.packets.batch import I64

TCP, UDP = 6, 17
_TCP = layout(16, sport=("u2", 0), dport=("u2", 2), seq=("u4", 4), ack=("u4", 8), size=("u1", 12), flags=("u1", 13))
_UDP = layout(8, sport=("u2", 0), dport=("u2", 2), length=("u2", 4))
_PORTS = layout(4, sport=("u2", 0), dport=("u2", 2))


def parse(work: Work) -> None:
    """Read transport headers: ports, TCP's numbers; `at` and `end` then bound the payload."""
    tcp = work.whole & (work.proto == TCP)
    if tcp.any():
        _tcp(work, rows_of(tcp))
    udp = work.whole & (work.proto == UDP)
    if udp.any():
        _udp(work, rows_of(udp))


def _ports_only(work: Work, rows: I64) -> None:
    """A header cut short still tells who talks to whom when its first four bytes are there."""
    work.at[rows], start = work.end[rows], work.at[rows]
    named = rows[start + 4 <= work.end[rows]]
    head = gather(work.data, start[start + 4 <= work.end[rows]], _PORTS)
    work.sport[named], work.dport[named] = head["sport"], head["dport"]


def _complete(work: Work, rows: Rows, size: int) -> Rows:
    enough = work.at[rows] + size <= work.end[rows]
    if enough.all():
        return rows
    # A claim beyond the frame was harmed by the network layer already; what is short here was sent short.
    work.harm(rows, ~enough, Damage.TRUNCATED_TRANSPORT, short=True)
    numbers = np.arange(work.size)[rows]
    _ports_only(work, numbers[~enough])
    return numbers[enough]


def _tcp(work: Work, rows: Rows) -> None:
    rows = _complete(work, rows, 20)
    head = gather(work.data, work.at[rows], _TCP)
    work.sport[rows], work.dport[rows] = head["sport"], head["dport"]
    work.tcp_flags[rows] = head["flags"]
    work.tcp_seq[rows], work.tcp_ack[rows] = head["seq"], head["ack"]
    size = (head["size"] >> 4).astype(np.int64) * 4
    start = work.at[rows] + size
    bad = (size < 20) | (start > work.claimed[rows])
    if bad.any():
        work.harm(rows, bad, Damage.BAD_TRANSPORT_HEADER)
        start = np.where(bad, work.end[rows], start)
        work.tcp[rows] = ~bad
    else:
        work.tcp[rows] = True
    inside = np.minimum(start, work.end[rows])
    work.claimed[rows] -= start - inside  # a cut among the options: what is claimed is still the length of the payload
    work.at[rows] = inside


def _udp(work: Work, rows: Rows) -> None:
    rows = _complete(work, rows, 8)
    head = gather(work.data, work.at[rows], _UDP)
    work.sport[rows], work.dport[rows] = head["sport"], head["dport"]
    at, end, claimed = work.at[rows], work.end[rows], work.claimed[rows]
    length = head["length"].astype(np.int64)
    stop = np.where(length == 0, claimed, at + length)  # 0: jumbogram or segmentation offload
    bad = (length != 0) & ((length < 8) | (stop > claimed))
    if bad.any():
        work.harm(rows, bad, Damage.BAD_LENGTH)
        stop = np.where(bad, claimed, stop)
    work.end[rows] = np.minimum(end, stop)
    work.claimed[rows] = np.minimum(claimed, stop)
    work.at[rows] = at + 8

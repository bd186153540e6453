"""Frames that a mirror port shows twice (entering and leaving, or untagged and tagged).

A copy has the same addresses, ports, IP identification, TCP numbers and payload; VLAN, hardware addresses and TTL may
differ. Only IPv4 with a non-zero identification can be told from a sender that says the same thing again. Senders that
never change their identification are told by how often the same thing comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.identity import directed, mix
from appliance.packets.gather import equal_bytes
from appliance.packets.ordering import grouped

if TYPE_CHECKING:
    from appliance.decode.work import Work
    from appliance.packets.batch import I64, U64, Flags

TCP_WINDOW_NS = 50_000_000  # TCP numbers protect against mistaking a second message for a copy
OTHER_WINDOW_NS = 5_000_000  # without them only what comes at once is a copy
MOST_COPIES = 3
_KEPT = 256  # last frames of a batch kept for the next
_LOOKED = 1024  # first frames of a batch compared with them
_K = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))


class RecentFrames:
    """The last candidates of the batch before: keys, times and payloads."""

    def __init__(self) -> None:
        """Start with none."""
        self._keys: U64 = np.zeros(0, np.uint64)
        self._times: I64 = np.zeros(0, np.int64)
        self._payloads: list[bytes] = []

    def mark(self, work: Work) -> None:
        """Set `dup` for copies; `payload_len` becomes 0 there. Needs `flow`, `payload` and `payload_len`."""
        rows = np.flatnonzero((work.ipid != 0) & work.whole & (work.payload_len > 0))
        if rows.size:
            keys = _keys(work, rows)
            self._across(work, rows[:_LOOKED], keys[:_LOOKED])
            ordered = np.sort(keys)
            if (ordered[1:] == ordered[:-1]).any():
                _within(work, rows, keys)
            self._remember(work, rows[-_KEPT:], keys[-_KEPT:])
            work.payload_len[work.dup] = 0

    def _across(self, work: Work, rows: I64, keys: U64) -> None:
        if not self._keys.size:
            return
        for hit in np.flatnonzero(np.isin(keys, self._keys)).tolist():
            row = int(rows[hit])
            known = np.flatnonzero(self._keys == keys[hit])
            last = int(known[-1])
            near = abs(int(work.batch.time[row]) - int(self._times[last])) <= _window(work, rows[hit : hit + 1])[0]
            start = int(work.payload[row])
            same = work.data[start : start + int(work.payload_len[row])].tobytes() == self._payloads[last]
            work.dup[row] = near and same and known.size < MOST_COPIES

    def _remember(self, work: Work, rows: I64, keys: U64) -> None:
        self._keys, self._times = keys.copy(), work.batch.time[rows]
        starts, lengths = work.payload[rows].tolist(), work.payload_len[rows].tolist()
        self._payloads = [work.data[start : start + size].tobytes() for start, size in zip(starts, lengths, strict=True)]


def _keys(work: Work, rows: I64) -> U64:
    numbers = work.tcp_seq[rows].astype(np.uint64) << np.uint64(32) | work.tcp_ack[rows]
    rest = work.ipid[rows].astype(np.uint64) << np.uint64(24) | work.payload_len[rows].astype(np.uint64) << np.uint64(8)
    return mix((directed(work.flow[rows], work.up[rows]) ^ numbers * _K[0]) + (rest | work.tcp_flags[rows]) * _K[1])


def _window(work: Work, rows: I64) -> I64:
    return np.where(work.tcp[rows], TCP_WINDOW_NS, OTHER_WINDOW_NS)


def _within(work: Work, rows: I64, keys: U64) -> None:
    """Find copies inside the batch: neighbours of equal key in the order of frames."""
    groups = grouped(keys)
    order, sizes = groups.order, groups.size
    copies: Flags = np.repeat((sizes > 1) & (sizes <= MOST_COPIES), sizes)
    copies[groups.start] = False
    later = np.flatnonzero(copies)
    first, second = rows[order[later - 1]], rows[order[later]]
    near = np.abs(work.batch.time[second] - work.batch.time[first]) <= _window(work, second)
    first, second = first[near], second[near]
    length = work.payload_len[second].astype(np.int64)
    same = equal_bytes(work.data, work.payload[first], work.payload[second], length)
    work.dup[second[same]] = True

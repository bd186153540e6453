"""Putting IP fragments together (RFC 791 3.2, RFC 8200 4.5), bounded in every direction.

Fragments are rare and each may be hostile, so this is a plain loop over the few rows that are fragments. Where two
fragments overlap with the same bytes the repetition is ignored; where the bytes differ the datagram is marked, because two
receivers may read two things (RFC 5722), and the bytes that came first stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.columns import Damage
from appliance.decode.link import IPV4

if TYPE_CHECKING:
    from appliance.decode.network import Fragments
    from appliance.decode.work import Work

_LARGEST = 65535  # bytes of an IP datagram's payload


@dataclass(frozen=True, slots=True)
class FragmentLimits:
    """Bounds of reassembly: unfinished datagrams, bytes they hold, fragments of one, ns of packet time they may wait."""

    datagrams: int = 1024
    held: int = 8 << 20
    pieces: int = 256
    patience_ns: int = 30_000_000_000


Key = tuple[int, int, int, int, int, int]


@dataclass(slots=True)
class _Datagram:
    began: int
    pieces: list[tuple[int, bytes]] = field(default_factory=list)  # by start, disjoint
    total: int = -1
    held: int = 0
    ports: tuple[int, int] = (0, 0)
    proto: int = 0
    harmed: bool = False


class FragmentTable:
    """Datagrams that wait for fragments, oldest first."""

    def __init__(self, limits: FragmentLimits | None = None) -> None:
        """Start empty."""
        self._limits = limits or FragmentLimits()
        self._waiting: dict[Key, _Datagram] = {}
        self._held = 0

    def __len__(self) -> int:
        """Return the number of unfinished datagrams."""
        return len(self._waiting)

    @property
    def held(self) -> int:
        """Bytes kept for unfinished datagrams."""
        return self._held

    def reassemble(self, work: Work, fragments: Fragments) -> None:
        """Take in the batch's fragments; a completing one gets the whole datagram as if it had come in one frame."""
        if not fragments.rows:
            return
        rows, starts, more = fragments.columns()
        # IPv6 does not bind the protocol of later fragments to that of the first (RFC 8200 4.5): there it names nothing.
        named = np.where(work.ethertype[rows] == IPV4, work.proto[rows], -1)
        columns = (work.src_hi, work.src_lo, work.dst_hi, work.dst_lo, work.ipid)
        keys = zip(*(column[rows].tolist() for column in columns), named.tolist(), strict=True)
        where = zip(rows.tolist(), starts.tolist(), more.tolist(), work.at[rows].tolist(), work.end[rows].tolist(), strict=True)
        times = work.batch.time[rows].tolist()
        for (row, start, follows, begin, end), key, now in zip(where, keys, times, strict=True):
            bad = (follows and (end - begin) % 8 != 0) or start + end - begin > _LARGEST
            if bad or work.damage[row]:  # cut, too short or impossible: never part of a datagram
                _harm(work, row, Damage.BAD_FRAGMENT)
            else:
                self._take(work, row, start, bool(follows), work.data[begin:end].tobytes(), key, now)

    def _take(self, work: Work, row: int, start: int, follows: bool, piece: bytes, key: Key, now: int) -> None:
        datagram = self._waiting.get(key)
        if datagram is not None and abs(now - datagram.began) > self._limits.patience_ns:
            self._drop(key)
            datagram = None
        if datagram is None:
            self._make_room(now)
            datagram = self._waiting[key] = _Datagram(now)
        if start == 0:
            datagram.proto = int(work.proto[row])
            if datagram.proto in (6, 17) and len(piece) >= 4:
                datagram.ports = (int.from_bytes(piece[:2], "big"), int.from_bytes(piece[2:4], "big"))
        work.sport[row], work.dport[row] = datagram.ports
        damage = self._insert(datagram, start, piece, follows)
        if damage:
            _harm(work, row, damage)
        if damage is Damage.FRAGMENT_LIMIT:
            self._drop(key)
        else:
            self._complete(work, row, key, datagram)

    def _insert(self, datagram: _Datagram, start: int, piece: bytes, follows: bool) -> Damage:
        """Put one piece where it belongs; returns what is wrong with it."""
        end = start + len(piece)
        if not follows:
            if datagram.total not in (-1, end):
                datagram.harmed = True
                return Damage.FRAGMENT_OVERLAP  # two different ends
            datagram.total = end
        verdict = Damage.NONE
        fresh: list[tuple[int, bytes]] = []
        at = start
        for first, known in datagram.pieces:
            last = first + len(known)
            if last <= at or first >= end:
                continue
            if at < first:
                fresh.append((at, piece[at - start : first - start]))
            low, high = max(at, first), min(end, last)
            if known[low - first : high - first] != piece[low - start : high - start]:
                verdict, datagram.harmed = Damage.FRAGMENT_OVERLAP, True
            at = max(at, high)
        if at < end:
            fresh.append((at, piece[at - start :]))
        added = sum(len(part) for _, part in fresh)
        if len(datagram.pieces) + len(fresh) > self._limits.pieces or self._held + added > self._limits.held:
            return Damage.FRAGMENT_LIMIT
        datagram.pieces = sorted(datagram.pieces + fresh)
        datagram.held += added
        self._held += added
        return verdict

    def _complete(self, work: Work, row: int, key: Key, datagram: _Datagram) -> None:
        if datagram.total < 0 or datagram.held < datagram.total:
            return
        payload = b"".join(part for _, part in datagram.pieces)[: datagram.total]
        self._drop(key)
        offset = work.batch.arena.put(payload)
        if offset < 0:
            _harm(work, row, Damage.FRAGMENT_LIMIT)
            return
        if datagram.harmed:
            _harm(work, row, Damage.FRAGMENT_OVERLAP)
        work.at[row], work.end[row], work.claimed[row] = offset, offset + len(payload), offset + len(payload)
        work.proto[row] = datagram.proto
        work.whole[row], work.fragment[row] = True, False

    def _make_room(self, now: int) -> None:
        """Forget what waited too long, and the oldest when the table is full or holds too much."""
        while self._waiting:
            key, oldest = next(iter(self._waiting.items()))
            late = abs(now - oldest.began) > self._limits.patience_ns
            if not late and len(self._waiting) < self._limits.datagrams and self._held < self._limits.held * 3 // 4:
                return
            self._drop(key)

    def _drop(self, key: Key) -> None:
        self._held -= self._waiting.pop(key).held


def _harm(work: Work, row: int, code: Damage) -> None:
    work.harm(np.array([row]), np.ones(1, np.bool_), code)

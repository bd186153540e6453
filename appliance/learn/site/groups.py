"""Who joins which group: IGMP reports (RFC 1112, 2236, 3376)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.decode.columns import DecodedBatch

IGMP = 2
_V1, _V2, _V3 = 0x12, 0x16, 0x22
_JOINS = frozenset({2, 4})  # group records: the mode is, or changes to, "everything except"
_SOME = frozenset({1, 3, 5})  # "only from these sources": a join where there are sources
MAX_RECORDS = 64


def joins(batch: DecodedBatch) -> Iterator[tuple[int, int]]:
    """(row, IPv4 group as a number) of every join that a batch reports, in the order of rows."""
    rows = np.flatnonzero((batch.proto == IGMP) & batch.ip & (batch.payload_len >= 8))
    for row in rows.tolist():
        for group in joined(batch.payload_of(row)):
            yield row, group


def joined(report: bytes) -> list[int]:
    """The groups that an IGMP message joins; none for queries, leaves and damaged messages."""
    if len(report) < 8:
        return []
    if report[0] in (_V1, _V2):
        return _groups(report[4:8])
    if report[0] != _V3:
        return []
    found, at = [], 8
    for _ in range(min(int.from_bytes(report[6:8], "big"), MAX_RECORDS)):
        if at + 8 > len(report):
            break
        kind, sources = report[at], int.from_bytes(report[at + 2 : at + 4], "big")
        if kind in _JOINS or (kind in _SOME and sources):
            found += _groups(report[at + 4 : at + 8])
        at += 8 + 4 * sources + 4 * report[at + 1]
    return found


def _groups(raw: bytes) -> list[int]:
    value = int.from_bytes(raw, "big")
    return [value] if value >> 28 == 0xE else []

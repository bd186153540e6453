"""What of an incident is shown first: who, with whom, over what, and the few places that stand for all its findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from appliance.detect.finding import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.incident.incident import Incident

_NEWCOMERS: Final = frozenset({Kind.NEW_ASSET, Kind.NEW_CONVERSATION})
_MOST_RANGES: Final = 64  # a hostile finding may name very many; drawing more than this helps nobody


@dataclass(frozen=True, slots=True)
class Place:
    """Findings of one kind at one place: the first of them, and how many there are."""

    finding: Finding
    count: int


@dataclass(frozen=True, slots=True)
class Outline:
    """An incident in a few words; addresses and services in the order they came."""

    clients: tuple[str, ...]
    servers: tuple[str, ...]
    services: tuple[str, ...]
    places: tuple[Place, ...]
    findings: int
    seconds: float


@dataclass(frozen=True, slots=True)
class HexRow:
    """A row of a payload: `cells` are (byte, is it abnormal); `skipped` says that rows before it are left out."""

    offset: int
    cells: tuple[tuple[int, bool], ...]
    skipped: bool


def server_of(finding: Finding) -> str:
    """The side that answers in the finding's conversation."""
    return finding.dst if finding.src == finding.client else finding.src


def outline(incident: Incident) -> Outline:
    """Parties, places and size of an incident. Without kept findings its assets stand for the parties."""
    found = incident.findings
    places: dict[tuple[object, ...], list[Finding]] = {}
    for finding in found:
        places.setdefault(_place_key(finding), []).append(finding)
    return Outline(
        clients=tuple(dict.fromkeys(f.client for f in found)) if found else tuple(incident.assets),
        servers=tuple(dict.fromkeys(server_of(f) for f in found)),
        services=tuple(dict.fromkeys(f.service for f in found)),
        places=tuple(Place(group[0], sum(f.count for f in group)) for group in places.values()),
        findings=max(incident.total, len(found)),
        seconds=max(0, incident.updated_ns - incident.opened_ns) / 1e9,
    )


def _place_key(finding: Finding) -> tuple[object, ...]:
    """Findings without bytes to show differ by who asks for what at most: a scan is one place, not one per address or port."""
    if finding.ranges:
        return finding.kind, finding.src, finding.dst, finding.service, finding.ranges
    if finding.kind is Kind.SCAN:
        return finding.kind, finding.client
    if finding.kind in _NEWCOMERS:  # what a newcomer says is told apart by its length: near enough to show each kind once
        return finding.kind, finding.client, len(finding.payload)
    return finding.kind, finding.client, finding.service


def split(value: bytes, ranges: Sequence[tuple[int, int]]) -> tuple[bytes, ...]:
    """Bytes concatenated over ranges -> one piece for each range; a value of another length stays whole."""
    sizes = [end - first for first, end in ranges]
    if len(sizes) < 2 or sum(sizes) != len(value):
        return (value,)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(value[at : at + size])
        at += size
    return tuple(pieces)


def bytes_text(value: bytes, ranges: Sequence[tuple[int, int]], most: int = 8) -> str:
    """Hex for people: "05", "00 13 | ff" over two ranges; more than `most` bytes are cut with an ellipsis."""
    pieces = split(value[:most] if len(value) > most else value, ranges)
    return " | ".join(piece.hex(" ") for piece in pieces) + (" …" if len(value) > most else "")


def range_text(ranges: Sequence[tuple[int, int]]) -> str:
    """Half-open ranges as people count them, both ends included: ((7, 8), (10, 12)) -> "7, 10-11"."""
    shown = [str(first) if end - first == 1 else f"{first}-{end - 1}" for first, end in ranges[:4]]
    return ", ".join(shown) + (" …" if len(ranges) > 4 else "")


def hex_rows(payload: bytes, ranges: Sequence[tuple[int, int]], width: int = 16, most: int = 6) -> tuple[HexRow, ...]:
    """The rows of a payload that tell the story: its head and every row with abnormal bytes, `most` rows at most.

    Ranges may lie outside of the payload (only its head is kept); what lies outside is not drawn.
    """
    ranges = ranges[:_MOST_RANGES]
    offsets = [
        offset
        for offset in range(0, len(payload), width)
        if offset == 0 or any(first < offset + width and offset < end for first, end in ranges)
    ]
    if len(offsets) == 1 and len(payload) > width:
        offsets.append(width)
    rows, expected = [], 0
    for offset in offsets[:most]:
        row = payload[offset : offset + width]
        marks = [any(first <= offset + i < end for first, end in ranges) for i in range(len(row))]
        rows.append(HexRow(offset, tuple(zip(row, marks, strict=True)), offset != expected))
        expected = offset + width
    return tuple(rows)


def left_out(payload: bytes, rows: Sequence[HexRow]) -> int:
    """How many bytes of the payload lie behind the last row that is shown."""
    return len(payload) - (rows[-1].offset + len(rows[-1].cells)) if rows else len(payload)

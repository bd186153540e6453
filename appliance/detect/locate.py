"""Where a message leaves what is normal: the known row that comes nearest, and the bytes in which they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.detect.finding import Kind
from appliance.learn.structure import Side

if TYPE_CHECKING:
    from appliance.learn.model import ServiceModel

LENGTH_PENALTY = 4  # bytes that a wrong length counts for
MAX_NORMAL = 4  # examples of normal values given


@dataclass(frozen=True, slots=True)
class Deviation:
    """What is abnormal about a message; ranges are in the message's bytes, half-open."""

    kind: Kind
    ranges: tuple[tuple[int, int], ...]
    normal: tuple[bytes, ...]
    template: int
    score: float
    nearest: int  # row of the table that comes nearest


def runs(offsets: npt.NDArray[np.intp]) -> tuple[tuple[int, int], ...]:
    """Sorted offsets as half-open ranges."""
    if not len(offsets):
        return ()
    breaks = np.flatnonzero(np.diff(offsets) > 1)
    starts = np.r_[offsets[0], offsets[breaks + 1]]
    ends = np.r_[offsets[breaks], offsets[-1]] + 1
    return tuple((int(a), int(b)) for a, b in zip(starts, ends, strict=True))


def locate(
    service: ServiceModel, head: npt.NDArray[np.uint8], length: int, stream: int, answers: bool, asked: int
) -> Deviation | None:
    """Compare one message with the known rows of its stream; None where it turns out to be normal.

    head    uint8 [WIDTH], zero beyond the message's end
    asked   row of the request it answers, 0 where there is none
    """
    rows = service.by_stream.get((stream, answers))
    if rows is None:
        return None
    table = service.table
    if asked:
        same_question = rows[table.asked[rows] == np.uint64(asked)]
        rows = same_question if len(same_question) else rows
    closed = service.structure.closed()[table.template[rows]]
    differs = (table.bytes[rows] != head) & closed
    wrong_size = (table.length[rows] != 0) & (table.length[rows] != length)
    shorter = np.where(wrong_size, np.minimum(table.length[rows], length), length)
    differs &= np.arange(len(head))[None, :] < shorter[:, None]
    distance = differs.sum(axis=1) + LENGTH_PENALTY * wrong_size
    nearest = int(np.lexsort((-table.numbers["count"][rows], distance))[0])
    template = int(table.template[rows[nearest]])
    if service.opaque[template]:
        return None
    offsets = np.flatnonzero(differs[nearest] & ~service.quiet[template])
    kin = rows[table.template[rows] == template]
    score = float(service.p_value[template])
    row = int(rows[nearest])
    if wrong_size[nearest]:
        known_size = int(table.length[row])
        ranges = runs(offsets) or ((min(known_size, length), max(length, known_size)),)
        return Deviation(Kind.WRONG_LENGTH, ranges, _values(service, kin, ranges), template, score, row)
    if not len(offsets):
        return None
    unseen = ~(table.bytes[kin][:, offsets] == head[offsets]).any(axis=0)
    ranges = runs(offsets)
    if not unseen.any():
        if service.loose[template]:
            return None
        return Deviation(Kind.UNKNOWN_COMBINATION, ranges, _values(service, kin, ranges), template, score, row)
    kind = Kind.UNKNOWN_VALUE if service.sides[template] != Side.REQUEST else Kind.UNKNOWN_COMMAND
    return Deviation(kind, ranges, _values(service, kin, ranges), template, score, row)


def _values(service: ServiceModel, rows: npt.NDArray[np.intp], ranges: tuple[tuple[int, int], ...]) -> tuple[bytes, ...]:
    """What rows carry at the ranges, most frequent first."""
    counts: dict[bytes, int] = {}
    for row in rows[:256]:
        value = b"".join(service.table.bytes[row, a:b].tobytes() for a, b in ranges)
        counts[value] = counts.get(value, 0) + int(service.table.numbers["count"][row])
    return tuple(sorted(counts, key=lambda v: (-counts[v], v))[:MAX_NORMAL])

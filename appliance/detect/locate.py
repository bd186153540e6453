"""Where a message leaves what is normal: the known row that comes nearest, and the bytes in which they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.framing import length_field
from appliance.detect.finding import Kind
from appliance.detect.opaque import Key, breaks, header_of
from appliance.learn.meaning.model import Near, Ranges, ServiceModel, known_in_service, nearest, runs, runs_of
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side

if TYPE_CHECKING:
    from appliance.decode.framing import Framing

MAX_NORMAL = 4  # examples of normal values given
RARE = 4  # visits of a kind in a stream, below which it is not known what else it may carry there
MIN_IDENTITY = 3  # bytes that a new connection may bring for an identifier, unseen while learning
STEADY = 4  # messages of a stream that agree in a value, for the value to be its own
ORDINARY = 0.1  # share of a stream's messages from which on a kind is not a rare one
FREE = 3  # values seen once each (and their share, UNSURE), from which on bytes are open in a stream
FIELD_GAP = 2  # unchanged bytes between changed ones, up to which they are taken for one field
MAX_DOUBT = 2  # bytes more that are named where several could be the wrong one
UNASKED = 0.1  # messages of a content that nobody asked for, for each that somebody did, from which on it comes unasked
UNSURE = 0.3  # likewise the share of rows seen only once


@dataclass(frozen=True, slots=True)
class Deviation:
    """What is abnormal about a message; ranges are in the message's bytes, half-open.

    nearest   those in which it differs from the nearest row, where rows that are as near differ from it in others
    """

    kind: Kind
    ranges: Ranges
    normal: tuple[bytes, ...]
    template: int
    score: float
    match: str = ""  # what new items of a list would be accepted by
    nearest: Ranges = ()


def locate(
    service: ServiceModel, head: npt.NDArray[np.uint8], length: int, stream: int, answers: bool, asked: int, template: int = -1
) -> Deviation | None:
    """Compare one message with the known rows of its stream; None where it turns out to be normal.

    head    uint8 [WIDTH], zero beyond the message's end
    asked   row of the request it answers, 0 where there is none
    """
    rows = service.by_stream.get((stream, answers))
    if rows is None:
        return None
    table, calibration = service.table, service.calibration
    candidates = _comparable(service, rows, answers, asked)
    near = nearest(service.structure, table, candidates, head, length, template)
    if service.says_nothing(near, answers):
        return _in_header(service, near, head, length, (stream, answers, template if template == near.template else -1))
    offsets = near.offsets[~calibration.quiet[near.template, near.offsets]]
    offsets = offsets[~_shared(service, near.template, head, offsets)]
    if not len(offsets) and not near.wrong_length:
        return None
    unseen = ~(table.bytes[rows][:, offsets] == head[offsets]).any(axis=0)
    if not unseen.any() and calibration.is_loose(answers, runs(near.offsets)):
        return None
    if runs(near.offsets) in calibration.slots and known_in_service(table, near, head):
        return None
    kin = rows[table.template[rows] == near.template]
    once = _seen_once(service, kin, offsets) if len(offsets) else 0
    if once >= FREE and once >= UNSURE * int(table.numbers["count"][kin].sum()):
        return None  # this stream shows itself that anything may stand here
    if not answers and _rare(service, rows, kin, offsets) and _known_elsewhere(service, near, head, length):
        return None
    ranges = joined(runs(offsets)) if unseen.any() else _either(service, candidates, near, head, offsets)
    score = float(service.p_value[near.template])
    if near.wrong_length:
        known_size = int(table.length[near.row])
        ranges = ranges or ((min(known_size, length), max(length, known_size)),)
        kind = Kind.WRONG_LENGTH
    elif not (~(table.bytes[kin][:, offsets] == head[offsets]).any(axis=0)).any():
        kind = Kind.UNKNOWN_COMBINATION
    else:
        kind = Kind.UNKNOWN_VALUE if service.sides[near.template] != Side.REQUEST else Kind.UNKNOWN_COMMAND
    return Deviation(kind, ranges, _values(service, kin, ranges), near.template, score, nearest=runs(offsets))


def _shared(
    service: ServiceModel, template: int, head: npt.NDArray[np.uint8], offsets: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Bool [len(offsets)]: bytes of values that conversations share (`learn.messages.templates.Node`), known in one of them."""
    shared, known = service.structure.templates[template].shared, np.zeros(len(offsets), bool)
    if shared[offsets].any():
        carried = service.table.bytes[service.table.template == template]
        for first, end in runs(np.flatnonzero(shared)):
            if (carried[:, first:end] == head[first:end]).all(axis=1).any():
                known |= (offsets >= first) & (offsets < end)
    return known


def _comparable(service: ServiceModel, rows: npt.NDArray[np.intp], answers: bool, asked: int) -> npt.NDArray[np.intp]:
    """Of the rows of a stream those that the message may be held against; all where none is fitter than the rest."""
    if asked:
        fitter = rows[service.table.asked[rows] == np.uint64(asked)]
    elif answers:  # whoever asked: kinds that were hardly learned would fit anything
        fitter = rows[service.common[service.table.template[rows]]]
    else:
        return rows
    return fitter if len(fitter) else rows


def _in_header(service: ServiceModel, near: Near, head: npt.NDArray[np.uint8], length: int, key: Key) -> Deviation | None:
    """What is wrong in front of the noise of a kind whose content says nothing; nothing where a budget mutes it."""
    if near.template in service.muted:
        return None
    header = header_of(service, key)
    offsets = header[0][breaks(header, head[None, :], np.array([length], np.int32))[0]]
    if not len(offsets):
        return None
    ranges = joined(runs(offsets))
    kind = Kind.UNKNOWN_VALUE if key[1] else Kind.UNKNOWN_COMMAND
    normal = _values(service, service.by_stream[key[:2]], ranges)
    return Deviation(kind, ranges, normal, near.template, float(service.p_value[near.template]))


def _either(
    service: ServiceModel, rows: npt.NDArray[np.intp], near: Near, head: npt.NDArray[np.uint8], offsets: npt.NDArray[np.intp]
) -> Ranges:
    """Where a combination leaves what is known: rows that are equally near may differ from it in other bytes."""
    table = service.table
    alike = rows[table.length[rows] == table.length[near.row]]
    differs = (table.bytes[alike] != head) & service.structure.closed()[table.template[alike]]
    equal = differs[differs.sum(axis=1) == len(near.offsets)].any(axis=0)
    equal[offsets] = False
    first = joined(runs(offsets))
    others = runs(np.flatnonzero(equal)) if np.count_nonzero(equal) <= MAX_DOUBT else ()
    return tuple(sorted({*first, *(r for r in others if not any(a <= r[0] < b for a, b in first))}))


def joined(ranges: Ranges) -> Ranges:
    """Ranges that are so close together that they are one field to a reader."""
    out: list[tuple[int, int]] = []
    for first, end in ranges:
        if out and first - out[-1][1] <= FIELD_GAP:
            out[-1] = (out[-1][0], end)
        else:
            out.append((first, end))
    return tuple(out)


def is_identity(service: ServiceModel, stream: int, answers: bool, ranges: Ranges) -> bool:
    """True where all that this direction was ever seen to carry has one and the same value at the ranges.

    A single byte is an identity only where connections have shown it to be one: an unknown function would be taken for it.
    """
    rows = service.by_stream.get((stream, answers))
    if rows is None or not ranges:
        return False
    known = service.structure.answer_identity if answers else service.structure.identity
    if any(end - first < MIN_IDENTITY and not known[first:end].all() for first, end in ranges):
        return False
    closed = service.structure.closed()[service.table.template[rows]]
    for first, end in ranges:
        values = service.table.bytes[rows, first:end][closed[:, first:end].all(axis=1)]
        if not len(values) or (values != values[0]).any():
            return False
    return True


def fits_another(service: ServiceModel, head: npt.NDArray[np.uint8], length: int, stream: int, ranges: Ranges) -> bool:
    """True for an answer that is one to another request of its conversation, which says something at one of the ranges."""
    table, told = service.table, service.by_stream.get((stream, True), np.zeros(0, np.intp))
    told = told[np.isin(table.length[told], (0, length))]
    closed = service.structure.closed()[table.template[told]]
    alike = ~((table.bytes[told] != head) & closed).any(axis=1)
    says = np.logical_or.reduce([closed[:, first : min(end, WIDTH)].any(axis=1) for first, end in ranges] or [alike])
    return bool((alike & says).any())


def comes_unasked(service: ServiceModel, head: npt.NDArray[np.uint8], length: int, stream: int) -> bool:
    """True for a message like one that nobody asked for while learning, or that no number had to tie to a request.

    Answers that had lost their request then are few of their kind.
    """
    s, table, told = service.structure, service.table, service.by_stream.get((stream, True), np.zeros(0, np.intp))
    closed = s.closed()[table.template[told]]
    alike = ~((table.bytes[told] != head) & closed).any(axis=1) & np.isin(table.length[told], (0, length))
    untied = [template for (kind, _), template in s.answer_of.items() if s.min_agree[kind] == 0]
    unasked = (service.sides[table.template[told]] == Side.PUSH) | np.isin(table.template[told], untied)
    count = table.numbers["count"][told]
    return bool(count[alike & unasked].sum() > UNASKED * count[alike & ~unasked].sum())


def _rare(service: ServiceModel, rows: npt.NDArray[np.intp], kin: npt.NDArray[np.intp], offsets: npt.NDArray[np.intp]) -> bool:
    """True where this stream has shown too little of a kind to know what else it carries at these bytes."""
    table = service.table
    closed = service.structure.closed()[table.template[rows]][:, offsets].all(axis=1)
    everything = table.bytes[rows[closed]][:, offsets]
    counts = table.numbers["count"][kin]
    total, of_stream = int(counts.sum()), int(table.numbers["count"][rows].sum())
    if (everything == everything[:1]).all() and of_stream >= STEADY and total >= ORDINARY * of_stream:
        return False  # whatever the kind, this stream has one value here
    return total < RARE or _seen_once(service, kin, offsets) >= max(1, UNSURE * total)


def _seen_once(service: ServiceModel, kin: npt.NDArray[np.intp], offsets: npt.NDArray[np.intp]) -> int:
    """How many different values these bytes had just once in a kind of one stream; 0 where they never changed."""
    values, inverse = np.unique(service.table.bytes[kin][:, offsets], axis=0, return_inverse=True)
    if len(values) < 2:
        return 0
    return int(np.count_nonzero(np.bincount(inverse.ravel(), weights=service.table.numbers["count"][kin]) == 1))


def _known_elsewhere(service: ServiceModel, near: Near, head: npt.NDArray[np.uint8], length: int) -> bool:
    """True where another conversation of the service carries this very row."""
    table = service.table
    closed = service.structure.templates[near.template].closed
    kind = np.flatnonzero((table.template == near.template) & ((table.length == 0) | (table.length == length)))
    return bool((table.bytes[kind][:, closed] == head[closed]).all(axis=1).any())


def _values(service: ServiceModel, rows: npt.NDArray[np.intp], ranges: Ranges) -> tuple[bytes, ...]:
    """What rows carry at the ranges, most frequent first."""
    counts: dict[bytes, int] = {}
    for row in rows[:256]:
        value = b"".join(service.table.bytes[row, a:b].tobytes() for a, b in ranges)
        counts[value] = counts.get(value, 0) + int(service.table.numbers["count"][row])
    return tuple(sorted(counts, key=lambda v: (-counts[v], v))[:MAX_NORMAL])


def broken_framing(framing: Framing, head: npt.NDArray[np.uint8], length: int) -> Deviation:
    """A payload that does not chain: the bytes of its length field that are not what its size asks for."""
    expected = length_field(length, framing)
    told = head[framing.offset : framing.offset + len(expected)].tobytes()
    wrong = [at for at, (said, right) in enumerate(zip(told, expected, strict=True), framing.offset) if said != right]
    ranges = runs_of(wrong) or ((0, min(length, framing.end)),)
    normal = b"".join(expected[a - framing.offset : b - framing.offset] for a, b in ranges)
    return Deviation(Kind.BROKEN_FRAMING, ranges, (normal,), 0, 0.001)

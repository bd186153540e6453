"""What the merged statistics mean: known rows, and which deviations this site has itself shown to be normal.

Everything here is derived anew from a baseline and never saved or merged.

Calibration. A row is *late* when its stream showed it first in the last third of its time. What late rows bring is what
detection would have cried at, had learning ended before them: a byte that brought MUTE_AFTER different new values is not a
reason to alarm, and neither is a new combination of known values where so many came. A side that brings new rows all the time
says nothing of messages as far from the known ones as those rows are; one that is nearer is a known message with an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Address, Conversation, Port
from appliance.learn.baselines.baseline import Baseline, Learned
from appliance.learn.baselines.living import living
from appliance.learn.counting.counts import RowTable
from appliance.learn.meaning.accepted import Accepted, AcceptedRows
from appliance.learn.meaning.openness import Openness, openness
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side, Structure
from appliance.learn.messages.structure_codec import structure_digest
from appliance.learn.numbers.prepared import recall
from appliance.learn.numbers.process import ProcessModel
from appliance.learn.site.topology import stream_key
from appliance.learn.timing.pace import Pace, derive_pace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MUTE_AFTER = 3
MIN_STREAM = 12  # messages of a stream, for its last third to mean something
OPAQUE_ROWS, OPAQUE_LATE = 5, 0.05  # late rows, and their share of late messages, from which on a side says nothing
OFTEN = 8  # times that a row came, from which on what is near it is that row with an error, also where new rows come all the time
COMMON = 4  # messages of a kind, below which it was hardly learned what is open in it
LENGTH_PENALTY = 4  # bytes that a wrong length counts for
OPAQUE_SHARE = 0.5  # rows per message from which on a template carries noise (encrypted, compressed)


@dataclass(slots=True)
class ServiceModel:
    """One service under one structure.

    known      uint64 [k] sorted: rows that are normal
    sides      int8 [templates]: Side of every template
    by_stream  rows of the table by (stream, answering?)
    messages   how many messages of (stream, answering?) were learned
    calibration  what learning has shown not to be worth an alarm
    noise      bool [templates]: nothing about the content can be said, whatever it is
    opaque     bool [templates]: noise, or of a side that brings new rows all the time
    silent     sides (answering?) of which all is noise
    common     bool [templates]: learned from more than a few messages
    pace       order and time of the requests
    items      the items of its lists, None where it has none
    accepted   content that people have accepted
    headers    what stands in front of noise, by (stream, answering?, template): found when asked for, see detect/opaque.py
    p_value    float [templates]: share of held-back blocks in which a row came that no other block had
    muted      templates that are opaque only because an alarm budget asks for it
    """

    structure: Structure
    table: RowTable
    known: npt.NDArray[np.uint64]
    sides: npt.NDArray[np.int8]
    by_stream: dict[tuple[int, bool], npt.NDArray[np.intp]]
    messages: dict[tuple[int, bool], int]
    calibration: Calibration
    noise: npt.NDArray[np.bool_]
    opaque: npt.NDArray[np.bool_]
    p_value: npt.NDArray[np.float64]
    common: npt.NDArray[np.bool_]
    pace: Pace
    pushed: Pace
    items: ServiceModel | None = None
    silent: frozenset[bool] = frozenset()
    muted: frozenset[int] = frozenset()
    accepted: AcceptedRows = field(default_factory=AcceptedRows)
    headers: dict[tuple[int, bool, int], tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]] = field(default_factory=dict)

    def says_nothing(self, near: Near, answers: bool) -> bool:
        """True where learning has shown that messages like this one, so far from the known rows, are nothing to tell."""
        if not self.opaque[near.template]:
            return False
        muted = self.noise[near.template] or near.template in self.muted
        often = self.table.numbers["count"][near.row] >= OFTEN
        return bool(muted or not often or near.distance >= self.calibration.opaque.get(answers, 0))


@dataclass(slots=True)
class Model:
    """What detection needs of a baseline."""

    baseline: Baseline
    services: dict[Port, list[ServiceModel]] = field(default_factory=dict)
    streams: dict[int, Conversation] = field(default_factory=dict)
    ports: set[Port] = field(default_factory=set)
    endpoints: set[Address] = field(default_factory=set)
    open: Openness = field(default_factory=Openness)
    accepted: Accepted = field(default_factory=Accepted)
    process: ProcessModel = field(default_factory=ProcessModel)


def derive(baseline: Baseline) -> Model:
    """Derive the model of a baseline."""
    baseline = living(baseline)
    model = Model(baseline, open=openness(baseline), accepted=Accepted.of(baseline.ledger))
    for port, learned in baseline.services.items():
        model.services[port] = [_service(one) for _, one in sorted(learned.items())]
        for digest, service in zip(sorted(learned), model.services[port], strict=True):
            service.accepted = model.accepted.rows(digest)
            if service.items is not None:  # the items of a list are accepted one by one
                service.items.accepted = model.accepted.rows(structure_digest(service.items.structure))
    for conversation in baseline.conversations:
        model.streams[stream_key(conversation)] = conversation
        model.ports.add(conversation.port)
        model.endpoints.update((conversation.client, conversation.server))
    model.endpoints.update(baseline.assets)
    model.process = recall(baseline.image, baseline.prepared)
    return model


def _service(learned: Learned) -> ServiceModel:
    s, t = learned.structure, learned.table
    count = max(1, len(s.templates))
    sides = np.array([int(x.side) for x in s.templates] or [0], np.int8)
    groups: dict[tuple[int, bool], list[int]] = defaultdict(list)
    answering = sides[t.template] != Side.REQUEST if len(t) else np.zeros(0, bool)
    for i, (stream, answers) in enumerate(zip(t.stream.tolist(), answering.tolist(), strict=True)):
        groups[stream, answers].append(i)
    by_stream = {key: np.array(rows, np.intp) for key, rows in groups.items()}
    messages = np.bincount(t.template, weights=t.numbers["count"], minlength=count)
    rows = np.bincount(t.template, minlength=count)
    noise = (messages >= 16) & (rows > OPAQUE_SHARE * messages)
    noise[: len(t.truncated)] |= t.truncated
    held = np.bincount(t.template, weights=t.numbers["held"], minlength=count)
    only_held = np.bincount(t.template, weights=t.numbers["held"] * (t.numbers["blocks"] == 0), minlength=count)
    c = _calibrate(s, t, by_stream, count)
    learned_messages = {key: int(t.numbers["count"][rows_of].sum()) for key, rows_of in by_stream.items()}
    opaque = noise | np.isin(sides != Side.REQUEST, sorted(c.opaque))
    whole = {a: noise[(sides != Side.REQUEST) == a].all() for a in c.opaque}
    silent = frozenset(a for a, far in c.opaque.items() if far <= 1 or whole[a])
    p_value = (1 + only_held) / (1 + np.maximum(held, messages))
    items = None if s.inner is None else _service(Learned(s.inner, learned.items))
    pace = derive_pace(learned.rhythm.only(t.row[~answering]), t, max((c.width for c in s.counters), default=0))
    plain = answering & ~opaque[t.template]  # of a stream of pictures no piece has a time of its own
    pushed, common = derive_pace(learned.rhythm.only(t.row[plain]), t), messages >= COMMON
    counted = (s, t, np.sort(t.row), sides, by_stream, learned_messages, c)
    return ServiceModel(*counted, noise, opaque, p_value, common, pace, pushed, items, silent)


Ranges = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Calibration:
    """What the last third of learning would have cried at; see the module's text.

    quiet    bool [templates, WIDTH]; loose: (answering?, ranges) whose known values come in new combinations
    slots    ranges that are loose in both directions: small numbers that answers repeat, of which a stream may use more
    opaque   sides (answering?) that bring new rows all the time, and how far (`Near.distance`) from the known ones those are;
             nearer came fewer than MUTE_AFTER
    """

    quiet: npt.NDArray[np.bool_]
    loose: set[tuple[bool, Ranges]]
    slots: set[Ranges]
    opaque: dict[bool, int]

    def is_loose(self, answers: bool, ranges: Ranges) -> bool:
        """True where known values at the ranges come in new combinations: there together, or in each of them alone."""
        return is_loose(self.loose, answers, ranges)


@dataclass(frozen=True, slots=True)
class _Late:
    """A row that its stream showed first in its last third; `unseen`: where it had what the earlier ones never had."""

    stream: int
    answers: bool
    row: int
    near: Near
    unseen: npt.NDArray[np.intp]


def _late_rows(s: Structure, t: RowTable, by_stream: dict[tuple[int, bool], npt.NDArray[np.intp]]) -> Iterator[_Late]:
    """What detection would have looked at, had learning ended before the last third of each stream."""
    first, last, count = t.numbers["first"], t.numbers["last"], t.numbers["count"]
    for (stream, answers), rows in sorted(by_stream.items()):
        begin, end = first[rows].min(), last[rows].max()
        if int(count[rows].sum()) < MIN_STREAM or end <= begin:
            continue
        late = first[rows] > begin + (end - begin) * 2 // 3
        early = rows[~late]
        for row in rows[late].tolist():
            near = nearest(s, t, early, t.bytes[row], int(t.length[row]), t.template[row])
            unseen = near.offsets[~(t.bytes[early][:, near.offsets] == t.bytes[row, near.offsets]).any(axis=0)]
            yield _Late(stream, answers, row, near, unseen)


def _calibrate(s: Structure, t: RowTable, by_stream: dict[tuple[int, bool], npt.NDArray[np.intp]], templates: int) -> Calibration:
    found = list(_late_rows(s, t, by_stream))
    new_values: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
    for one in found:
        for offset in one.unseen.tolist():
            new_values[one.near.template, offset].add((one.stream, int(t.bytes[one.row, offset])))
    quiet = np.zeros((templates, WIDTH), bool)
    for (template, offset), values in new_values.items():
        quiet[template, offset] = len(values) >= MUTE_AFTER
    new_rows = Counter((one.answers, runs(one.near.offsets)) for one in found if not len(one.unseen))
    loose = {key for key, n in new_rows.items() if n >= MUTE_AFTER}
    told = [one for one in found if not _explained(one, quiet, loose)]
    opaque = _restless(told, t, by_stream)
    for template, kind in enumerate(s.templates):
        if (side := kind.side != Side.REQUEST) in opaque:  # every byte in which rows of a known size brought something new
            walking = [one.unseen for one in found if one.answers == side and not one.near.wrong_length]
            quiet[template, np.concatenate([*walking, np.zeros(0, np.intp)])] = True
    loose |= {key for key in new_rows if key[0] in opaque}
    slots = {ranges for answers, ranges in loose if (not answers, ranges) in loose}
    return Calibration(quiet, loose, slots, opaque)


def is_loose(loose: set[tuple[bool, Ranges]], answers: bool, ranges: Ranges) -> bool:
    """See `Calibration.is_loose`."""
    return (answers, ranges) in loose or (bool(ranges) and all((answers, (one,)) in loose for one in ranges))


def _explained(late: _Late, quiet: npt.NDArray[np.bool_], loose: set[tuple[bool, Ranges]]) -> bool:
    """True where a late row would not be told."""
    left = late.near.offsets[~quiet[late.near.template, late.near.offsets]]
    muted = not len(left) and not late.near.wrong_length
    return muted or (not len(late.unseen) and is_loose(loose, late.answers, runs(late.near.offsets)))


def _restless(told: list[_Late], t: RowTable, by_stream: dict[tuple[int, bool], npt.NDArray[np.intp]]) -> dict[bool, int]:
    """Sides that bring new rows all the time, and how far from the known ones the third nearest of them is."""
    out: dict[bool, int] = {}
    for side in (False, True):
        far = sorted(one.near.distance for one in told if one.answers == side)
        messages = sum(int(t.numbers["count"][rows].sum()) for (_, answers), rows in by_stream.items() if answers == side)
        if len(far) >= OPAQUE_ROWS and 3 * len(far) >= OPAQUE_LATE * messages:
            out[side] = far[MUTE_AFTER - 1]
    return out


@dataclass(frozen=True, slots=True)
class Near:
    """The known row that comes nearest: its index, its template, the closed bytes that differ, whether its length does."""

    row: int
    template: int
    offsets: npt.NDArray[np.intp]
    wrong_length: bool

    @property
    def distance(self) -> int:
        """How far it is: bytes that differ, a wrong length counted as several."""
        return len(self.offsets) + LENGTH_PENALTY * self.wrong_length


def nearest(
    s: Structure, t: RowTable, rows: npt.NDArray[np.intp], head: npt.NDArray[np.uint8], length: int, template: int = -1
) -> Near:
    """The row among `rows` that a message comes nearest to, in closed bytes; the more frequent of equals.

    head      uint8 [WIDTH], zero beyond the message's end
    template  where the message was put by the structure; rows of that template are preferred among equals
    """
    lengths = t.length[rows]
    width = min(WIDTH, max(length, int(lengths.max(initial=0))) or WIDTH) if lengths.all() else WIDTH
    differs = (t.bytes[rows, :width] != head[:width]) & s.closed()[t.template[rows], :width]
    wrong = (lengths != 0) & (length != 0) & (lengths != length)
    if wrong.any():
        limit = np.where(wrong, np.minimum(lengths, length), WIDTH)
        differs &= np.arange(width)[None, :] < limit[:, None]
    distance = differs.sum(axis=1) + LENGTH_PENALTY * wrong
    best = int(np.lexsort((-t.numbers["count"][rows], t.template[rows] != template, distance))[0])
    return Near(int(rows[best]), int(t.template[rows[best]]), np.flatnonzero(differs[best]), bool(wrong[best]))


def known_in_service(t: RowTable, near: Near, head: npt.NDArray[np.uint8]) -> bool:
    """True where the bytes in which a message differs from the nearest row are those of another row of that size."""
    alike = t.bytes[t.length == t.length[near.row]]
    return bool((alike[:, near.offsets] == head[near.offsets]).all(axis=1).any())


def runs(offsets: npt.NDArray[np.intp]) -> Ranges:
    """Sorted offsets as half-open ranges."""
    return runs_of(offsets.tolist())


def runs_of(offsets: Iterable[int]) -> Ranges:
    """The same of plain numbers."""
    out: list[tuple[int, int]] = []
    for offset in offsets:
        if out and out[-1][1] == offset:
            out[-1] = (out[-1][0], offset + 1)
        else:
            out.append((offset, offset + 1))
    return tuple(out)

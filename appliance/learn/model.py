"""What the merged statistics mean: known rows, and which deviations this site has itself shown to be normal.

Everything here is derived anew from a baseline and never saved or merged.

Calibration. A row is *late* when its stream showed it first in the last third of its time. What late rows bring is what
detection would have cried at, had learning ended before them: a byte that brought MUTE_AFTER different new values is not a
reason to alarm, and neither is a new combination of known values where so many came.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Address, Conversation, Port
from appliance.learn.baseline import Baseline, Learned
from appliance.learn.counts import RowTable
from appliance.learn.sample import WIDTH
from appliance.learn.structure import Side, Structure
from appliance.learn.topology import MAXS, MINS, SUMS, stream_key

MUTE_AFTER = 3
MIN_STREAM = 12  # messages of a stream, for its last third to mean something
OPAQUE_SHARE = 0.5  # rows per message from which on a template carries noise (encrypted, compressed)
_NUMBERS = SUMS + MINS + MAXS


@dataclass(slots=True)
class ServiceModel:
    """One service under one structure.

    known      uint64 [k] sorted: rows that are normal
    sides      int8 [templates]: Side of every template
    by_stream  rows of the table by (stream, answering?)
    quiet      bool [templates, WIDTH]: bytes that brought too many new values while learning
    loose      bool [templates]: new combinations of known values are normal here
    opaque     bool [templates]: nothing about the content can be said
    p_value    float [templates]: share of held-back blocks in which a row came that no other block had
    """

    structure: Structure
    table: RowTable
    known: npt.NDArray[np.uint64]
    sides: npt.NDArray[np.int8]
    by_stream: dict[tuple[int, bool], npt.NDArray[np.intp]]
    quiet: npt.NDArray[np.bool_]
    loose: npt.NDArray[np.bool_]
    opaque: npt.NDArray[np.bool_]
    p_value: npt.NDArray[np.float64]


@dataclass(slots=True)
class Model:
    """What detection needs of a baseline."""

    baseline: Baseline
    services: dict[Port, list[ServiceModel]] = field(default_factory=dict)
    streams: dict[int, Conversation] = field(default_factory=dict)
    ports: set[Port] = field(default_factory=set)
    endpoints: set[Address] = field(default_factory=set)


def derive(baseline: Baseline) -> Model:
    """Derive the model of a baseline."""
    model = Model(baseline)
    for port, learned in baseline.services.items():
        model.services[port] = [_service(one) for _, one in sorted(learned.items())]
    for conversation in baseline.conversations:
        model.streams[stream_key(conversation)] = conversation
        model.ports.add(conversation.port)
        model.endpoints.update((conversation.client, conversation.server))
    model.endpoints.update(baseline.assets)
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
    opaque = (messages >= 16) & (rows > OPAQUE_SHARE * messages)
    opaque[: len(t.truncated)] |= t.truncated
    held = np.bincount(t.template, weights=t.numbers["held"], minlength=count)
    only_held = np.bincount(t.template, weights=t.numbers["held"] * (t.numbers["blocks"] == 0), minlength=count)
    quiet, loose = _calibrate(t, by_stream, count)
    return ServiceModel(
        s, t, np.sort(t.row), sides, by_stream, quiet, loose, opaque, (1 + only_held) / (1 + np.maximum(held, messages))
    )


def _calibrate(
    t: RowTable, by_stream: dict[tuple[int, bool], npt.NDArray[np.intp]], templates: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which bytes and which combinations cried too often in the last third of learning."""
    new_values: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
    new_rows: dict[int, int] = defaultdict(int)
    first, last, count = t.numbers["first"], t.numbers["last"], t.numbers["count"]
    for (stream, _), rows in by_stream.items():
        begin, end = first[rows].min(), last[rows].max()
        if count[rows].sum() < MIN_STREAM or end <= begin:
            continue
        late = first[rows] > begin + (end - begin) * 2 // 3
        for row in rows[late]:
            template = int(t.template[row])
            early = rows[~late & (t.template[rows] == template)]
            if not len(early):
                continue
            differs = t.bytes[early] != t.bytes[row]
            unseen = np.flatnonzero(differs.all(axis=0))
            for offset in unseen.tolist():
                new_values[template, offset].add((stream, int(t.bytes[row, offset])))
            if not len(unseen):
                new_rows[template] += 1
    quiet = np.zeros((templates, WIDTH), bool)
    loose = np.zeros(templates, bool)
    for (template, offset), values in new_values.items():
        quiet[template, offset] = len(values) >= MUTE_AFTER
    for template, n in new_rows.items():
        loose[template] = n >= MUTE_AFTER
    return quiet, loose

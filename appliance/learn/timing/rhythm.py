"""What learning counts of order and time, as sums, minima and maxima: gaps, steps, busiest blocks, requests and answers.

A *gap* is the time between two requests of the same row, put into one of 32 bins an octave. A *step* goes from one request of a
conversation to the next. Both are sparse counts of pairs (`counting.sparse`) keyed by row hashes, so they are merged like the
rows themselves; what they mean is derived in `timing.pace`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.sparse import Pairs, counted, merge_pairs
from appliance.learn.messages.structure import Structure
from appliance.learn.timing.leads import MAX_LEADS, Trails
from appliance.learn.timing.pushes import Pushes
from appliance.learn.timing.replies import Replies
from appliance.learn.timing.visits import Clock, Follower, Visits

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified

MAX_BINS = 96  # different gaps of a row; a row with more has no period
MAX_NEXT = 32  # different requests after a row; a row with more has no order
OCTAVE = 5  # bits of the mantissa that a bin keeps: 32 bins an octave, 1.6 to 3.1 % each
COUNTS = ("requests", "again", "answers", "unasked", "lost", "begun")  # per conversation

_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]


def gap_bin(gap: _I64) -> _I64:
    """Bin of gaps in ns: logarithmic, by exponent and the next five bits, in whole numbers so that all machines agree.

    gap   int64 [n], >= 0; returns int64 [n]
    """
    value = np.maximum(gap, 1 << OCTAVE)
    value = np.where(value >> 53, value & ~0x7FF, value)  # what a double cannot hold is no part of any bin
    double = value.astype(np.float64).view(np.int64)  # IEEE 754: exponent + 1023, then 52 bits of the mantissa
    which: _I64 = (double >> (52 - OCTAVE)) - (1023 << OCTAVE)
    return which


def bin_start(which: _I64) -> _I64:
    """The shortest gap of each bin, ns; the inverse of `gap_bin`."""
    exponent, mantissa = which >> OCTAVE, which & ((1 << OCTAVE) - 1)
    start: _I64 = ((1 << OCTAVE) | mantissa) << np.maximum(exponent - OCTAVE, 0)
    return start


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Order and time of one service under one structure; rows are requests and what servers push (`timing.pushes`).

    gaps      (row, bin) of requests; steps: (row, row of the conversation's next request); leads: see `timing.leads`
    lost      (row, 0) of requests that stayed without an answer
    rows, busy       uint64 [k] sorted, int64 [k]: most visits of a row in a block of 10 s
    streams, counts  uint64 [s] sorted, int64 [s, len(COUNTS)]: per conversation requests, those that repeat an earlier one byte
                     for byte on their connection, answers, those that nobody asked for, requests without an answer, connections
    """

    gaps: Pairs = field(default_factory=Pairs)
    steps: Pairs = field(default_factory=Pairs)
    rows: _U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    busy: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    streams: _U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    counts: _I64 = field(default_factory=lambda: np.zeros((0, len(COUNTS)), np.int64))
    leads: Pairs = field(default_factory=Pairs)
    lost: Pairs = field(default_factory=Pairs)

    def only(self, rows: _U64) -> Rhythm:
        """Without what belongs to rows that are not kept (`rows` sorted)."""
        if not len(rows):
            return Rhythm(streams=self.streams, counts=self.counts)
        lost = self.lost.take(_in(self.lost.a, rows))
        kept = _in(self.rows, rows)
        gaps, steps = self.gaps.take(_in(self.gaps.a, rows)), self.steps.take(_in(self.steps.a, rows))
        leads = self.leads.take(_in(self.leads.a, rows))
        return Rhythm(gaps, steps, self.rows[kept], self.busy[kept], self.streams, self.counts, leads, lost)


def merge_rhythms(x: Rhythm, y: Rhythm) -> Rhythm:
    """Both together: associative and commutative."""
    rows, at = np.unique(np.concatenate([x.rows, y.rows]), return_inverse=True)
    busy = np.zeros(len(rows), np.int64)
    np.maximum.at(busy, at, np.concatenate([x.busy, y.busy]))
    streams, which = np.unique(np.concatenate([x.streams, y.streams]), return_inverse=True)
    counts = np.zeros((len(streams), len(COUNTS)), np.int64)
    np.add.at(counts, which, np.concatenate([x.counts, y.counts]))
    gaps, steps = merge_pairs(x.gaps, y.gaps, MAX_BINS), merge_pairs(x.steps, y.steps, MAX_NEXT)
    leads, lost = merge_pairs(x.leads, y.leads, MAX_LEADS), merge_pairs(x.lost, y.lost, 1)
    return Rhythm(gaps, steps, rows, busy, streams, counts, leads, lost)


@dataclass(slots=True)
class RhythmCounter:
    """Counts batch by batch within one session. Conversations are bounded by the table of conversations, rows by `only`."""

    structure: Structure
    rhythm: Rhythm = field(default_factory=Rhythm)
    _follower: Follower = field(default_factory=Follower)
    _pushes: Pushes = field(default_factory=Pushes)
    _trails: Trails = field(default_factory=Trails)
    _replies: Replies = field(init=False)

    def __post_init__(self) -> None:
        self._replies = Replies(self.structure)

    def add(self, c: Classified, stream_keys: _U64, clock: Clock) -> None:
        """Count the messages of a batch; `stream_keys` uint64 [conversations]."""
        replies = self._replies.follow(c, clock)
        v = self._follower.follow(c, replies.asked, stream_keys, clock)
        leads = self._trails.follow(v, clock.epoch(c.messages.frame[v.index]))
        lost = replies.lost
        streams, which = np.unique(
            np.concatenate([v.stream, stream_keys[c.messages.conversation[replies.answers]], lost.stream(stream_keys)]),
            return_inverse=True,
        )
        n, k = len(v.row), len(replies.answers)
        counts = np.zeros((len(streams), len(COUNTS)), np.int64)
        np.add.at(counts[:, 0], which[:n], 1)
        np.add.at(counts[:, 1], which[:n], v.again)
        np.add.at(counts[:, 5], which[:n], v.begins)
        np.add.at(counts[:, 2], which[n : n + k], 1)
        np.add.at(counts[:, 3], which[n : n + k], replies.unasked)
        np.add.at(counts[:, 4], which[n + k :], 1)
        row = lost.column("row").view(np.uint64)
        kinds = counted(row, np.zeros(len(row), np.uint64), lost.column("time"), 1)
        said = replace(_paced(v), streams=streams, counts=counts, leads=leads, lost=kinds)
        pushed = _paced(self._pushes.follow(c, replies, stream_keys, clock))
        self.rhythm = merge_rhythms(self.rhythm, merge_rhythms(said, pushed))


def _paced(v: Visits) -> Rhythm:
    """Gaps, steps and busiest blocks of a batch."""
    timed, led = (v.gap >= 0) & (v.row != 0), (v.came != 0) & (v.row != 0)
    gaps = counted(v.row[timed], gap_bin(v.gap[timed]).astype(np.uint64), v.time[timed], MAX_BINS)
    steps = counted(v.came[led], v.row[led], v.time[led], MAX_NEXT)
    rows, at = np.unique(v.row, return_inverse=True)
    busy = np.zeros(len(rows), np.int64)
    np.maximum.at(busy, at, v.busy)
    return Rhythm(gaps, steps, rows, busy)


def _in(values: _U64, known: _U64) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found

"""Values that contradict the process: held against what other values account for, step by step on one axis of time.

A step is judged when the clock has left it, and told with the next message that carries the number: so findings do not
depend on where batches end. The clock is the latest time seen; where it is set back by far, everything starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Port
from appliance.detect.finding import Kind
from appliance.detect.locate import Deviation
from appliance.learn.numbers.grid import HOLD, held
from appliance.learn.numbers.image import CELL
from appliance.learn.numbers.image import REACH as BYTES
from appliance.learn.numbers.process import ProcessModel
from appliance.learn.numbers.residual import REACH, WINDOWS, Relation
from appliance.learn.numbers.series import F64, encode, read
from appliance.learn.numbers.together import Together
from appliance.packets.ordering import Table, grouped, stable_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.decode.columns import DecodedBatch
    from appliance.learn.messages.classify import Classified

QUIET = WINDOWS[-1] + 32  # steps without a contradiction, after which the next one is told again
SET_BACK = 600_000_000_000  # ns by which a clock must be set back for a new beginning
MOST_STEPS = 8192  # judged at once
MOST_EPOCHS = 16  # times that the clock may be set back in a batch
NEVER = -(1 << 60)  # before any step
MAX_DUE = 1024  # contradictions that wait for a message
TAIL = REACH + HOLD
SCORE = 0.005
I64 = npt.NDArray[np.int64]


class Contradiction(NamedTuple):
    """Message `index` of what was taken under (port, structure number) carries a number that contradicts the process."""

    taken: int
    message: int
    deviation: Deviation


class _Due(NamedTuple):
    """A contradiction that waits for the next message of its row."""

    column: int
    step: int
    kind: Kind
    normal: tuple[bytes, ...]


class _Told(NamedTuple):
    """Messages of one watched row in a batch: steps int64 [n], their places, their bytes uint8 [n, w], and of which call."""

    row: int
    step: I64
    place: npt.NDArray[np.intp]
    heads: npt.NDArray[np.uint8]
    taken: int


@dataclass(slots=True)
class ProcessDetector:
    """Follows the numbers of a plant; `clock` first, then `take` for each service, then `judge`, for every batch."""

    model: ProcessModel
    digests: dict[Port, list[str]]
    _rows: dict[tuple[Port, int], Table] = field(default_factory=dict)
    _columns: dict[int, list[int]] = field(default_factory=dict)  # row -> its numbers
    _now: int = -1
    _time: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _epoch: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _frames: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _told: list[tuple[int, _Told]] = field(default_factory=list)
    _left: list[_Told] = field(default_factory=list)
    _tail: F64 = field(init=False)
    _together: Together = field(init=False)
    _next: int = -1
    _last: dict[tuple[str, int], int] = field(default_factory=dict)
    _due: list[_Due] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tail = np.full((TAIL, len(self.model.series)), np.nan)
        self._together = Together(self.model.relations)
        if not self.model.watches():
            return
        rows: dict[tuple[Port, int], set[int]] = {}
        for column, series in enumerate(self.model.series):
            port, digest, row = series.key
            if digest in self.digests.get(port, []):
                rows.setdefault((port, self.digests[port].index(digest)), set()).add(row)
                self._columns.setdefault(row, []).append(column)
        self._rows = {key: Table(np.array(sorted(mine), np.uint64)) for key, mine in rows.items()}

    def clock(self, batch: DecodedBatch) -> None:
        """Follow the time of a batch's frames."""
        self._told = []
        self._frames, self._time, self._epoch = batch.frame, np.maximum.accumulate(batch.time), np.zeros(len(batch), np.int64)
        if not self._rows or not len(batch):
            return
        begin, now, epoch = 0, self._now, 0
        while begin < len(batch):
            run = np.maximum(np.maximum.accumulate(batch.time[begin:]), now)
            back = np.flatnonzero(run - batch.time[begin:] > SET_BACK)
            end = begin + int(back[0]) if len(back) and epoch < MOST_EPOCHS else len(batch)
            self._time[begin:end], self._epoch[begin:end] = run[: end - begin], epoch
            epoch += 1
            begin, now = end, -1
        self._now = int(self._time[-1])

    def take(self, port: Port, number: int, c: Classified, known: npt.NDArray[np.bool_], taken: int) -> None:
        """Take the messages of a service under its structure `number`; known bool [n]: rows that were learned."""
        rows = self._rows.get((port, number))
        if rows is None:
            return
        at, watched = rows.find(c.row)
        mine = np.flatnonzero(known & watched)
        last = c.messages.last_frame.take(mine)
        frame = np.minimum(np.searchsorted(self._frames, last), len(self._frames) - 1)
        here = np.flatnonzero(self._frames.take(frame) == last) if len(self._frames) else mine[:0]
        here = here.take(stable_order(last.take(here)))
        mine, frame = mine.take(here), frame.take(here)
        step, epoch = self._time.take(frame) // (CELL * self.model.step), self._epoch.take(frame)
        groups = grouped(at[mine] * (MOST_EPOCHS + 1) + epoch)
        for begin, size in zip(groups.start.tolist(), groups.size.tolist(), strict=True):
            of = groups.order[begin : begin + size]
            told = _Told(int(c.row[mine[of[0]]]), step[of], mine[of], c.heads.take(mine[of], axis=0)[:, :BYTES], taken)
            self._told.append((int(epoch[of[0]]), told))

    def judge(self) -> Iterator[Contradiction]:
        """What contradicts the process, as far as the clock has come."""
        if not self._rows or not len(self._time):
            return
        for e in range(int(self._epoch[-1]) + 1):
            if e:
                self._restart()
            mine = [told for epoch, told in self._told if epoch == e]
            end = int(self._time[self._epoch == e][-1]) // (CELL * self.model.step)
            self._advance(mine, end)
            yield from self._resolved(mine)
        self._told = []

    def _restart(self) -> None:
        self._tail[:] = np.nan
        self._left, self._next, self._due = [], -1, []
        self._last.clear()

    def _advance(self, new: list[_Told], end: int) -> None:
        """Judge the steps before `end`; what belongs to later ones is kept for them."""
        waiting = self._left + new
        while self._next < end:
            first = min([int(t.step[t.step >= self._next][0]) for t in waiting if t.step[-1] >= self._next], default=end)
            if first - self._next > TAIL:  # nothing was said for longer than anything remembers
                self._next = min(first, end)
                self._tail[:] = np.nan
                continue
            until = min(end, self._next + MOST_STEPS)
            raw = np.full((until - self._next, len(self.model.series)), np.nan)
            for told in waiting:
                self._write(raw, told, until)
            self._look(np.concatenate([self._tail, raw]), until)
            self._tail, self._next = np.concatenate([self._tail, raw])[-TAIL:], until
        keep = [(t, t.step >= self._next) for t in waiting]
        self._left = [t._replace(step=t.step[k], place=t.place[k], heads=t.heads[k]) for t, k in keep if k.any()]

    def _write(self, raw: F64, told: _Told, until: int) -> None:
        use = (told.step >= self._next) & (told.step < until)
        use &= np.r_[told.step[1:] != told.step[:-1], True]
        at, heads = told.step[use] - self._next, told.heads[use]
        for column in self._columns[told.row] if len(at) else ():
            raw[at, column] = read(heads, self.model.series[column].field)

    def _look(self, raw: F64, until: int) -> None:
        """Contradictions in the steps behind the tail."""
        values = held(raw)
        first = until - (len(raw) - TAIL)
        sums = self._together.sums(values)
        beyond = (np.abs(sums) > self._together.bounds[:, None, :])[:, TAIL:]
        for number in np.flatnonzero(beyond.any(axis=(1, 2))).tolist():
            relation = self.model.relations[number]
            for at in self._begins(number, beyond[number], first):
                k = int(np.argmax(beyond[number, at]))
                normal = _expected(self.model, relation, values[TAIL + at], int(sums[number, TAIL + at, k]), k)
                self._due.append(_Due(relation.target, first + at, Kind.PROCESS_CONTRADICTION, normal))
        stood = _stood(values)
        for alive in self.model.alive:
            for at in self._onsets(("alive", alive.column), stood[TAIL:, alive.column] >= alive.most, first):
                self._due.append(_Due(alive.column, first + at, Kind.PROCESS_CONTRADICTION, ()))
        for chosen in self.model.chosen:
            x = raw[TAIL:, chosen.column]
            for at in self._onsets(("chosen", chosen.column), chosen.strange(x), first):
                field_ = self.model.series[chosen.column].field
                normal = tuple(encode(v, field_) for v in chosen.values[:4]) if field_.bit < 0 else ()
                self._due.append(_Due(chosen.column, first + at, Kind.UNKNOWN_VALUE, normal))

    def _begins(self, number: int, beyond: npt.NDArray[np.bool_], first: int) -> list[int]:
        """Where a relation is contradicted anew; beyond bool [t, windows].

        The longest window remembers what is over, so the others come back to quiet sooner; what they have told, it repeats.
        """
        short = np.any(beyond[:, :-1], axis=1)
        before = self._last.get(("short", number), NEVER)
        begins = self._onsets(("short", number), short, first, WINDOWS[-2] + 32)
        places = np.flatnonzero(short) + first
        for at in self._onsets(("long", number), beyond[:, -1], first, QUIET):
            earlier = places[: np.searchsorted(places, at + first, side="right")]
            if at + first - (int(earlier[-1]) if len(earlier) else before) > QUIET:
                begins.append(at)
        return sorted(begins)

    def _onsets(self, name: tuple[str, int], beyond: npt.NDArray[np.bool_], first: int, quiet: int = QUIET) -> list[int]:
        """Where a contradiction begins after `quiet` steps without one; places in `beyond`."""
        places = np.flatnonzero(beyond)
        if not len(places):
            return []
        last = self._last.get(name, NEVER)
        gap = np.diff(places + first, prepend=last)
        self._last[name] = int(places[-1]) + first
        return [int(p) for p in places[gap > quiet]]

    def _resolved(self, new: list[_Told]) -> Iterator[Contradiction]:
        """Contradictions whose row has come again after their step, with that message."""
        waiting, self._due = self._due[-MAX_DUE:], []
        for due in waiting:
            series = self.model.series[due.column]
            mine = [told for told in new if told.row == series.key[2] and told.step[-1] > due.step]
            if not mine:
                self._due.append(due)
                continue
            place = int(mine[0].place[np.argmax(mine[0].step > due.step)])
            if due.kind is Kind.UNKNOWN_VALUE and not self._still_strange(due.column, mine[0], due.step):
                continue
            ranges = ((series.field.offset, series.field.end),)
            yield Contradiction(mine[0].taken, place, Deviation(due.kind, ranges, due.normal, 0, SCORE))

    def _still_strange(self, column: int, told: _Told, step: int) -> bool:
        """Whether the message that a strange value would be told with carries one."""
        at = int(np.argmax(told.step > step))
        x = read(told.heads[at : at + 1], self.model.series[column].field)
        return any(bool(chosen.strange(x)[0]) for chosen in self.model.chosen if chosen.column == column)


def _stood(x: F64) -> I64:
    """For how many steps each number has stood still, at all of which it was there; int64 [t, s]."""
    moved = np.ones(x.shape, bool)
    moved[1:] = x[1:] != x[:-1]
    step = np.arange(len(x))[:, None]
    since: I64 = step - np.maximum.accumulate(np.where(moved, step, 0), axis=0)
    return since


def _expected(model: ProcessModel, relation: Relation, values: F64, total: int, window: int) -> tuple[bytes, ...]:
    """The bytes that the number would have by what the others account for; values float64 [s] at the step."""
    off = total * relation.unit / (1 if relation.rate else WINDOWS[window])
    told = encode(float(values[relation.target]) - off, model.series[relation.target].field)
    return (told,) if told else ()

"""What the counts of order and time mean: which gaps and steps are normal, and how much must deviate to be worth an alarm.

Derived anew from merged statistics (`timing.rhythm`), never saved. A gap or step that came **once** is what detection would have
cried at, had it been left out (leave one out; Good 1953). When it came is known, so it is also known how many such cries fell
together in one window of a conversation: a block maximum under all the dependence that polling has. Detection asks for more than
that, service by service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import SECOND
from appliance.learn.counting.sparse import FULL, Pairs
from appliance.learn.messages.rowhash import mix
from appliance.learn.timing.leads import derive_leads
from appliance.learn.timing.rhythm import MAX_BINS, Rhythm, bin_start
from appliance.packets.ordering import Table, distinct, quantile

if TYPE_CHECKING:
    from appliance.learn.counting.counts import RowTable

MIN_GAPS = 8  # gaps of a row, from which on another one is unusual
MIN_LED = 8  # visits after which something came, from which on something else is unusual
STRAY = 0.1  # share of gaps that came once and alone, from which on a row has no period
SCATTERED = 0.25  # share of gaps with no other beside them, from which on the next has none either (Good 1953): no sure limits
AN_OCTAVE = 32  # bins; the next one is beyond them, but hardly by so much
WIDE, MANY = 6, 100  # nor where gaps spread wider (20 %) and are fewer: the next one is beyond n others with 2 / (n + 1)
STRAY_STEPS = 0.002  # likewise of steps, from which on a conversation has no order
MARGIN = 2  # bins beside a learned gap that are the same (4 to 6 %), and half the spread of the row more
CYCLES = 3  # windows last so many gaps of the conversation's slowest half
WINDOW = (SECOND, 600 * SECOND)
NEW_LATE = 2  # steps first seen in the last third of the time, from which on a conversation has no order
MIN_DIALOGUE = 20  # requests or answers, from which on what never happened is unusual
LOST_OFTEN, LOSING = 3, 0.25  # times and share of a request's visits without an answer, from which on it has none by nature
ROUND = 2048  # requests, from which on a number of one byte has come round so often that no repetition is due
PAUSE = 2.5  # periods, from which on a gap is a pause; how long a pause is says nothing below the longest ...
PAUSES, PAUSE_MORE = 2, 1.25  # ... of so many, and a bit more
STEP_OFF, STEP_ENDS = 0.005, 0.1  # timers keep step where their periods fit so well, but for so much of one at the ends
MAX_TIMERS = 64  # of a conversation
APART, APART_LEAST = 2, 16  # times the longest learned time after its leader, and so many parts of a period more: too long
RUSH, RUSH_MORE = 2.5, 10  # visits in ten seconds: so many times the most learned, and so many more, are a burst
LASTING = 10  # requests of a connection, on average, from which on it lasts
_BINS = 4096  # more than there are bins

_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pace:
    """Order and time of one service under one structure.

    rows      uint64 [k] sorted; timed bool [k]: its gaps say something; steady bool [k]: and their limits are sure; middle
              int64 [k]: median gap, ns; pause int64 [k]: longest pause that is normal, ns, 0 where pauses are not; rush int64
              [k]: visits in 10 s that are too many; led bool [k]: what comes after it says something
    normal    int64 sorted: place of the row * _BINS + bin of each normal gap
    steps     uint64 sorted: hashes of (row, next row) that came
    of        intp [k]: place of each row's conversation among `streams`
    leader    intp [k]: place of the row that it follows, -1 for none; reach, apart int64 [k]: ns between the two, the longest
              learned and from which on they are too long
    loses     bool [k]: it often stays without an answer
    timer     int64 [k]: rows of a conversation with the same number are sent by one timer, or by several that keep step; -1
              for a row without a period
    streams   uint64 [s] sorted; window int64 [s]: ns within which deviations belong together
    unique, asked, answered   bool [s]: no request came twice byte for byte; every answer was asked for; every request answered
    lasting   bool [s]: its connections carry many requests; a new one is a new beginning
    needed    deviations in a window from which on they are told
    """

    rows: _U64
    timed: _Bools
    steady: _Bools
    middle: _I64
    pause: _I64
    rush: _I64
    led: _Bools
    normal: _I64
    steps: _U64
    of: npt.NDArray[np.intp]
    leader: npt.NDArray[np.intp]
    reach: _I64
    apart: _I64
    loses: _Bools
    timer: _I64
    streams: _U64
    window: _I64
    unique: _Bools
    asked: _Bools
    answered: _Bools
    lasting: _Bools
    needed: int
    _rows: Table = field(init=False)
    _normal: Table = field(init=False)
    _steps: Table = field(init=False)
    _streams: Table = field(init=False)

    def __post_init__(self) -> None:
        for name in ("rows", "normal", "steps", "streams"):
            object.__setattr__(self, f"_{name}", Table(getattr(self, name)))

    def place(self, row: _U64) -> tuple[npt.NDArray[np.intp], _Bools]:
        """Place of each row among `rows`, and whether it is there."""
        return self._rows.find(row)

    def usual(self, place: npt.NDArray[np.intp], which: _I64) -> _Bools:
        """Whether a gap (its bin) is normal for a row (its place)."""
        return self._normal.holds(place * _BINS + which)

    def led_to(self, row: _U64, following: _U64) -> _Bools:
        """Whether a row was ever followed by another."""
        return self._steps.holds(mix(row, following))

    def in_step(self, a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> _Bools:
        """Whether the order of two rows (their places) says something: timers that run freely overtake each other."""
        in_step: _Bools = (self.timer[a] == self.timer[b]) | (self.timer[a] < 0) | (self.timer[b] < 0)
        return in_step

    def stream(self, stream: _U64) -> tuple[npt.NDArray[np.intp], _Bools]:
        """Place of each conversation among `streams`, and whether it is there."""
        return self._streams.find(stream)


def find(known: npt.NDArray[np.generic], values: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.intp], _Bools]:
    """Place of each value in a sorted column (any place where it is not there), and whether it is there."""
    if not len(known):
        return np.zeros(len(values), np.intp), np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return at, np.asarray(known[at] == values, bool)


def derive_pace(rhythm: Rhythm, table: RowTable, numbers: int = 0) -> Pace:
    """The pace of a service.

    numbers   bytes of the widest counter of its requests, 0 where they carry none
    """
    rows = rhythm.rows
    order = np.argsort(table.row)
    stream = table.stream[order][find(table.row[order], rows)[0]] if len(table) else np.zeros(len(rows), np.uint64)
    timed, loose, middle, pause, normal, cries = _gaps(rhythm.gaps, rows)
    streams = distinct(np.concatenate([rhythm.streams, stream]))
    of = find(streams, stream)[0]
    window = _windows(streams, of, timed, middle)
    led, stray = _steps(rhythm.steps, rows, stream, _late(table))
    where = np.concatenate([stream[find(rows, rhythm.gaps.a[cries])[0]], stream[find(rows, rhythm.steps.a[stray])[0]]])
    when = np.concatenate([rhythm.gaps.first[cries], rhythm.steps.first[stray]])
    counts = np.zeros((len(streams), rhythm.counts.shape[1]), np.int64)
    counts[find(streams, rhythm.streams)[0]] = rhythm.counts
    requests, again, answers, unasked, lost, begun = counts.T
    loses, lonely = _losing(rhythm.lost, rows, of, table, len(streams))
    leader, reach = derive_leads(rhythm.leads, rows, middle)
    return Pace(
        rows=rows,
        timed=timed,
        steady=timed & ~loose,
        middle=middle,
        pause=pause,
        rush=np.maximum(RUSH * rhythm.busy, rhythm.busy + RUSH_MORE).astype(np.int64),
        led=led,
        normal=normal,
        steps=np.sort(mix(rhythm.steps.a, rhythm.steps.b)),
        of=of,
        leader=leader,
        reach=reach,
        apart=np.maximum(APART * reach, reach + middle // APART_LEAST).astype(np.int64),
        loses=loses,
        timer=_timers(table, order, rows, of, timed),
        streams=streams,
        window=window,
        unique=(requests >= (ROUND if numbers == 1 else MIN_DIALOGUE)) & (again == 0),
        asked=(answers >= MIN_DIALOGUE) & (unasked == 0),
        answered=(requests >= MIN_DIALOGUE) & (lost == lonely) & (answers >= np.where(lonely > 0, MIN_DIALOGUE, 1)),
        lasting=begun * LASTING <= requests,
        needed=1 + _together(find(streams, where)[0], when, window),
    )


def _gaps(gaps: Pairs, rows: _U64) -> tuple[_Bools, _Bools, _I64, _I64, _I64, npt.NDArray[np.intp]]:
    """Per row: timed, loose (few gaps), middle, pause; all normal gaps; pairs of timed rows that came once and alone."""
    timed, loose = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    middle, pause = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    normal: list[_I64] = []
    cries: list[npt.NDArray[np.intp]] = []
    for a, b in zip(*gaps.groups(), strict=True):
        count = gaps.count[a:b]
        total = int(count.sum())
        if gaps.b[b - 1] == FULL or total < MIN_GAPS:
            continue
        place = int(find(rows, gaps.a[a : a + 1])[0][0])
        bins = gaps.b[a:b].astype(np.int64)
        share = np.cumsum(count) / total
        low, mid, high = (int(bins[np.searchsorted(share, q)]) for q in (0.25, 0.5, 0.75))
        reach = MARGIN + (high - low) // 2
        ends = np.concatenate([[-_BINS], bins, [2 * _BINS]])
        steps = ends[1:] - ends[:-1]
        apart = np.minimum(steps[:-1], steps[1:])
        alone = (count == 1) & (apart > reach)
        scattered = (count == 1) & (apart > MARGIN)  # by themselves, however wide the row's gaps spread
        if alone.sum() > max(1.0, STRAY * total) or len(bins) >= MAX_BINS:
            continue
        loose[place] = scattered.sum() > max(3.0, SCATTERED * total) or (reach > WIDE and total < MANY)
        timed[place], middle[place] = True, bin_start(np.array([mid]))[0]
        long = bin_start(bins) > PAUSE * middle[place]
        if count[long].sum() >= PAUSES:
            pause[place] = int(PAUSE_MORE * bin_start(bins[-1:] + 1)[0])
        around = (bins[:, None] + np.arange(-reach, reach + 1)).ravel()
        if loose[place]:
            around = np.arange(bins[0] - max(AN_OCTAVE, reach), bins[-1] + max(AN_OCTAVE, reach) + 1)
        normal.append(place * _BINS + around[around >= 0])
        cries.append(a + np.flatnonzero(alone))
    return (
        timed,
        loose,
        middle,
        pause,
        distinct(np.concatenate([np.zeros(0, np.int64), *normal])),
        np.concatenate([np.zeros(0, np.intp), *cries]),
    )


def _losing(lost: Pairs, rows: _U64, of: npt.NDArray[np.intp], table: RowTable, streams: int) -> tuple[_Bools, _I64]:
    """Rows that often stay without an answer, and how often those of each conversation did: that is their nature, no loss."""
    loses, lonely = np.zeros(len(rows), bool), np.zeros(streams, np.int64)
    order = np.argsort(table.row)
    at, there = find(table.row[order], lost.a)
    count = np.where(there, table.numbers["count"][order][at], 0) if len(table) else np.zeros(len(lost), np.int64)
    often = (lost.count >= LOST_OFTEN) & (lost.count >= LOSING * count) & there
    place, known = find(rows, lost.a)
    mine = np.flatnonzero(often & known)
    loses[place[mine]] = True
    np.add.at(lonely, of[place[mine]], lost.count[mine])
    return loses, lonely


def _timers(table: RowTable, order: npt.NDArray[np.intp], rows: _U64, of: npt.NDArray[np.intp], timed: _Bools) -> _I64:
    """Which timer sends each row: of one conversation, those whose mean periods are whole multiples of each other.

    order   of the table by its rows
    """
    timer = np.full(len(rows), -1, np.int64)
    at, there = find(table.row[order], rows)
    chosen = order[at[there]]
    count = np.zeros(len(rows), np.int64)
    period = np.zeros(len(rows))
    count[there] = table.numbers["count"][chosen]
    period[there] = (table.numbers["last"][chosen] - table.numbers["first"][chosen]) / np.maximum(1, count[there] - 1)
    for which in distinct(of[timed]).tolist():
        mine = np.flatnonzero(timed & (of == which))
        mine = mine[np.argsort(period[mine], kind="stable")]
        known: list[int] = []  # the fastest row of each timer
        for row in mine.tolist():
            times = period[row] / np.maximum(1.0, period[known])
            off = np.abs(times / np.maximum(1.0, np.round(times)) - 1)
            same = np.flatnonzero(off <= STEP_OFF + STEP_ENDS / max(1, int(count[row])))
            timer[row] = known[int(same[0])] if len(same) else row
            known += [] if len(same) or len(known) >= MAX_TIMERS else [row]
    return timer


def _windows(streams: _U64, stream: npt.NDArray[np.intp], timed: _Bools, middle: _I64) -> _I64:
    """How long deviations of a conversation belong together: some of its longer regular gaps."""
    window = np.full(len(streams), WINDOW[0], np.int64)
    for which in distinct(stream[timed]).tolist():
        slow = quantile(middle[timed & (stream == which)], 0.75)
        window[which] = int(np.clip(CYCLES * slow, *WINDOW))
    return window


def _late(table: RowTable) -> dict[int, int]:
    """When the last third of each conversation began, ns."""
    first, last = table.numbers["first"], table.numbers["last"]
    late: dict[int, int] = {}
    for stream in distinct(table.stream).tolist():
        mine = table.stream == np.uint64(stream)
        begin, end = int(first[mine].min()), int(last[mine].max())
        late[stream] = begin + (end - begin) * 2 // 3
    return late


def _steps(steps: Pairs, rows: _U64, stream: _U64, late: dict[int, int]) -> tuple[_Bools, npt.NDArray[np.intp]]:
    """Rows after which the order says something, and the steps that came once in their conversations.

    A conversation whose steps go on bringing new ones, at any time or in the last third, has no order: its timers run freely.
    What leads to or from a row that came once only is no step of its order.
    """
    led = np.zeros(len(rows), bool)
    if not len(steps):
        return led, np.zeros(0, np.intp)
    at, there = find(rows, steps.a)
    to, to_there = find(rows, steps.b)
    visits = np.zeros(len(rows), np.int64)
    np.add.at(visits, to[to_there], steps.count[to_there])
    begin, end = steps.groups()
    total = np.repeat(np.add.reduceat(steps.count, begin), end - begin)
    full = np.repeat(steps.b[end - 1] == FULL, end - begin)
    counts = there & to_there & ~full & (visits[at] > 1) & (visits[to] > 1)
    once = counts & (steps.count == 1)
    for which in distinct(stream[at[there]]).tolist():
        mine = there & (stream[at] == np.uint64(which))
        new_late = int(np.count_nonzero(steps.first[mine & counts] > late.get(which, 0)))
        seen = int(steps.count[mine].sum())
        if (full & mine).any() or int(once[mine].sum()) > STRAY_STEPS * seen or new_late >= NEW_LATE:
            once &= ~mine
        else:
            led[at[mine & (total >= MIN_LED)]] = True
    return led, np.flatnonzero(once)


def _together(stream: npt.NDArray[np.intp], when: _I64, window: _I64) -> int:
    """Most events that fell into one window of their conversation."""
    most = 0
    for which in distinct(stream).tolist():
        times = np.sort(when[stream == which])
        inside = np.searchsorted(times, times + window[which], side="right") - np.arange(len(times))
        most = max(most, int(inside.max()))
    return most

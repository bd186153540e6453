"""Bytes that tell the time: they go on whatever a message does, so that they neither select nor answer anything.

Two signs. A number that goes on *as the wire's time does*, in every connection and from its beginning to its end, is a clock;
a list of addresses comes back, and a transaction number goes on by messages and not by seconds. Where no time is known, a
byte of what servers say that rises and hardly ever falls is one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.decode.framing import WHOLE, Framing
from appliance.learn.messages.sample import Sample, group_order

SEARCH = 96  # offsets looked at
STEP = 16  # a clock's byte that rises goes on by so much at most
RISES, FALLS, MANY = 8, 0.05, 24  # steps of a clock, falls for each of them, values of its fast bytes
MAX_CLOCK = 8
ROWS = 4096  # messages that are held against the wire's time
LEAST_ROWS, LEAST_SPAN = 64, 10.0  # messages and seconds that tell a clock
LEAST_UNITS = 16.0  # how far it must have gone
UNITS_OFF, SECONDS_OFF = 1.5, 0.1  # how far a number may be from the time: cut to units, and written down before it is sent
AGREE = 0.99  # share of messages that keep to it
FINER = 0.5  # a lower byte belongs to a clock where what is left of the difference to the time is so much less
RESTS = 0.2  # share of messages with the number of the one before, from which on it is none of messages
DAY, SINCE_1900 = 86_400, 2_208_988_800  # seconds: how far a device's clock may be off, zones included; 1900 to 1970 (RFC 5905)
HALF_UNIT = 0.25  # how far off a number is that is cut to units, on average
BETTER = 0.5  # ... or it keeps to the time so much better than to the number of messages

_F64 = npt.NDArray[np.float64]


class _Fit(NamedTuple):
    """Bytes [first, end) as a number that keeps to the time: units a second, root mean square left (s)."""

    rate: float
    left: float
    first: int
    end: int
    big: bool


class _Course(NamedTuple):
    """Messages connection by connection.

    heads    uint8 [n, w]; begins  bool [n]: the first of its connection
    time     float64 [n], seconds since 1970; seconds, order  float64 [n]: time and messages since the connection's first
    """

    heads: npt.NDArray[np.uint8]
    begins: npt.NDArray[np.bool_]
    time: _F64
    seconds: _F64
    order: _F64

    def number(self, first: int, width: int, big: bool) -> npt.NDArray[np.int64]:
        """The bytes [first, first + width) as a number; int64 [n]."""
        weights = 256 ** (np.arange(width)[::-1] if big else np.arange(width))
        return self.heads[:, first : first + width].astype(np.int64) @ weights


def wire_clocks(sample: Sample, framing: Framing = WHOLE) -> npt.NDArray[np.bool_]:
    """Bool [WIDTH]: bytes of numbers that go on as the wire's time does.

    Of those that never changed the lowest is one, too, if the byte below it has not come round yet: its time is still to come.

    sample   messages of one direction, with their times
    """
    clocks = np.zeros(sample.heads.shape[1], bool)
    course = _course(sample)
    if course is None:
        return clocks
    varies = (course.heads[1:] != course.heads[:-1])[~course.begins[1:]].any(axis=0)
    found = [fit for big in (True, False) for width in (4, 2) for fit in _fits(course, varies, width, big)]
    kept: list[_Fit] = []
    for fit in sorted(found):  # from coarse to fine
        beside = [k for k in kept if k.first < fit.end and fit.first < k.end]
        if all(fit.left <= FINER * k.left for k in beside):
            kept.append(fit)
    for fit in kept:
        moved = fit.first + np.flatnonzero(varies[fit.first : fit.end])
        clocks[moved] = True
        above = _above(course, fit, moved.tolist(), framing)
        if above is not None:
            clocks[above] = True
    return clocks


def _above(course: _Course, fit: _Fit, moved: list[int], framing: Framing) -> int | None:
    """The byte that a clock will carry into: it was the same in all messages, and the one below it never began anew."""
    big = fit.big
    if len(moved) == 1:  # either order would read it
        named = _epoch(course, moved[0])
        if named is None and not framing.width:
            return None
        big = framing.big if named is None else named
    top, above = (moved[0], moved[0] - 1) if big else (moved[-1], moved[-1] + 1)
    if not 0 <= above < course.heads.shape[1] or (course.heads[:, above] != course.heads[0, above]).any():
        return None
    column = course.heads[:, top].astype(np.int16)
    return None if ((column[1:] < column[:-1]) & ~course.begins[1:]).any() else above


def _epoch(course: _Course, lowest: int) -> bool | None:
    """Whether four bytes with this lowest one are the seconds since 1970 or 1900 with the highest byte first; None: neither."""
    for big, first in ((True, lowest - 3), (False, lowest)):
        if first >= 0 and first + 4 <= course.heads.shape[1]:
            off = course.number(first, 4, big)[0] - course.time[0]
            if min(abs(off), abs(off - SINCE_1900)) <= DAY:
                return big
    return None


def _course(sample: Sample) -> _Course | None:
    """The first messages in the order of their connections; None where they are too few to tell."""
    if len(sample) < LEAST_ROWS or not len(sample.time):
        return None
    shortest = int(np.quantile(sample.length, 1 - AGREE, method="lower"))
    sample = sample.take(sample.length >= shortest)
    early = sample.take(np.arange(min(ROWS, len(sample))))
    many = int(early.time.max() - early.time.min()) < LEAST_SPAN * 1e9
    sample = sample.take(np.arange(0, len(sample), -(-len(sample) // ROWS))) if many else early
    order = group_order(sample.flow)
    flow, time = sample.flow[order], sample.time[order]
    begins = np.r_[True, flow[1:] != flow[:-1]]
    place = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    seconds = (time - time[place]) / 1e9
    if seconds.max() < LEAST_SPAN or shortest < 2:
        return None
    number = (np.arange(len(flow)) - place).astype(np.float64)
    return _Course(sample.heads[order][:, : min(SEARCH, shortest)], begins, time / 1e9, seconds, number)


def _fits(course: _Course, varies: npt.NDArray[np.bool_], width: int, big: bool) -> list[_Fit]:
    """Every place at which a number so wide keeps to the time."""
    found: list[_Fit] = []
    modulus = 256.0**width
    for first in range(course.heads.shape[1] - width + 1):
        lowest = first + (width - 1 if big else 0)
        if not varies[lowest]:
            continue
        step = np.r_[0, np.diff(course.number(first, width, big))] % int(modulus)
        step[course.begins] = 0
        if step.max() > modulus / 2 or np.count_nonzero(step) < LEAST_UNITS:
            continue  # it went back
        fit = _fit(course, step.astype(np.float64))
        if fit is not None:
            found.append(_Fit(*fit, first, first + width, big))
    return found


def _fit(course: _Course, step: _F64) -> tuple[float, float] | None:
    """Units a second of a number that goes on by `step`, and what is left (s); None where it is no clock."""
    ends = np.r_[course.begins[1:], True]
    total = np.cumsum(step)
    gone = total - (total - step)[course.begins][np.cumsum(course.begins) - 1]
    spans, ways = course.seconds[ends], gone[ends]
    rate = float(ways.sum() / spans.sum())
    if ways.max() < LEAST_UNITS or rate <= 0:
        return None
    off = gone / rate - course.seconds
    off -= np.median(off)
    if np.mean(np.abs(off) <= UNITS_OFF / rate + SECONDS_OFF) < AGREE:
        return None
    inside = ~course.begins
    by_count = gone - course.order * (ways.sum() / max(1.0, course.order[ends].sum()))
    left = float(np.sqrt(np.mean(off**2)))
    if np.mean(step[inside] == 0) < RESTS and left * rate + HALF_UNIT > BETTER * float(np.std(by_count)):
        return None  # it counts messages that come steadily
    return rate, left


def find_clocks(sample: Sample, framing: Framing = WHOLE) -> npt.NDArray[np.bool_]:
    """Bool [WIDTH]: bytes of numbers that only grow within a connection, or go on as the wire's time does.

    The core of one that grows is a byte that rises by small steps and never falls; beside it, its slower bytes rise likewise,
    and its faster ones seem random.
    """
    clocks = wire_clocks(sample, framing)
    if len(sample) < 2 * RISES:
        return clocks
    order = group_order(sample.flow)
    heads = sample.heads[order][:, : min(SEARCH, int(sample.length.min()))]
    together = sample.flow[order][1:] == sample.flow[order][:-1]
    step = (heads[1:] - heads[:-1])[together]  # modulo 256
    rises = np.count_nonzero((step > 0) & (step <= STEP), axis=0)
    falls = np.count_nonzero(step > STEP, axis=0)
    grows = (falls <= FALLS * rises) & (rises > 0)
    rushes = np.array([len(np.unique(column)) >= MANY for column in heads.T], bool)
    for core in np.flatnonzero(grows & (rises >= RISES)).tolist():
        first, end = core, core + 1
        while end < heads.shape[1] and (grows | rushes)[end] and end - first < MAX_CLOCK:
            end += 1
        while first and (grows | rushes)[first - 1] and end - first < MAX_CLOCK:
            first -= 1
        clocks[first:end] = True
    return clocks

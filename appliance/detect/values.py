"""Process values that jump out of the domain they were learned with.

A measured value may drift anywhere in small steps, and may step inside the range it has shown; what is told is a step far
larger than any learned *and* to a place far outside the learned range. Windows that are no number range over everything
and never say anything (see `learn.messages.words`). Where a window is the upper half of an IEEE 754 single, going through zero
in small steps is no jump, though its bits change by half of all there are. The process image knows it (`singles`),
or what it ranged over is the upper half of a single of ordinary size and its lower half ranged over everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from appliance.learn.meaning.model import Ranges, ServiceModel
from appliance.learn.messages.words import SPAN
from appliance.packets.ordering import distinct, stable_order

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified

MIN_SAMPLES = 64  # messages of a row, for its numbers to have a domain
MIN_RANGE, MAX_RANGE = 8, 0x2000  # a window that never moved says nothing, and one that ranges widely is no number
MAX_FIELDS = 12  # windows watched per template
STEPS, LEAST_STEP = 4, 24  # a step is a jump beyond so many times the largest learned, and at least this
FIRST_DIGIT, LAST_DIGIT = ord("+"), ord("F")  # signs, point, figures, and the letters of hexadecimal ones
SMALLEST, GREATEST = 0x3000, 0x4FFF  # upper half of singles of 5e-10 to 9e9, without the sign
SIGN, MAGNITUDE = 0x8000, 0x7FFF
HALF = 0x8000  # range and largest step of the lower half, from which on it went through everything
NO_NUMBER = 0x10000  # upper limit of a window that is none
OUTSIDE, LEAST_OUTSIDE = 1.0, 16  # and a place is outside beyond so many learned ranges

_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Jump:
    """Message `index` has values outside their domain at `ranges`; normal: least and greatest value learned there."""

    index: int
    ranges: Ranges
    normal: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Fields:
    """Watched windows of one template: byte order (0 big, 1 little), offset [f]; per row of the table low, high, jump [k, f].

    single   bool [k, f]: the upper half of an IEEE 754 single; decimal: its least and its greatest value are BCD
    """

    order: _I64
    offset: _I64
    low: _I64
    high: _I64
    jump: _I64
    single: npt.NDArray[np.bool_]
    decimal: npt.NDArray[np.bool_]


@dataclass(slots=True)
class ValueDetector:
    """Watches the numbers of one service."""

    service: ServiceModel
    singles: frozenset[tuple[int, int, int]] = frozenset()  # row, order, offset of windows that are the upper half of a single
    _fields: dict[int, _Fields] = field(default_factory=dict)
    _last: npt.NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        table = self.service.table
        self._last = np.full((len(table), MAX_FIELDS), -1, np.int32)
        for template in distinct(table.template).tolist():
            fields = _fields_of(self.service, template)
            if fields is not None:
                self._fields[template] = fields

    def judge(self, c: Classified, known: npt.NDArray[np.bool_]) -> list[Jump]:
        """Jumps among the known messages of a batch."""
        jumps: list[Jump] = []
        for template, fields in self._fields.items():
            mine = np.flatnonzero(known & (c.template == template))
            if not len(mine):
                continue
            rows = np.searchsorted(self.service.table.row, c.row[mine])
            order = stable_order(rows)
            mine, rows = mine[order], rows[order]
            value = _values(c.heads[mine], fields)
            used = value.shape[1]
            before = np.empty_like(value)
            before[1:] = value[:-1]
            start = np.r_[True, rows[1:] != rows[:-1]]
            before[start] = self._last[rows[start], :used]
            self._last[rows[np.r_[start[1:], True]], :used] = value[np.r_[start[1:], True]]
            outside = (value < fields.low[rows]) | (value > fields.high[rows])
            jumped = outside & (before >= 0) & (_steps(fields, rows, value, before) > fields.jump[rows])
            for at in np.flatnonzero(jumped.any(axis=1)).tolist():
                jumped[at] &= ~self._nearer_zero(fields, int(rows[at]), value[at], before[at])
                jumped[at] &= ~_carried(fields, int(rows[at]), value[at], before[at], jumped[at])
                if not jumped[at].any() or (
                    c.weak[mine[at]] and self._is_of_another(fields, int(rows[at]), value[at], jumped[at])
                ):
                    continue
                jumps.append(self._jump(fields, int(mine[at]), int(rows[at]), jumped[at]))
        return jumps

    def _nearer_zero(self, fields: _Fields, row: int, value: _I64, before: _I64) -> npt.NDArray[np.bool_]:
        """Bool [f]: singles of no greater magnitude than learned, that came by a step as small as learned; values int64 [f]."""
        table = self.service.table
        name = int(table.row[row])
        places = list(zip(fields.order.tolist(), fields.offset.tolist(), strict=True))
        single = np.array([(name, order, offset) in self.singles for order, offset in places], bool) | fields.single[row]
        least, most = (table.limits[row, i, fields.order, fields.offset].astype(np.int64) for i in range(2))
        greatest = most & MAGNITUDE
        reach = _real(greatest) - _real(np.maximum(greatest - fields.jump[row], 0))
        nearer: npt.NDArray[np.bool_] = single & ((least ^ most) & SIGN == 0) & (value & MAGNITUDE <= greatest)
        return nearer & (np.abs(_real(value) - _real(before)) <= reach)

    def _is_of_another(self, fields: _Fields, row: int, value: _I64, which: npt.NDArray[np.bool_]) -> bool:
        """True for values that another row of the same kind and stream has carried: who asked is not sure."""
        table = self.service.table
        alike = (
            (table.template == table.template[row]) & (table.stream == table.stream[row]) & (table.length == table.length[row])
        )
        alike[row] = False
        pick = table.limits[alike][:, :2, fields.order[which], fields.offset[which]].astype(np.int64)
        return bool(((pick[:, 0] <= value[which]) & (value[which] <= pick[:, 1])).all(axis=1).any())

    def _jump(self, fields: _Fields, index: int, row: int, which: npt.NDArray[np.bool_]) -> Jump:
        first = int(np.flatnonzero(which)[0])
        offset, order = int(fields.offset[first]), int(fields.order[first])
        limits = self.service.table.limits[row, :2, order, offset]
        name: Literal["little", "big"] = "little" if order else "big"
        normal = tuple(int(v).to_bytes(2, name) for v in limits)
        return Jump(index, ((offset, offset + 2),), normal)


def _values(heads: npt.NDArray[np.uint8], fields: _Fields) -> _I64:
    """int64 [n, f]: what messages carry in the watched windows."""
    first, second = heads[:, fields.offset].astype(np.int64), heads[:, fields.offset + 1].astype(np.int64)
    return np.where(fields.order == 0, first << 8 | second, second << 8 | first)


def _fields_of(service: ServiceModel, template: int) -> _Fields | None:
    """The windows of a template that behave like numbers in at least one row, the best watched first."""
    table = service.table
    mine = (table.template == template) & (table.numbers["count"] >= MIN_SAMPLES)
    if not mine.any() or service.opaque[template]:
        return None
    least, most, step = (table.limits[:, i].astype(np.int64) for i in range(3))
    span = most - least
    inside = np.arange(SPAN)[None, :] + 2 <= np.where(table.length > 0, table.length, SPAN + 1)[:, None]
    number = (mine[:, None] & inside & ~_digits(least, most))[:, None, :] & (span >= MIN_RANGE) & (span <= MAX_RANGE)
    number &= ~(number[:, ::-1] & (span > span[:, ::-1]))  # read the other way round it is the same number, cut in two
    votes = number.sum(axis=0).ravel()
    best = np.argsort(-votes, kind="stable")[:MAX_FIELDS]
    best = best[votes[best] > 0]
    if not len(best):
        return None
    order, offset = best // SPAN, best % SPAN
    pick = (slice(None), order, offset)
    is_number = number[pick]
    slack = np.maximum(OUTSIDE * span[pick], LEAST_OUTSIDE).astype(np.int64)
    low = np.where(is_number, least[pick] - slack, -1)
    high = np.where(is_number, most[pick] + slack, NO_NUMBER)
    jump = np.maximum(STEPS * step[pick], LEAST_STEP)
    decimal = _are_decimal(least[pick]) & _are_decimal(most[pick])
    return _Fields(order, offset, low, high, jump, _singles(least, most, step)[pick], decimal)


def _steps(fields: _Fields, rows: npt.NDArray[np.intp], value: _I64, before: _I64) -> _I64:
    """int64 [n, f]: how far values are from those before, as numbers in BCD where these and what was learned are such."""
    decimal = fields.decimal[rows] & _are_decimal(value) & _are_decimal(before)
    step: _I64 = np.abs(np.where(decimal, _decimal(value) - _decimal(before), value - before))
    return step


def _are_decimal(value: _I64) -> npt.NDArray[np.bool_]:
    """Where all four figures of a window are those of numbers in BCD."""
    decimal: npt.NDArray[np.bool_] = np.logical_and.reduce([(value >> shift & 15) <= 9 for shift in (0, 4, 8, 12)])
    return decimal


def _decimal(value: _I64) -> _I64:
    """The number that a window writes in BCD."""
    number: _I64 = 1000 * (value >> 12) + 100 * (value >> 8 & 15) + 10 * (value >> 4 & 15) + (value & 15)
    return number


def _real(half: _I64) -> npt.NDArray[np.float64]:
    """The number whose upper half is this."""
    with np.errstate(invalid="ignore"):  # no number at all is none that is nearer
        real: npt.NDArray[np.float64] = (half << 16).astype(np.uint32).view(np.float32).astype(np.float64)
    return real


def _carried(fields: _Fields, row: int, value: _I64, before: _I64, jumped: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Bool [f]: windows that are less than a number, which has carried by a small step: its lowest byte, or its lower two."""
    step = np.abs(value - before)
    small = ~jumped & (fields.high[row] < NO_NUMBER) & (step <= fields.jump[row]) & (np.abs((value >> 8) - (before >> 8)) == 1)
    carried = np.zeros(len(value), bool)
    for f in np.flatnonzero(jumped).tolist():
        upper, lower = (value[f] ^ before[f]) >> 8, (value[f] ^ before[f]) & 0xFF
        first = (upper, lower)[int(fields.order[f])] != 0  # the byte at the window's offset has changed
        if bool(upper) != bool(lower):
            place = int(fields.offset[f]) + (0 if first else 1)
            carried[f] = bool((small & (fields.offset + (fields.order == 0) == place)).any())
        above = small & (fields.order == fields.order[f]) & (fields.offset == fields.offset[f] + (1 if fields.order[f] else -1))
        for wider in np.flatnonzero(above).tolist():  # the window is the lower part of a number of three bytes
            step_of_three = ((value[wider] >> 8) - (before[wider] >> 8) << 16) + value[f] - before[f]
            carried[f] |= abs(step_of_three) <= fields.jump[row, f]
    return carried


def _singles(least: _I64, most: _I64, step: _I64) -> npt.NDArray[np.bool_]:
    """Bool [k, 2, SPAN]: windows that are the upper half of a single, by what they and their lower halves ranged over."""
    ordinary = ((least ^ most) & SIGN == 0) & (least & MAGNITUDE >= SMALLEST) & (most & MAGNITUDE <= GREATEST)
    lower = (most - least >= HALF) & (step >= HALF)
    behind, before = np.zeros_like(lower), np.zeros_like(lower)
    behind[:, 0, :-2], before[:, :, 2:] = lower[:, 0, 2:], lower[:, :, :-2]  # little-endian: only before
    single: npt.NDArray[np.bool_] = ordinary & (behind | before)
    return single


def _digits(least: _I64, most: _I64) -> npt.NDArray[np.bool_]:
    """Bool [k, SPAN]: windows of which both bytes were always digits; least, most int64 [k, 2, SPAN] (`learn.messages.words`)."""
    low, high = least >> 8, most >> 8  # the leading byte of a window: its first one big-endian, its second one little-endian
    inside: npt.NDArray[np.bool_] = (low >= FIRST_DIGIT) & (high <= LAST_DIGIT)
    return inside[:, 0] & inside[:, 1]

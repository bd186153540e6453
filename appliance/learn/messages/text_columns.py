"""Find how text is laid out in columns: which bytes separate, how wide words and numbers get, what says how long it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.cells import WORD_BYTES, Cells, Check, behind_point, cells_of, comes_out, values_of
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.text import MOST_DECIMALS, Column, Layout

LEAST = 48  # messages of a direction
ENOUGH = 4096  # of them that are looked at, evenly spread
PRINTABLE, MOSTLY = 0.85, 0.75  # share of a message's bytes that can be printed, in so large a share of messages
MANY = 4  # cells of a usual message: fewer say little more than its bytes do
RARE = 0.02  # share of messages with a byte, below which it is no separator
AGREES = 0.99  # share of messages in which a length or a check comes out right
LETTERED = 4  # numbers of a column in which figures and letters stand together, for it to be hexadecimal
SPARE = 8  # times the largest number seen that finds room
CHECKS = tuple((check, since, before) for check in (Check.SUM, Check.XOR, Check.LRC) for since in (0, 1) for before in (0, 1))

_Bytes = npt.NDArray[np.uint8]
_TEXT = np.zeros(256, bool)
_TEXT[32:127] = True
_TEXT[list(b"\t\r\n")] = True
_MAY_SEPARATE = _TEXT.copy()
_MAY_SEPARATE[[*range(48, 58), *range(65, 91), *range(97, 123), *WORD_BYTES]] = False


def find_layout(heads: _Bytes, length: npt.NDArray[np.int32], blank: tuple[int, int] = (0, 0)) -> Layout | None:
    """The layout of the messages of one direction, None where they are no text.

    heads   uint8 [n, READ], zero beyond the message's end; length int32 [n]
    blank   bytes of a binary length field
    """
    if len(length) < LEAST:
        return None
    step = -(-len(length) // ENOUGH)
    heads, length = heads[::step, : int(length.max())], length[::step]
    if not _is_text(heads, length):
        return None
    heads = Layout(b"", (), blank=blank).blanked(heads)
    inside = np.arange(heads.shape[1]) < length[:, None]
    may = np.flatnonzero(_MAY_SEPARATE).tolist()
    separators = bytes(byte for byte in may if ((heads == byte) & inside).any(axis=1).mean() >= RARE)
    cells = cells_of(heads, length, separators)
    if np.median(np.bincount(cells.row)) < MANY:
        return None
    layout = Layout(separators, _columns(cells), blank=blank)
    layout = replace(layout, columns=_with_lengths(layout, cells, length))
    return _with_check(layout, heads, cells)


def _is_text(heads: _Bytes, length: npt.NDArray[np.int32]) -> bool:
    printable = np.count_nonzero(_TEXT[heads], axis=1) >= PRINTABLE * np.minimum(length, heads.shape[1])
    return bool(printable.mean() >= MOSTLY)


def _columns(cells: Cells) -> tuple[Column, ...]:
    """A column for the first cells of messages, one for the second ones and so on, as long as there is room."""
    columns: list[Column] = []
    room = WIDTH
    parts = [cells.take(np.flatnonzero(cells.rank == rank)) for rank in range(int(cells.rank.max()) + 1)]
    sixteen = any(_is_hexadecimal(c) for c in parts[:-3])  # a check alone, at the end, makes no service hexadecimal
    for c in parts:
        column = _column(c, 16 if _is_hexadecimal(c) or (sixteen and _is_even(c)) else 10)
        room -= column.gap + column.size
        if room < 0:
            break
        columns.append(column)
    return tuple(columns)


def _is_hexadecimal(c: Cells) -> bool:
    """Numbers in which figures and letters stand together, as in words of a plain language they do not."""
    mixed = c.hexadecimal & (c.digits > 0) & (c.digits < c.size)
    return bool(np.count_nonzero(mixed) >= LETTERED and 2 * np.count_nonzero(c.hexadecimal) >= np.count_nonzero(c.size))


def _is_even(c: Cells) -> bool:
    """Figures only, always the same even number of them."""
    full = c.size > 0
    plain = full & (c.digits == c.size)
    return bool(full.any() and plain[full].all() and len(np.unique(c.size[full])) == 1 and c.size[full][0] % 2 == 0)


def _column(c: Cells, base: int) -> Column:
    gap = max(1, int((c.begin - c.gap).max()))
    point = np.flatnonzero(c.decimal & (c.points > 0))
    decimals = 0
    if len(point):
        decimals = min(MOST_DECIMALS, int(behind_point(c)[point].max()))
    every = np.arange(len(c.row))
    number, value = values_of(c, np.full(len(every), base), np.full(len(every), decimals), every)
    size = _size_of(c, number, value, base)
    word = ~number & (c.size > 0)
    longest = int(c.size[word].max(initial=0))
    return Column(gap, max(size, min(longest, WIDTH // 2)), base, decimals)


def _size_of(c: Cells, number: npt.NDArray[np.bool_], value: npt.NDArray[np.int64], base: int) -> int:
    """Bytes for the numbers of a column: half the figures where these are of one width in base 16, else room to grow."""
    if not number.any():
        return 0
    width = c.size[number]
    if base == 16 and (c.points[number] == 0).all():
        return (int(width.max()) + 1) // 2
    most = int(np.abs(value[number]).max()) * SPARE * (2 if (value[number] < 0).any() else 1)
    return next((size for size in (2, 4) if most < 256**size), 8)


def _with_lengths(layout: Layout, cells: Cells, length: npt.NDArray[np.int32]) -> tuple[Column, ...]:
    """The columns, one of which may say how long the message is: the first that does."""
    columns = list(layout.columns)
    if len(np.unique(length)) < 2:
        return layout.columns
    for rank, column in enumerate(columns):
        mine = np.flatnonzero(cells.rank == rank)
        for base in (column.base, 26 - column.base):
            number, value = values_of(cells, np.full(len(mine), base), np.full(len(mine), column.decimals), mine)
            if number.mean() < AGREES or column.decimals:
                continue
            short = length[cells.row[mine]] - value
            usual, times = np.unique(short, return_counts=True)
            top = int(times.argmax())
            if times[top] >= AGREES * len(mine) and 0 <= usual[top] <= 255 and len(np.unique(value)) > 1:
                columns[rank] = replace(column, base=base, length=int(usual[top]))
                return tuple(columns)
    return layout.columns


def _with_check(layout: Layout, heads: _Bytes, cells: Cells) -> Layout:
    """The layout, with the check that ends messages where there is one."""
    n = len(heads)
    for check, since, before in CHECKS:
        if np.count_nonzero(comes_out(heads, cells, check, since, before)) >= AGREES * n:
            last = np.flatnonzero(np.r_[cells.rank[1:] == 0, True]) - 1
            ranks = set(cells.rank[last].tolist())
            columns = tuple(
                replace(one, base=16) if rank in ranks and one.size else one for rank, one in enumerate(layout.columns)
            )
            return replace(layout, columns=columns, check=check, since=since, before=before)
    return layout

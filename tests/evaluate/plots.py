"""Plots as SVG, drawn by hand: the same figures always give the same bytes, and a browser needs nothing else."""

from collections.abc import Sequence
from html import escape
from math import isnan

COLOURS = ("#0b6e99", "#d1862c", "#9aa3ab")  # Sekisho, then the baselines: told apart without colour by their marks too
INK, PALE, PAPER = "#1f2933", "#e3e8ec", "#ffffff"
WIDTH, LEFT, RIGHT, TOP, ROW = 980, 370, 60, 74, 28
FONT = "font-family='Helvetica, Arial, sans-serif'"

Series = Sequence[tuple[str, Sequence[float]]]  # name, a value per row (nan: none)


def dots(title: str, rows: Sequence[str], series: Series, floor: float | None = None) -> str:
    """Shares from 0 to 1, a row each, a mark per series; `floor` is the line to reach."""
    height = TOP + ROW * len(rows) + 34
    out = _head(title, height, [name for name, _ in series])
    for tick in range(0, 11, 2):
        x = _x(tick / 10)
        out.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{TOP - 6}' y2='{height - 30}' stroke='{PALE}'/>")
        out.append(_text(x, height - 14, f"{tick * 10} %", "middle", 12))
    if floor is not None:
        x = _x(floor)
        out.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{TOP - 6}' y2='{height - 30}' stroke='{INK}' stroke-dasharray='4 3'/>")
    for number, name in enumerate(rows):
        y = TOP + ROW * number + ROW / 2
        out.append(_text(LEFT - 14, y + 4, name, "end", 13))
        out.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y}' y2='{y}' stroke='{PALE}'/>")
        for index in reversed(range(len(series))):
            value = series[index][1][number]
            if not isnan(value):
                out.append(_mark(index, _x(value), y + 3 * (index - 1)))  # equal values stay told apart
    return "\n".join([*out, "</svg>", ""])


def bars(title: str, rows: Sequence[str], series: Series) -> str:
    """Counts, a group of bars per row, each group on a scale of its own (the largest fills the width)."""
    thick, group = 16, 16 * len(series) + 18
    height = TOP + group * len(rows) + 10
    out = _head(title, height, [name for name, _ in series])
    room = WIDTH - LEFT - RIGHT - 30
    for number, name in enumerate(rows):
        y = TOP + group * number
        out.append(_text(LEFT - 14, y + thick * len(series) / 2 + 4, name, "end", 13))
        largest = max((values[number] for _, values in series), default=0.0) or 1.0
        for index, (_, values) in enumerate(series):
            size, top = room * values[number] / largest, y + thick * index
            out.append(
                f"<rect x='{LEFT}' y='{top + 2}' width='{max(1.5, size):.1f}' height='{thick - 4}' fill='{COLOURS[index]}'/>"
            )
            out.append(_text(LEFT + max(1.5, size) + 6, top + thick - 4, f"{values[number]:,.0f}", "start", 12))
    return "\n".join([*out, "</svg>", ""])


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _head(title: str, height: float, names: Sequence[str]) -> list[str]:
    size = f"width='{WIDTH}' height='{height:.0f}'"
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' {size} {FONT}>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{height:.0f}' fill='{PAPER}'/>",
        _text(20, 26, title, "start", 16, bold=True),
    ]
    x = 26.0
    for index, name in enumerate(names):
        out += [_mark(index, x, 48), _text(x + 12, 52, name, "start", 13)]
        x += 36 + 7.2 * len(name)
    return out


def _mark(index: int, x: float, y: float) -> str:
    colour = COLOURS[index]
    if index == 0:
        return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='6' fill='{colour}'/>"
    if index == 1:
        return f"<rect x='{x - 5:.1f}' y='{y - 5:.1f}' width='10' height='10' fill='{colour}'/>"
    return f"<path d='M{x - 6:.1f},{y + 5:.1f}h12l-6,-11z' fill='{colour}'/>"


def _text(x: float, y: float, text: str, anchor: str, size: int, bold: bool = False) -> str:
    weight = " font-weight='bold'" if bold else ""
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' fill='{INK}'{weight}>{escape(text)}</text>"

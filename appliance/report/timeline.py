"""The time line as geometry: bars of frames, ticks at round times, lanes of incidents, in the units of an SVG 1000 wide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appliance.incident.incident import Incident

WIDTH: Final = 1000
LEFT: Final = 56  # room for the scale
TOP: Final = 8
BARS: Final = 96
LANE: Final = 22
_LANES: Final = 6
_MOST: Final = 240  # bars; more would be thinner than the gaps between them
_MARK: Final = 18
_TICK: Final = 28  # half of a tick's text
_SECOND: Final = 1_000_000_000
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Frames counted in intervals of equal length: `frames[i]` from start_ns + i * step_ns on."""

    start_ns: int
    step_ns: int
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """An incident (its number, from 1): a bar in a lane. A mark without room for its number is a thin one."""

    number: int
    cause: str
    x: float
    y: float
    width: float
    named: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """Bars as one SVG path; ticks are (x, text); `step` seconds are in one bar, `peak` frames in the highest."""

    bars: str
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[Mark, ...]
    height: float
    step: float
    peak: int


def timeline(buckets: Buckets, incidents: Sequence[Incident]) -> Timeline | None:
    """Draw the buckets and mark the incidents; None where nothing was captured."""
    if not buckets.frames or buckets.step_ns <= 0:
        return None
    merge = -(-len(buckets.frames) // _MOST)
    step = buckets.step_ns * merge
    counts = [sum(buckets.frames[i : i + merge]) for i in range(0, len(buckets.frames), merge)]
    scale = (WIDTH - LEFT) / (step * len(counts))

    def x(time_ns: int) -> float:
        return LEFT + min(max(0.0, (time_ns - buckets.start_ns) * scale), float(WIDTH - LEFT))

    marks, lanes = _marks(incidents, x)
    peak = max(counts)
    return Timeline(
        bars=_bars(counts, peak),
        ticks=_ticks(buckets.start_ns, step * len(counts), x),
        marks=marks,
        height=TOP + BARS + 26 + LANE * lanes,
        step=step / _SECOND,
        peak=peak,
    )


def _bars(counts: Sequence[int], peak: int) -> str:
    width = (WIDTH - LEFT) / len(counts)
    gap = min(2.0, width * 0.2)
    drawn = []
    for number, count in enumerate(counts):
        if count:
            high = max(1.0, BARS * count / peak)  # one frame among many is still seen
            drawn.append(f"M{LEFT + number * width:.1f} {TOP + BARS}v{-high:.1f}h{width - gap:.1f}v{high:.1f}z")
    return "".join(drawn)


def _ticks(start_ns: int, length_ns: int, x: Callable[[int], float]) -> tuple[tuple[float, str], ...]:
    seconds = length_ns / _SECOND
    step = next((s for s in _STEPS if seconds / s <= 9), max(_STEPS[-1], int(seconds / 6)))
    first = -(-start_ns // (step * _SECOND)) * step
    form = "%m-%d" if step >= 86_400 else "%m-%d %H:%M" if seconds > 86_400 else "%H:%M" if step >= 60 else "%H:%M:%S"
    ticks = []
    for second in range(first, int((start_ns + length_ns) // _SECOND) + 1, step):
        if 0 <= second < 253_402_300_800 and x(second * _SECOND) <= WIDTH - _TICK:
            ticks.append((x(second * _SECOND), f"{datetime.fromtimestamp(second, UTC):{form}}"))
    return tuple(ticks)


def _marks(incidents: Sequence[Incident], x: Callable[[int], float]) -> tuple[tuple[Mark, ...], int]:
    """Pack the incidents into lanes so that they do not cover each other; what does not fit is drawn thin, in the last."""
    ends: list[float] = []
    marks = []
    order = sorted(enumerate(incidents, start=1), key=lambda item: (item[1].opened_ns, item[0]))
    for number, incident in order:
        width = max(_MARK, x(incident.updated_ns) - x(incident.opened_ns))
        left = min(x(incident.opened_ns), WIDTH - width)
        lane = next((i for i, end in enumerate(ends) if end + 2 <= left), len(ends))
        named = lane < _LANES
        lane = min(lane, _LANES - 1)
        if lane == len(ends):
            ends.append(0.0)
        if named:
            ends[lane] = left + width
        y = TOP + BARS + 24 + LANE * lane
        marks.append(Mark(number, incident.cause.value, left, y, width if named else 2.0, named))
    return tuple(marks), len(ends)

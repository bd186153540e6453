"""`--false-per-day`: the one knob, for `detect` and `replay`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from appliance.decode.conversation import Conversation
from appliance.detect.locate import locate
from appliance.learn.meaning.calibrate import apply, budget, number
from appliance.report.wording import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.learn.meaning.calibrate import Budget
    from appliance.learn.meaning.model import Model


def keep_within(model: Model, false_per_day: float | None) -> list[str]:
    """Mute what the budget asks for, and say so in lines; nothing without a budget. Raises UsageError."""
    if false_per_day is None:
        return []
    chosen = budget(model, false_per_day, locate)
    apply(model, chosen)
    return list(_lines(chosen))


def _lines(chosen: Budget) -> Iterator[str]:
    muted = f"{len(chosen.muted):,} of {chosen.classes:,} kinds of messages are muted for it"
    yield f"{number(chosen.asked)} false incidents a day accepted, {number(chosen.promised)} promised (95 %); {muted}"
    ports = Counter(port for port, _, _ in chosen.muted)
    if ports:
        names = [f"{_service(port)} ({n})" for port, n in sorted(ports.items())]
        yield f"muted: {listed(names)}; their contents are not judged, who talks to whom is"
    yield ""


def _service(port: tuple[int, int]) -> str:
    return Conversation((0, 0), (0, 0), port).service

"""The clock, for those who may ask what time it is, and what it means when somebody sets it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

SET = 2_000_000_000  # ns; less than that is no setting but drift, or a leap second
AGREE = 10_000_000_000  # ns between a frame that was just read and the clock, where nobody set it in between
SETTLED = 500_000_000  # ns after it was set back, when no frame of the time before comes any more


def now_ns() -> int:
    """Now, in ns since the epoch."""
    return time.time_ns()


def _lead() -> int:
    """By how much CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, ns: it changes only where the clock is set or slewed."""
    return time.time_ns() - time.monotonic_ns()


@dataclass(slots=True)
class SetClock:
    """A clock that may be set, by NTP at boot or by a person at any time."""

    _told: int = field(default_factory=_lead)
    _steady: int = field(default_factory=_lead)
    _back: int | None = None  # when it was set back, ns of CLOCK_MONOTONIC

    def moved(self) -> int:
        """Ns by which it was set since the last question, negative where it was set back; 0 where it was not."""
        lead = _lead()
        moved, self._told = lead - self._told, lead
        if abs(moved) < SET:
            return 0
        self._back = time.monotonic_ns() if moved < 0 else self._back
        return moved

    def settled(self) -> bool:
        """True once, a while after it was set back: what is held back of the time before would wait until that comes again."""
        if self._back is None or time.monotonic_ns() - self._back < SETTLED:
            return False
        self._back = None
        return True

    def seen(self, frame: int) -> None:
        """A frame with this time (ns since the epoch) was just read."""
        if abs(time.time_ns() - frame) < AGREE:
            self._steady = _lead()

    def steady(self) -> int:
        """Now, ns since the epoch, by the clock that the last frames were stamped with: setting it makes nothing silent."""
        return time.monotonic_ns() + self._steady

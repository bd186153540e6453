"""The clock, for those who may ask what time it is."""

from __future__ import annotations

import time


def now_ns() -> int:
    """Now, in ns since the epoch."""
    return time.time_ns()

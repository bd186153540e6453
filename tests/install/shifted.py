"""Inside of the box: one process of the appliance under a clock that the test sets.

CLOCK_REALTIME has no namespace, and the machine's own is not ours to set. So each process is begun by this file: what it asks
Python for the time, and the stamps of the kernel in the rings, are shifted as CLOCK says: a line for each setting, from when on
(ns of the machine's clock) and by how many seconds. CLOCK_MONOTONIC runs on, as it does when somebody sets a clock.
"""

import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

CLOCK = Path("/srv/clock")
SECOND = 1_000_000_000
real = time.time_ns


def settings() -> npt.NDArray[np.int64]:
    """Since when and by how many seconds, int64 [n, 2], the oldest first."""
    return np.array([row.split() for row in CLOCK.read_text().splitlines()], np.int64)


time.time_ns = lambda: real() + int(settings()[-1, 1]) * SECOND
time.time = lambda: time.time_ns() / SECOND

from appliance.cli.__main__ import main  # noqa: E402  # what asks for the time at its import asks the shifted clock
from appliance.packets import ring  # noqa: E402

plain = ring.Window._frames


def stamped(window: ring.Window, start: int, stop: int) -> npt.NDArray[np.int64]:
    """The frames of a block that was just copied out of the ring, as if the kernel's clock had been set."""
    at = plain(window, start, stop)
    words, known = window.data[: window.data.size // 4 * 4].view(np.uint32), settings()
    seconds, rest = words[at // 4 + 1].astype(np.int64), words[at // 4 + 2].astype(np.int64)
    since = np.searchsorted(known[:, 0], seconds * SECOND + rest, side="right") - 1
    words[at // 4 + 1] = (seconds + known[np.maximum(since, 0), 1]).astype(np.uint32)
    return at


ring.Window._frames = stamped  # type: ignore[method-assign,assignment]
sys.exit(main())

"""Signals as bytes in a pipe, so that a process hears of them in the one place where it waits."""

from __future__ import annotations

import os
import signal

ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # to end, to end, to read the configuration anew


def signal_pipe(*more: signal.Signals) -> int:
    """A descriptor at which the numbers of ASKED and of `more` arrive, a byte each; reading never waits. Once a process."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    for number in (*ASKED, *more):
        signal.signal(number, lambda *_: None)
    return reading

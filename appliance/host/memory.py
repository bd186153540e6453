"""What this process holds in memory."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

KEPT = 32 << 20  # bytes of one column at most; more glibc does not believe
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def resident(statm: str = "/proc/self/statm") -> int:
    """Resident bytes, shared pages and the rings included (proc(5)); 0 where the kernel does not tell."""
    try:
        return int(Path(statm).read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def keep() -> None:
    """What one batch frees is kept for the next one, up to a bound (mallopt(3)); nothing where the C library cannot.

    Else malloc asks the system for every column anew, which clears each page of it: a twentieth of reading a capture. Not
    for a process that stays: it gives back what a busy hour took.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_M_MMAP_THRESHOLD, KEPT)
        tune(_M_TRIM_THRESHOLD, 2 * KEPT)


def give_back() -> None:
    """Give the system what was freed and is kept for the next time (malloc_trim(3)); nothing where the C library cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

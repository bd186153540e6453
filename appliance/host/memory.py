"""What this process holds in memory."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def resident(statm: str = "/proc/self/statm") -> int:
    """Resident bytes, shared pages and the rings included (proc(5)); 0 where the kernel does not tell."""
    try:
        return int(Path(statm).read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def give_back() -> None:
    """Give the system what was freed and is kept for the next time (malloc_trim(3)); nothing where the C library cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

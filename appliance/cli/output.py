"""Standard output and standard error: whole lines in one write, colours on a terminal only, progress on a terminal only."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from appliance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_S: Final = 1.0  # work that takes less says nothing
_AGAIN_S: Final = 0.2
_FULL: Final = 1 << 16  # characters collected before they are written


class Output:
    """Lines to standard output. Raises UsageError where it cannot be written, BrokenPipeError where nobody reads."""

    def __init__(self) -> None:
        if sys.stdout is None:
            raise UsageError("standard output: it is closed; send it to a terminal, a file or a program")
        self._stream: BinaryIO = sys.stdout.buffer
        self._encoding = sys.stdout.encoding or "utf-8"
        self._lines: list[str] = []
        self._size = 0
        self.terminal = sys.stdout.isatty()
        # https://no-color.org: set and not empty means no colour
        self.color = self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def columns(self) -> int:
        """Cells of the terminal; 100 where it is none."""
        return shutil.get_terminal_size((100, 24)).columns if self.terminal else 100

    def line(self, text: str) -> None:
        """One line; it is written with the others by `flush`, or when many have gathered."""
        self._lines.append(text)
        self._size += len(text) + 1
        if self._size >= _FULL:
            self.flush()

    def lines(self, texts: Iterable[str]) -> None:
        """Several lines."""
        for text in texts:
            self.line(text)

    def flush(self) -> None:
        """Write what has gathered, in one go."""
        if not self._lines:
            return
        text = "\n".join(self._lines) + "\n"
        self._lines, self._size = [], 0
        try:
            # what the terminal's encoding cannot say becomes "?": words may be Japanese, the locale C
            self._stream.write(text.encode(self._encoding, "replace"))
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UsageError(f"standard output: cannot be written: {error.strerror}; make room, or write elsewhere") from error


def note(text: str) -> None:
    """One line on standard error, where there is one; what is invisible in it, such as in a file's name, is written out."""
    from appliance.report.wording import plain

    if sys.stderr is not None:
        try:
            sys.stderr.write(f"sekisho: {plain(text)}\n")
            sys.stderr.flush()
        except OSError:  # nobody can be told that nobody can be told
            pass


class Progress:
    """A line on standard error that is written over: only on a terminal, and only when work takes longer than a second."""

    def __init__(self) -> None:
        self._on = sys.stderr is not None and sys.stderr.isatty()
        self._next = time.monotonic() + _FIRST_S
        self._shown = False
        self.what = ""

    def at(self, frames: int, share: float | None) -> None:
        """So many frames are read; `share` of the work, 0 to 1, where it is known."""
        if not self._on or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _AGAIN_S
        percent = f", {min(share, 1.0):.0%}" if share is not None else ""
        sys.stderr.write(f"\r\x1b[K{self.what}: {frames:,} frames{percent}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Take the line away, before anything else is written."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

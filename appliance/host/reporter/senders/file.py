"""JSON lines in a file: written through to the disk before it is said that they arrived, rotated by size."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.host.reporter.senders import SendError
from appliance.host.writing import sync_folder
from appliance.report.ocsf import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.config.report import ToFile
    from appliance.report.event import About, Event

MODE = 0o640
_LINE = 1 << 20  # characters of one line at most
_TAIL = 4096


class FileSender:
    """Appends; `path.1` is the latest of the old ones."""

    most = 500

    def __init__(self, target: ToFile) -> None:
        self.target, self.path = target, Path(target.path)
        self._sound = False  # the last line is known to be whole

    def hold(self, events: Sequence[Event], times: Sequence[int], now: int) -> float:
        """Never."""
        return 0.0

    def send(self, events: Sequence[Event], about: About, now: int) -> str:
        """Append and sync. Raises SendError; what was written of a batch that failed is taken back at the next try."""
        lines = "".join(fitted(event, about, _LINE) + "\n" for event in events).encode("ascii")
        try:
            self._rotate(len(lines))
            number = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
            try:
                if not self._sound:
                    _cut_torn(number)
                self._sound = False
                _write(number, lines)
                os.fsync(number)
                self._sound = True
            finally:
                os.close(number)
        except OSError as error:
            raise SendError(f"{self.path}: cannot be written ({error.strerror}); make room, or check folder and owner") from error
        return f"written to {self.path}"

    def _rotate(self, more: int) -> None:
        try:
            size = self.path.lstat().st_size
        except FileNotFoundError:
            sync_folder(self.path.parent)
            return
        if not size or size + more <= self.target.max_bytes:
            return
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, self.target.keep + 1))]
        names[-1].unlink(missing_ok=True)
        for old, new in reversed(list(pairwise(names))):
            if old.exists():
                old.replace(new)
        sync_folder(self.path.parent)
        self._sound = True

    def close(self) -> None:
        """Nothing is open between two batches."""


def _write(number: int, lines: bytes) -> None:
    view = memoryview(lines)
    while view:
        view = view[os.write(number, view) :]


def _cut_torn(number: int) -> None:
    """A crash, or a full disk, may have left half a line at the end: it was never said to have arrived, so it goes."""
    end = size = os.fstat(number).st_size
    while end > 0:
        piece = os.pread(number, min(_TAIL, end), max(0, end - _TAIL))
        found = piece.rfind(b"\n")
        if found >= 0:
            end = end - len(piece) + found + 1
            break
        end -= len(piece)
    if end != size:
        os.ftruncate(number, end)

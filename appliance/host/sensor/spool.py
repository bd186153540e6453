"""The spool: frames on disk that the learner has still to count, in numbered files that end every few seconds.

0000000042.part     is being written; whatever of it reached the disk is read after a crash
0000000041.blocks   is complete; the learner makes it durable (fsync) before it says that it has it
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import LiveError
from appliance.packets.spool import Kind, chunk_head

if TYPE_CHECKING:
    from appliance.packets.ring import Window

MAX_SEGMENT = 32 << 20  # bytes
_NAME = re.compile(r"(\d{10})\.(blocks|part)")
BLOCKS, PART = "blocks", "part"


def segment_path(folder: Path, number: int, state: str = BLOCKS) -> Path:
    """Where a segment is."""
    return folder / f"{number:010d}.{state}"


def segments(folder: Path) -> dict[int, int]:
    """The complete segments and their bytes, in order."""
    found = {}
    for path in sorted(folder.iterdir()):
        matched = _NAME.fullmatch(path.name)
        if matched and matched[2] == BLOCKS:
            found[int(matched[1])] = path.stat().st_size
    return found


@dataclass(slots=True)
class Spool:
    """Writes segments; never more than `limit` bytes that are not learned.

    left_out   frames that were not written for lack of room
    """

    folder: Path
    limit: int
    every_ns: int
    left_out: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    _number: int = 0
    _file: int = -1
    _written: int = 0
    _since: int = 0

    def open(self) -> list[int]:
        """Find what an earlier run left, half-written segments included; returns their numbers. Raises LiveError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self.folder.glob(f"*.{PART}"):
                path.rename(path.with_suffix(f".{BLOCKS}"))
            self.sizes = segments(self.folder)
        except OSError as error:
            raise LiveError(f"{self.folder}: cannot be used: {error.strerror}; check its owner and room") from error
        self._number = max(self.sizes, default=0)
        return list(self.sizes)

    def write(self, window: Window, kind: Kind, link: int, interface: int, frames: int, now: int) -> None:
        """Write what a ring delivered: `frames` frames at `now` (ns, monotonic). What does not fit is counted, not written."""
        self._put(chunk_head(kind, window.used, link, interface), window.data.data[: window.used], frames, now)

    def cut(self, horizon: int, now: int) -> None:
        """Note that all rings have delivered everything up to `horizon` (ns since the epoch)."""
        self._put(chunk_head(Kind.CUT, horizon=horizon), memoryview(b""), 0, now)

    def _put(self, head: bytes, body: memoryview, frames: int, now: int) -> None:
        size = len(head) + len(body)
        if sum(self.sizes.values()) + self._written + size > self.limit:
            self.left_out += frames
            return
        try:
            if self._file < 0:
                self._number += 1
                path = segment_path(self.folder, self._number, PART)
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
                self._written, self._since = 0, now
            if os.writev(self._file, [head, body]) != size:
                raise OSError("written in part")
            self._written += size
        except OSError:  # no room: this segment ends where its last whole chunk does, and the next one is tried later
            self.left_out += frames
            if self._file >= 0:
                os.ftruncate(self._file, self._written)

    def roll(self, now: int, *, force: bool = False) -> int | None:
        """End the segment that is written if it is old or large enough; returns its number."""
        old = now - self._since >= self.every_ns or self._written >= MAX_SEGMENT
        if self._file < 0 or not (old or force):
            return None
        os.close(self._file)
        self._file = -1
        segment_path(self.folder, self._number, PART).rename(segment_path(self.folder, self._number))
        self.sizes[self._number] = self._written
        self._written = 0
        return self._number

    def keep_from(self, number: int) -> None:
        """The learner has removed everything before `number`."""
        self.sizes = {n: size for n, size in self.sizes.items() if n >= number}

    def remove(self) -> None:
        """Learning is over: nothing of it stays."""
        self.roll(0, force=True)
        for number in segments(self.folder):
            segment_path(self.folder, number).unlink(missing_ok=True)
        self.sizes = {}

"""Captures named on a command line as one stream of batches."""

from __future__ import annotations

import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Progress, note
from appliance.decode.headers import DecodeState, decode
from appliance.errors import UsageError
from appliance.host.files import open_capture
from appliance.host.memory import keep
from appliance.packets.reader import batches
from appliance.report.numbering import Numbering

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.decode.columns import DecodedBatch
    from appliance.packets.batch import PacketBatch

SESSION_GAP = 60_000_000_000  # ns between files, from which on the next one is a session of its own
RECORD = 16  # bytes of a pcap record beside the frame, near enough for progress
STDIN = "-"


@dataclass(slots=True)
class Captures:
    """Files read one after the other with one decode state: rotated captures are one stream.

    paths       as the operator gave them; "-" is standard input
    numbering   where a running frame number stands; complete once all was read
    frames      read so far in this pass
    """

    paths: Sequence[str]
    progress: Progress = field(default_factory=Progress)
    numbering: Numbering = field(init=False)
    frames: int = 0
    _noted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.numbering = Numbering(list(self.paths), [sys.maxsize] * len(self.paths))
        keep()

    def packets(self) -> Iterator[PacketBatch]:
        """Packets of all files, numbered on from file to file. Raises CaptureError."""
        size, done, self.frames = _total_size(self.paths), 0, 0
        for index, path in enumerate(self.paths):
            before = self.frames
            with open_capture("/dev/stdin" if path == STDIN else path) as source:
                for batch in batches(source):
                    numbered = replace(batch, frame=batch.frame + before) if before else batch
                    self.frames = before + source.frames
                    yield numbered
                    done += int(batch.captured.sum()) + RECORD * len(batch)
                    self.progress.at(self.frames, done / size if size else None)
                if source.truncated and path not in self._noted:
                    self._noted.add(path)
                    self.progress.clear()
                    note(f"{path}: {source.reason}; what came before was read")
            self.numbering.ends[index] = self.frames

    def batches(self) -> Iterator[DecodedBatch]:
        """Decoded batches of all files. Raises CaptureError."""
        return decoded(self.packets())


def decoded(packets: Iterable[PacketBatch]) -> Iterator[DecodedBatch]:
    """Decode packets with one state."""
    state = DecodeState()
    for batch in packets:
        yield decode(batch, state)


def split(packets: Iterable[PacketBatch], frame: int) -> Iterator[PacketBatch]:
    """The same packets, so cut that no batch holds frames on both sides of the end of `frame`."""
    for batch in packets:
        head = int((batch.frame <= frame).sum())
        if 0 < head < len(batch):
            yield _part(batch, slice(0, head))
            yield _part(batch, slice(head, None))
        else:
            yield batch


def _part(batch: PacketBatch, rows: slice) -> PacketBatch:
    columns = ("time", "frame", "offset", "captured", "wire", "link", "interface")
    return replace(batch, **{name: getattr(batch, name)[rows] for name in columns})


def _total_size(paths: Sequence[str]) -> int:
    """Bytes of all files; 0 where it cannot be told (a pipe, a packed file)."""
    try:
        return 0 if any(p == STDIN or p.endswith(".gz") for p in paths) else sum(Path(p).stat().st_size for p in paths)
    except (OSError, ValueError):
        return 0


def refuse_pipes(paths: Sequence[str], verb: str) -> None:
    """Learning reads three times. Raises UsageError for what can be read once only."""
    for path in paths:
        if path == STDIN or _is_pipe(path):
            name = "standard input" if path == STDIN else path
            raise UsageError(
                f"{name}: {verb} reads a capture several times and this can be read only once; save it to a file first"
            )


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False  # what is wrong with it is said when it is opened


def in_time(paths: Sequence[str]) -> list[str]:
    """Captures in the order of their first frames, so that rotated ones may be named in any order; pipes: as they were given."""
    if len(paths) < 2 or any(path == STDIN or _is_pipe(path) for path in paths):
        return list(paths)
    return [path for _, _, path in sorted((_first_time(path), i, path) for i, path in enumerate(paths))]


def _first_time(path: str) -> int:
    with open_capture(path) as source:
        for batch in batches(source, max_frames=1, block=1):
            return int(batch.time[0])
    return 0


def sessions(paths: Sequence[str], progress: Progress) -> list[list[str]]:
    """Files in the order of their first frame, those that follow each other closely together: rotated captures."""
    if len(paths) == 1:
        return [list(paths)]
    spans: list[tuple[int, int, str]] = []
    for path in paths:
        first = last = 0
        for batch in Captures([path], progress).packets():
            low, high = int(batch.time.min()), int(batch.time.max())
            first = low if not first else min(first, low)
            last = max(last, high)
        spans.append((first, last, path))
    spans.sort()
    groups: list[list[str]] = []
    end: int | None = None
    for first, last, path in spans:
        if end is not None and end <= first <= end + SESSION_GAP:
            groups[-1].append(path)
        else:
            groups.append([path])
        end = last if end is None else max(end, last)
    return groups

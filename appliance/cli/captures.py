"""Captures named on a command line as decoded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.host.files import open_capture
from appliance.packets.batch import PacketBatch
from appliance.packets.reader import batches

SESSION_GAP = 60_000_000_000  # ns between files, from which on the next one is a session of its own


@dataclass(slots=True)
class Captures:
    """Files read one after the other with one state: rotated captures are one stream.

    truncated   reasons of files that ended early, by name
    """

    paths: Sequence[str]
    truncated: dict[str, str] = field(default_factory=dict)

    def batches(self) -> Iterator[DecodedBatch]:
        """Decoded batches of all files. Raises CaptureError."""
        state = DecodeState()
        before = 0
        for path in self.paths:
            with open_capture(path) as source:
                last = before
                for batch in batches(source):
                    numbered = _renumbered(batch, before) if before else batch
                    last = int(numbered.frame[-1]) if len(numbered) else last
                    yield decode(numbered, state)
                if source.truncated:
                    self.truncated[path] = str(source.reason)
                before = last


def _renumbered(batch: PacketBatch, before: int) -> PacketBatch:
    """Frame numbers that run on from file to file."""
    from dataclasses import replace

    return replace(batch, frame=batch.frame + before)


def sessions(paths: Sequence[str]) -> list[list[str]]:
    """Files in the order of their first frame, those that follow each other closely together: rotated captures."""
    spans: list[tuple[int, int, str]] = []
    for path in paths:
        first = last = 0
        with open_capture(path) as source:
            for batch in batches(source):
                if len(batch):
                    low, high = int(batch.time.min()), int(batch.time.max())
                    first = low if not first else min(first, low)
                    last = max(last, high)
        spans.append((first, last, path))
    spans.sort()
    groups: list[list[str]] = []
    end = None
    for first, last, path in spans:
        if end is not None and end <= first <= end + SESSION_GAP:
            groups[-1].append(path)
        else:
            groups.append([path])
        end = last if end is None else max(end, last)
    return groups

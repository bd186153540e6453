"""The packets of incidents: the last frames in memory, and what of them goes to disk when an incident opens or grows.

Of an incident are kept the very frames of its findings, and the frames of its conversations around them. It is written as
soon as it opens, again `after` behind its first finding, and ever more seldom while it grows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from appliance.config import Packets
from appliance.decode.identity import pair
from appliance.decode.names import address_halves
from appliance.host.sensor.excerpt_files import FOLDER, INCIDENT, MOST_BYTES, MOST_FRAMES, SUFFIX, ExcerptFiles, Sink
from appliance.packets.frames import Frames
from appliance.packets.pcap import HEADER
from appliance.packets.recent import Recent

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.detect.finding import Finding
    from appliance.packets.batch import I64
    from appliance.report.records import PacketsRecord
    from appliance.report.status import PacketsStatus

LATER_S, TIMES, LONGEST_S = 10.0, 2.0, 120.0  # between two writings of an incident that grows
PAIRS, FINDINGS, PLACES = 256, 4096, 256  # of one incident: pairs, frames between two looks, times between two writings
STORIES = 1024  # incidents that are followed; of those that did not grow for longest all is on disk
HALF_FRAMES, HALF_BYTES = MOST_FRAMES // 2, MOST_BYTES // 2  # for frames of findings, and the same for those around them
HASTE = 1 << 16  # bytes held in memory, from which on an excerpt is written at once
HELD = 8 << 20  # bytes of all incidents that may wait so
WEAR, BURST, PATIENCE_S = (1 << 30) / 86_400, 64 << 20, 60.0  # bytes written a second on average and at once; else it waits
SECOND = 1_000_000_000
ABSENT = 600 * SECOND  # ns before an absence was certain in which its conversation may have spoken last


@dataclass(slots=True)
class _Story:
    """What an incident still waits for, and how much of it was taken."""

    due: float
    wait: float = LATER_S
    pairs: set[int] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)  # of frames of findings that are not yet taken out of memory
    times: list[int] = field(default_factory=list)  # of findings whose surroundings are not yet taken
    held: list[Frames] = field(default_factory=list)
    beyond: int = 0  # frames up to this number were looked at
    rest: list[int] = field(default_factory=lambda: [HALF_FRAMES, HALF_BYTES, HALF_FRAMES, HALF_BYTES])
    absent: bool = False  # something did not come: what came last is long before
    after: bool = False  # was written once for these findings; what follows them is still to come


@dataclass(slots=True)
class Excerpts:
    """`keep` every batch, `finding` for every finding, `turn` at every look, `leave` once.

    note   tells a person one line
    """

    directory: Path
    settings: Packets
    note: Callable[[str], None]
    recent: Recent = field(init=False)
    files: Sink = field(init=False)
    _stories: dict[str, _Story] = field(default_factory=dict)
    _dirty: dict[str, None] = field(default_factory=dict)
    _problem: str = ""
    _credit: float = float(BURST)  # bytes that may be written now
    _earned: float = 0.0  # when that was reckoned
    _held: int = 0

    def __post_init__(self) -> None:
        self.recent = Recent(self.settings.memory)
        self.files = self.sink()

    def sink(self) -> Sink:
        """Where excerpts go."""
        return ExcerptFiles(self.directory / FOLDER, self.settings.disk)

    def change(self, settings: Packets) -> None:
        """Other settings hold from now on; other memory begins empty."""
        if settings.memory != self.settings.memory:
            self.recent = Recent(settings.memory)
        self.settings = settings
        self.files.disk = settings.disk

    def keep(self, batch: DecodedBatch) -> None:
        """Remember the frames of a batch."""
        if self.settings.memory:
            self.recent.keep(batch.packets, pair(batch.src_hi, batch.src_lo, batch.dst_hi, batch.dst_lo))

    def finding(self, finding: Finding, incident: str, now: float) -> None:
        """A finding belongs to an incident; `now` in s, monotonic."""
        if not self.settings.memory or INCIDENT.fullmatch(incident) is None:
            return
        story = self._stories.pop(incident, None)
        if story is None:
            story = _Story(now)
            if len(self._stories) >= STORIES:
                self._make_room(now)
        self._stories[incident] = story  # the latest stand at the end
        if story.rest[0] <= 0 and story.rest[2] <= 0:
            return
        if finding.frame is not None and len(story.numbers) < FINDINGS:
            story.numbers.add(finding.frame)
        story.absent = story.absent or finding.frame is None
        if len(story.times) < PLACES:
            story.times.append(finding.time_ns)
        if len(story.pairs) < PAIRS:
            with contextlib.suppress(ValueError):  # a finding that names no two addresses has no conversation
                story.pairs.add(_pair(finding.src, finding.dst))
        self._dirty[incident] = None

    def _make_room(self, now: float) -> None:
        """Follow no longer the incident that did not grow for longest and is on disk; where none is, follow more."""
        incident = next((name for name in self._stories if name not in self._dirty), "")
        if not incident:
            if len(self._stories) < 4 * STORIES:
                return
            incident = next(iter(self._stories))
            self._take(self._stories[incident])
            self._write(incident, self._stories[incident], now)
        story = self._stories[incident]
        self.files.left_out += sum(len(part) for part in story.held)
        self._held -= sum(part.size for part in story.held)
        del self._stories[incident]
        self._dirty.pop(incident, None)

    def turn(self, now: float) -> list[PacketsRecord]:
        """Take out of memory what was found, write what is due; returns what was written meanwhile. `now` in s, monotonic."""
        self._credit = min(BURST, self._credit + (now - self._earned) * WEAR) if self._earned else self._credit
        self._earned = now
        for incident in list(self._dirty):
            story = self._stories[incident]
            if story.numbers:
                self._take(story)
            if story.due <= now or HASTE < sum(part.size for part in story.held) <= self._credit:
                self._write(incident, story, now)
        self._tell()
        return self.files.said()

    def _take(self, story: _Story) -> None:
        rows = self.recent.numbered(np.fromiter(story.numbers, np.int64))
        story.numbers.clear()
        if self._held > HELD:
            self.files.left_out += int(rows.size)
            return
        rows = self._affordable(story, rows, 0)
        if rows.size:
            story.held.append(self.recent.frames(rows))
            self._held += story.held[-1].size

    def _affordable(self, story: _Story, rows: I64, which: int) -> I64:
        """The first of `rows` that the rest of a budget pays; it is taken off. 0: frames of findings, 2: those around them."""
        cost = np.cumsum(self.recent.sizes(rows) + HEADER)
        rows = rows[: min(story.rest[which], int(np.searchsorted(cost, story.rest[which + 1], side="right")))]
        if rows.size:
            story.rest[which] -= rows.size
            story.rest[which + 1] -= int(cost[rows.size - 1])
        return rows

    def _write(self, incident: str, story: _Story, now: float) -> None:
        """Hand over what is held and what is around it, and once more a little later, with what followed.

        Writing an excerpt anew costs all of it. Beyond what flash is given for it only an incident that opens is written.
        """
        before_this = self.files.sizes.get(f"{incident}{SUFFIX}", 0)
        if self.files.busy():
            return  # too much waits: at a later turn
        if before_this and before_this > self._credit:
            story.due = now + PATIENCE_S
            return
        around, after = np.sort(np.array(story.times, np.int64)), self.settings.after
        before = max(self.settings.before, ABSENT) if story.absent else self.settings.before
        rows = self.recent.near(np.fromiter(story.pairs, np.uint64), around, before, after, story.beyond)
        rows = self._affordable(story, rows[: max(story.rest[2] // 2, 1)], 2)
        parts = [*story.held, self.recent.frames(np.sort(rows))]
        whole = Frames.chain(parts).joined(Frames.none())
        if len(whole):
            self.files.put(incident, whole)
            self._credit -= before_this + whole.size
        self._held -= sum(part.size for part in story.held)
        story.held = []
        story.beyond = max([story.beyond, 1, *(int(part.number.max()) for part in parts if len(part))])
        story.after = not story.after
        if story.after:
            story.due = now + after / SECOND
        else:
            story.due, story.wait = now + story.wait, min(story.wait * TIMES, LONGEST_S)
            story.times.clear()
            story.absent = False
            self._dirty.pop(incident, None)

    def _tell(self) -> None:
        """Say once that it cannot be written, and once that it can be again."""
        if (problem := self.files.problem) != self._problem:
            self.note(problem or f"{self.files.folder}: packets of incidents are written again")
            self._problem = problem

    def status(self) -> PacketsStatus:
        """How it fares."""
        return {
            "seconds": round(self.recent.seconds(), 1),
            "files": self.files.count,
            "bytes": self.files.total,
            "missed": self.files.left_out,
            "problem": self._problem,
        }

    def leave(self) -> list[PacketsRecord]:
        """Write what is not written yet."""
        self._credit = float("inf")
        for incident in list(self._dirty):
            story = self._stories[incident]
            self.files.wait()
            self._take(story)
            self._write(incident, story, 0.0)
        return self.files.leave()


def _pair(source: str, target: str) -> int:
    halves = [np.array([half], np.uint64) for text in (source, target) for half in address_halves(text)]
    return int(pair(*halves)[0])

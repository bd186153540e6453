"""Excerpts on disk: one capture an incident, written whole or not at all, the oldest removed to keep within a bound.

A thread writes and syncs, so that slow flash never holds the sensor up; what it has to say waits until it is asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Protocol

import numpy as np

from appliance.errors import CaptureError
from appliance.host.files import open_capture
from appliance.host.writing import sync_folder
from appliance.packets.batch import I64
from appliance.packets.frames import Frames
from appliance.packets.reader import batches
from appliance.report.records import PacketsRecord, packets_record

FOLDER = "packets"  # in the state directory
SUFFIX = ".pcap"
MOST_FRAMES, MOST_BYTES = 5000, 2 << 20  # of one excerpt
MOST_FILES = 10_000
FOLLOWED = 1024  # excerpts whose frame numbers are remembered
WAITING = 16  # excerpts that may wait to be written
FAILED, RETRY_S = 4 << 20, 10.0  # bytes that could not be written are held in memory; tried again after so long
LEAVE_S = 10.0
INCIDENT = re.compile(r"i-(?:[0-9]{1,18}-)?[0-9]{1,12}")


class Sink(Protocol):
    """Takes excerpts; what its parts mean is said at `ExcerptFiles`."""

    folder: Path
    disk: int
    problem: str
    left_out: int
    count: int
    total: int
    sizes: OrderedDict[str, int]

    def busy(self) -> bool:
        """Whether nothing can be put."""
        ...

    def wait(self) -> None:
        """Until something can be put."""
        ...

    def put(self, incident: str, frames: Frames) -> None:
        """Add frames to an incident's excerpt."""
        ...

    def said(self) -> list[PacketsRecord]:
        """What was written."""
        ...

    def leave(self) -> list[PacketsRecord]:
        """Write what waits, and end."""
        ...


@dataclass(slots=True)
class ExcerptFiles:
    """Writes what `put` is given; `said` returns a record for each excerpt that is on disk.

    disk      bytes that all of them may take
    problem   why the last one could not be written, "" if it could
    left_out  frames that are lost because of it
    count, total   excerpts on disk, and their bytes
    """

    folder: Path
    disk: int
    problem: str = ""
    left_out: int = 0
    count: int = 0
    total: int = 0
    sizes: OrderedDict[str, int] = field(default_factory=OrderedDict)  # name -> bytes, the oldest first
    _numbers: OrderedDict[str, I64] = field(default_factory=OrderedDict)
    _failed: dict[str, Frames] = field(default_factory=dict)
    _ready: bool = False
    _jobs: Queue[tuple[str, Frames] | None] = field(default_factory=lambda: Queue(WAITING))
    _said: Queue[PacketsRecord] = field(default_factory=Queue)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="packets", daemon=True)
        self._thread.start()

    def busy(self) -> bool:
        """Whether so much waits that nothing can be put."""
        return self._jobs.full()

    def wait(self) -> None:
        """Until something can be put, or LEAVE_S are over."""
        end = time.monotonic() + LEAVE_S
        while self.busy() and time.monotonic() < end:
            time.sleep(0.01)

    def put(self, incident: str, frames: Frames) -> None:
        """Add frames to an incident's excerpt. Not while it is busy."""
        if INCIDENT.fullmatch(incident) is None:
            raise ValueError(f"{incident!r} is no incident")
        self._jobs.put_nowait((incident, frames))

    def said(self) -> list[PacketsRecord]:
        """What was written since the last question."""
        records = []
        while True:
            try:
                records.append(self._said.get_nowait())
            except Empty:
                return records

    def leave(self) -> list[PacketsRecord]:
        """Write what waits, for LEAVE_S at the most, and end."""
        try:
            self._jobs.put(None, timeout=LEAVE_S)
            self._thread.join(LEAVE_S)
        except Full:  # a disk that does not answer
            pass
        return self.said()

    def _work(self) -> None:
        """The thread."""
        while True:
            try:
                job = self._jobs.get(timeout=RETRY_S if self._failed else None)
            except Empty:
                self._again()
                continue
            if job is None:
                self._again()
                return
            self._try(*job)

    def _again(self) -> None:
        """Try once more what could not be written; the first that fails again ends it."""
        for incident, frames in list(self._failed.items()):
            del self._failed[incident]
            if not self._try(incident, frames):
                return

    def _try(self, incident: str, frames: Frames) -> bool:
        frames = self._failed.pop(incident, Frames.none()).joined(frames)
        try:
            if not self._ready:
                self._begin()
                self._ready = True
            self._said.put(self._write(incident, frames))
            self.problem = ""
            return True
        except OSError as error:
            self.problem = f"{self.folder}: packets of incidents cannot be written: {error.strerror or error}; make room there"
        except Exception as error:  # the thread must go on: a defect here may cost an excerpt, never the sensor
            self.problem = f"{self.folder}: an excerpt failed: {type(error).__name__}: {error}; please report it"
        if sum(waiting.size for waiting in self._failed.values()) + frames.size <= FAILED:
            self._failed[incident] = frames
        else:
            self.left_out += len(frames)
        return False

    def _begin(self) -> None:
        """Find what earlier runs left."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.folder.glob(".*.part"):
            left.unlink()
        found = [(path.stat(), path.name) for path in self.folder.glob(f"*{SUFFIX}")]
        for status, name in sorted(found, key=lambda each: (each[0].st_mtime_ns, each[1])):
            self.sizes[name] = status.st_size
        self._add_up()

    def _add_up(self) -> None:
        self.count, self.total = len(self.sizes), sum(self.sizes.values())

    def _write(self, incident: str, frames: Frames) -> PacketsRecord:
        name = f"{incident}{SUFFIX}"
        target = self.folder / name
        before = self._before(name)
        whole = before.joined(frames.rows((frames.link == (before if len(before) else frames).link[0]).nonzero()[0]))
        if len(whole) > MOST_FRAMES or whole.size > MOST_BYTES:
            whole = whole.within(MOST_FRAMES, MOST_BYTES)
        whole = whole.rows(np.argsort(whole.time, kind="stable"))  # several shares count for themselves
        content = whole.pcap()
        self._room(name, len(content))
        temporary = self.folder / f".{name}.part"
        _put(temporary, content)
        temporary.replace(target)
        sync_folder(self.folder)
        self.sizes[name] = len(content)
        self.sizes.move_to_end(name)
        self._numbers[name] = whole.number
        self._numbers.move_to_end(name)
        while len(self._numbers) > FOLLOWED:
            self._numbers.popitem(last=False)
        self._add_up()
        return packets_record(
            incident=incident,
            file=f"{FOLDER}/{name}",
            frames=len(whole),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            since=int(whole.time.min()),
            until=int(whole.time.max()),
        )

    def _before(self, name: str) -> Frames:
        """What is there already, with the numbers of its frames; where these are not known any more, before all others."""
        if name not in self.sizes:
            return Frames.none()
        try:
            with open_capture(self.folder / name) as source:
                parts = [Frames.of(batch) for batch in batches(source, block=0)]
        except CaptureError:  # somebody removed it
            return Frames.none()
        read = Frames.chain(parts)
        known = self._numbers.get(name)
        if known is None or known.size != len(read):
            known = np.arange(-len(read), 0)
        return replace(read, number=known)

    def _room(self, name: str, size: int) -> None:
        """Remove the oldest until the new one fits."""
        others = [other for other in self.sizes if other != name]
        total = sum(self.sizes[other] for other in others)
        for oldest in others:
            if total + size <= self.disk and len(self.sizes) < MOST_FILES:
                return
            (self.folder / oldest).unlink(missing_ok=True)
            total -= self.sizes.pop(oldest)
            self._numbers.pop(oldest, None)


def _put(path: Path, content: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)
    except OSError:
        path.unlink(missing_ok=True)
        raise

"""The sensor's side of learning: frames go to the spool, the learner process is started, fed and listened to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import appliance
from appliance.config import Learning
from appliance.host.capture.rounds import Turns
from appliance.host.sensor.learner import SPOOL, Frames
from appliance.host.sensor.spool import Spool, segment_path, segments
from appliance.packets.spool import Kind
from appliance.report.status import NOTHING_YET, Known

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.host.capture.af_packet import MappedRing

SECOND = 1_000_000_000
SEGMENT_NS = 10 * SECOND  # a segment ends after so long: with the learner's fsync, what a power cut may cost
RESTART_NS = 5 * SECOND
_ANSWER = 1 << 16


@dataclass(slots=True)
class School:
    """Learning while frames come in.

    spool     what waits
    progress  the learner's last answer
    done      the last segment that the baseline holds, 0 while there is none
    """

    directory: Path
    settings: Learning
    note: Callable[[str], None]
    progress: dict[str, Any] = field(default_factory=dict)
    done: int = 0
    spool: Spool = field(init=False)
    frames: Frames = field(init=False)
    _process: subprocess.Popen[bytes] | None = None
    _buffer: bytes = b""
    _again: int = 0
    _turns: Turns = field(default_factory=Turns)

    def __post_init__(self) -> None:
        """Find what an earlier run left. Raises LiveError."""
        self.spool = Spool(self.directory / SPOOL, self.settings.spool_bytes, self._every())
        self.spool.open()
        self.frames = Frames(self.spool.folder)

    def _every(self) -> int:
        """A segment is short where the whole time of learning is."""
        return min(SEGMENT_NS, max(self.settings.for_ns // 10, SECOND)) if self.settings.for_ns else SEGMENT_NS

    @property
    def damaged(self) -> int:
        """Frames with damage among those learned."""
        return int(self.progress.get("damaged", 0))

    @property
    def known(self) -> Known:
        """How much is learned, as the learner said last."""
        said = self.progress
        if "readiness" not in said:
            return NOTHING_YET
        return Known(str(said["readiness"]), said["new"], int(said["watched"]), said["ready_in"])

    def change(self, settings: Learning) -> None:
        """Other settings hold from now on."""
        self.settings = settings
        self.spool.limit, self.spool.every_ns = settings.spool_bytes, self._every()
        self._tell({"settings": asdict(settings)})

    def enough(self, now: int) -> None:
        """An operator says that it is to watch with what is learned; the learner may refuse."""
        number = self.spool.roll(now, force=True)
        if number is not None:
            self._tell({"segment": number})
        self._tell({"watch": True})

    def take(self, rings: Sequence[MappedRing], horizon: int | None, now: int) -> tuple[int, int]:
        """What the rings hold goes to the spool; returns frames and their bytes on the wire.

        horizon   as `Rounds.batches` takes it; now: ns, monotonic
        """
        frames = size = 0
        for ring, batch in self._turns.taken(rings, horizon, lambda: 1):
            frames, size = frames + len(batch), size + int(batch.wire.sum())
            kind = Kind.TOGETHER if self._turns.several else Kind.ALONE
            self.spool.write(ring.reader.window, kind, ring.reader.link, ring.reader.interface, len(batch), now)
        if (until := self._turns.until()) is not None:
            self.spool.cut(until, now)
        return frames, size

    def descriptor(self) -> int | None:
        """Where the learner's answers come from."""
        return None if self._process is None or self._process.stdout is None else self._process.stdout.fileno()

    def turn(self, now: int) -> None:
        """End a segment that is old enough, see that the learner lives; `now` in ns, monotonic."""
        if self._process is None and now >= self._again and not self.done:
            self._start()
        number = self.spool.roll(now)
        if number is not None:
            self._tell({"segment": number})

    def _start(self) -> None:
        package = str(Path(appliance.__file__).resolve().parent.parent)
        environment = {"PYTHONPATH": package, "PATH": os.defpath, "LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
        s = self.settings
        numbers = [str(n) for n in (s.for_ns, s.survey_ns, s.spool_bytes)]
        self._process = subprocess.Popen(  # noqa: S603  # a fixed list of arguments, no shell
            [sys.executable, "-P", "-s", "-m", "appliance.host.sensor.learner", str(self.directory), *numbers],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd="/", bufsize=0,
        )  # fmt: skip
        self._buffer = b""
        for number in sorted(self.spool.sizes):
            self._tell({"segment": number})

    def _tell(self, line: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(OSError):  # where it died, `hear` finds out
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    def hear(self, now: int) -> None:
        """Take what the learner says; `now` in ns, monotonic."""
        descriptor = self.descriptor()
        if descriptor is None:
            return
        piece = os.read(descriptor, _ANSWER)
        if not piece:
            self._died(now)
            return
        *lines, self._buffer = (self._buffer + piece).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "done" in answer:
                self.done = int(answer["done"])
            elif "refused" in answer:
                self.note(f"still learning: {answer['refused']}")
            else:
                self.progress = answer
                self.spool.keep_from(int(answer["keep"]))

    def _died(self, now: int) -> None:
        if self._process is not None:
            code = self._reap()
            if not self.done:
                self.note(f"learner: ended with code {code}; it is started again, what it had not saved is still in the spool")
        self._again = now + RESTART_NS

    def _reap(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            return process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def finished(self) -> None:
        """The learner is done and ends."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._reap()

    def backlog(self) -> Iterator[DecodedBatch]:
        """What came behind the last segment that was learned, also what comes while this is read, until nothing is left.

        The last learned segment is decoded in front of it and not given, so that connections that cross the border are
        followed. Segments are removed as they are read.
        """
        folder, at = self.spool.folder, self.done
        for _ in self.frames.of([n for n in segments(folder) if n <= at][-1:]):
            pass
        self.frames.reader.frames = 0
        while True:
            waiting = [n for n in segments(folder) if n > at]
            if not waiting and (number := self.spool.roll(0, force=True)) is not None:
                waiting = [number]
            if not waiting:
                return
            for at in waiting:
                yield from self.frames.of([at])
                segment_path(folder, at).unlink(missing_ok=True)
                self.spool.keep_from(at + 1)

    def leave(self) -> None:
        """The sensor ends: the last segment is closed, the learner saves and ends."""
        number = self.spool.roll(0, force=True)
        if number is not None:
            self._tell({"segment": number})
        self.finished()

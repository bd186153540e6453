"""The learner: a process of low priority that turns the spool's segments into the baseline.

Until the survey it only collects segments; the survey reads them three times, as `sekisho learn` would; from then on every
segment is counted once. Every few minutes what is known is saved and the segments that it holds are removed. Whatever dies,
what was not saved still stands in the spool.

It reads JSON lines from standard input, {"segment": 42} and {"settings": {..}}, and writes to standard output
{"segment": 42, "keep": 40, "frames": .., "damaged": .., "watched": .., "stage": "survey", "readiness": "short", "new": null,
"ready_in": ..}, then {"done": 43, "digest": ..}. The end of its
input makes it save and end. Started as `python -m appliance.host.sensor.learner DIRECTORY FOR_NS SURVEY_NS SPOOL_BYTES`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.config import Learning
from appliance.decode.columns import harmed
from appliance.decode.headers import DecodeState, decode
from appliance.errors import SekishoError
from appliance.host.baselines import load_baseline, save_baseline
from appliance.host.sensor.spool import segment_path
from appliance.learn.meaning.adequacy import Readiness, Verdict, adequacy, earliest, verdict
from appliance.learn.onward import Onward
from appliance.packets.spool import SpoolReader
from appliance.pipeline import resume, survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.decode.columns import DecodedBatch

BASELINE, SPOOL, LOCK = "baseline", "spool", "learner.lock"  # names in the state directory
_OPEN = re.compile(r"learning\.(\d{10})\.baseline")  # what is known up to that segment, it included
SAVE_NS = 300 * 1_000_000_000  # of capture between two saves
NICE = 19
_NOTHING_YET = Verdict(Readiness.SHORT, 0, 1.0, 0)  # before the first look at what is known


@dataclass(slots=True)
class Frames:
    """Decodes segments one after the other as one stream."""

    folder: Path
    reader: SpoolReader = field(default_factory=SpoolReader)
    state: DecodeState = field(default_factory=DecodeState)
    first: int = -1
    last: int = -1
    damaged: int = 0

    def of(self, numbers: Iterable[int]) -> Iterator[DecodedBatch]:
        """Batches of these segments; one that is gone is passed over."""
        for number in numbers:
            try:
                file = segment_path(self.folder, number).open("rb", buffering=0)
            except FileNotFoundError:
                continue
            with file:
                for batch in self.reader.batches(file):
                    self.first = int(batch.time.min()) if self.first < 0 else self.first
                    self.last = max(self.last, int(batch.time.max()))
                    decoded = decode(batch, self.state)
                    self.damaged += harmed(decoded)
                    yield decoded

    @property
    def span(self) -> int:
        """Time between the first frame and the last, ns."""
        return self.last - self.first


@dataclass(slots=True)
class Learner:
    """Takes segments, gives a baseline.

    say     sends one answer
    kept    segments that are on disk and not in a saved baseline
    """

    directory: Path
    settings: Learning
    say: Callable[[dict[str, Any]], None]
    onward: Onward | None = None
    kept: list[int] = field(default_factory=list)
    done: bool = False
    _frames: Frames = field(init=False)
    _look: Frames = field(init=False)
    _known: Verdict = _NOTHING_YET
    _saved: int = -1
    _through: int = 0  # segments up to here are in what was saved, though a crash may have left them on disk

    def __post_init__(self) -> None:
        self._frames, self._look = Frames(self._spool), Frames(self._spool)
        saved = self._open_baselines()
        if saved:
            self.onward = resume(load_baseline(saved[max(saved)])[0])
            self._through = max(saved)

    def _open_baselines(self) -> dict[int, Path]:
        found = ((_OPEN.fullmatch(path.name), path) for path in self.directory.iterdir())
        return {int(matched[1]): path for matched, path in found if matched}

    @property
    def _spool(self) -> Path:
        return self.directory / SPOOL

    def take(self, number: int) -> None:
        """One more segment is complete."""
        path = segment_path(self._spool, number)
        if number <= self._through:
            path.unlink(missing_ok=True)
            self._report(number)
            return
        with path.open("rb") as file:
            os.fsync(file.fileno())
        self.kept.append(number)
        if self.onward is None:
            for _ in self._look.of([number]):
                pass  # only its times are wanted yet
            wanted = min(self.settings.survey_ns, self.settings.for_ns or self.settings.survey_ns)
            room = sum(segment_path(self._spool, n).stat().st_size for n in self.kept)
            if self._look.span >= wanted or room >= self.settings.spool_bytes // 2:
                self._survey()
        else:
            for batch in self._frames.of([number]):
                self.onward.add(batch)
        if self.onward is not None:
            self._after(number)
        self._report(number)

    def _survey(self) -> None:
        def passes() -> Iterator[DecodedBatch]:
            self._frames = Frames(self._spool)
            return self._frames.of(self.kept)

        self.onward = Onward(survey(passes))
        self._saved = self._frames.first

    def _after(self, number: int) -> None:
        """Save now and then; end when it is time."""
        if self.onward is None or self._frames.last < 0:
            return
        if self._saved < 0:
            self._saved = self._frames.first
        goal = self.settings.for_ns
        watched = self._frames.span + (self.onward.before.watched if self.onward.before else 0)
        over = bool(goal) and watched >= goal
        if over or self._frames.last - self._saved >= SAVE_NS:
            self._saved = self._frames.last
            if not goal or watched < goal - goal // 4:  # a structure needs time to be counted under
                self.onward.adopt()
            if not over:
                self._judge()
            over = over or (not goal and self._known.readiness is Readiness.ENOUGH)
            if over:
                self._finish(number)
            else:
                self.save()

    def enough(self) -> None:
        """End now, because an operator says so; says why not where nothing was learned."""
        if self.onward is None and self._look.last > 0:
            self._survey()
        if self.onward is None or not self.onward.baseline().conversations:
            self.say({"refused": "no conversation was seen yet; it needs traffic first (is the cable in, does the mirror work?)"})
            return
        self._finish(self.kept[-1] if self.kept else self._through)

    def _judge(self) -> None:
        """Say how much is known."""
        if self.onward is not None:
            baseline = self.onward.baseline()
            self._known = verdict(adequacy(baseline), baseline.watched)

    def save(self) -> None:
        """Save what is counted, then remove the segments it came from."""
        if self.onward is None or not self.kept:
            return
        older = self._open_baselines()
        save_baseline(self.directory / f"learning.{self.kept[-1]:010d}.baseline", self.onward.baseline())
        for path in older.values():
            path.unlink(missing_ok=True)
        for number in self.kept:
            segment_path(self._spool, number).unlink(missing_ok=True)
        self.kept = []

    def _finish(self, number: int) -> None:
        if self.onward is None:
            return
        digest = save_baseline(self.directory / BASELINE, self.onward.baseline())
        (self.directory / BASELINE).chmod(0o640)  # the keeper, of the same group, answers incidents by it
        for path in self._open_baselines().values():
            path.unlink(missing_ok=True)
        self.done = True
        self.say({"done": number, "digest": digest})

    def _report(self, number: int) -> None:
        frames = self._frames if self.onward is not None else self._look
        before = self.onward.before.watched if self.onward is not None and self.onward.before else 0
        watched = frames.span + before
        self.say({
            "segment": number,
            "keep": min(self.kept, default=number + 1),
            "frames": frames.reader.frames,
            "damaged": frames.damaged,
            "watched": watched,
            "stage": "survey" if self.onward is None else "counting",
            "readiness": str(self._known.readiness),
            "new": self._known.new if self._known is not _NOTHING_YET else None,
            "ready_in": earliest(self._known, watched, self.settings.for_ns),
        })  # fmt: skip


def _settings(plain: dict[str, Any]) -> Learning:
    return Learning(int(plain["for_ns"]), int(plain["survey_ns"]), int(plain["spool_bytes"]))


def main() -> int:
    """Learn until told otherwise."""
    os.nice(NICE)
    directory = Path(sys.argv[1])
    with (directory / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one before this, orphaned, may still be saving

        def say(answer: dict[str, Any]) -> None:
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

        try:
            learner = Learner(directory, Learning(*(int(text) for text in sys.argv[2:5])), say)
            while not learner.done and (line := sys.stdin.readline(1 << 16)):
                asked = json.loads(line)
                if "settings" in asked:
                    learner.settings = _settings(asked["settings"])
                elif "watch" in asked:
                    learner.enough()
                else:
                    learner.take(int(asked["segment"]))
            if not learner.done:
                learner.save()
        except BrokenPipeError:
            return 0
        except (SekishoError, OSError) as error:
            sys.stderr.write(f"sekisho: learner: {error}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Words for incidents while frames go on coming: a thread asks the words worker, the sensor never waits for it.

An incident that opened is told again with words within a second or so; while it grows it is told again, ever more seldom.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING

from appliance.explain.causemodel import CauseModel
from appliance.explain.site import Site
from appliance.explain.workplan import Plan
from appliance.host.sensor.words import WordsWorker
from appliance.incident.incident import Incident
from appliance.incident.telling import told

if TYPE_CHECKING:
    from appliance.detect.finding import Finding
    from appliance.protocols import Words

FIRST_S, LATER_S, LONGEST_S, TIMES = 0.3, 10.0, 3600.0, 4.0  # after opening; after the first telling; the longest; growth
IDLE_S = 30.0  # after so long without a question the worker is ended
LEAVE_S = 60.0  # at the end words may take so long
SPOKEN = 4096  # findings of an incident that are looked at for its words


@dataclass(slots=True)
class _Story:
    incident: Incident
    due: float
    wait: float = LATER_S
    revision: int = 1
    told: int = -1  # findings in the last telling


@dataclass(slots=True)
class Teller:
    """Use `touch` for every finding, `collect` now and then, `leave` once.

    model, site   judge causes, with what learning knew of who takes part; without a model the table of rules does
    service       where words may be asked for
    """

    lang: str
    plans: Sequence[Plan] = ()
    service: Path | None = None
    model: CauseModel | None = None
    site: Site | None = None
    _stories: dict[str, _Story] = field(default_factory=dict)
    _dirty: set[str] = field(default_factory=set)
    _asked: Queue[Incident | None] = field(default_factory=Queue)
    _said: Queue[Incident] = field(default_factory=Queue)
    _open: int = 0
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._speak, name="words", daemon=True)
        self._thread.start()

    def touch(self, incident: Incident, now: float) -> None:
        """An incident opened or grew, at `now` (s, monotonic)."""
        if incident.id not in self._stories:
            self._stories[incident.id] = _Story(incident, now + FIRST_S)
        self._dirty.add(incident.id)

    def collect(self, now: float, *, all_: bool = False) -> list[Incident]:
        """Ask for what is due and return what was told meanwhile, each as its next revision."""
        for name in sorted(self._dirty):
            story = self._stories[name]
            if all_ or story.due <= now:
                self._dirty.discard(name)
                if story.told == story.incident.total:
                    continue
                story.due, story.wait, story.told = now + story.wait, min(story.wait * TIMES, LONGEST_S), story.incident.total
                known = story.incident
                # a copy: the sensor goes on adding to the lists of the original
                copy = replace(known, revision=story.revision, findings=known.findings[:SPOKEN], assets=list(known.assets))
                story.revision += 1
                self._asked.put(copy)
                self._open += 1
        answers = []
        while self._open:
            try:
                answers.append(self._said.get_nowait())
            except Empty:
                break
            self._open -= 1
        return answers

    def leave(self) -> list[Incident]:
        """All that has not been told in its last state; the worker is ended. Takes LEAVE_S at the most."""
        answers = self.collect(time.monotonic(), all_=True)
        end = time.monotonic() + LEAVE_S
        while self._open and (left := end - time.monotonic()) > 0:
            try:
                answers.append(self._said.get(timeout=left))
            except Empty:
                break
            self._open -= 1
        self._asked.put(None)
        self._thread.join(5)
        return answers

    def _speak(self) -> None:
        """The thread: one worker while there is something to say."""
        over = False
        while not over:
            incident = self._asked.get()
            if incident is None:
                return
            with WordsWorker(service=self.service) as worker:

                def words(finding: Finding, worker: WordsWorker = worker) -> Words | None:
                    return worker.words(finding.payload, finding.src == finding.client, finding.ranges)

                while incident is not None:
                    self._said.put(told(incident, words, self.lang, self.plans, self.model, self.site))
                    try:
                        incident = self._asked.get(timeout=IDLE_S)
                    except Empty:
                        break
                over = incident is None

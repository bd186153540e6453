"""Labelled captures: episodes found, false incidents, frames wrongly pointed at, causes given.

The rules are those of `score_cases.py`: a finding is in an episode where its frame has label 1, or label 2 between the
episode's first and last frame, or, without a frame, where its time is in the episode or 2 s after; label 2 elsewhere does not
count. An incident is true with four fifths of its findings in episodes; in a case of kind fault, where its cause is fault (a
detector that gives no causes has no true incident there).
"""

import csv
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from appliance.detect.finding import Finding
from appliance.explain.site import site_of
from appliance.host.models import cause_model
from appliance.host.sensor.words import WordsWorker
from appliance.incident.telling import told
from appliance.protocols import Words
from tests.evaluate.capture import Capture, load
from tests.evaluate.detectors import Detector, Sekisho

AFTER = 2_000_000_000  # ns behind an episode in which what is missing still belongs to it
TRUE_SHARE = 0.8
CAUSES = ("security", "fault", "maintenance", "unknown")
TRUTH = {"attack": "security", "fault": "fault", "command": "security", "maintenance": "maintenance"}  # cause by kind of case


class Pointed(Protocol):
    """What is looked at of a finding or a cry."""

    @property
    def frame(self) -> int | None:
        """1-based, None for an absence."""

    @property
    def time_ns(self) -> int:
        """When."""


@dataclass(frozen=True)
class Span:
    """First and last frame of an episode, and their times in ns."""

    frames: tuple[int, int]
    times: tuple[int, int]


def labels(case: Path, times: list[int]) -> tuple[dict[int, tuple[int, int]], dict[int, Span]]:
    """Label and episode by frame, and the span of every episode."""
    label: dict[int, tuple[int, int]] = {}
    frames: dict[int, list[int]] = {}
    with (case / "labels.csv").open() as file:
        for row in csv.reader(file, delimiter=";"):
            if row and row[1] in ("1", "2"):
                number, kind = int(row[0]), int(row[1])
                label[number] = kind, int(row[2]) if kind == 1 else 0
                if kind == 1:
                    frames.setdefault(int(row[2]), []).append(number)
    spans = {e: Span((min(f), max(f)), (min(times[n - 1] for n in f), max(times[n - 1] for n in f))) for e, f in frames.items()}
    return label, spans


def episode_of(finding: Pointed, label: dict[int, tuple[int, int]], spans: dict[int, Span]) -> int | None:
    """The episode a finding is in, -1 where it is in none, None where it does not count."""
    if finding.frame is None:
        return next((e for e, s in spans.items() if s.times[0] <= finding.time_ns <= s.times[1] + AFTER), -1)
    kind, episode = label.get(finding.frame, (0, 0))
    if kind == 1:
        return episode
    if kind == 2:
        return next((e for e, s in spans.items() if s.frames[0] <= finding.frame <= s.frames[1]), None)
    return -1


@dataclass
class CaseScore:
    """One case under one detector; `causes`: true cause -> cause given, of true incidents and of those of fault cases."""

    name: str
    kind: str
    episodes: int
    frames: int
    hours: float
    found: set[int] = field(default_factory=set)
    false: int = 0
    wrong: int = 0
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)


def case_folders(folder: Path) -> list[Path]:
    """The cases in a folder."""
    return sorted(path.parent for path in folder.glob("*/case.toml"))


def score(case: Path, detectors: list[Detector]) -> dict[str, CaseScore]:
    """One case under every detector."""
    train, test = load(case / "train.pcap"), load(case / "test.pcap")
    label, spans = labels(case, [when for when, _ in test.frames])
    kind = str(tomllib.loads((case / "case.toml").read_text())["kind"])
    out: dict[str, CaseScore] = {}
    for detector in detectors:
        detector.learn(train)
        s = out[detector.name] = CaseScore(case.name, kind, len(spans), len(test), test.seconds / 3600)
        _judge(s, detector, test, label, spans)
    return out


def _judge(s: CaseScore, detector: Detector, test: Capture, label: dict[int, tuple[int, int]], spans: dict[int, Span]) -> None:
    places: dict[str, Counter[int]] = {}
    wrong: set[int] = set()
    for cry in detector.detect(test):
        where = episode_of(cry, label, spans)
        if where is None:
            continue
        places.setdefault(cry.incident, Counter())[where] += 1
        if where == -1 and cry.frame is not None:
            wrong.add(cry.frame)
    causes = causes_of(detector) if isinstance(detector, Sekisho) else {}
    s.wrong = len(wrong)
    truth = TRUTH.get(s.kind)
    for incident, counts in places.items():
        total = sum(counts.values())
        good = causes.get(incident) == "fault" if s.kind == "fault" else total - counts[-1] >= TRUE_SHARE * total
        s.false += not good
        if good:
            s.found |= {episode for episode in counts if episode > 0}
        if incident in causes and truth is not None and (good or s.kind == "fault"):
            s.causes[truth, causes[incident]] += 1


def causes_of(detector: Sekisho) -> dict[str, str]:
    """Cause of every incident of the last capture, with words as the product has them."""
    if detector.model is None:
        raise RuntimeError("learn before causes are asked for")
    model, site = cause_model(), site_of(detector.model.baseline)
    with WordsWorker() as worker:

        def speak(finding: Finding) -> Words | None:
            return worker.words(finding.payload, finding.src == finding.client, finding.ranges)

        tell = [told(i, speak, model=model, site=site) for i in detector.incidents]
    return {incident.id: str(incident.cause) for incident in tell}

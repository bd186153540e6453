"""Judge a plant: its clean rest, what happens in it, changed fields."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from appliance.packets.batch import batch_of
from appliance.packets.frames import Frames
from tests.evaluate.capture import Capture
from tests.evaluate.cases import TRUE_SHARE
from tests.evaluate.detectors import Cry, Sekisho
from tests.evaluate.grammars import BACNET, ENIP, MODBUS, S7, Grammar
from tests.evaluate.mutate import Tally, measure
from tests.sim.wire import SECOND
from tests.unseen.bacnet import BacnetPlant
from tests.unseen.enip import EnipPlant
from tests.unseen.iec104 import IEC104, Iec104Plant
from tests.unseen.modbus import ModbusPlant
from tests.unseen.plant import Plant
from tests.unseen.s7 import S7Plant
from tests.unseen.scenarios import ATTACKS, FAULTS, Episode, plan
from tests.unseen.site import START

PLANTS: dict[str, tuple[type[Plant], Grammar]] = {
    "modbus": (ModbusPlant, MODBUS),
    "enip": (EnipPlant, ENIP),
    "bacnet": (BacnetPlant, BACNET),
    "s7": (S7Plant, S7),
    "iec104": (Iec104Plant, IEC104),
}
LEARN, REST = 600, 240  # s
AFTER = 3 * SECOND  # what is missing is told a little later
_FAULTS = {fault.__name__ for fault in FAULTS}


@dataclass
class Part:
    """A stretch that is judged: frames, their marks, what happened."""

    capture: Capture
    marks: list[int]
    episodes: list[Episode] = field(default_factory=list)


def recorded(name: str, seed: int, kinds: str = "clean", learn: int = LEARN) -> tuple[Capture, Part]:
    """What is learned, and what is judged."""
    plant = PLANTS[name][0](seed)
    begin = START + learn * SECOND
    plant.site.run(begin)
    chosen = {"clean": (), "attacks": ATTACKS, "faults": FAULTS}[kinds]
    episodes = plan(plant, chosen, begin + 20 * SECOND) if chosen else []
    plant.site.run(begin + (REST if not chosen else 20 + 75 * len(chosen)) * SECOND)
    capture, marks = plant.site.capture()
    at = next(i for i, (when, _) in enumerate(capture.frames) if when >= begin)
    rest, marks = Capture(capture.frames[at:]), marks[at:]
    spoken = [when for mark, (when, _) in zip(marks, rest.frames, strict=True) if mark == 1]
    happened = [e for e in episodes if e.name in _FAULTS or any(e.begin <= when <= e.end + AFTER for when in spoken)]
    return Capture(capture.frames[:at]), Part(rest, marks, happened)  # a forged value that nobody read was no attack


@dataclass
class Verdict:
    """What came of a part: episodes found, false incidents and their cries, frames wrongly pointed at."""

    found: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    false: list[list[Cry]] = field(default_factory=list)
    wrong: set[int] = field(default_factory=set)
    frames: int = 0


def _episode(cry: Cry, part: Part) -> int | None:
    """The episode a cry is in, -1 where it is in none, None where it does not count."""
    inside = next((i for i, e in enumerate(part.episodes) if e.begin <= cry.time_ns <= e.end + AFTER), -1)
    if cry.frame is None:
        return inside
    mark = part.marks[cry.frame - 1]
    faulty = inside >= 0 and part.episodes[inside].name in _FAULTS
    if mark == 1 or faulty:
        return inside
    return None if mark == 2 else -1


def judged(part: Part, cries: list[Cry]) -> Verdict:
    """By the rules of labelled cases: an incident is true with four fifths of its cries in episodes."""
    verdict = Verdict(frames=len(part.capture))
    verdict.total.update(e.name for e in part.episodes)
    places: dict[str, list[tuple[int, Cry]]] = defaultdict(list)
    for cry in cries:
        where = _episode(cry, part)
        if where is not None:
            places[cry.incident].append((where, cry))
            if where < 0 and cry.frame is not None:
                verdict.wrong.add(cry.frame)
    found: set[int] = set()
    for several in places.values():
        right = [w for w, _ in several if w >= 0]
        if len(right) >= TRUE_SHARE * len(several):
            found |= set(right)
        else:
            verdict.false.append([cry for _, cry in several])
    verdict.found.update(part.episodes[i].name for i in found)
    return verdict


def fields_changed(name: str, seed: int, per_class: int) -> Tally:
    """Changed fields in the clean rest."""
    head, part = recorded(name, seed)
    return measure([Sekisho()], head, part.capture, PLANTS[name][1], per_class, seed)[Sekisho.name]


def keep(folder: Path, head: Capture, part: Part, kind: str) -> None:
    """A labelled case as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, capture in (("train.pcap", head), ("test.pcap", part.capture)):
        (folder / file).write_bytes(Frames.of(batch_of(capture.frames)).pcap())
    lines = []
    for n, (mark, (when, _)) in enumerate(zip(part.marks, part.capture.frames, strict=True), 1):
        inside = next((i for i, e in enumerate(part.episodes, 1) if e.begin <= when <= e.end + AFTER), 0)
        if mark:
            lines.append(f"{n};{mark};{inside if mark == 1 else 0}\n")
    (folder / "labels.csv").write_text("".join(lines))
    (folder / "case.toml").write_text(f'kind = "{kind}"\n')

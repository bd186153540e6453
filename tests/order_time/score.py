"""Learn on the clean half, change the other at one place, detect, and count: found, told elsewhere, not reachable."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.headers import DecodeState, decode
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding, Kind
from appliance.learn.meaning.model import Model, derive
from appliance.packets.batch import batch_of
from appliance.pipeline import learn_session
from tests.order_time.changes import CLASSES, Change, Place
from tests.order_time.reach import Oracle
from tests.order_time.traffic import SECOND, Exchange, Flow, Frames, Traffic, exchanges, frames_of
from tests.unit.dialogue import passes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.order_time.plants import Plant

KINDS = frozenset(
    {
        Kind.PERIOD_CHANGE,
        Kind.WRONG_ORDER,
        Kind.REPLAY,
        Kind.FLOOD,
        Kind.MISSING_ANSWER,
        Kind.UNASKED_ANSWER,
        Kind.SILENCE,
    }
)
MIN_CYCLES = 8  # requests that a conversation's test half must have, to be changed


@dataclass(slots=True)
class Row:
    """What came of one class on one plant."""

    tried: int = 0
    found: int = 0
    reachable: int = 0  # changes that can be told at all, see `reach`
    elsewhere: int = 0  # findings that the clean half does not have, outside what was changed
    kinds: Counter[str] = field(default_factory=Counter)


def judge(model: Model, frames: Frames) -> list[Finding]:
    """Findings about order and time; what bytes are new is another suite's."""
    detector, state, numbers = Detector(model), DecodeState(), count(1)
    found: list[Finding] = []
    for at in range(0, len(frames), 32768):
        found += detector.judge(decode(batch_of(frames[at : at + 32768], numbers=numbers), state))
    return [f for f in found + detector.finish() if f.kind in KINDS]


def learned(plant: Plant) -> Model:
    """What is normal in the plant."""
    return derive(learn_session(passes(plant.train)))


def limits(model: Model) -> str:
    """Why a class may be out of reach: what the plant's own learning time allows, service by service."""
    said = []
    for (_, port), services in sorted(model.services.items()):
        p = services[0].pace
        if p.timed.any() or p.led.any():
            said.append(
                f"{port}: {p.timed.sum()} of {len(p.rows)} requests have a period, after {p.led.sum()} the order is fixed, "
                f"{p.needed} deviations needed, answers sure in {p.answered.sum()} of {len(p.streams)} conversations"
            )
    return "; ".join(said)


def places(plant: Plant, traffic: Traffic, per_class: int, seed: int) -> Iterator[tuple[Place, np.random.Generator]]:
    """Places anywhere in the middle of the plant's regular conversations."""
    random = np.random.default_rng(seed)
    regular, key = [], key_of(plant)
    for conversation in sorted({e.conversation for e in traffic.exchanges}):
        mine = traffic.of(conversation)
        cycle = period_of(mine, key)
        if len(mine) >= MIN_CYCLES and cycle and mine[-1].at - mine[0].at > 6 * cycle:
            regular.append((mine, cycle))
    for _ in range(per_class * 4 if regular else 0):
        mine, cycle = regular[int(random.integers(len(regular)))]
        which = int(random.integers(len(mine) // 4, max(len(mine) // 4 + 1, len(mine) * 3 // 5)))
        yield Place(traffic, mine, min(which, len(mine) - 2), cycle, plant.numbered, key), random


def key_of(plant: Plant) -> Callable[[Exchange], bytes]:
    """What a request of the plant asks, without its numbers."""

    def key(e: Exchange) -> bytes:
        asks = bytearray(e.asks)
        for a, b in plant.numbers:
            asks[a:b] = bytes(len(asks[a:b]))
        return bytes(asks)

    return key


def period_of(mine: list[Exchange], key: Callable[[Exchange], bytes]) -> int:
    """The cycle of a conversation, ns: the upper quartile of the gaps of what it asks, weighted by how often; 0 for none."""
    times: dict[bytes, list[int]] = defaultdict(list)
    for e in mine:
        times[key(e)].append(e.at)
    gaps = [g for at in times.values() if len(at) >= 4 for g in np.diff(at).tolist()]
    return int(np.quantile(gaps, 0.75)) if gaps else 0


def score(plant: Plant, classes: list[str], per_class: int, seed: int) -> tuple[dict[str, Row], int]:
    """A row per class, and the findings in the clean half."""
    model, traffic = learned(plant), exchanges(plant.test)
    clean = judge(model, frames_of(traffic))
    known = Counter(_mark(f) for f in clean)
    oracle = Oracle(exchanges(plant.train), traffic, key_of(plant))
    rows: dict[str, Row] = {}
    for name in classes:
        row = rows[name] = Row()
        for place, random in places(plant, traffic, per_class, seed):
            change = CLASSES[name](place, random)
            if row.tried == per_class:
                break
            if change is not None:
                _try(row, model, change, known, oracle.reaches(change, place.here.conversation))
    return rows, len(clean)


def _try(row: Row, model: Model, change: Change, known: Counter[tuple[str, int, str]], reachable: bool) -> None:
    row.tried += 1
    new = [f for f in judge(model, frames_of(change.traffic)) if not known[_mark(f)]]
    inside = [f for f in new if change.start - SECOND // 10 <= f.time_ns <= change.end]
    row.found += bool(inside)
    row.reachable += reachable or bool(inside)
    row.elsewhere += any(f.time_ns < change.start - SECOND // 10 for f in new)
    row.kinds.update({str(f.kind) for f in inside})


def _mark(f: Finding) -> tuple[str, int, str]:
    return str(f.kind), f.time_ns // SECOND, f.dst


# ---------------------------------------------------------------- clean captures that are worse to read, but not abnormal


def jittered(frames: Frames, random: np.random.Generator) -> Frames:
    """Every exchange up to 2 ms later than it was; what overlaps on a connection, by as much as what it overlaps with."""
    traffic = exchanges(frames)
    busy: dict[Flow, tuple[int, int]] = {}  # until when, and the delay
    moved = []
    for e in traffic.exchanges:
        until, delay = busy.get(e.flow, (-1, 0))
        if e.at > until + 2_000_000:
            delay = int(random.integers(0, 2_000_000))
        busy[e.flow] = (max([until, e.at, *(at for at, _ in e.answers)]), delay)
        moved.append(e.moved(e.at + delay))
    return frames_of(Traffic(sorted(moved, key=lambda e: e.at), traffic.others))


def retransmitted(frames: Frames, random: np.random.Generator) -> Frames:
    """One TCP segment in 500 is sent again 200 ms later (one in a hundred is a bad cable, and told as such)."""
    tcp = [(at, raw) for at, raw in frames if raw[23] == 6 and len(raw) > 60]
    again = [(at + SECOND // 5, _renumbered(raw)) for at, raw in tcp if random.random() < 0.002]
    return sorted(frames + again, key=lambda f: f[0])


def doubled(frames: Frames, random: np.random.Generator) -> Frames:
    """A mirror shows one frame in five twice."""
    return [f for at, raw in frames for f in [(at, raw)] * (2 if random.random() < 0.2 else 1)]


def jumped(hours: int) -> object:
    """The clock is set by so many hours in the middle."""

    def change(frames: Frames, random: np.random.Generator) -> Frames:
        cut = len(frames) // 2 + int(random.integers(0, 20))
        return [(at + (hours * 3600 * SECOND if n >= cut else 0), raw) for n, (at, raw) in enumerate(frames)]

    return change


def overtaking(frames: Frames, random: np.random.Generator) -> Frames:
    """Times that are not monotonic: stamps of one frame in ten are up to 1 ms too early."""
    return [(at - (int(random.integers(0, 1_000_000)) if random.random() < 0.1 else 0), raw) for at, raw in frames]


def _renumbered(raw: bytes) -> bytes:
    """Another IP identification: a sender's repetition, not a mirror's copy."""
    return raw[:18] + bytes([raw[18] ^ 0x80, raw[19]]) + raw[20:]


VARIANTS = {
    "jitter": jittered,
    "retransmission": retransmitted,
    "mirror": doubled,
    "clock+1h": jumped(1),
    "clock-1h": jumped(-1),
    "not-monotonic": overtaking,
}


def clean_variants(plant: Plant, seed: int) -> dict[str, int]:
    """Findings in the clean half as it is and in each worse reading of it, beyond those of the clean half."""
    model, frames = learned(plant), frames_of(exchanges(plant.test))
    clean = len(judge(model, frames))
    told = {"clean": clean}
    for name, change in VARIANTS.items():
        told[name] = max(0, len(judge(model, change(frames, np.random.default_rng(seed)))) - clean)  # type: ignore[operator]
    return told

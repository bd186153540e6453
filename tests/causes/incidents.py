"""From frames to labelled incidents, through the real pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

from appliance.decode.headers import DecodeState, decode
from appliance.errors import WordsError
from appliance.explain.features import features
from appliance.explain.site import Site, site_of
from appliance.incident.telling import telling_findings
from appliance.learn.meaning.model import Model, derive
from appliance.packets.batch import batch_of
from appliance.pipeline import State, finish, learn_session, step
from appliance.protocols.decoders import words as words_of

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.detect.finding import Finding
    from appliance.incident.incident import Incident
    from appliance.protocols import Words

Frames = Sequence[tuple[int, bytes]]
BATCH = 32_768


@dataclass(frozen=True)
class Known:
    """What was learned of a plant: the model, and who was there."""

    model: Model
    site: Site


def decoded(frames: Frames) -> Iterator[DecodedBatch]:
    """Frames as decoded batches."""
    state, numbers = DecodeState(), count(1)
    for at in range(0, len(frames), BATCH):
        yield decode(batch_of(list(frames[at : at + BATCH]), numbers=numbers), state)


def learned(frames: Frames) -> Known:
    """Learn from frames."""
    baseline = learn_session(lambda: decoded(frames))
    return Known(derive(baseline), site_of(baseline))


def incidents(known: Known, frames: Frames) -> list[Incident]:
    """What detection makes of frames."""
    state = State.start(known.model)
    for batch in decoded(frames):
        state, _ = step(state, batch)
    state, _ = finish(state)
    return list(state.grouping.incidents.values())


@lru_cache(maxsize=65_536)
def said(payload: bytes, asks: bool, ranges: tuple[tuple[int, int], ...]) -> Words | None:
    """Words of a payload, None where there are none."""
    try:
        return words_of(payload, asks, ranges)
    except WordsError:
        return None


def spoken(incident: Incident, *, deaf: bool = False) -> tuple[list[Finding], list[Words | None]]:
    """Findings in the order in which they are judged, with words as the product asks for them; `deaf`: without any."""
    chosen = telling_findings(incident.findings)
    rest = [f for f in incident.findings if f not in chosen][:4096]
    heard = [] if deaf else [said(f.payload, f.src == f.client, f.ranges) for f in chosen]
    return [*chosen, *rest], heard


def row(incident: Incident, site: Site, *, deaf: bool = False) -> list[float]:
    """The incident's features."""
    findings, heard = spoken(incident, deaf=deaf)
    return [float(x) for x in features(findings, heard, site)]

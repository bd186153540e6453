"""The whole flow on one screen: batch in, commands out. Live and offline are this same code.

    batch -> decode -> Detector.judge -> Grouping.add -> [OpenIncident, TellFinding]

Learning runs over the same decoded batches: `Roles` -> `Sampler` -> `Tally` -> Baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.commands import Command, OpenIncident, TellFinding
from appliance.decode.columns import DecodedBatch
from appliance.decode.conversation import ConversationTable
from appliance.detect.detector import Detector
from appliance.incident.grouping import Grouping
from appliance.learn.onward import Onward
from appliance.learn.session import Sampler, Tally
from appliance.learn.site.roles import RoleStats
from appliance.protocols.describe import describe

if TYPE_CHECKING:
    from appliance.detect.finding import Finding
    from appliance.learn.baselines.baseline import Baseline
    from appliance.learn.meaning.model import Model


@dataclass(slots=True)
class State:
    """What detection carries from batch to batch."""

    detector: Detector
    grouping: Grouping = field(default_factory=Grouping)
    first: int = -1
    last: int = -1

    @classmethod
    def start(cls, model: Model, series: str = "i-") -> State:
        """A fresh state for a model; `series` is what ids of incidents begin with."""
        return cls(Detector(model, describe), Grouping(series))


def step(state: State, batch: DecodedBatch) -> tuple[State, list[Command]]:
    """One batch: findings, and the incidents they open."""
    if len(batch):
        low, high = int(batch.time.min()), int(batch.time.max())
        state.first = low if state.first < 0 else min(state.first, low)
        state.last = max(state.last, high)
    return state, tell(state, state.detector.judge(batch))


def tick(state: State, now: int) -> tuple[State, list[Command]]:
    """Nothing came until `now` (ns since the epoch): silence is told though no frame ends it. Live only."""
    return state, tell(state, state.detector.tick(now))


def finish(state: State) -> tuple[State, list[Command]]:
    """The input has ended: what is missing."""
    return state, tell(state, state.detector.finish())


def tell(state: State, findings: list[Finding]) -> list[Command]:
    """Findings as commands, and the incidents they open."""
    commands: list[Command] = []
    for finding in findings:
        incident, opened = state.grouping.add(finding)
        if opened:
            commands.append(OpenIncident(incident))
        commands.append(TellFinding(finding, incident.id))
    return commands


Passes = Callable[[], Iterator[DecodedBatch]]


def learn_session(frames: Passes) -> Baseline:
    """Learn one session. `frames` gives the same batches anew at each of three calls."""
    return survey(frames).baseline()


def survey(frames: Passes) -> Tally:
    """The three passes; what comes after these frames may be counted on."""
    roles = RoleStats()
    _each(frames(), roles.add)
    servers = roles.servers()
    sampling = ConversationTable()
    sampling.know(servers)
    sampler = Sampler(sampling)
    _each(frames(), sampler.add)
    counting = ConversationTable()
    counting.know(servers)
    tally = Tally(counting, sampler.structures(), describe)
    _each(frames(), tally.add)
    return tally


def resume(before: Baseline) -> Onward:
    """Learning that goes on after what was saved of it."""
    return Onward.resumed(before, describe)


def _each(batches: Iterable[DecodedBatch], take: Callable[[DecodedBatch], None]) -> None:
    for batch in batches:
        take(batch)

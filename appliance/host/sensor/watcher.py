"""Detection that runs in the sensor: begun from a baseline file, renewed when that file was changed."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.decode.headers import DecodeState
from appliance.errors import BaselineError, DocumentError, ModelError, UsageError
from appliance.explain.site import site_of
from appliance.host.baselines import load_baseline
from appliance.host.memory import give_back
from appliance.host.models import cause_model
from appliance.host.sensor.excerpts import Excerpts
from appliance.host.sensor.learner import BASELINE
from appliance.host.sensor.teller import Teller
from appliance.host.writing import write_whole
from appliance.incident.incident import Incident
from appliance.learn.meaning.adequacy import adequacy_of, verdict
from appliance.learn.meaning.model import Model, derive
from appliance.pipeline import State
from appliance.report.status import Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.config import Config
    from appliance.explain.causemodel import CauseModel
    from appliance.explain.workplan import Plan

COPY = "baseline.sound"  # beside the baseline
WORDS = "words.sock"  # in the runtime directory
Mark = tuple[int, int, int]  # inode, size, time of change: another file


@dataclass(slots=True)
class Watching:
    """State, words, numbers.

    path    of the baseline; digest: of what is watched with
    since   ns since the epoch at which it began
    problem what is wrong with the baseline file, "" where nothing
    """

    path: Path
    digest: str
    state: State
    teller: Teller
    known: Known
    excerpts: Excerpts
    mark: Mark
    since: int
    conversations: int
    problem: str = ""
    decoding: DecodeState = field(default_factory=DecodeState)
    findings: int = 0
    opened: dict[str, Incident] = field(default_factory=dict)

    @classmethod
    def begin(cls, config: Config, series: str, note: Callable[[str], None]) -> Watching:
        """With the baseline in the state directory; ids of incidents begin with `series`. Raises BaselineError."""
        directory = Path(config.directory)
        path = directory / BASELINE
        mark = mark_of(path)
        (model, known, digest), problem = _sound(path, note)
        service, site = Path(config.runtime) / WORDS, site_of(model.baseline)
        teller = Teller(config.output.language, plans_of(config, note), service, _causes(note), site)
        made = cls(
            path=path,
            digest=digest,
            state=State.start(model, series),
            teller=teller,
            known=known,
            excerpts=Excerpts(directory, config.packets, note),
            mark=mark,
            since=time.time_ns(),
            conversations=len(model.baseline.conversations),
            problem=problem,
        )
        note(f"watching with baseline {digest[:16]}: {made.conversations:,} conversations")
        return made

    @property
    def damaged(self) -> int:
        """Frames with damage."""
        return self.state.detector.damaged

    def change(self, config: Config, note: Callable[[str], None]) -> None:
        """Another configuration holds. Raises BaselineError where the baseline was changed and cannot be read."""
        self.teller.lang = config.output.language
        self.teller.plans = plans_of(config, note)
        self.excerpts.change(config.packets)
        mark = mark_of(self.path)
        if mark != self.mark:
            self._renew(mark, note)

    def _renew(self, mark: Mark, note: Callable[[str], None]) -> None:
        """Go on with the baseline that is there now; incidents and their numbers stay."""
        model, self.known, digest = learned(self.path)
        self.mark, self.problem, before = mark, "", self.state
        _keep_copy(self.path)
        if digest == self.digest:
            return
        self.state, self.teller.site = State.start(model), site_of(model.baseline)
        self.state.grouping, self.state.first, self.state.last = before.grouping, before.first, before.last
        self.state.detector.go_on(before.detector)
        self.digest = digest
        note(f"baseline {digest[:16]} taken over: {len(model.baseline.conversations):,} conversations")


def _sound(path: Path, note: Callable[[str], None]) -> tuple[tuple[Model, Known, str], str]:
    """What was learned, of the file or, where that is damaged, of the copy of the last sound one; and what is wrong."""
    copy = path.with_name(COPY)
    try:
        found = learned(path)
    except BaselineError as error:
        if not copy.exists():
            raise
        note(f"{error}; it goes on with {copy.name}, the copy of the last sound one")
        return learned(copy), str(error)
    _keep_copy(path)
    return found, ""


def _causes(note: Callable[[str], None]) -> CauseModel | None:
    """The model of causes; without it the table of rules judges, which is better than no story, and it is said."""
    try:
        return cause_model()
    except ModelError as error:
        note(f"{error}; causes come from the table of rules")
        return None


def _keep_copy(path: Path) -> None:
    """Keep a sound baseline once more, where the copy is an older one."""
    copy = path.with_name(COPY)
    with contextlib.suppress(OSError, UsageError):  # a copy is a help, not a need
        if not copy.exists() or copy.stat().st_mtime_ns < path.stat().st_mtime_ns:
            write_whole(copy, path.read_bytes())
            copy.chmod(0o600)


def learned(path: Path) -> tuple[Model, Known, str]:
    """The model of a baseline, how much it knows, its digest. Raises BaselineError."""
    baseline, digest = load_baseline(path)
    model = derive(baseline)
    found = verdict(adequacy_of(model), baseline.watched)
    give_back()  # reading a large one takes twice what it is
    return model, Known(str(found.readiness), found.new, baseline.watched, 0), digest


def mark_of(path: Path) -> Mark:
    """What tells that a file is another one; (0, 0, 0) where there is none."""
    try:
        told = path.stat()
    except OSError:
        return 0, 0, 0
    return told.st_ino, told.st_size, told.st_mtime_ns


def plans_of(config: Config, note: Callable[[str], None]) -> list[Plan]:
    """The work plans that the configuration names; where one is wrong none holds, and it is said: nothing is excused then."""
    if not config.plans:
        return []
    from appliance.host.plans import load_plans  # reads YAML, which only plans need

    try:
        return load_plans(config.plans)
    except DocumentError as error:
        note(f"no work plan holds: {error}")
        return []

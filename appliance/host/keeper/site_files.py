"""What incidents are answered by: policy, baseline and work plans, read again when one of their files changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.decide.answering import Site
from appliance.decide.learned import talks_of
from appliance.host.baselines import load_baseline
from appliance.host.clock import now_ns
from appliance.host.keeper.policies import load_policy
from appliance.host.plans import load_plans
from appliance.host.sensor.learner import BASELINE
from appliance.learn.meaning.model import derive

if TYPE_CHECKING:
    from appliance.config import Config


@dataclass(slots=True)
class SiteFiles:
    """Use `read` before every look: it costs a few stats where nothing changed."""

    _stamps: tuple[object, ...] = ()

    def read(self, config: Config) -> Site | None:
        """The site anew; None where it is as before, or nothing is there yet. Raises SekishoError where a file is bad."""
        if config.enforce is None or not config.enforce.policy:
            return None
        paths = (config.enforce.policy, str(Path(config.directory) / BASELINE), *config.plans)
        stamps = tuple(_stamp(path) for path in paths)
        if (paths, stamps) == self._stamps or stamps[1] is None:
            return None
        self._stamps = paths, stamps
        policy = load_policy(paths[0])
        baseline, _ = load_baseline(paths[1])
        return Site.of(policy, talks_of(derive(baseline)), now_ns(), load_plans(config.plans))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # three numbers of one call
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

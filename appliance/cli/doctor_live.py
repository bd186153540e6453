"""The live half of `sekisho doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.host.doctor import examine
from appliance.host.sensor_process import read_config
from appliance.report.doctor import judge
from appliance.report.machine import judge_machine

if TYPE_CHECKING:
    from appliance.report.doctor import Check


def look(path: str, seconds: float) -> list[tuple[str, list[Check]]]:
    """The machine, then each interface that could be looked at for so long. Raises SekishoError."""
    config, program = read_config(path)
    facts, mirrors = examine(config, program, seconds)
    return [("", judge_machine(facts)), *((name, judge(mirror, facts.now)) for name, mirror in mirrors.items())]

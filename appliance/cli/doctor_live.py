"""The live half of `sekisho doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.host.config_file import read_config
from appliance.host.upkeep.doctor import examine
from appliance.report.doctor import judge
from appliance.report.machine import judge_machine

if TYPE_CHECKING:
    from appliance.report.doctor import Check


TOGETHER = ("directions", "loss")  # of several interfaces these are judged as one: each may carry one direction


def look(path: str, seconds: float) -> list[tuple[str, list[Check]]]:
    """The machine, then each interface that could be looked at for so long. Raises SekishoError."""
    config, program = read_config(path)
    facts, mirrors = examine(config, program, seconds)
    found = [("", judge_machine(facts)), *((name, judge(mirror, facts.now)) for name, mirror in mirrors.items())]
    if len(mirrors) < 2:
        return found
    together = [check for check in found[1][1] if check.name in TOGETHER]
    alone = [(about, [check for check in checks if check.name not in TOGETHER]) for about, checks in found]
    return [*alone, (", ".join(mirrors), together)]

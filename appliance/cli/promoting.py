"""`sekisho policy promote`: compiled rules come on trial only where the gate lets every asset go up (docs/policy.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.enforcing import cycle_of, run_apply
from appliance.cli.output import Output
from appliance.cli.parser_rules import SOCKET
from appliance.decide.gate import Shadow, gate, promotions
from appliance.decide.rules import Generation
from appliance.errors import UsageError
from appliance.host.baselines import load_baseline
from appliance.host.control import ENFORCER, ask
from appliance.host.enforcer.shadow import shadow_from
from appliance.host.keeper.policies import load_generation
from appliance.learn.meaning.adequacy import adequacy, verdict

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Ask the gate for every asset that goes up; apply where all are let through, 1 where one is not."""
    cycle = cycle_of(arguments)
    wanted = load_generation(arguments.rules)
    current = load_generation(arguments.current) if arguments.current else Generation(0)
    counted = ask(Path(arguments.socket or SOCKET), {"verb": "shadow"}, ENFORCER)
    if counted.get("generation") != current.number:
        raise UsageError(f"--current: generation {counted.get('generation')} is in force, not {current.number}; name its file")
    baseline, _ = load_baseline(arguments.baseline)
    learned = verdict(adequacy(baseline), baseline.watched).readiness
    out, held, seen = Output(), 0, shadow_from(counted)
    for server, service, before, after in promotions(current, wanted):
        said = gate(before, after, seen.get((server, service), Shadow()), learned, cycle, arguments.by)
        out.line(f"{server} {service}: {before} -> {after}: {'allowed' if said.allowed else 'not yet'}")
        out.lines(f"    {reason}" for reason in said.reasons)
        held += not said.allowed
    if held:
        out.line(f"{held} not yet; nothing was applied")
        out.flush()
        return 1
    out.flush()
    return run_apply(arguments)

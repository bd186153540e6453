"""`sekisho enforcer`, `policy apply|confirm|rollback`, `lease list|undo`: what changes the kernel's rules, by its one process."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.cli.output import Output, note
from appliance.decide.policy import SECOND, Limits
from appliance.decide.records import generation_json
from appliance.decide.rules import Step
from appliance.errors import UsageError
from appliance.host.enforcer import Enforcer, ask, listen, operators_of
from appliance.host.policies import load_generation

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Keep the kernel's rules until asked to end; 0 then."""
    state, path = Path(arguments.state), Path(arguments.socket)
    if not state.is_dir():
        raise UsageError(f"{state}: there is no such folder; make it, readable by nobody else")
    if arguments.per_hour < 0 or arguments.longest < 1:
        raise UsageError("--per-hour begins at 0, --longest at 1 second")
    enforcer = Enforcer.open(state, Limits(tuple(Step), arguments.per_hour, arguments.longest * SECOND), bridge=arguments.bridge)
    listener = listen(path)
    if arguments.group is not None:
        os.chown(path, -1, arguments.group)
    note(f"enforcer: generation {enforcer.desk.confirmed.number} in force, {len(enforcer.desk.leases)} leases, asked at {path}")
    with listener:
        enforcer.serve(listener, operators_of(arguments.operator))
    path.unlink(missing_ok=True)
    note("enforcer: ended; the rules stay in force")
    return 0


def run_apply(arguments: argparse.Namespace) -> int:
    """Put compiled rules on trial."""
    generation = generation_json(load_generation(arguments.rules))
    answer = _ask(arguments, verb="apply", generation=generation, seconds=arguments.seconds, by=arguments.by)
    return _say(
        f"generation {answer['trial']} is on trial until {_time(answer['until'])}; confirm it with: sekisho policy confirm, "
        f"or generation {answer['generation']} is followed again"
    )


def run_confirm(arguments: argparse.Namespace) -> int:
    """The rules on trial come into force."""
    answer = _ask(arguments, verb="confirm", by=arguments.by)
    return _say(f"generation {answer['generation']} is in force; the way back is: sekisho policy rollback")


def run_rollback(arguments: argparse.Namespace) -> int:
    """End the trial, or go back to the rules before."""
    return _say(f"generation {_ask(arguments, verb='rollback', by=arguments.by)['generation']} is in force")


def run_list(arguments: argparse.Namespace) -> int:
    """What is in force, until when, why."""
    answer = _ask(arguments, verb="status")
    out = Output()
    trial = f", {answer['trial']} on trial until {_time(answer['until'])}" if answer["trial"] else ""
    out.line(f"generation {answer['generation']} in force{trial}; {len(answer['leases'])} leases")
    for x in answer["leases"]:
        pair = f"{x['source']} -> {x['target']}" if x["target"] else x["source"]
        out.line(f"{x['id']:12s} {x['step']:16s} {pair}  until {_time(x['until'])}  {x['incident']}  {x['reason']}")
    if arguments.acts:
        for act in _ask(arguments, verb="acts", limit=100)["acts"]:
            more = "  ".join(f"{k} {v}" for k, v in sorted(act.items()) if k not in ("time", "what", "by") and v != "")
            out.line(f"{_time(act['time'])}  {act['what']}  {act['by'] or '-'}  {more}")
    out.flush()
    return 0


def run_undo(arguments: argparse.Namespace) -> int:
    """End a step before its time."""
    answer = _ask(arguments, verb="undo", id=arguments.lease, by=arguments.by)
    return _say(f"lease {arguments.lease} is ended; {len(answer['leases'])} are in force")


def _ask(arguments: argparse.Namespace, **request: Any) -> dict[str, Any]:
    return ask(Path(arguments.socket), request)


def _say(text: str) -> int:
    out = Output()
    out.line(text)
    out.flush()
    return 0


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

"""`sekisho enforcer`, `policy apply|confirm|rollback`, `lease list|undo`: what changes the kernel's rules, by its one process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.cli.output import Output, note
from appliance.cli.parser_rules import SOCKET
from appliance.config import duration
from appliance.decide.policy import SECOND, Limits
from appliance.decide.records import generation_json
from appliance.decide.rules import Step
from appliance.errors import UsageError
from appliance.host.config_file import read_config
from appliance.host.control import ENFORCER, ask, is_answering, listen
from appliance.host.enforcer.enforcer import Enforcer, forget_rules, make_folders, operators_of, uids_of
from appliance.host.privileges import NET_ADMIN, keep_only

if TYPE_CHECKING:
    import argparse

ANSWER_S = 30.0  # laying out ten thousand clients takes a while


@dataclass(frozen=True, slots=True)
class Office:
    """Where the enforcer works, and within which limits."""

    state: Path
    socket: Path
    limits: Limits
    operators: frozenset[int]
    bridge: bool


def run(arguments: argparse.Namespace) -> int:
    """Keep the kernel's rules until asked to end, lay them out once, or remove them; 0 then."""
    if arguments.forget:
        return _forget(Path(arguments.socket or SOCKET))
    office = _configured(arguments) if arguments.config else _named(arguments)
    enforcer = Enforcer.open(office.state, office.limits, bridge=office.bridge)
    number = enforcer.desk.confirmed.number
    if arguments.restore:
        note(f"enforcer: generation {number} and {len(enforcer.desk.leases)} leases are in force")
        return 0
    listener = listen(office.socket)
    if arguments.group is not None:
        os.chown(office.socket, -1, arguments.group)
    keep_only({NET_ADMIN})
    note(f"enforcer: generation {number} in force, {len(enforcer.desk.leases)} leases, asked at {office.socket}")
    enforcer.serve(listener, office.operators)
    office.socket.unlink(missing_ok=True)
    note("enforcer: ended; the rules stay in force")
    return 0


def _configured(arguments: argparse.Namespace) -> Office:
    config, _ = read_config(arguments.config)
    if config.enforce is None:
        raise UsageError(f"{arguments.config}: there is no [enforce] in it; add one, or do without the enforcer")
    state, told = Path(config.directory) / "enforcer", config.enforce
    socket = Path(arguments.socket) if arguments.socket else Path(config.runtime) / ENFORCER.socket
    make_folders(state, socket.parent)
    return Office(state, socket, told.limits, operators_of(uids_of(told.operators)), told.bridge)


def _named(arguments: argparse.Namespace) -> Office:
    state = Path(arguments.state)
    if not state.is_dir():
        raise UsageError(f"{state}: there is no such folder; make it, readable by nobody else")
    if arguments.per_hour < 0 or arguments.longest < 1:
        raise UsageError("--per-hour begins at 0, --longest at 1 second")
    limits = Limits(tuple(Step), arguments.per_hour, arguments.longest * SECOND)
    return Office(state, Path(arguments.socket or SOCKET), limits, operators_of(arguments.operator), arguments.bridge)


def _forget(socket: Path) -> int:
    """Remove our tables. What was confirmed stays in the ledger and comes back with the enforcer."""
    removed = forget_rules()
    if is_answering(socket):
        raise UsageError(f"{socket}: an enforcer is running and will lay the rules out again; stop it first")
    return _say("our rules are removed, nothing is blocked any more" if removed else "there are no rules of ours")


def cycle_of(arguments: argparse.Namespace) -> int:
    """How long a cycle of the plant is, ns; 0 where nobody has said. Raises UsageError."""
    try:
        return duration(arguments.cycle) if arguments.cycle else 0
    except ValueError as error:
        raise UsageError(f"--cycle {arguments.cycle}: {error}") from error


def run_apply(arguments: argparse.Namespace) -> int:
    """Put compiled rules on trial, where the gate lets them or a reason is given."""
    from appliance.host.keeper.policies import load_generation  # reads YAML too, which the enforcer itself does without

    generation = generation_json(load_generation(arguments.rules))
    asked = {"seconds": arguments.seconds, "cycle": cycle_of(arguments), "force": arguments.force, "by": arguments.by}
    answer = _ask(arguments, verb="apply", generation=generation, **asked)
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
    if opaque := _ask(arguments, verb="opaque")["opaque"]:
        out.line(f"{opaque:,} packets in tunnels or double tags passed without a look inside (docs/enforcement.md)")
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
    return ask(Path(arguments.socket or SOCKET), request, ENFORCER, ANSWER_S)


def _say(text: str) -> int:
    out = Output()
    out.line(text)
    out.flush()
    return 0


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

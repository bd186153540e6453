"""`sekisho policy`: check, test, plan and explain policies; nothing in here changes what is in force."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Output
from appliance.cli.review import listed
from appliance.decide.compiling import NOTHING, compile_policy
from appliance.decide.functions import OFFSETS, named
from appliance.decide.learned import talks_of
from appliance.decide.plan import explain, plan, request, run_tests
from appliance.decide.records import generation_text, service_from
from appliance.errors import UsageError
from appliance.host.baselines import load_baseline
from appliance.host.clock import now_ns
from appliance.host.keeper.policies import load_generation, load_policy
from appliance.host.writing import check_target, write_whole
from appliance.learn.meaning.model import derive
from appliance.learn.meaning.suspects import LeftOut, left_out
from appliance.report.policy import explained_lines, plan_lines, plan_records, policy_line, tested_lines

if TYPE_CHECKING:
    import argparse

    from appliance.decide.judge import Host
    from appliance.decide.learned import Talk
    from appliance.decide.rules import Service


def run_check(arguments: argparse.Namespace) -> int:
    """Say that policies are sound; whatever is wrong is an error."""
    out = Output()
    out.lines(policy_line(path, load_policy(path)) for path in arguments.policy)
    out.flush()
    return 0


def run_test(arguments: argparse.Namespace) -> int:
    """Run the tests inside a policy; 1 where one fails."""
    out, policy = Output(), load_policy(arguments.policy)
    if not policy.tests:
        raise UsageError(f"{arguments.policy}: there is no test in it; add tests: with what must be allowed and what refused")
    talks, waits = _learned(arguments.baseline)
    tests = run_tests(policy, talks, now_ns(), waits)
    failed = sum(not t.passed for t in tests)
    out.lines(tested_lines(tests))
    out.line(f"{len(tests)} tests, {failed} failed")
    out.flush()
    return 1 if failed else 0


def run_plan(arguments: argparse.Namespace) -> int:
    """Say what would change and what would be cut; 1 where learned conversations would be cut or counted."""
    out, policy = Output(), load_policy(arguments.policy)
    current = load_generation(arguments.current) if arguments.current else None
    number = current.number + 1 if current else 1
    talks, waits = _learned(arguments.baseline)
    compiled = compile_policy(policy, talks, now_ns(), number, left_out=waits)
    planned = plan(compiled, current)
    if arguments.output:
        target = Path(arguments.output)
        check_target(target)
        if target.exists() and not arguments.replace:
            raise UsageError(f"{target}: there is a file already; name another --output, or overwrite it with --replace")
        write_whole(target, generation_text(compiled.generation).encode())
    if arguments.format == "jsonl":
        out.lines(json.dumps(r, ensure_ascii=False) for r in plan_records(compiled, planned))
    else:
        out.lines(plan_lines(compiled, planned))
    out.flush()
    return 1 if planned.cut else 0


def run_explain(arguments: argparse.Namespace) -> int:
    """Say why one request is allowed or not; 1 where it is not."""
    out, policy = Output(), load_policy(arguments.policy)
    talks, waits = _learned(arguments.baseline)
    compiled = compile_policy(policy, talks, now_ns(), left_out=waits)
    service = _service(arguments.service)
    spoken = {t.protocol for t in talks if t.service == service and t.protocol}
    spoken |= {r.protocol for r in policy.rules if r.service == service and r.protocol}
    protocol = arguments.protocol or (spoken.pop() if len(spoken) == 1 else "")
    function = None
    if arguments.function:
        if not protocol:
            raise UsageError(f"which protocol {service} speaks is not known; add --protocol with one of {', '.join(OFFSETS)}")
        try:
            function = named(protocol, arguments.function)[0]
        except ValueError as error:
            raise UsageError(str(error)) from error
    payload = request(function, arguments.unit, arguments.register, talks, service)
    said = explain(compiled, talks, _host(arguments.client), _host(arguments.server), service, payload)
    out.lines(explained_lines(said))
    out.flush()
    return 0 if said.verdict.passes else 1


def _learned(path: str | None) -> tuple[list[Talk], LeftOut]:
    """Learned conversations, and what of them waits on the review list."""
    if not path:
        return [], NOTHING
    baseline, _ = load_baseline(path)
    return talks_of(derive(baseline)), left_out(listed(baseline))


def _service(text: str) -> Service:
    try:
        return service_from(text)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _host(text: str) -> Host:
    try:
        return ip_address(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no address; write it like 10.0.0.5") from error

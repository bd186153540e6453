"""`sekisho doctor`: whether a mirror port shows what it should, from captures or live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.cli.captures import STDIN, Captures, decoded, in_time
from appliance.cli.options import CONFIG
from appliance.cli.output import Output
from appliance.errors import UsageError
from appliance.host.clock import now_ns
from appliance.report.doctor import judge
from appliance.report.doctor_text import check_record, closing, doctor_lines
from appliance.report.mirror import Mirror
from appliance.report.records import dumps
from appliance.report.wording import listed

if TYPE_CHECKING:
    import argparse

    from appliance.report.doctor import Check


def run(arguments: argparse.Namespace) -> int:
    """Look, tell, and return 1 where there is a problem."""
    if arguments.capture and arguments.config:
        raise UsageError("doctor: name captures, or --config FILE for the running appliance, not both; see sekisho doctor --help")
    out = Output()
    if arguments.capture:
        found = [(listed(["standard input" if p == STDIN else p for p in arguments.capture]), _captures(arguments.capture))]
    else:
        from appliance.cli.doctor_live import look

        found = look(arguments.config or CONFIG, arguments.seconds)
    for about, checks in found:
        if arguments.format == "jsonl":
            out.lines(dumps(check_record(check, about, arguments.lang)) for check in checks)
        else:
            out.lines(doctor_lines(about, checks, arguments.lang, out.color))
    every = [check for _, checks in found for check in checks]
    if arguments.format == "text":
        out.line(closing(every, arguments.lang))
    out.flush()
    return int(any(check.state == "problem" for check in every))


def _captures(paths: list[str]) -> list[Check]:
    captures = Captures(in_time(paths))
    captures.progress.what = "looking"
    mirror = Mirror()
    for batch in decoded(captures.packets()):
        mirror.add(batch)
    captures.progress.clear()
    return judge(mirror, now_ns())

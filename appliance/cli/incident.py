"""`sekisho incident list|show|close`: what the keeper of a running appliance has stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.cli.asking import ask_keeper
from appliance.cli.output import Output
from appliance.report.incident_text import incident_lines, list_lines
from appliance.report.records import dumps

if TYPE_CHECKING:
    import argparse


def run_list(arguments: argparse.Namespace) -> int:
    """The latest incidents; 1 where there are some, 0 where there is none."""
    records = ask_keeper(arguments, {"verb": "incidents", "state": arguments.state, "limit": arguments.limit})["incidents"]
    out = Output()
    out.lines(map(dumps, records) if arguments.format == "jsonl" else list_lines(records, arguments.lang))
    out.flush()
    return 1 if records else 0


def run_show(arguments: argparse.Namespace) -> int:
    """One incident with its findings."""
    told = ask_keeper(arguments, {"verb": "incident", "id": arguments.incident})
    out = Output()
    if arguments.format == "jsonl":
        out.lines(map(dumps, [told["record"], *told["findings"], *told["others"]]))
    else:
        out.lines(incident_lines(told, arguments.lang))
    out.flush()
    return 0


def run_close(arguments: argparse.Namespace) -> int:
    """A person says that it is done; it opens again when it grows."""
    wanted = {"verb": "close", "id": arguments.incident, "by": arguments.by, "note": arguments.note}
    record = ask_keeper(arguments, wanted)["record"]
    out = Output()
    out.line(f"{record['id']} is closed; it opens again by itself if more of it is seen")
    out.flush()
    return 0

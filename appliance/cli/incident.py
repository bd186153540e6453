"""`sekisho incident list|show|close`, `sekisho watch`: what the keeper of a running appliance has stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.cli.asking import ask_keeper
from appliance.cli.output import Output
from appliance.report.incident_text import incident_lines, list_lines
from appliance.report.records import dumps, summary_record
from appliance.report.wording import span

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
        r = told["record"]  # with a summary `baseline accept` takes it as it takes the output of `detect`
        summary = summary_record(0, r["findings"], 1, r["updated"] - r["opened"], 0)
        out.lines(map(dumps, [r, *told["findings"], *told["others"], summary]))
    else:
        out.lines(incident_lines(told, arguments.lang))
    out.flush()
    return 0


def run_watch(arguments: argparse.Namespace) -> int:
    """Learning ends because a person says so."""
    told = ask_keeper(arguments, {"verb": "watch", "by": arguments.by})
    new = (told.get("adequacy") or {}).get("new")
    share = "how much is still unknown cannot be said yet" if new is None else f"up to {new:.1%} of what comes next may be new"
    out = Output()
    out.line(f"it begins to watch with what it learned in {span(told['learned'])}; {share}")
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

"""`sekisho status`: the appliance on one screen, as the keeper knows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import appliance
from appliance.cli.asking import ask_keeper
from appliance.cli.output import Output
from appliance.errors import LiveError
from appliance.report.overview import COLUMNS, attention, overview_lines
from appliance.report.snapshot import overview

if TYPE_CHECKING:
    import argparse

_SHOWN = 3


def run(arguments: argparse.Namespace) -> int:
    """Ask and show; 0 where all is well, 1 where something needs attention. Raises SekishoError where nobody can be asked."""
    snapshot = ask_keeper(arguments, {"verb": "snapshot"}).get("snapshot")
    if not isinstance(snapshot, dict):
        raise LiveError("what answers is no keeper of ours; name the right socket, or update both to one version")
    now = overview(snapshot)
    newest = _newest(arguments) if sum(now.open.values()) else []
    out = Output()
    if arguments.format == "json":
        wrong = [{"what": name, "count": count} for name, count in attention(now)]
        out.line(json.dumps({"snapshot": snapshot, "newest": newest, "attention": wrong}, indent=2))
    else:
        columns = min(out.columns, 100) if out.terminal else COLUMNS
        out.lines(overview_lines(now, newest, appliance.__version__, arguments.lang, color=bool(out.color), columns=columns))
    out.flush()
    return 1 if attention(now) else 0


def _newest(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The latest open incidents; none where the store cannot be read now, which is a problem of its own."""
    try:
        found = ask_keeper(arguments, {"verb": "incidents", "state": "open", "limit": _SHOWN}).get("incidents")
    except LiveError:
        return []
    return [record for record in found if isinstance(record, dict)] if isinstance(found, list) else []

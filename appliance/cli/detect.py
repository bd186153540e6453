"""`sekisho detect`: captures against a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.captures import STDIN, Captures, in_time
from appliance.cli.output import Output
from appliance.cli.watching import Watch, plans_of
from appliance.host.baselines import load_baseline
from appliance.learn.meaning.model import derive
from appliance.report.wording import listed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def run(arguments: argparse.Namespace) -> int:
    """Detect, print, and return 1 where incidents were found."""
    out = Output()
    if arguments.report is not None:
        from appliance.host.writing import check_target

        check_target(arguments.report, [*arguments.capture, arguments.baseline])
    plans = plans_of(arguments.work_plan)
    baseline, _ = load_baseline(arguments.baseline)
    model = derive(baseline)
    told: list[str] = []
    if arguments.false_per_day is not None:
        from appliance.cli.budget import keep_within

        told = keep_within(model, arguments.false_per_day)
    captures = Captures(in_time(arguments.capture))
    captures.progress.what = "detecting"
    watch = Watch(model, captures.numbering, out, arguments.format == "jsonl", arguments.lang, arguments.report, plans)
    if not watch.lines:
        out.lines(told)
    for batch in captures.batches():
        watch.judge(batch)
    captures.progress.clear()
    return watch.close(title(captures.paths))


def title(paths: Sequence[str]) -> str:
    """What a page calls the captures: their names without folders."""
    return listed([("standard input" if name == STDIN else Path(name).name) for name in paths])

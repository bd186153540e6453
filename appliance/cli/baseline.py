"""`sekisho baseline`: look at baselines, put them together, compare them."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import Output
from appliance.errors import UsageError
from appliance.host.baselines import load_baseline, save_baseline
from appliance.host.writing import check_target
from appliance.learn.baselines.baseline import merge
from appliance.learn.numbers.prepared import prepare
from appliance.report.wording import plain

if TYPE_CHECKING:
    import argparse


def run_show(arguments: argparse.Namespace) -> int:
    """What was learned, in words."""
    from appliance.report.learned import learned_lines

    out = Output()
    for path in arguments.baseline:
        baseline, digest = load_baseline(path)
        out.lines(learned_lines(path, baseline, digest, None if arguments.all else 40))
    out.flush()
    return 0


def run_merge(arguments: argparse.Namespace) -> int:
    """Write a new baseline that holds all of them."""
    out, target = Output(), Path(arguments.output)
    check_target(target)
    if target.exists() and not arguments.replace:
        raise UsageError(f"{target}: there is a file already; name another --output, or overwrite it with --replace")
    baseline = reduce(merge, [load_baseline(path)[0] for path in arguments.baseline])
    baseline.prepared = prepare(baseline.image)
    digest = save_baseline(target.resolve(), baseline)
    out.line(f"baseline {plain(str(target))} ({digest[:16]}): {len(arguments.baseline)} merged, {baseline.frames:,} frames")
    out.flush()
    return 0


def run_diff(arguments: argparse.Namespace) -> int:
    """What the second baseline has more, less or otherwise than the first; 0 where nothing, 1 where something."""
    from appliance.report.difference import difference

    out = Output()
    old, new = (load_baseline(path)[0] for path in (arguments.old, arguments.new))
    lines = list(difference(old, new))
    out.lines(lines or [f"no difference: {arguments.new} knows what {arguments.old} knows"])
    out.flush()
    return 1 if lines else 0

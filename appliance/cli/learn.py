"""`sekisho learn`: what is normal, from captures."""

from __future__ import annotations

import argparse
from functools import reduce
from pathlib import Path

from appliance.cli.captures import Captures, sessions
from appliance.errors import UsageError
from appliance.host.baselines import load_baseline, save_baseline
from appliance.learn.baseline import Baseline, merge
from appliance.pipeline import learn_session


def run(arguments: argparse.Namespace) -> int:
    """Learn from the captures and write the baseline."""
    target = Path(arguments.baseline)
    if target.exists() and not (arguments.add or arguments.replace):
        raise UsageError(f"{target}: there is a baseline already; add to it with --add, or start anew with --replace")
    learned: list[Baseline] = []
    for group in sessions(arguments.capture):
        captures = Captures(group)
        learned.append(learn_session(captures.batches))
    if arguments.add and target.exists():
        learned.append(load_baseline(target)[0])
    baseline = reduce(merge, learned)
    digest = save_baseline(target, baseline)
    print(f"learned {baseline.frames} frames, {len(baseline.assets)} assets, {len(baseline.conversations)} conversations")
    print(f"baseline {target} ({digest[:16]})")
    return 0

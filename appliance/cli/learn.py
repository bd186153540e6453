"""`sekisho learn`: what is normal, from captures."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.captures import Captures, refuse_pipes, sessions
from appliance.cli.output import Output, Progress
from appliance.errors import CaptureError, UsageError
from appliance.host.baselines import load_baseline, save_baseline
from appliance.host.writing import check_target
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.numbers.prepared import prepare
from appliance.pipeline import Passes, learn_session
from appliance.report.inventory import device_count
from appliance.report.wording import plain, span

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from appliance.decode.columns import DecodedBatch


def run(arguments: argparse.Namespace) -> int:
    """Learn from the captures and write the baseline."""
    out, target = Output(), Path(arguments.baseline)
    refuse_pipes(arguments.capture, "learn")
    check_target(target, arguments.capture)
    if target.exists() and not (arguments.add or arguments.replace):
        raise UsageError(f"{target}: there is a baseline already; add to it with --add, or start anew with --replace")
    # read before the long work, so that a damaged one is told at once
    learned: list[Baseline] = [load_baseline(target)[0]] if arguments.add and target.exists() else []
    progress = Progress()
    progress.what = "looking at times"
    groups = sessions(arguments.capture, progress)
    learned += [learned_session(Captures(group, progress), progress) for group in groups]
    baseline = reduce(merge, learned)
    progress.what = "finding what numbers have to do with each other"
    baseline.prepared = prepare(baseline.image)
    progress.clear()
    digest = save_baseline(target.resolve(), baseline)
    counts = f"{device_count(baseline):,} assets, {len(baseline.conversations):,} conversations"
    sittings = "1 session" if baseline.sessions == 1 else f"{baseline.sessions:,} sessions"
    out.line(f"learned {baseline.frames:,} frames in {span(baseline.watched * 1e-9)} ({sittings}): {counts}")
    out.line(f"baseline {plain(str(target))} ({digest[:16]})")
    out.flush()
    return 0


def learned_session(captures: Captures, progress: Progress) -> Baseline:
    """A baseline of one session. Raises CaptureError where there is nothing to learn from."""
    baseline = learn_session(told_passes(captures.batches, progress))
    if not baseline.frames:
        raise CaptureError(f"{', '.join(captures.paths)}: no frame in it; there is nothing to learn, give a longer capture")
    return baseline


def told_passes(frames: Passes, progress: Progress) -> Passes:
    """The same passes, with the progress line saying which one it is."""
    number = 0

    def passes() -> Iterator[DecodedBatch]:
        nonlocal number
        number += 1
        progress.what = f"learning, pass {number} of 3"
        return frames()

    return passes

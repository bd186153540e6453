"""`sekisho replay`: learn on the head of a capture, detect in the rest, tell the story."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appliance.cli.budget import keep_within
from appliance.cli.captures import Captures, decoded, in_time, refuse_pipes, split
from appliance.cli.detect import title
from appliance.cli.learn import told_passes
from appliance.cli.output import Output
from appliance.cli.watching import Watch, plans_of
from appliance.config import duration
from appliance.errors import UsageError
from appliance.learn.meaning.model import derive
from appliance.pipeline import learn_session
from appliance.report.inventory import device_count
from appliance.report.wording import span

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from appliance.decode.columns import DecodedBatch


def nanoseconds(text: str) -> int:
    """A duration such as 90s, 10m, 1h30m or 2d in ns. Raises UsageError."""
    try:
        return duration(text)
    except ValueError as error:
        raise UsageError(f"--learn-for {text}: {error}") from error


def run(arguments: argparse.Namespace) -> int:
    """Learn, detect, tell; 1 where incidents were found."""
    out = Output()
    refuse_pipes(arguments.capture, "replay")
    if arguments.report is not None:
        from appliance.host.writing import check_target

        check_target(arguments.report, arguments.capture)
    plans = plans_of(arguments.work_plan)
    captures = Captures(in_time(arguments.capture))
    cut = _cut(captures, arguments)
    baseline = learn_session(told_passes(partial(_head, captures, cut), captures.progress))
    model = derive(baseline)
    told = keep_within(model, arguments.false_per_day)
    captures.progress.what = "detecting"
    watch = Watch(model, captures.numbering, out, arguments.format == "jsonl", arguments.lang, arguments.report, plans)
    if not watch.lines:
        learned = f"{device_count(baseline):,} assets, {len(baseline.conversations):,} conversations"
        out.line(f"learned from the first {cut:,} frames ({span(baseline.watched * 1e-9)}): {learned}; detecting in the rest")
        out.lines(told or [""])
        out.flush()
    # the head is decoded again so that connections that cross the cut are followed, but it is not judged
    for batch in decoded(split(captures.packets(), cut)):
        if len(batch) and int(batch.frame[0]) > cut:
            watch.judge(batch)
    captures.progress.clear()
    return watch.close(title(captures.paths))


def _head(captures: Captures, cut: int) -> Iterator[DecodedBatch]:
    for batch in decoded(split(captures.packets(), cut)):
        if int(batch.frame[0]) > cut:
            return
        yield batch


def _cut(captures: Captures, arguments: argparse.Namespace) -> int:
    """Last frame of the head. Raises UsageError where the head or the rest is empty."""
    captures.progress.what = "looking at times"
    length = nanoseconds(arguments.learn_for) if arguments.learn_for else None
    start, last, cut = None, 0, 0
    for batch in captures.packets():
        start = int(batch.time[0]) if start is None else start
        last = max(last, int(batch.time.max()))
        if length is not None and not cut:
            late = (batch.time >= start + length).nonzero()[0]
            cut = int(batch.frame[late[0]]) - 1 if len(late) else 0
    cut = arguments.learn_frames if length is None else cut
    if start is None or not 0 < cut < captures.frames:
        whole = f"{captures.frames:,} frames in {span((last - (start or 0)) * 1e-9)}"
        raise UsageError(f"{', '.join(captures.paths)}: nothing is left to detect in (it has {whole}); learn on less of it")
    return int(cut)

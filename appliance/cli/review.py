"""`sekisho baseline review`: what looks hostile in the learning time, listed and confirmed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.accept import signature
from appliance.cli.output import Output
from appliance.errors import UsageError
from appliance.host.baselines import load_baseline, save_baseline
from appliance.host.sensor.words import WordsWorker
from appliance.learn.meaning.suspects import Suspect, suspects
from appliance.report.records import dumps
from appliance.report.review import review_lines, review_record

if TYPE_CHECKING:
    import argparse

    from appliance.learn.baselines.baseline import Baseline


def run(arguments: argparse.Namespace) -> int:
    """List, or confirm; 1 where something is open, else 0."""
    out = Output()
    signed = signature(arguments) if arguments.confirm else None
    baseline, _ = load_baseline(arguments.baseline)
    found = listed(baseline)
    if signed is not None:
        known = {s.id for s in found}
        wrong = [name for name in arguments.confirm if name not in known]
        if wrong:
            raise UsageError(f"--confirm {wrong[0]}: not on the list; see `sekisho baseline review {arguments.baseline}`")
        for name in arguments.confirm:
            baseline.ledger.confirmed[name] = min(signed, baseline.ledger.confirmed.get(name, signed))
        save_baseline(Path(arguments.baseline).resolve(), baseline)
        found = listed(baseline)
    if arguments.format == "jsonl":
        out.lines(dumps(review_record(s)) for s in found)
    else:
        out.lines(review_lines(found))
    out.flush()
    return 1 if any(s.confirmed is None for s in found) else 0


def listed(baseline: Baseline) -> list[Suspect]:
    """The list, with the words that decoders have."""
    with WordsWorker() as worker:

        def say(message: bytes, request: bool) -> tuple[str, str] | None:
            words = worker.words(message, request)
            return None if words is None else (words.intent.value, words.summary)

        return suspects(baseline, say)

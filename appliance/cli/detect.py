"""`sekisho detect`: captures against a baseline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack

from appliance.cli.captures import Captures
from appliance.commands import Command, TellFinding
from appliance.detect.finding import Finding
from appliance.host.baselines import load_baseline
from appliance.host.words import WordsWorker
from appliance.incident.telling import told
from appliance.learn.model import derive
from appliance.pipeline import State, finish, step
from appliance.protocols import Words
from appliance.report.records import dumps, finding_record, incident_record, summary_record
from appliance.report.text import story


def run(arguments: argparse.Namespace) -> int:
    """Detect, print, and return 1 where incidents were found."""
    baseline, _ = load_baseline(arguments.baseline)
    state = State.start(derive(baseline))
    captures = Captures(arguments.capture)
    lines = arguments.format == "jsonl"
    findings = 0

    def carry_out(commands: list[Command]) -> int:
        count = 0
        for command in commands:
            if isinstance(command, TellFinding):
                count += 1
                if lines:
                    sys.stdout.write(dumps(finding_record(command.finding, command.incident)) + "\n")
        return count

    for batch in captures.batches():
        state, commands = step(state, batch)
        findings += carry_out(commands)
    state, commands = finish(state)
    findings += carry_out(commands)
    with ExitStack() as stack:
        worker = stack.enter_context(WordsWorker())
        speak: Callable[[Finding], Words | None] = lambda f: worker.words(f.payload, f.src == f.client, f.ranges)
        incidents = [told(i, speak, arguments.lang) for i in state.grouping.incidents.values()]
    seconds = max(0, state.last - state.first) * 1e-9
    summary = summary_record(state.detector.frames, findings, len(incidents), seconds, state.detector.damaged)
    if lines:
        for incident in incidents:
            sys.stdout.write(dumps(incident_record(incident)) + "\n")
        sys.stdout.write(dumps(summary) + "\n")
    else:
        for line in story(incidents, summary, arguments.lang, sys.stdout.isatty()):
            print(line)
    return 1 if incidents else 0

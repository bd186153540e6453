"""Train the model of causes and write models/cause/: cause.model, and the tables of CARD.md.

    python -m tests.causes.train [--rounds 4] [--shared FOLDER] [--samples FILE ...] [--lab FILE]

Simulations are made anew (some minutes), lab samples are read from models/cause/lab.jsonl. The result depends on nothing else:
same rounds, same libraries, same file. Captures of others (`--shared`) test, they never train what is shipped.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.explain.causemodel import parse_model
from tests.causes.captures import captured
from tests.causes.dataset import read
from tests.causes.model import exported, fitted, table
from tests.causes.report import report
from tests.causes.score import calibrated
from tests.causes.simulate import plants, simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.causes.simulate import Sample

HOME = Path(__file__).resolve().parents[2] / "models" / "cause"
THRESHOLD = 0.6  # two causes that are equally likely, one of them a little favoured by chance, stay below


def samples(options: argparse.Namespace) -> tuple[list[Sample], list[Sample]]:
    """What trains, and what only tests."""
    if options.samples:
        made = [s for file in options.samples for s in read(file)]
    else:
        made = [s for place in plants(options.rounds) for s in simulated(*place)]
    lab = read(options.lab) if options.lab.exists() else []
    if options.shared is not None:
        made += captured(options.shared)
    every = sorted([*made, *lab], key=lambda s: (s.generator, s.run, s.deaf, s.young))  # however they were shared out
    return [s for s in every if s.generator != "captures"], [s for s in every if s.generator == "captures"]


def main(arguments: Sequence[str]) -> int:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.causes.train", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="simulated plants: five a round, each protocol and each stack once")
    parser.add_argument("--samples", type=Path, nargs="+", help="what tests.causes.dataset made before")
    parser.add_argument("--lab", type=Path, default=HOME / "lab.jsonl")
    parser.add_argument("--shared", type=Path, help="folder of captures of others, to test")
    parser.add_argument("--quick", action="store_true", help="write the model only")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # decoders complain of every odd byte, and odd bytes are what this is about
    own, others = samples(options)
    data = exported(fitted(table(own, both=True)), calibrated(own), THRESHOLD)
    model = parse_model(data)
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "cause.model").write_bytes(data)
    digest = json.loads(data.partition(b"\n")[0])["digest"]
    print(f"{len(own)} samples, {len(model.nodes)} nodes, temperature {model.temperature}, digest {digest}")
    if not options.quick:
        (HOME / "RESULTS.md").write_text(report(own, others, THRESHOLD), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

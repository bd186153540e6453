"""Train the model of causes and write models/cause/: cause.model, and the tables of CARD.md.

    python -m tests.causes.train [--seeds 2] [--shared FOLDER] [--samples FILE ...] [--lab FILE]

Simulations are made anew (some minutes), lab samples are read from models/cause/lab.jsonl. The result depends on nothing else:
same seeds, same libraries, same file. Captures of others (`--shared`) test, they never train what is shipped.
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
from tests.causes.model import exported, fitted, learners, table
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
        made = [s for place in plants(options.seeds) for s in simulated(*place)]
    lab = read(options.lab) if options.lab.exists() else []
    own = sorted([*made, *lab], key=lambda s: (s.generator, s.run, s.deaf))  # however the simulations were shared out
    return own, list(captured(options.shared)) if options.shared is not None else []


def main(arguments: Sequence[str]) -> int:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.causes.train", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="simulated plants of each protocol and stack")
    parser.add_argument("--samples", type=Path, nargs="+", help="simulations made before by tests.causes.dataset")
    parser.add_argument("--lab", type=Path, default=HOME / "lab.jsonl")
    parser.add_argument("--shared", type=Path, help="folder of captures of others, to test")
    parser.add_argument("--quick", action="store_true", help="write the model only")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # decoders complain of every odd byte, and odd bytes are what this is about
    own, others = samples(options)
    learner = next(iter(learners()))
    data = exported(fitted(learner, table(own, both=True)), calibrated(own, learner), THRESHOLD)
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

"""The training set: made here from simulations, the lab's recordings and, to test only, captures of others.

    python -m tests.causes.dataset --out FILE [--rounds 4] [--lab FOLDER] [--shared FOLDER]

writes one JSON line a sample. Simulations are the same on every machine; lab recordings are not, so what was made of them
is kept in `models/cause/lab.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.causes.captures import captured
from tests.causes.recorded import recorded
from tests.causes.simulate import Sample, plants, simulated

if TYPE_CHECKING:
    from collections.abc import Iterable


def write(path: Path, samples: Iterable[Sample]) -> int:
    """Write samples; returns how many. Numbers are rounded to six digits, which the trees do not notice."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for sample in samples:
            data = asdict(sample) | {"row": [round(x, 6) for x in sample.row]}
            file.write(json.dumps(data) + "\n")
            file.flush()
            count += 1
    return count


def read(path: Path) -> list[Sample]:
    """Samples of a file."""
    return [Sample(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def main(arguments: list[str]) -> int:
    """Make the parts asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.causes.dataset", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=0, help="simulated plants: five a round")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="K N: only every N-th plant, from the K-th on")
    parser.add_argument("--lab", type=Path, help="folder of recordings")
    parser.add_argument("--pcaps", type=Path, help="folder of the lab's labelled cases")
    parser.add_argument("--shared", type=Path, help="folder of clean captures of others")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # decoders complain of every odd byte, and odd bytes are what this is about

    def parts() -> Iterable[Sample]:
        for place in plants(options.rounds)[options.part[0] :: options.part[1]]:
            print(*place, file=sys.stderr, flush=True)
            yield from simulated(*place)
        yield from recorded(options.lab, options.pcaps)
        if options.shared is not None:
            yield from captured(options.shared)

    print(write(options.out, parts()), "samples")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

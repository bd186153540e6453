"""`python -m tests.evaluate`: measure, write the page and the plots. See the package's text."""

import argparse
import os
import sys
import time
from pathlib import Path

from tests.evaluate.page import page
from tests.evaluate.run import evaluate
from tests.evaluate.suites import ROOT


def main() -> int:
    """Exit code 0; figures are told, not judged: the tests do that."""
    parser = argparse.ArgumentParser(description="Measure detection and write docs/evaluation.md with its plots.")
    parser.add_argument("--quick", action="store_true", help="few changes, few captures: under a minute")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "evaluation.md")
    shared = Path(os.environ.get("SEKISHO_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=shared, help="folder with pcaps/ recorded by others")
    parser.add_argument("--minutes", type=float, default=14, help="nothing is begun after so long; what is left out is told")
    options = parser.parse_args()
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

    pcaps = options.shared / "pcaps"
    if not pcaps.is_dir():
        say("the shared captures are not here: what needs them is left out")
    where = pcaps if pcaps.is_dir() else None
    results = evaluate(where, options.quick, options.seed, say, lambda: time.monotonic() - began > 60 * options.minutes)
    text, plots = page(results)
    images = options.out.parent / "img"
    images.mkdir(parents=True, exist_ok=True)
    for name, drawing in plots.items():
        (images / name).write_text(drawing, encoding="utf-8")
    options.out.write_text(text, encoding="utf-8")
    say(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

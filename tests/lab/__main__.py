"""`python -m tests.lab`: record the project's own captures, list the cases, check the folders, clean up."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from appliance.errors import SekishoError
from tests.lab import net, recording
from tests.lab.cases import CASES, Case


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("record", help="record cases (root; a case takes about 200 s of real time)")
    verb.add_argument("--case", nargs="+", choices=sorted(CASES), default=sorted(CASES), metavar="NAME")
    verb.add_argument("--out", type=Path, default=Path("pcaps"))
    verb.add_argument("--parallel", type=int, default=3, help="cases at once (default 3)")
    verbs.add_parser("list", help="print the cases")
    verb = verbs.add_parser("check", help="see that captures, labels and case.toml agree")
    verb.add_argument("--out", type=Path, default=Path("pcaps"))
    verb = verbs.add_parser("table", help="print the table of pcaps/README.md")
    verb.add_argument("--out", type=Path, default=Path("pcaps"))
    verbs.add_parser("clean", help="remove namespaces left by a lab that was killed")
    return parser.parse_args(arguments)


def record_all(cases: list[Case], out: Path, parallel: int) -> int:
    """Record the cases, `parallel` at a time; returns how many failed."""
    out.mkdir(parents=True, exist_ok=True)

    def one(numbered: tuple[int, Case]) -> bool:
        number, case = numbered
        try:
            facts = recording.record(case, out, f"c{number}")
        except SekishoError as problem:
            print(f"{case.name}: {problem}", file=sys.stderr, flush=True)
            return False
        print(f"{case.name}: {facts['train_frames']} + {facts['test_frames']} frames, {facts['episodes']} episodes, "
              f"{facts['positive_frames']} positive, {facts['unscored_frames']} unscored", flush=True)  # fmt: skip
        return True

    with ThreadPoolExecutor(parallel) as pool:
        return sum(not well for well in pool.map(one, enumerate(cases)))


def main(arguments: list[str]) -> int:
    """Run a verb; 0 well, 1 a case failed or disagrees, 2 cannot run."""
    options = parse(arguments)
    if options.verb == "list":
        for case in CASES.values():
            print(f"{case.name:26s} {case.kind:8s} {case.train:.0f} + {case.test:.0f} s  {case.note}")
        return 0
    if options.verb == "table":
        print(recording.table(options.out))
        return 0
    if options.verb == "clean":
        print("\n".join(net.clean()))
        return 0
    if options.verb == "check":
        folders = sorted(path.parent for path in options.out.glob("*/case.toml"))
        problems = [f"{folder.name}: {problem}" for folder in folders for problem in recording.check(folder)]
        print("\n".join(problems) or f"{len(folders)} cases agree")
        return 1 if problems or not folders else 0
    reason = net.can_build()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    return 1 if record_all([CASES[name] for name in options.case], options.out, options.parallel) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

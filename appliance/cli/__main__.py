"""The `sekisho` command."""

from __future__ import annotations

import argparse
import sys

import appliance
from appliance.cli import detect, learn
from appliance.errors import SekishoError


def parser() -> argparse.ArgumentParser:
    """All verbs."""
    top = argparse.ArgumentParser(prog="sekisho", description="Watches automation networks and tells what is abnormal.")
    top.add_argument("--version", action="version", version=f"sekisho {appliance.__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    p = verbs.add_parser("learn", help="learn what is normal from captures")
    p.add_argument("capture", nargs="+")
    p.add_argument("--baseline", required=True)
    p.add_argument("--add", action="store_true")
    p.add_argument("--replace", action="store_true")
    p.set_defaults(run=learn.run)
    p = verbs.add_parser("detect", help="tell what is abnormal in captures")
    p.add_argument("capture", nargs="+")
    p.add_argument("--baseline", required=True)
    p.add_argument("--format", choices=("text", "jsonl"), default="text")
    p.add_argument("--lang", choices=("en", "ja"), default="en")
    p.add_argument("--report")
    p.set_defaults(run=detect.run)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one verb; what goes wrong is one line and exit code 2."""
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except SekishoError as error:
        print(f"sekisho: {error}", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())

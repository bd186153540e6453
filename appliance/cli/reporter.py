"""`sekisho reporter`: what sends incidents out of the site, and a try of one destination."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Report until asked to end; with `--test`, send one event that says so."""
    from appliance.cli.output import Output
    from appliance.host.reporter.process import main, try_out

    path = str(Path(arguments.config).absolute())
    if arguments.test is None:
        return main(path)
    out = Output()
    out.line(try_out(path, arguments.test))
    out.flush()
    return 0

"""The command line of what leaves the site, and of what is kept for another box."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

CONFIG = "/etc/sekisho/sekisho.toml"
Verbs = Any  # argparse has no public name for what holds verbs
Add = Callable[[Any, str, str, str, str], argparse.ArgumentParser]

_REPORTER = """\
Sends what the keeper stores to the destinations of [report], until SIGTERM (docs/reporting.md). SIGHUP reads the configuration
anew. --test sends one event that says it is a test, and says in one line what happened.

examples:
  sekisho reporter --config /etc/sekisho/sekisho.toml
  sekisho reporter --test siem

exit codes: 0 ended or sent, 1 to be started again, 2 could not run or send"""


def report_verbs(verbs: Verbs, add: Add) -> None:
    """The reporter."""
    p = add(verbs, "reporter", "send incidents out of the site: SIEM, webhook, mail, file", _REPORTER, "reporter:run")
    p.add_argument("--config", default=CONFIG, metavar="FILE", help=f"the configuration, {CONFIG} unless told")
    p.add_argument("--test", metavar="DESTINATION", help="send one test event there and end")

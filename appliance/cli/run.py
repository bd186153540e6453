"""`sekisho run`: the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appliance.cli.output import note
from appliance.host.config_file import read_config
from appliance.host.supervisor import supervise

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> int:
    """Check the configuration, then run until asked to end; 0 then."""
    path = str(Path(arguments.config).absolute())
    config, _ = read_config(path)
    if arguments.check:
        note(f"{arguments.config}: it is sound")
        return 0
    return supervise(path, config, note)

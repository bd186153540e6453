"""`sekisho opener|sensor|keeper --config F`: one process of the appliance alone, as a unit of systemd starts it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from appliance.host.config_file import read_config

if TYPE_CHECKING:
    import argparse


def run_opener(arguments: argparse.Namespace) -> NoReturn:
    """Make the door and open interfaces for whoever comes through it."""
    from appliance.host.capture.opener import serve_door
    from appliance.host.supervisor import make_door

    config, _ = read_config(arguments.config)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it knows nothing that could be read anew
    serve_door(make_door(Path(config.runtime)))


def run_sensor(arguments: argparse.Namespace) -> int:
    """Learn, then watch."""
    from appliance.host.sensor.process import run
    from appliance.host.supervisor import DOOR

    config, _ = read_config(arguments.config)
    return run(str(Path(arguments.config).absolute()), str(Path(config.runtime) / DOOR))


def run_keeper(arguments: argparse.Namespace) -> int:
    """Store what the sensor finds, and answer."""
    from appliance.host.keeper.process import main

    return main(str(Path(arguments.config).absolute()))

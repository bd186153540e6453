"""The sensor as a process: `python -m appliance.host.sensor.process CONFIG SOCKET`. It holds no capability at all."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import SekishoError
from appliance.host.config_file import check_unmoved, read_config
from appliance.host.notify import Notifier, note, to_journal
from appliance.host.privileges import keep_only
from appliance.host.signals import signal_pipe

if TYPE_CHECKING:
    from appliance.config import Config


def serve(path: str, door: str) -> None:
    """Run the sensor until it is asked to end. Raises SekishoError."""
    from appliance.host.capture.interfaces import Interfaces
    from appliance.host.control import KEEPER
    from appliance.host.sensor.feed import Feeder, next_run
    from appliance.host.sensor.head import Head
    from appliance.host.sensor.outlet import Outlet
    from appliance.host.sensor.sensor import Sensor

    config, program = read_config(path)
    reading = signal_pipe()
    interfaces = Interfaces(door, note)
    interfaces.want(config.capture, config.capture.instructions(program))
    feed = Feeder(Path(config.runtime) / KEEPER.socket, next_run(Path(config.directory), time.time()), note)
    notifier = Notifier.of(os.environ)
    write = _nowhere if to_journal(1) else _write

    def again() -> tuple[Config, str]:
        wanted, text = read_config(path)
        check_unmoved(config, wanted)
        return wanted, text

    kind = Sensor if config.capture.cores == 1 else partial(Head, path=path)
    sensor = kind(config, interfaces, again, Outlet(feed, write), note, notifier)
    sensor.begin()
    notifier.ready()
    sensor.run(reading)


def _nowhere(_: str) -> None:
    """The journal is no place for records: the keeper has them, and says what opens there."""


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def run(path: str, door: str) -> int:
    """Give everything up before the first library that starts threads is loaded, then serve; the exit code."""
    keep_only(frozenset())
    try:
        serve(path, door)
    except BrokenPipeError:
        return 141  # nobody reads: as the command says it
    except SekishoError as error:
        note(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2]))

"""The keeper as a process: `python -m appliance.host.keeper.process CONFIG`. It holds no capability at all."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import SekishoError, StoreError
from appliance.host.config_file import check_unmoved, read_config
from appliance.host.control import KEEPER, Json, ask, listen, sensor_uids
from appliance.host.keeper.keeper import STORE, Keeper
from appliance.host.keeper.metrics import Exporter
from appliance.host.keeper.reported import SNAPSHOT, reported
from appliance.host.lines import LineServer
from appliance.host.notify import Notifier, note, tell_incident
from appliance.host.privileges import keep_only
from appliance.host.signals import signal_pipe
from appliance.report.response import in_force

if TYPE_CHECKING:
    from appliance.config import Config
    from appliance.host.keeper.response import Response

TURN_S = 1.0
GRACE_S = 30.0  # in which another process may begin
SEE_S = 60.0  # that a keeper bears with a disk that was read-only when it was started: the sensor keeps what has no receipt
TOLD = 10_000  # incidents whose last telling is remembered


class KeeperProcess:
    """Socket, keeper and signals."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.config, _ = read_config(path)
        directory, runtime = Path(self.config.directory), Path(self.config.runtime)
        with contextlib.suppress(OSError):  # what is wrong with the folder is a problem of the store
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = frozenset({0, os.getuid()})
        self.keeper = Keeper(directory / STORE, self.config.store_bytes, own | sensor_uids(), _operators(self.config))
        # A scrape asks like everybody else, so that nobody but this process's one loop touches the store.
        snapshot = {"verb": "snapshot"}
        self.exporter = Exporter("", 0, lambda: ask(runtime / KEEPER.socket, snapshot, timeout=5.0)["snapshot"], str(directory))
        self._settings(self.config)
        self.keeper.open()
        self.told: dict[str, object] = {}  # incident -> cause it was told with
        self.keeper.takers.append(self._journal)
        self.keeper.closers.append(tell_incident)
        self.keeper.more.append(self._reported)
        self.socket = runtime / KEEPER.socket
        self.server = LineServer(listen(self.socket), KEEPER, self.keeper.answer, self.keeper.feeders)
        self.notifier = Notifier.of(os.environ)
        self.over = False
        self.response = self._responding()

    def _responding(self) -> Response | None:
        """What answers incidents, where the configuration says that they are."""
        if self.config.enforce is None:
            return None
        from appliance.host.keeper.response import Response  # reads policies and baselines: not in every keeper's memory

        response = Response(self.config, note, in_force(self.keeper.responses()))
        self.keeper.takers.append(response.take)
        self.keeper.more.append(response.snapshot)
        self.server.watch(response.fileno(), lambda: self.keeper.keep([dict(record) for record in response.collect()]))
        return response

    def _reported(self) -> Json:
        """How the reporter stands, where the configuration has one."""
        if self.config.report is None:
            return {"reporter": None}
        said, problems, why = reported(Path(self.config.runtime) / SNAPSHOT, time.time())
        # it starts after the keeper, and may take a while
        self.keeper.say("reporter", why if time.time() - self.keeper.started > GRACE_S else "")
        return {"reporter": said, "problems": problems}

    def _settings(self, config: Config) -> None:
        self.config = config
        self.keeper.lang, self.keeper.status_s = config.output.language, config.output.status_ns * 1e-9
        self.keeper.cap, self.keeper.operators = config.store_bytes, _operators(config)
        self.exporter.move(config.metrics.host, config.metrics.port)
        if self.keeper.store is not None:
            self.keeper.store.cap = config.store_bytes

    def _journal(self, record: Json) -> None:
        """An incident is told to the journal once it has words, and again when its cause changes."""
        if record["type"] != "incident" or not record["title"] or self.told.get(record["id"]) == record["cause"]:
            return
        if len(self.told) >= TOLD:
            self.told.pop(next(iter(self.told)))
        self.told[record["id"]] = record["cause"]
        tell_incident(record)

    def serve(self) -> None:
        """Answer until SIGTERM. Raises StoreError where only a new start may find the disk writable."""
        reading = signal_pipe()
        self.server.watch(reading, lambda: self._signals(os.read(reading, 64)))
        self.notifier.ready()
        begun = time.monotonic()
        while not self.over:
            self.server.turn(TURN_S)
            self.keeper.tick()
            self.keeper.say("metrics", self.exporter.tend(time.monotonic()))
            self.notifier.alive()
            if time.monotonic() - begun > SEE_S and self.keeper.shut_out():
                raise StoreError("the state disk is read-only; begun anew, to see whether it still is")
        self.notifier.stopping()
        self.exporter.close()
        if self.response is not None:
            self.response.close()
            self.keeper.keep([dict(record) for record in self.response.collect()])
        self.server.close()
        self.socket.unlink(missing_ok=True)
        if self.keeper.store is not None:
            self.keeper.store.shut()

    def _signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.over = True
        elif signal.SIGHUP in numbers:
            self.notifier.reloading()
            try:
                config, _ = read_config(self.path)
                check_unmoved(self.config, config)
                self._settings(config)
                if self.response is not None:
                    self.response.change(config)
            except SekishoError as error:
                note(f"keeper: configuration not taken over: {error}")
            self.notifier.ready()


def _operators(config: Config) -> frozenset[int]:
    """Who may close incidents and end learning: root, this user, and the operators of [enforce]."""
    own = frozenset({0, os.getuid()})
    if config.enforce is None:
        return own
    from appliance.host.enforcer.enforcer import uids_of  # only where there is one

    try:
        return own | frozenset(uids_of(config.enforce.operators))
    except SekishoError as error:  # storing goes on, whoever is misspelled
        note(f"keeper: {error}; only root may close incidents")
        return own


def main(path: str) -> int:
    """Give everything up, then serve; 0 when asked to end, 2 with one line where it cannot."""
    keep_only(frozenset())
    try:
        KeeperProcess(path).serve()
    except StoreError as error:
        note(f"keeper: {error}")
        return 2
    except SekishoError as error:
        note(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""`sekisho run`: starts the processes of the appliance, starts again what dies, passes signals on.

It reads nothing but the configuration and no message of anybody. The door between opener and sensor (a listening Unix socket in
the runtime directory) belongs to it, so either side may die and find the other again. Whatever dies, the others go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from appliance.config import Config
from appliance.errors import LiveError, SekishoError
from appliance.host.child import Child, environment_of, module, verb
from appliance.host.config_file import check_unmoved, read_config
from appliance.host.notify import Notifier
from appliance.host.pings import WATCHDOG_S, Pings
from appliance.host.privileges import NET_ADMIN, NET_RAW, keep_only
from appliance.host.signals import signal_pipe

DOOR, LOCK = "opener.sock", "run.lock"  # names in the runtime and in the state directory
PATIENCE_S = 120.0  # that the sensor may take to end: words for its last incidents


def supervise(path: str, config: Config, note: Callable[[str], None]) -> int:
    """Run the daemon until SIGTERM; returns the exit code. Raises LiveError.

    path    of the configuration, which every process reads itself
    config  what it says now: which processes there are, and where state and sockets are
    """
    directory, runtime = Path(config.directory), Path(config.runtime)
    lock = _lock(directory)
    door, pings = make_door(runtime), Pings(runtime)
    reading = signal_pipe(signal.SIGCHLD)
    keep_only({NET_RAW, NET_ADMIN})
    sensor = Child("sensor", module("sensor.process", path, str(runtime / DOOR)), patience=PATIENCE_S)
    house = House(path, config, sensor, _others(path, config, door), pings, Notifier.of(os.environ), note)
    try:
        return house.watch_over(reading)
    finally:
        for child in (sensor, *house.others):
            child.kill()
        door.close()
        pings.close()
        (runtime / DOOR).unlink(missing_ok=True)
        lock.close()


def _others(path: str, config: Config, door: socket.socket) -> list[Child]:
    """All but the sensor, in the order in which they are started; they are ended after it, the last one first."""
    others = [Child("opener", module("capture.opener", str(door.fileno())), (door.fileno(),), reloads=False)]
    if config.enforce is not None:
        others.append(Child("enforcer", verb("enforcer", path), reloads=False))
    others.append(Child("keeper", module("keeper.process", path)))
    if config.report is not None:
        others.append(Child("reporter", verb("reporter", path)))
    return others


@dataclass(slots=True)
class House:
    """The processes, their signs of life, and who is told how they fare."""

    path: str
    config: Config
    sensor: Child
    others: list[Child]
    pings: Pings
    notifier: Notifier
    note: Callable[[str], None]
    _ready: bool = False

    def watch_over(self, signals: int) -> int:
        """Until SIGTERM, or until the sensor ends at once and says why; the exit code."""
        environment = environment_of(self.pings.environment())
        children = [*self.others, self.sensor]
        while True:
            now = time.monotonic()
            for child in children:
                if child.process is None and now >= child.due:
                    child.start(environment)
            due = min((child.due for child in children if child.process is None), default=now + 1.0)
            select.select([signals, self.pings.socket.fileno()], [], [], min(1.0, max(0.0, due - now)))
            self.pings.hear()
            numbers = _read(signals)
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                return self._end()
            if signal.SIGHUP in numbers:
                self._reload(children)
            for child in children:
                if self._died(child):
                    return child.code
            self._tell(children)

    def _died(self, child: Child) -> bool:
        """See after one of them; True where it makes no sense to go on."""
        if child.process is not None and self.pings.silent(child.process.pid):
            self.note(f"{child.name}: gave no sign of life for {WATCHDOG_S:.0f} s; it is ended")
            child.process.send_signal(signal.SIGKILL)
            self.pings.forget(child.process.pid)
        pid, now = child.pid, time.monotonic()
        if not child.dead(now):
            return False
        self.pings.forget(pid)
        if child is self.sensor and child.code in (2, 141) and child.deaths == 1:
            return True  # it said why: the same would happen again
        self.note(f"{child.name}: died (code {child.code}); it is started again in {max(0.0, child.due - now):.1f} s")
        return False

    def _tell(self, children: list[Child]) -> None:
        """The service manager: ready once sensor and keeper are, then which are away."""
        self.notifier.alive()
        away = [child.name for child in children if child.process is None]
        if not self._ready:
            self._ready = all(c.pid in self.pings.ready for c in children if c.name in ("sensor", "keeper"))
            if self._ready:
                self.notifier.ready(f"{len(children)} processes")
        else:
            self.notifier.status(f"started again soon: {', '.join(away)}" if away else f"{len(children)} processes")

    def _reload(self, children: list[Child]) -> None:
        """Passed on where the configuration is sound, so that a bad one is refused once and for all of them."""
        self.notifier.reloading()
        try:
            check_unmoved(self.config, read_config(self.path)[0])
        except SekishoError as error:
            self.note(f"configuration not taken over: {error}")
        else:
            for child in children:
                if child.reloads and child.process is not None:
                    child.process.send_signal(signal.SIGHUP)
        self.notifier.ready(f"{len(children)} processes")

    def _end(self) -> int:
        """The sensor first, so that the others can still take what it has to say."""
        self.notifier.stopping()
        code = self.sensor.end()
        for child in reversed(self.others):
            child.end()
        return 0 if code == -signal.SIGTERM else code  # it had only just been started


def _read(signals: int) -> bytes:
    try:
        return os.read(signals, 256)
    except BlockingIOError:
        return b""


def _lock(directory: Path) -> TextIO:
    """One daemon per state directory."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / LOCK).open("w", encoding="ascii")
    except OSError as error:
        raise LiveError(
            f"{directory}: cannot keep state there: {error.strerror}; check its owner, or [state] directory"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise LiveError(f"{directory}: another sekisho runs with this state; stop it, or name another directory") from error
    return lock


def make_door(runtime: Path) -> socket.socket:
    """The listening socket at which the opener serves the sensor. Raises LiveError."""
    path = runtime / DOOR
    with contextlib.suppress(OSError):  # what is wrong with the folder is said when the door is made
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink()
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    before = os.umask(0o117)  # the group too: the opener looks at who comes
    try:
        door.bind(str(path))
        door.listen(4)
    except OSError as error:
        door.close()
        raise LiveError(f"{path}: cannot be made: {error}; give a shorter [state] runtime that can be written") from error
    finally:
        os.umask(before)
    return door

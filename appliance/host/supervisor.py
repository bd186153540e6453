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
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import appliance
from appliance.errors import LiveError
from appliance.host.privileges import NET_ADMIN, NET_RAW, keep_only

if TYPE_CHECKING:
    from collections.abc import Callable

DOOR, LOCK = "opener.sock", "run.lock"  # names in the runtime and in the state directory
BACK_S, LONGEST_S = 0.5, 30.0  # a process that died is started again after so long, twice as long each time, at the most
CALM_S = 60.0  # after so long without a death the first of these holds again
PATIENCE_S = 120.0  # that the sensor may take to end: words for its last incidents
SHORT_S = 15.0  # that any other may


@dataclass(slots=True)
class Child:
    """One process and how often it died lately.

    reloads   it takes SIGHUP; patience: s that it may take to end
    """

    name: str
    command: list[str]
    pass_on: tuple[int, ...] = ()
    reloads: bool = True
    patience: float = SHORT_S
    process: subprocess.Popen[bytes] | None = None
    due: float = 0.0
    deaths: int = 0
    died: float = 0.0

    def start(self, environment: dict[str, str]) -> None:
        """Start it. It gets nothing of this process's environment but what Python needs."""
        self.process = subprocess.Popen(  # noqa: S603  # a fixed list of arguments, no shell
            self.command, env=environment, cwd="/", stdin=subprocess.DEVNULL, pass_fds=self.pass_on
        )

    def dead(self, now: float) -> int | None:
        """Its exit code, once, when it died; it is due again after a time that grows with every death."""
        code = self.process.poll() if self.process is not None else None
        if code is not None:
            self.deaths = 1 if now - self.died > CALM_S else self.deaths + 1
            self.process, self.died = None, now
            self.due = now + min(BACK_S * 2 ** (self.deaths - 1), LONGEST_S)
        return code

    def end(self) -> int:
        """Ask it to end; its exit code. Raises LiveError where it has to be killed."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(timeout=self.patience)
        except subprocess.TimeoutExpired as error:
            raise LiveError(
                f"{self.name}: did not end within {self.patience:.0f} s and was killed; what it had not told is lost"
            ) from error

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def supervise(config: str, directory: Path, runtime: Path, note: Callable[[str], None]) -> int:
    """Run the daemon until SIGTERM; returns the exit code. Raises LiveError.

    config     path of the configuration, which every process reads itself
    directory  where state is kept
    runtime    where the sockets of the processes are
    """
    lock = _lock(directory)
    door = make_door(runtime)
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    keep_only({NET_RAW, NET_ADMIN})
    path = str(runtime / DOOR)
    sensor = Child("sensor", _module("sensor_process", config, path), patience=PATIENCE_S)
    others = [  # in the order in which they are started; they are ended after the sensor, the last one first
        Child("opener", _module("opener", str(door.fileno())), (door.fileno(),), reloads=False),
        Child("keeper", _module("keeper_process", config)),
    ]
    try:
        return _watch_over(sensor, others, reading, note)
    finally:
        for child in (sensor, *reversed(others)):
            child.kill()
        door.close()
        Path(path).unlink(missing_ok=True)
        lock.close()


def _watch_over(sensor: Child, others: list[Child], signals: int, note: Callable[[str], None]) -> int:
    environment = _environment()
    children = [*others, sensor]
    while True:
        now = time.monotonic()
        for child in children:
            if child.process is None and now >= child.due:
                child.start(environment)
        select.select([signals], [], [], 1.0)
        numbers = _read(signals)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            last = sensor.end()
            for child in reversed(others):
                child.end()
            return last
        if signal.SIGHUP in numbers:
            for child in children:
                if child.reloads and child.process is not None:
                    child.process.send_signal(signal.SIGHUP)
        for child in children:
            now = time.monotonic()
            code = child.dead(now)
            if code is None:
                continue
            if child is sensor and code in (2, 141) and child.deaths == 1:
                return code  # it said why: the same would happen again
            note(f"{child.name}: died (code {code}); it is started again in {max(0.0, child.due - now):.1f} s")


def _read(signals: int) -> bytes:
    try:
        return os.read(signals, 256)
    except BlockingIOError:
        return b""


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-s", "-m", f"appliance.host.{name}", *arguments]


def _environment() -> dict[str, str]:
    package = str(Path(appliance.__file__).resolve().parent.parent)
    return {
        "PYTHONPATH": package,
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # no thread that would be there before privileges are given up, and less memory
        "MALLOC_ARENA_MAX": "2",
    }


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
    before = os.umask(0o177)
    try:
        door.bind(str(path))
        door.listen(4)
    except OSError as error:
        door.close()
        raise LiveError(f"{path}: cannot be made: {error}; give a shorter [state] runtime that can be written") from error
    finally:
        os.umask(before)
    return door

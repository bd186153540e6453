"""`sekisho run`: starts opener and sensor, starts again what dies, passes signals on.

It reads nothing but the configuration and no message of anybody. The door between the two (a listening Unix socket in the
state directory) belongs to it, so either side may die and find the other again.
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
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import appliance
from appliance.errors import LiveError
from appliance.host.privileges import NET_ADMIN, NET_RAW, keep_only

if TYPE_CHECKING:
    from collections.abc import Callable

DOOR, LOCK = "opener.sock", "run.lock"  # names in the runtime and in the state directory
BACK_S = 1.0  # a process that died is started again after so long
MOST, WITHIN_S = 6, 60.0  # deaths of one process, and in so long: then it is given up
PATIENCE_S = 120.0  # that the sensor may take to end: words for its last incidents


@dataclass(slots=True)
class Child:
    """One process and how often it died lately."""

    name: str
    command: list[str]
    pass_on: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    due: float = 0.0
    deaths: deque[float] = field(default_factory=deque)

    def start(self, environment: dict[str, str]) -> None:
        """Start it. It gets nothing of this process's environment but what Python needs."""
        self.process = subprocess.Popen(  # noqa: S603  # a fixed list of arguments, no shell
            self.command, env=environment, cwd="/", stdin=subprocess.DEVNULL, pass_fds=self.pass_on
        )

    def dead(self, now: float) -> int | None:
        """Its exit code, once, when it died."""
        code = self.process.poll() if self.process is not None else None
        if code is not None:
            self.process, self.due = None, now + BACK_S
            self.deaths.append(now)
            while self.deaths and now - self.deaths[0] > WITHIN_S:
                self.deaths.popleft()
        return code


def supervise(config: str, directory: Path, runtime: Path, note: Callable[[str], None]) -> int:
    """Run the daemon until SIGTERM; returns the exit code. Raises LiveError.

    config     path of the configuration, which the sensor reads itself
    directory  where state is kept
    runtime    where the sockets of the processes are
    """
    lock = _lock(directory)
    door = _door(runtime)
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    keep_only({NET_RAW, NET_ADMIN})
    path = str(runtime / DOOR)
    opener = Child("opener", _module("opener", str(door.fileno())), (door.fileno(),))
    sensor = Child("sensor", _module("sensor_process", config, path))
    try:
        return _watch_over(opener, sensor, reading, note)
    finally:
        for child in (sensor, opener):
            if child.process is not None:
                child.process.kill()
                child.process.wait()
        door.close()
        Path(path).unlink(missing_ok=True)
        lock.close()


def _watch_over(opener: Child, sensor: Child, signals: int, note: Callable[[str], None]) -> int:
    environment = _environment()
    while True:
        now = time.monotonic()
        for child in (opener, sensor):
            if child.process is None and now >= child.due:
                child.start(environment)
        select.select([signals], [], [], 1.0)
        numbers = _read(signals)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            return _end(sensor)
        if signal.SIGHUP in numbers and sensor.process is not None:
            sensor.process.send_signal(signal.SIGHUP)
        for child in (opener, sensor):
            code = child.dead(time.monotonic())
            if code is None:
                continue
            if child is sensor and code in (2, 141) and len(child.deaths) == 1:
                return code  # it said why: the same would happen again
            if len(child.deaths) >= MOST:
                raise LiveError(f"{child.name}: died {MOST} times within {WITHIN_S:.0f} s (code {code}); see the lines above")
            note(f"{child.name}: died (code {code}); it is started again")


def _end(sensor: Child) -> int:
    """Let the sensor finish."""
    if sensor.process is None:
        return 0
    sensor.process.terminate()
    try:
        return sensor.process.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise LiveError(f"sensor: did not end within {PATIENCE_S:.0f} s and was killed; what it had not told is lost") from error


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


def _door(runtime: Path) -> socket.socket:
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

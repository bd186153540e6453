"""One process of the appliance under the supervisor: started, missed, started again ever later, ended."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import appliance
from appliance.errors import LiveError

if TYPE_CHECKING:
    from collections.abc import Mapping

BACK_S, LONGEST_S = 0.5, 30.0  # a process that died is started again after so long, twice as long each time, at the most
CALM_S = 60.0  # after so long without a death the first of these holds again
SHORT_S = 15.0  # that a process may take to end
_KEPT = ("JOURNAL_STREAM", "SEKISHO_TRACEBACK")  # of this process's environment


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
    code: int = 0

    def start(self, environment: dict[str, str]) -> None:
        """Start it. It gets nothing of this process's environment but what Python needs."""
        self.process = subprocess.Popen(  # noqa: S603  # a fixed list of arguments, no shell
            self.command, env=environment, cwd="/", stdin=subprocess.DEVNULL, pass_fds=self.pass_on
        )

    @property
    def pid(self) -> int:
        """Of the process, 0 where there is none."""
        return self.process.pid if self.process is not None else 0

    def dead(self, now: float) -> bool:
        """Whether it died since it was looked at; `code` says how. It is due again after a time that grows with every death."""
        code = self.process.poll() if self.process is not None else None
        if code is None:
            return False
        self.deaths = 1 if now - self.died > CALM_S else self.deaths + 1
        self.process, self.died, self.code = None, now, code
        self.due = now + min(BACK_S * 2 ** (self.deaths - 1), LONGEST_S)
        return True

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


def module(name: str, *arguments: str) -> list[str]:
    """The command of a process that is a module of this room."""
    return [sys.executable, "-P", "-s", "-m", f"appliance.host.{name}", *arguments]


def verb(name: str, path: str) -> list[str]:
    """The command of a process that is a verb of `sekisho`, with a configuration."""
    return [sys.executable, "-P", "-s", "-m", "appliance", name, "--config", path]


def environment_of(more: Mapping[str, str]) -> dict[str, str]:
    """What a child finds in its environment: nothing of ours but what it needs, and `more`."""
    package = str(Path(appliance.__file__).resolve().parent.parent)
    return {
        "PYTHONPATH": package,
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # no thread that would be there before privileges are given up, and less memory
        "MALLOC_ARENA_MAX": "2",
        **more,
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
    }

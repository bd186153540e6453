"""A booted Debian 12 between a client and a device: systemd-nspawn in the network namespace of the lab's gate."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = ("opener", "sensor", "keeper", "enforcer", "reporter")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def until(what: str, true: Callable[[], Any], seconds: float = 60.0, every: float = 0.5) -> Any:
    """Ask until the answer is true; returns it. Raises AssertionError that says what was waited for."""
    end = time.monotonic() + seconds
    while True:
        answer = true()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)


class Box:
    """One booted tree; `root` is its file system, as this machine sees it."""

    def __init__(self, root: Path, namespace: str) -> None:
        self.root, self.namespace = root, namespace
        self.console = root.with_suffix(".console")
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def boot(self) -> float:
        """Start it; returns the seconds until it is up."""
        begun = time.monotonic()
        command = ["systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--keep-unit", "--link-journal=no",
                   "--resolv-conf=off", "--timezone=off", f"--machine=sekisho-{self.root.name}",
                   f"--network-namespace-path=/run/netns/{self.namespace}",
                   "--capability=CAP_NET_ADMIN,CAP_NET_RAW", "-D", str(self.root), "--boot"]  # fmt: skip
        with self.console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env={"PATH": _PATH}, start_new_session=True
            )
        self.leader = until("the system's first process", self._first, 30, 0.1)
        until("a booted system", self._is_up, 90)
        return time.monotonic() - begun

    def _first(self) -> int:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended: {self.console.read_text(errors='replace')[-600:]}")
        return self.outside(1)

    def outside(self, pid: int) -> int:
        """A process of the box as this machine numbers it, 0 where it is not there."""
        assert self._nspawn is not None
        waiting = [self._nspawn.pid]
        while waiting:
            found = waiting.pop()
            try:
                status = Path(f"/proc/{found}/status").read_text()
                waiting += [int(child) for child in Path(f"/proc/{found}/task/{found}/children").read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
            inner = next((row.split() for row in status.splitlines() if row.startswith("NSpid:")), [])
            if len(inner) > 2 and inner[-1] == str(pid):
                return found
        return 0

    def _is_up(self) -> bool:
        return self.sh("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def sh(self, script: str, timeout: float = 120, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a shell script inside as root; nothing is raised over its exit code."""
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"]
        clean = ["/usr/bin/env", "-i", f"PATH={_PATH}", "LC_ALL=C.UTF-8", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"]
        return subprocess.run(
            [*enter, *clean, "/bin/sh", "-c", script], capture_output=True, text=True, timeout=timeout, check=False, **more
        )

    def ok(self, script: str, timeout: float = 120) -> str:
        """The same, and it must succeed; returns what it printed."""
        done = self.sh(script, timeout)
        assert done.returncode == 0, f"{script}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        return done.stdout

    def off(self) -> None:
        """Shut it down as a person would."""
        self.sh("systemctl --no-block poweroff")
        self._ended(90)

    def cut(self) -> None:
        """Take its power away."""
        if self.leader:
            os.kill(self.leader, signal.SIGKILL)
        self._ended(20)

    def _ended(self, seconds: float) -> None:
        if self._nspawn is not None:
            try:
                self._nspawn.wait(seconds)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(10)
                raise
            self._nspawn, self.leader = None, 0

    def remove(self) -> None:
        """End it at once and take its files away."""
        if self._nspawn is not None and self._nspawn.poll() is None:
            self._nspawn.kill()
            self._nspawn.wait(20)
        shutil.rmtree(self.root, ignore_errors=True)
        self.console.unlink(missing_ok=True)
        self.root.with_name(f".#{self.root.name}.lck").unlink(missing_ok=True)  # of systemd-nspawn

    def incidents(self) -> list[dict[str, Any]]:
        """The latest incidents, as a person would ask for them, as soon as the keeper answers."""
        listed = "sekisho incident list --format jsonl"
        said = until("the keeper answers", lambda: done if (done := self.sh(listed)).returncode in (0, 1) else None)
        return [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]

    def metrics(self) -> dict[str, float]:
        """What the appliance serves to Prometheus, series by name and labels."""
        said = self.sh("curl -sf http://127.0.0.1:9469/metrics").stdout.splitlines()
        return {row.rpartition(" ")[0]: float(row.rpartition(" ")[2]) for row in said if row and not row.startswith("#")}

    def processes(self) -> dict[str, int]:
        """Process id inside of each unit of the set that runs, by its short name."""
        units = " ".join(f"sekisho-{name}.service" for name in UNITS)
        said = self.sh(f"systemctl show -p Id -p MainPID {units}").stdout
        found = dict(re.findall(r"(?:MainPID=(\d+)\nId=sekisho-([a-z]+)\.service)", said))
        return {name: int(pid) for pid, name in found.items() if pid != "0"}

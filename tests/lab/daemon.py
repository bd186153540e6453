"""`sekisho run` as a process in the near namespace of a wire, its lines, its children."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests.lab.wires import entered

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
Record = dict[str, Any]


class Place(Protocol):
    """The daemon runs in the namespace `near`; what it watches is sent in the namespace `far`."""

    @property
    def near(self) -> str: ...
    @property
    def far(self) -> str: ...


class Daemon:
    """Started when entered, ended with SIGTERM when left; `lines` holds what it has told."""

    def __init__(self, wire: Place, folder: Path, config: str, cores: set[int] | None = None) -> None:
        self.wire, self.folder, self.cores = wire, folder, cores
        self.config = folder / "sekisho.toml"
        self.config.write_text(config, encoding="utf-8")
        self.lines: list[Record] = []
        self.arrived: list[int] = []
        self._new: queue.Queue[Record | None] = queue.Queue()

    def __enter__(self) -> Daemon:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with entered(self.wire.near), (self.folder / "notes").open("a") as notes:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "run", "--config", str(self.config)],
                stdout=subprocess.PIPE, stderr=notes, text=True, env=environment,
            )  # fmt: skip
        if self.cores:
            os.sched_setaffinity(self.process.pid, self.cores)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
        self._thread.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.arrived.append(time.time_ns())
            self.lines.append(json.loads(line))
            self._new.put(self.lines[-1])
        self._new.put(None)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(90)
        self._thread.join(10)
        return code

    def until(self, wanted: Callable[[Record], bool], seconds: float = 60) -> Record:
        """The next record that is wanted, of those not looked at yet. Raises AssertionError with the daemon's notes."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                line = self._new.get(timeout=left)
            except queue.Empty:
                break
            assert line is not None, f"the daemon ended: {self.notes()}"
            if wanted(line):
                return line
        raise AssertionError(f"not told within {seconds} s; {self.notes()}")

    def finding(self, kind: str) -> Record:
        """The next finding of a kind; polls from a busy machine have true changes of pace, which are passed over."""
        return self.until(lambda line: line["type"] == "finding" and line["kind"] == kind)

    def status(self) -> Record:
        """A status record that is written from now on."""
        while not self._new.empty():
            self._new.get()
        return self.until(lambda line: line["type"] == "status")

    def ready(self, mode: str | None = None) -> Record:
        """Wait until all interfaces are up (and it learns or watches)."""
        return self.until(
            lambda line: (
                line["type"] == "status" and all(i["up"] for i in line["interfaces"]) and line["mode"] == (mode or line["mode"])
            )
        )

    def notes(self) -> str:
        """What it has said to people."""
        return (self.folder / "notes").read_text(encoding="utf-8")

    def child(self, name: str) -> int:
        """Process id of a descendant by the module it runs; 0 where there is none."""
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                waiting += [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if f"appliance.host.{name}\0".encode() in command:
                return pid
        return 0

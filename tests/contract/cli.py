"""Runs the real command as a process of its own, and cuts captures for it."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "appliance"]
HEAD = 24  # bytes of a pcap file header


def case(name: str, part: str = "test") -> Path:
    """A capture of the project's own lab."""
    return ROOT / "pcaps" / name / f"{part}.pcap"


def environment(**more: str) -> dict[str, str]:
    """The environment of a plain shell: no colour settings, this checkout's package."""
    kept = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "TERM", "SEKISHO_TRACEBACK"}}
    return {**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}


def sekisho(
    *arguments: str | Path, before: Callable[[], None] | None = None, cwd: Path | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run to the end; `before` is called in the new process, `more` goes to `subprocess.run`."""
    options: dict[str, Any] = {"capture_output": True, "env": environment(), **more}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        preexec_fn=before,
        cwd=cwd,
        **options,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It could not run: exit code 2, nothing on standard output, one line with the words on standard error."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("sekisho: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    assert [word for word in words if word not in done.stderr] == [], done.stderr


def records(text: str) -> list[dict[str, Any]]:
    """JSON lines as records; the last one is the summary."""
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert found[-1]["type"] == "summary"
    return found


def of_type(found: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in found if record["type"] == kind]


def pcap_records(path: Path) -> list[bytes]:
    """The packets of a little-endian pcap file with their record headers."""
    raw, found, at = path.read_bytes(), [], HEAD
    while at < len(raw):
        size = 16 + struct.unpack_from("<I", raw, at + 8)[0]
        found.append(raw[at : at + size])
        at += size
    return found


def write_pcap(path: Path, like: Path, packets: Sequence[bytes]) -> Path:
    """A pcap file with the head of another one."""
    path.write_bytes(like.read_bytes()[:HEAD] + b"".join(packets))
    return path


def obey_modes() -> None:
    """Give up root's right to read and write everything, from the next exec on."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "prctl")

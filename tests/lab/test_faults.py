"""What may happen to a box: no room on the disk, a disk that is read-only, units killed in turn, nonsense at the door."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from appliance.errors import LiveError
from appliance.host.control import ask
from tests.bench.sender import udp
from tests.lab.daemon import ROOT, Daemon
from tests.lab.test_daemon import FORGED, config, polled
from tests.lab.wires import Wire, entered
from tests.unit.test_store import incident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab


@pytest.fixture
def wire(namespaces: None) -> Iterator[Wire]:
    with Wire("kf") as made:
        yield made


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 12 MiB."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "sekisho-kf", str(folder)], check=False, timeout=30)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, timeout=30)


def until(true: Callable[..., Any], *about: Any, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(LiveError):
            if found := true(*about):
                return found
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def snapshot(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = ask(folder / "state" / "keeper.sock", {"verb": "snapshot"})["snapshot"]
    return said


def told(folder: Path) -> list[str]:
    return [problem["what"] for problem in snapshot(folder)["problems"]]


def stored(folder: Path) -> set[str]:
    found = ask(folder / "state" / "keeper.sock", {"verb": "incidents", "state": "all", "limit": 500})["incidents"]
    return {record["id"] for record in found}


def forged(number: int) -> bytes:
    """A command of a device that was never there: an incident of its own."""
    return udp(200 + number % 50, 258, 502, b"\0\x02\0\0\0\x06\x01\x06\0\x64\0\x0a", 20002)


def test_a_full_disk_costs_no_incident(wire: Wire, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with small_disk(state):
        with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon, polled(wire):
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
            wire.send(forged(0))
            daemon.finding("new-asset")
            until(stored, tmp_path)
            with contextlib.suppress(OSError), (state / "filler").open("wb", buffering=0) as filler:
                while filler.write(b"x" * 4096):
                    pass
            for number in range(1, 30):
                wire.send(forged(number))
            print(until(unwritten, tmp_path))
            daemon.finding("new-asset")
            (state / "filler").unlink()
            began = time.monotonic()
            until(lambda: not unwritten(tmp_path))
            print(f"written {time.monotonic() - began:.1f} s after there was room")
            daemon.until(lambda line: line["type"] == "status" and line["waiting"] <= 1)
            last = {line["id"] for line in daemon.lines if line["type"] == "incident"}
            assert last <= stored(tmp_path)
            assert len(last) > 5
            assert daemon.stop() == 0
        assert not [line for line in daemon.lines if line.get("lost")]


def test_a_disk_that_is_read_only_at_boot_is_told_and_taken_into_use_when_it_is_not(tmp_path: Path) -> None:
    state, run = tmp_path / "disk", tmp_path / "state"
    run.mkdir()
    with small_disk(state):
        text = config(tmp_path).replace(f'directory = "{run}"', f'directory = "{state}"\nruntime = "{run}"')
        (tmp_path / "sekisho.toml").write_text(text)
        subprocess.run(["mount", "-o", "remount,ro", str(state)], check=True, timeout=30)
        keeper = Unit(None, tmp_path, "keeper")
        try:
            print(until(unwritten, tmp_path))
            batch = {"verb": "feed", "run": 1, "first": 1, "records": [incident("i-1-1"), incident("i-1-2")]}
            with pytest.raises(LiveError, match="cannot be written; kept in memory"):
                ask(run / "keeper.sock", batch)
            subprocess.run(["mount", "-o", "remount,rw", str(state)], check=True, timeout=30)
            until(lambda: not unwritten(tmp_path))
            assert stored(tmp_path) == {"i-1-1", "i-1-2"}
            assert ask(run / "keeper.sock", batch) == {"receipt": 2}
            assert keeper.end() == 0
        finally:
            keeper.process.kill()
            keeper.process.wait()


def unwritten(folder: Path) -> list[str]:
    return [what for what in told(folder) if "cannot be written to the disk" in what]


def hears(folder: Path, since: float) -> bool:
    """Whether the keeper heard of a sensor that began later than `since` and watches its interface."""
    sensor = snapshot(folder)["sensor"]
    return sensor is not None and sensor["since"] >= since and all(i["up"] for i in sensor["interfaces"])


def kept(folder: Path, before: set[str]) -> bool:
    return before <= stored(folder)


def more(folder: Path, before: set[str]) -> bool:
    return before < stored(folder)


class Unit:
    """One process by its own verb, as an init system would run it; started again when `again` is called."""

    def __init__(self, wire: Wire | None, folder: Path, name: str) -> None:
        self.wire, self.folder, self.name = wire, folder, name
        self.again()

    def again(self) -> None:
        command = [sys.executable, "-m", "appliance", self.name, "--config", str(self.folder / "sekisho.toml")]
        inside = entered(self.wire.near) if self.wire is not None else contextlib.nullcontext()
        with inside, (self.folder / f"{self.name}.notes").open("a") as notes:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=notes, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def notes(self) -> str:
        return (self.folder / f"{self.name}.notes").read_text()


def test_units_one_by_one_killed_in_turn_find_each_other_again(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "sekisho.toml").write_text(config(tmp_path, "4s"))
    units = {name: Unit(wire, tmp_path, name) for name in ("sensor", "keeper", "opener")}  # whatever the order
    try:
        with polled(wire):
            until(lambda: (snapshot(tmp_path)["sensor"] or {}).get("mode") == "watching", seconds=60)
            wire.send(forged(0))
            until(lambda: len(stored(tmp_path)) >= 1)
            before = stored(tmp_path)
            for number, unit in enumerate((units[name] for name in ("opener", "sensor", "keeper")), 1):
                unit.end(signal.SIGKILL)
                began, clock = time.monotonic(), time.time()
                unit.again()
                until(hears, tmp_path, clock if unit.name == "sensor" else 0.0)
                until(kept, tmp_path, before)
                wire.send(forged(number))
                until(more, tmp_path, before)
                print(f"{unit.name}: stores again {time.monotonic() - began:.1f} s after it was started again")
                before = stored(tmp_path)
        assert [units[name].end() for name in ("sensor", "keeper", "opener")] == [0, 0, 0]
    finally:
        for unit in units.values():
            if unit.process.poll() is None:
                unit.end(signal.SIGKILL)


NONSENSE = [
    b"x", b"{", b"null", b"[]", b"7", b'"open"', b"{}", b'{"type":"x"}', b'{"type":"open"}', b'{"type":"opened"}',
    b'{"type":"gone","interface":"w0","why":""}', b'{"type":"refused","interface":"w0","why":""}',
    b'{"type":"link","interface":"w0","up":true,"name":"w0"}', b'{"type":"close"}', b'{"type":"close","interface":7}',
    b'{"type":"open","interface":"../w0"}', b'{"type":"open","interface":"w0","block":1,"blocks":1,"hold_ms":1}',
    b"\xff" * 400, b"[" * 20_000, b'{"type":"open","interface":"' + b"w" * 60_000 + b'"}',
]  # fmt: skip


def said(unit: Unit, lines: int) -> bool:
    return len(unit.notes().splitlines()) >= lines


def test_nonsense_at_the_openers_door_is_one_line_each_and_the_next_one_is_served(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "sekisho.toml").write_text(config(tmp_path, "4s"))
    door = tmp_path / "state" / "opener.sock"
    opener = Unit(wire, tmp_path, "opener")
    try:
        until(door.exists)
        for number, message in enumerate(NONSENSE, 1):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.settimeout(10)
                peer.connect(str(door))
                peer.send(message)
                until(said, opener, number)
        lines = opener.notes().splitlines()
        assert len(lines) == len(NONSENSE)
        assert all(line.startswith("sekisho: ") for line in lines)
        assert opener.process.poll() is None
        sensor = Unit(wire, tmp_path, "sensor")
        keeper = Unit(wire, tmp_path, "keeper")
        try:
            until(lambda: (snapshot(tmp_path)["sensor"] or {}).get("interfaces", [{}])[0].get("up"))
        finally:
            for unit in (sensor, keeper):
                unit.end(signal.SIGKILL)
    finally:
        opener.end(signal.SIGKILL)


def test_a_broken_baseline_without_a_copy_is_one_line(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "baseline").write_bytes(b"no baseline")
    command = [sys.executable, "-m", "appliance", "run", "--config", str(tmp_path / "sekisho.toml")]
    (tmp_path / "sekisho.toml").write_text(config(tmp_path, "4s"))
    with entered(wire.near):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    lines = [line for line in done.stderr.splitlines() if "baseline" in line]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert "not a baseline or damaged; restore a copy, or learn again" in lines[0]


def test_a_baseline_that_was_damaged_is_watched_with_its_copy_and_told(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon, polled(wire):
        daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        assert daemon.stop() == 0
    baseline = tmp_path / "state" / "baseline"
    assert (tmp_path / "state" / "baseline.sound").read_bytes() == baseline.read_bytes()
    baseline.write_bytes(baseline.read_bytes()[:-1000])
    with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon, polled(wire):
        assert "restore a copy" in daemon.ready("watching")["problem"]
        wire.send(FORGED)
        assert daemon.finding("unknown-command")["dst"] == "10.0.1.2"
        assert [what for what in told(tmp_path) if "it watches with the copy of the last sound one" in what]
        assert daemon.stop() == 0

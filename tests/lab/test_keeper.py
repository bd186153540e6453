"""The keeper beside the running daemon: what was told is stored, whoever is killed, and nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.host.control import ask
from tests.bench.sender import udp
from tests.lab.daemon import ROOT, Daemon
from tests.lab.test_daemon import CASE, FORGED, config, frames_of, play, polled, sekisho
from tests.lab.wires import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.lab


@pytest.fixture
def wire(namespaces: None) -> Iterator[Wire]:
    with Wire("kp") as made:
        yield made


def keeper(folder: Path, **wanted: Any) -> dict[str, Any]:
    return ask(folder / "state" / "keeper.sock", wanted)


def command(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "appliance", *words, "--config", str(daemon.config)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)


def test_what_the_daemon_told_is_stored_listed_shown_and_closed(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    sekisho("learn", CASE / "train.pcap", "--baseline", tmp_path / "state" / "baseline")
    with Daemon(wire, tmp_path, config(tmp_path)) as daemon:
        daemon.ready("watching")
        play(wire, frames_of(CASE / "test.pcap"))
        daemon.until(lambda line: line["type"] == "incident" and line["revision"] > 1)
        time.sleep(3)
        said = keeper(tmp_path, verb="snapshot")["snapshot"]
        told = [line for line in daemon.lines if line["type"] in ("incident", "finding")]
        last = {line["id"]: line for line in told if line["type"] == "incident"}
        stored = {r["id"]: r for r in keeper(tmp_path, verb="incidents", state="all", limit=500)["incidents"]}
        assert stored == last
        assert all(name.startswith("i-1-") for name in stored)
        assert said["incidents"]["total"] == len(last) > 2
        assert said["sensor"]["mode"] == "watching"
        name = next(iter(last))
        kept = keeper(tmp_path, verb="incident", id=name)
        assert kept["findings"] == [f for f in told if f["type"] == "finding" and f["incident"] == name]
        listed = command(daemon, "incident", "list")
        assert listed.returncode == 1, listed.stderr
        assert all(i in listed.stdout for i in last)
        shown = command(daemon, "incident", "show", name)
        assert last[name]["title"] in shown.stdout
        assert command(daemon, "incident", "close", name, "--by", "A. Sato", "--note", "ticket 7").returncode == 0
        assert name not in command(daemon, "incident", "list").stdout.split()
        assert "ticket 7" in command(daemon, "incident", "show", name, "--lang", "ja").stdout
        print(listed.stdout, shown.stdout)
        assert daemon.stop() == 0
    assert daemon.child("keeper.process") == 0


@pytest.mark.parametrize("name", ["keeper.process", "sensor.process", "capture.opener"])
def test_killed_under_load_it_is_back_in_five_seconds_and_nothing_acknowledged_is_lost(
    wire: Wire, tmp_path: Path, name: str
) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon, polled(wire):
        daemon.ready("learning")
        daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        for _ in range(20):
            wire.send(FORGED)
        before = daemon.finding("unknown-command")["incident"]
        receipted = daemon.until(lambda line: line["type"] == "status" and line["waiting"] <= 1)
        assert receipted["lost"] == 0
        kept = keeper(tmp_path, verb="incident", id=before)
        victim = daemon.child(name)
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wire.send(FORGED)
        while daemon.child(name) in (0, victim):
            assert time.monotonic() - began < 5
            time.sleep(0.02)
        if name != "keeper.process":
            daemon.ready("watching")
        answers = None
        while answers is None:
            assert time.monotonic() - began < 15
            try:
                answers = keeper(tmp_path, verb="incident", id=before)
            except Exception:
                time.sleep(0.02)
        print(f"{name}: serves again after {time.monotonic() - began:.2f} s")
        assert answers["findings"][: len(kept["findings"])] == kept["findings"]
        wire.send(FORGED)
        daemon.finding("unknown-command")
        time.sleep(1.5)
        last = {line["id"]: line for line in daemon.lines if line["type"] == "incident"}
        stored = {r["id"]: r["title"] for r in keeper(tmp_path, verb="incidents", state="all", limit=500)["incidents"]}
        assert set(last) <= set(stored)
        if name == "sensor.process":
            assert {i.split("-")[1] for i in last} == {"1", "2"}, "ids of another run never repeat"
        assert daemon.stop() == 0


def test_a_manager_hears_that_it_is_ready_alive_reloading_and_ending(wire: Wire, tmp_path: Path) -> None:
    address = tmp_path / "manager.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, pytest.MonkeyPatch.context() as environment:
        manager.bind(str(address))
        manager.settimeout(30)
        environment.setenv("NOTIFY_SOCKET", str(address))
        environment.setenv("WATCHDOG_USEC", "3000000")
        with Daemon(wire, tmp_path, config(tmp_path)) as daemon:
            heard = [manager.recv(999)]
            while not heard[-1].startswith(b"READY=1"):
                heard.append(manager.recv(999))
            assert keeper(tmp_path, verb="snapshot")["snapshot"]["version"] == 1, "ready means that it answers"
            began, signs = time.monotonic(), 0
            while time.monotonic() - began < 6:
                signs += manager.recv(999) == b"WATCHDOG=1"
            assert signs >= 3
            daemon.process.send_signal(signal.SIGHUP)
            while not heard[-1].startswith(b"RELOADING=1"):
                heard.append(manager.recv(999))
            while not heard[-1].startswith(b"READY=1"):
                heard.append(manager.recv(999))
            assert daemon.stop() == 0
            while heard[-1] != b"STOPPING=1":
                heard.append(manager.recv(999))


def test_a_keeper_that_is_stopped_costs_no_frame_and_gets_all_when_it_goes_on(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon, polled(wire):
        daemon.ready("learning")
        daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        pid = daemon.child("keeper.process")
        os.kill(pid, signal.SIGSTOP)
        wire.send(FORGED)
        found = daemon.finding("unknown-command")
        held = daemon.until(lambda line: line["type"] == "status" and line["waiting"] > 2)
        assert (held["interfaces"][0]["dropped"], held["lost"]) == (0, 0)
        os.kill(pid, signal.SIGCONT)
        daemon.until(lambda line: line["type"] == "status" and line["waiting"] <= 1)
        assert found in keeper(tmp_path, verb="incident", id=found["incident"])["findings"]
        assert daemon.stop() == 0


PLAN = """\
version: 1
time-zone: UTC
plans:
  - name: Pump test
    who: [10.0.0.1]
    assets: [10.0.1.2]
    may: [anything]
    ticket: "4711"
    contact: A. Sato
    when:
      - from: {since}
        to: {until}
"""


def watch(daemon: Daemon, heard: Callable[[subprocess.CompletedProcess[str]], bool]) -> subprocess.CompletedProcess[str]:
    """`sekisho watch`, said again for some seconds: the keeper hears of a state up to a second after standard output does."""
    done = command(daemon, "watch", "--by", "A. Sato")
    for _ in range(10):
        if heard(done):
            break
        time.sleep(0.5)
        done = command(daemon, "watch", "--by", "A. Sato")
    return done


def test_an_operator_ends_learning_accepts_what_is_right_and_it_is_taken_over_while_it_runs(wire: Wire, tmp_path: Path) -> None:
    other = udp(1, 258, 502, b"\0\x02\0\0\0\x06\x01\x55\0\x64\0\x0a", 20003)
    with Daemon(wire, tmp_path, config(tmp_path, "1h")) as daemon:
        daemon.ready("learning")
        refused = command(daemon, "watch", "--by", "A. Sato")
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
        assert "nothing is learned yet" in refused.stderr
        with polled(wire):
            daemon.until(lambda line: line["type"] == "status" and line["learned"] > 4)
            asked = watch(daemon, lambda done: done.returncode == 0)
            assert asked.returncode == 0, asked.stderr
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching", 20)
            assert "watches already" in watch(daemon, lambda done: "watches already" in done.stderr).stderr
            wire.send(FORGED)
            name = daemon.finding("unknown-command")["incident"]
            daemon.until(lambda line: line["type"] == "incident" and line["id"] == name and line["revision"] > 1)
            time.sleep(1)
            told = tmp_path / "told.jsonl"
            told.write_text(command(daemon, "incident", "show", name, "--format", "jsonl").stdout)
            sign = ("--by", "A. Sato", "--why", "new recipe")
            baseline = tmp_path / "state" / "baseline"
            accept = [sys.executable, "-m", "appliance", "baseline", "accept", str(baseline), str(told), name, *sign]
            done = subprocess.run(accept, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
            assert done.returncode == 0, done.stderr
            daemon.process.send_signal(signal.SIGHUP)
            noted(daemon, "taken over: ")
            before = len(daemon.lines)
            wire.send(FORGED)
            time.sleep(1)
            wire.send(other)
            found = daemon.until(lambda line: line["type"] == "finding" and line.get("seen") == "55")
            again = [line for line in daemon.lines[before:] if line["type"] == "finding" and line["seen"] == "06"]
            assert again == [], "what was accepted is told no more"
            assert found["incident"].startswith("i-1-")
            baseline.write_bytes(b"no baseline")
            daemon.process.send_signal(signal.SIGHUP)
            noted(daemon, "baseline not taken over")
            wire.send(other)
            daemon.until(lambda line: line["type"] == "status")
        assert daemon.stop() == 0


def test_what_is_in_a_work_plan_is_maintenance_and_a_broken_plan_excuses_nothing(wire: Wire, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    plan = tmp_path / "plan.yaml"
    stamp = "%Y-%m-%d %H:%M"
    text = PLAN.format(since=(now - timedelta(hours=1)).strftime(stamp), until=(now + timedelta(hours=1)).strftime(stamp))
    plan.write_text(text)
    with Daemon(wire, tmp_path, config(tmp_path, "4s") + f'[plans]\nfiles = ["{plan}"]\n') as daemon, polled(wire):
        daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        wire.send(FORGED)
        name = daemon.finding("unknown-command")["incident"]
        said = daemon.until(lambda line: line["type"] == "incident" and line["id"] == name and line["revision"] > 1)
        assert (said["cause"], "4711" in said["plan"]) == ("maintenance", True), said
        plan.write_text("plans: [")
        daemon.process.send_signal(signal.SIGHUP)
        noted(daemon, "no work plan holds")
        assert daemon.stop() == 0


def noted(daemon: Daemon, text: str) -> None:
    end = time.monotonic() + 15
    while text not in daemon.notes():
        assert time.monotonic() < end, daemon.notes()
        time.sleep(0.05)


def test_each_process_of_run_is_killed_in_turn_and_the_others_go_on(wire: Wire, tmp_path: Path) -> None:
    text = config(tmp_path, "4s") + '[enforce]\nposture = "observe"\n[metrics]\nlisten = ""\n'
    text += f'[report]\n[report.to.here]\nkind = "file"\npath = "{tmp_path}/told.jsonl"\n'
    with Daemon(wire, tmp_path, text) as daemon, polled(wire):
        daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        others, clock = children(daemon), time.time()
        assert set(others) == {"capture.opener", "enforcer", "keeper.process", "reporter", "sensor.process"}
        for name, pid in others.items():
            os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            while children(daemon).get(name, pid) == pid:
                assert time.monotonic() - began < 5
                time.sleep(0.02)
            print(f"{name}: started again after {time.monotonic() - began:.2f} s")
        assert {n: p for n, p in children(daemon).items() if others[n] == p} == {}
        daemon.until(lambda line: line["type"] == "status" and line["since"] > clock and all(i["up"] for i in line["interfaces"]))
        wire.send(FORGED)
        found = daemon.finding("unknown-command")["incident"]
        end = time.monotonic() + 30
        told = tmp_path / "told.jsonl"
        while not (told.exists() and found in told.read_text()):
            assert time.monotonic() < end, daemon.notes()
            time.sleep(0.1)
        assert daemon.stop() == 0
    assert daemon.notes().count("it is started again in 0.5 s") == 5


def children(daemon: Daemon) -> dict[str, int]:
    """Processes right under the supervisor, by name."""
    pid, found = daemon.process.pid, {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            if "-m" in words:
                name = words[words.index("-m") + 1].removeprefix("appliance.host.")
                found[words[words.index("-m") + 2] if name == "appliance" else name] = int(child)
    return found

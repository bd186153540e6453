"""Signs of life: what a service manager would read, and a loop that is stuck is missed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.host import notify, pings
from appliance.host.notify import Notifier, to_journal
from appliance.host.pings import Pings


def listening(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    peer.bind(str(path))
    peer.settimeout(5)
    return peer


@pytest.mark.parametrize("library", [True, False])
def test_what_a_manager_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: bool) -> None:
    if library:
        pytest.importorskip("systemd.daemon")
    else:
        monkeypatch.setitem(sys.modules, "systemd.daemon", None)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    with listening(tmp_path / "n") as manager:
        process = Notifier.of(os.environ)
        process.ready("learning\nsince today")
        assert manager.recv(999).split(b"\n")[:2] == [b"READY=1", b"STATUS=learning since today"]
        process.status("learning\nsince today")
        process.status("watching")
        assert manager.recv(999) == b"STATUS=watching"
        for _ in range(50):
            process.alive()
        assert manager.recv(999) == b"WATCHDOG=1"
        time.sleep(0.11)
        process.alive()
        process.reloading()
        assert manager.recv(999) == b"WATCHDOG=1"
        assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        process.stopping()
        assert manager.recv(999) == b"STOPPING=1"


def test_it_is_silent_where_nobody_listens_and_survives_a_manager_that_went_away(tmp_path: Path) -> None:
    Notifier.of({}).ready("x")
    gone = Notifier.of({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "nonsense"})
    gone.ready()
    gone.alive()
    assert gone.every == 0
    assert Notifier.of({"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}).every == 0, "the watchdog is another process's"
    assert Notifier.of({"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": str(os.getpid())}).every == 3


CHILD = """
import os, sys, time
from appliance.host.notify import Notifier
n = Notifier.of(os.environ)
n.ready()
n.every = 0.05
for _ in range(int(sys.argv[1])):
    n.alive(); time.sleep(0.02)
time.sleep(60)
"""


def test_a_loop_that_is_stuck_is_missed_and_one_that_goes_round_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pings, "WATCHDOG_S", 0.7)
    root = str(Path(notify.__file__).resolve().parents[2])
    listener = Pings(tmp_path)
    environment = {**os.environ, **listener.environment(), "PYTHONPATH": root}
    children = [subprocess.Popen([sys.executable, "-c", CHILD, str(rounds)], env=environment) for rounds in (5, 1000)]
    try:
        end = time.monotonic() + 20
        while not listener.silent(children[0].pid):
            assert time.monotonic() < end
            listener.hear()
            time.sleep(0.02)
        assert listener.ready == {c.pid for c in children}
        assert not listener.silent(children[1].pid)
        assert not listener.silent(os.getpid()), "who never gave a sign is not missed"
        listener.forget(children[0].pid)
        assert not listener.silent(children[0].pid)
    finally:
        for child in children:
            child.kill()
            child.wait()
        listener.close()


def test_signs_of_life_of_strangers_and_nonsense_change_nothing(tmp_path: Path) -> None:
    listener = Pings(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for said in (b"", b"\xff" * 3000, b"READY=1" * 300, b"MAINPID=1\nWATCHDOG=trigger"):
            stranger.sendto(said, str(listener.path))
    listener.hear()
    assert listener.ready == set()
    assert (listener.path.stat().st_mode & 0o777) == 0o600
    listener.close()
    assert not listener.path.exists()


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "f").open("w") as file:
        told = os.fstat(file.fileno())
        assert to_journal(file.fileno(), {"JOURNAL_STREAM": f"{told.st_dev}:{told.st_ino}"})
        assert not to_journal(file.fileno(), {"JOURNAL_STREAM": "1:2"})
        assert not to_journal(file.fileno(), {})
    assert not to_journal(9999, {"JOURNAL_STREAM": "1:2"})

"""Two watched ports, each of which shows one direction: what is clean stays clean, from short learning on."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.checkpoint import Poller, until
from tests.lab.daemon import Daemon
from tests.lab.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab

PERIOD = 0.005  # seconds between polls
POLLS = 6_000  # of each client: ten minutes of one that asks every 0.1 s
PAUSES = 10  # in which the sensor does not run
PACE = "period-change"  # a busy machine has true changes of pace


@pytest.fixture(params=["router", "bridge"])
def gate(request: pytest.FixtureRequest, namespaces: None) -> Iterator[Gate]:
    with Gate(f"tp{request.param[0]}", bridge=request.param == "bridge") as made:
        yield made


def test_clean_polling_seen_at_two_ports_is_never_an_incident(gate: Gate, tmp_path: Path) -> None:
    config = (
        '[capture]\ninterfaces = ["c0", "s0"]\nring_mib = 64\nlatency_ms = 100\n[learning]\nfor = "20s"\n'
        f'[state]\ndirectory = "{tmp_path}/state"\n[output]\nstatus_every = "0.5s"\n'
    )
    with Daemon(gate, tmp_path, config) as daemon:
        daemon.ready("learning")
        pollers = [Poller(gate, source, sets=not k, period=PERIOD) for k, source in enumerate(gate.sources)]
        try:
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching", 120)
            begun = [poller.polls for poller in pollers]
            for _ in range(PAUSES):
                time.sleep(1)
                pause(daemon.child("sensor.process"), 0.3)
            until(lambda: all(p.polls - n >= POLLS for p, n in zip(pollers, begun, strict=True)), 400, "not enough polls")
        finally:
            for poller in pollers:
                poller.end()
        assert [(poller.lost, poller.connections) for poller in pollers] == [(0, 1), (0, 1)]
        dropped = [interface["dropped"] for interface in daemon.status()["interfaces"]]
    assert dropped == [0, 0]
    assert [line for line in daemon.lines if line["type"] == "finding" and line["kind"] != PACE] == []


def pause(pid: int, seconds: float) -> None:
    """A process does not run for a while; what its rings hold grows meanwhile."""
    assert pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)

"""Ports are opened one after the other, while polls go on: what was asked or answered just before is nobody's fault."""

from __future__ import annotations

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

PERIOD = 0.01  # seconds between polls
STARTS, REOPENED = 5, 20
LATE = 2.5  # seconds after which an answer that did not come is told
PACE = "period-change"  # a busy machine has true changes of pace
CONFIG = """\
[capture]
interfaces = ["c0", "s0"]
ring_mib = {ring}
latency_ms = 100
[learning]
for = "20s"
[state]
directory = "{folder}/state"
[output]
status_every = "0.5s"
"""


@pytest.fixture
def gate(namespaces: None) -> Iterator[Gate]:
    with Gate("op", bridge=True) as made:
        yield made


def test_ports_that_are_opened_while_polls_go_on_are_never_an_incident(gate: Gate, tmp_path: Path) -> None:
    pollers = [Poller(gate, source, sets=not k, period=PERIOD) for k, source in enumerate(gate.sources)]
    try:
        with Daemon(gate, tmp_path, CONFIG.format(ring=8, folder=tmp_path)) as daemon:
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching", 120)
        found = [finding for _ in range(STARTS) for finding in begun(gate, tmp_path)]
        assert found == []
        assert reopened(gate, tmp_path) == []
    finally:
        for poller in pollers:
            poller.end()
    assert [(poller.lost, poller.connections) for poller in pollers] == [(0, 1), (0, 1)]


def begun(gate: Gate, folder: Path) -> list[str]:
    """What a daemon finds that begins to watch."""
    with Daemon(gate, folder, CONFIG.format(ring=8, folder=folder)) as daemon:
        daemon.ready("watching")
        time.sleep(LATE)
    return told(daemon)


def reopened(gate: Gate, folder: Path) -> list[str]:
    """What a daemon finds whose rings are exchanged again and again."""
    with Daemon(gate, folder, CONFIG.format(ring=8, folder=folder)) as daemon:
        daemon.ready("watching")
        for k in range(REOPENED):
            daemon.config.write_text(CONFIG.format(ring=(16, 8)[k % 2], folder=folder))
            count = daemon.notes().count("s0: watched")
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: daemon.notes().count("s0: watched") > count, 20, "the ring was not opened anew")  # noqa: B023
        time.sleep(LATE)
    return told(daemon)


def told(daemon: Daemon) -> list[str]:
    """Kinds of its findings."""
    return [line["kind"] for line in daemon.lines if line["type"] == "finding" and line["kind"] != PACE]

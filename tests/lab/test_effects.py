"""What a step does to real BACnet and EtherNet/IP peers: what `decide/effects.py` says of them is measured here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.daemon import ROOT
from tests.lab.gate import SERVER, Gate
from tests.lab.test_enforce import Office, lease, rules, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab

BACNET_DEVICE = """
import asyncio, sys
from tests.lab.peers.bacnet_device import application, objects
async def main():
    app = application({"address": sys.argv[1], "instance": 1, "name": "device"})
    for thing in objects().values():
        app.add_object(thing)
    await asyncio.sleep(600)
asyncio.run(main())
"""
# polls go on while a write is waited for; an answer that does not come within the poll's patience is lost
BACNET_CLIENT = """
import asyncio, json, sys, time
from tests.lab.peers.bacnet_client import execute
from tests.lab.peers.bacnet_device import application
async def main():
    app = application({"address": sys.argv[1], "instance": 2, "name": "client"})
    read = {"do": "read", "host": sys.argv[2], "object": "analog-input,1"}
    write = {"do": "write", "host": sys.argv[2], "object": "analog-value,1"}
    said = {"polls": 0, "lost": 0, "late": 0.0}
    async def writing():
        begun = time.monotonic()
        said["write"] = await execute(app, write, 50.0)
        said["seconds"] = time.monotonic() - begun
    task = None
    for k in range(60):
        begun = time.monotonic()
        answer = await execute(app, read)
        said["polls"] += 1
        said["lost"] += answer.startswith("refused")
        said["late"] = max(said["late"], time.monotonic() - begun) if k else 0.0
        if k == 10:
            task = asyncio.create_task(writing())
        await asyncio.sleep(0.1)
    await task
    print(json.dumps(said))
asyncio.run(main())
"""
CIP_DEVICE = """
import sys
from cpppo.server.enip.main import main
main(["--address", sys.argv[1] + ":44818", "--no-config", "Level=DINT[10]"])
"""
CIP_CLIENT = """
import json, random, sys, time
from tests.lab.peers.enip_client import Session
session = Session(sys.argv[1], [], {"timeout": 1.0}, random.Random(1))
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    begun = time.time()
    try:
        answered = bool(session.blocking(["Level[0]"], False))
    except OSError:
        answered = False
    print(json.dumps([begun, answered]), flush=True)
    time.sleep(0.1)
"""


@pytest.fixture(params=["router", "bridge"])
def gate(request: pytest.FixtureRequest, namespaces: None) -> Iterator[Gate]:
    with Gate(f"eff{request.param[0]}", bridge=request.param == "bridge") as made:
        yield made


@pytest.fixture
def office(gate: Gate, tmp_path: Path) -> Iterator[Office]:
    made = Office(gate, tmp_path)
    made.start()
    made.enforce(rules(gate, 1))
    yield made
    made.kill()


def peer(namespace: str, code: str, *arguments: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)


def told(process: subprocess.Popen[str]) -> list[Any]:
    """What a peer printed until it ended."""
    out, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in out.splitlines()]


def test_a_bacnet_write_that_is_dropped_costs_the_same_clients_polls_nothing(gate: Gate, office: Office) -> None:
    device = peer(gate.server, BACNET_DEVICE, SERVER)
    try:
        time.sleep(2)
        (free,) = told(peer(gate.client, BACNET_CLIENT, gate.source, SERVER))
        assert (free["write"], free["lost"]) == ("written", 0)
        blocked = lease(gate, "block function", 60, service="udp/47808", offset=9, pattern=[0x0F00_0000, 0x0FFF_FFFF])
        office.ask(verb="lease", lease=blocked, by="test")
        (held,) = told(peer(gate.client, BACNET_CLIENT, gate.source, SERVER))
    finally:
        device.kill()
        device.communicate(timeout=10)
    assert held["write"].startswith("refused")  # by its own time limit: nothing answered
    assert (held["polls"], held["lost"]) == (60, 0)
    assert held["late"] < 0.5


def test_a_quarantined_cip_client_comes_back_by_itself_and_others_lose_nothing(gate: Gate, office: Office) -> None:
    device = peer(gate.server, CIP_DEVICE, SERVER)
    try:
        time.sleep(3)
        one = peer(gate.client, CIP_CLIENT, SERVER, "12")
        time.sleep(3)
        begun = time.time()
        office.ask(verb="lease", lease=lease(gate, "quarantine pair", 3, source=f"{gate.source}/32"), by="test")
        assert wait_for(lambda: not office.ask(verb="status")["leases"], 10)
        over = time.time()
        polls = told(one)
    finally:
        device.kill()
        device.communicate(timeout=10)
    assert all(answered for at, answered in polls if at < begun - 1.1)
    assert not any(answered for at, answered in polls if begun + 0.5 < at < over - 1.5)
    back = next(at for at, answered in polls if at > begun + 1 and answered)
    assert back - over < 3.5

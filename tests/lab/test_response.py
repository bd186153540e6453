"""From incident to block with all processes running: what is refused, what goes on, what ends, what is never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.checkpoint import Checkpoint, until
from tests.lab.gate import SERVER, Gate
from tests.lab.test_enforce import raw, reads, writes

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

REGISTER = 5  # what test_enforce.writes writes; nobody was ever seen to write it
WRITE = bytes.fromhex("000200000006010600050009")
UNKNOWN = bytes.fromhex("000700000006016400050001")  # function 100, of which nobody knows what it does


@pytest.fixture(params=["router", "bridge"])
def gate(request: pytest.FixtureRequest, namespaces: None) -> Iterator[Gate]:
    with Gate(f"rs{request.param[0]}", bridge=request.param == "bridge") as made:
        yield made


def value(gate: Gate) -> int:
    """The register as the controller has it, asked beside the gate."""
    code = (
        "from pymodbus.client import ModbusTcpClient as C\n"
        f"c=C('127.0.0.1');c.connect();print(c.read_holding_registers({REGISTER},count=1).registers[0])"
    )
    command = ["ip", "netns", "exec", gate.server, sys.executable, "-c", code]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout)


def test_a_forbidden_write_is_blocked_by_itself_and_the_plant_goes_on(gate: Gate, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("a bridge can only drop, which stalls the client: not offered, see below")
    with Checkpoint(gate, tmp_path) as point:
        hmi, historian = point.pollers
        assert writes(gate, 99)  # the first one is what it is found by
        (done,) = point.wait("applied")
        assert (done["step"], done["done"], done["lease"]["pattern"]) == ("block function", True, [0x0106_0005, 0x0106_0005])
        assert not writes(gate, 77)
        assert value(gate) == 99
        before = hmi.polls
        until(lambda: hmi.polls > before + 20, 10, "no polls")  # its set point goes on, over the same function
        assert (hmi.lost, historian.lost) == (0, 0)
        assert (hmi.connections, historian.connections) == (1, 1)
        (over,) = point.wait("ended")
        assert over["lease"]["id"] == done["lease"]["id"]
        assert writes(gate, 55)
        assert value(gate) == 55
        again = point.wait("applied", 2)[1]  # who goes on is found and blocked again
        assert again["lease"]["pattern"] == done["lease"]["pattern"]
        assert not writes(gate, 33)


def attack(gate: Gate, seconds: float) -> list[float]:
    """The forbidden write, twice a second for a while: when it was answered, in seconds since the first."""
    begun, arrived = time.monotonic(), []
    while (at := time.monotonic() - begun) < seconds:
        if writes(gate, 99):
            arrived.append(at)
        time.sleep(0.5)
    return arrived


def test_a_block_is_renewed_while_the_attack_goes_on_and_ends_after_it(gate: Gate, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("a bridge can only drop")
    with Checkpoint(gate, tmp_path) as point:
        arrived = attack(gate, 20)
        assert arrived  # what it is found by
        assert arrived[-1] < 3
        (done,) = point.responses("applied")
        longer = point.responses("renewed")
        assert len(longer) >= 2
        assert {r["lease"]["id"] for r in longer} == {done["lease"]["id"]}
        ends = [r["lease"]["until"] for r in (done, *longer)]
        assert ends == sorted(set(ends))
        acts = [a["what"] for a in point.ask(verb="acts", limit=100)["acts"]]
        assert acts.count("lease renewed") == len(longer)
        (over,) = point.wait("ended", seconds=20)  # nobody asks any more
        assert over["time"] >= ends[-1]
        assert writes(gate, 55)
        assert [p.lost for p in point.pollers] == [0, 0]


def test_a_keeper_that_died_leaves_its_block_to_the_next_one(gate: Gate, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("the same keeper")
    with Checkpoint(gate, tmp_path, lease="10s") as point:
        assert writes(gate, 99)
        (done,) = point.wait("applied")
        os.kill(point.daemon.child("keeper.process"), signal.SIGKILL)
        assert attack(gate, 12) == []  # beyond the first end: the new one renewed it
        (heir,) = point.wait("adopted")
        assert heir["lease"]["id"] == done["lease"]["id"]
        assert {r["lease"]["id"] for r in point.wait("renewed")} == {done["lease"]["id"]}
        assert len(point.responses("applied")) == 1
        assert [x["id"] for x in point.ask(verb="status")["leases"]] == [done["lease"]["id"]]
        assert point.wait("ended", seconds=30)[0]["lease"]["id"] == done["lease"]["id"]
        assert point.ask(verb="status")["leases"] == []


def test_what_ended_while_no_keeper_ran_is_told_when_one_does(gate: Gate, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("the same keeper")
    with Checkpoint(gate, tmp_path, lease="4s") as point:
        assert writes(gate, 99)
        (done,) = point.wait("applied")
        run = point.daemon.process.pid
        try:
            os.kill(run, signal.SIGSTOP)  # it would start the keeper again at once
            os.kill(point.daemon.child("keeper.process"), signal.SIGKILL)
            until(lambda: point.ask(verb="status")["leases"] == [], 20, "the lease did not end")
        finally:
            os.kill(run, signal.SIGCONT)
        until(point.is_kept, 20, "no keeper")
        (over,) = point.wait("ended")
        (end,) = [a for a in point.ask(verb="acts", limit=20)["acts"] if a["what"] == "lease ended"]
        assert (over["incident"], over["lease"]["id"]) == (done["incident"], done["lease"]["id"])
        assert over["time"] == pytest.approx(end["time"] * 1e-9, abs=0.01)  # the enforcer's
        os.kill(point.daemon.child("keeper.process"), signal.SIGKILL)
        until(point.is_kept, 20, "no keeper")
        time.sleep(2)
        assert len(point.responses("ended")) == 1  # told once
        assert point.responses("adopted") == []


PLAN = """\
version: 1
time-zone: UTC
plans:
  - name: Pump 3
    who: [{who}]
    assets: [{server}]
    may: [write]
    when: [{{from: {start:%Y-%m-%d %H:%M}, to: {end:%Y-%m-%d %H:%M}}}]
"""


def test_planned_work_is_never_blocked_and_the_same_outside_the_plan_is(gate: Gate, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("a bridge can only drop")
    plan = tmp_path / "plan.yaml"
    soon = datetime.now(UTC) + timedelta(minutes=30)
    text = PLAN.format(who=gate.sources[0], server=SERVER, start=soon - timedelta(hours=1), end=soon)
    plan.write_text(text, encoding="utf-8")
    with Checkpoint(gate, tmp_path, more=f'[plans]\nfiles = ["{plan}"]\n') as point:
        for number in range(6):
            assert writes(gate, 40 + number)
            time.sleep(0.5)
        point.daemon.until(lambda line: line["type"] == "incident" and line["cause"] == "maintenance", 20)
        assert writes(gate, 50)
        assert point.responses() == []
        assert raw(gate, WRITE, source=gate.sources[1]) != b""  # another one, whom the plan does not name
        (done,) = point.wait("applied")
        assert done["lease"]["source"] == f"{gate.sources[1]}/32"
        assert writes(gate, 60)


def test_a_function_of_which_nobody_knows_anything_is_blocked_as_a_whole(gate: Gate, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("a bridge can only drop")
    with Checkpoint(gate, tmp_path) as point:
        assert raw(gate, UNKNOWN) != b""  # it reaches the controller, which answers that it does not know it
        (done,) = point.wait("applied")
        assert done["lease"]["pattern"] == [0x0164_0000, 0x0164_FFFF]
        assert raw(gate, UNKNOWN[:-3] + b"\x09\x00\x01") == b""  # another operand: it does not reach it
        assert [p.lost for p in point.pollers] == [0, 0]


def test_on_a_bridge_a_known_client_is_told_of_and_not_touched(gate: Gate, tmp_path: Path) -> None:
    if not gate.bridge:
        pytest.skip("a router can refuse by a reset")
    with Checkpoint(gate, tmp_path) as point:
        assert writes(gate, 99)
        reasons = " / ".join(point.wait("none")[0]["reasons"])
        assert "block function: the plant knows the two, and this would be the effect: the connection hangs" in reasons
        assert writes(gate, 77)
        assert point.snapshot()["enforcer"]["leases"] == []


def test_a_stranger_that_writes_loses_its_pair(gate: Gate, tmp_path: Path) -> None:
    with Checkpoint(gate, tmp_path, lease="5s") as point:
        raw(gate, WRITE, source=gate.stranger)
        (done,) = point.wait("applied")
        assert (done["step"], done["lease"]["source"]) == ("quarantine pair", f"{gate.stranger}/32")
        assert not reads(gate, SERVER, gate.stranger)
        assert [p.lost for p in point.pollers] == [0, 0]
        point.wait("ended")
        until(lambda: reads(gate, SERVER, gate.stranger), 10, "the stranger was not let in again")


@pytest.mark.parametrize("posture", ["observe", "shadow"])
def test_only_enforce_enforces(gate: Gate, tmp_path: Path, posture: str) -> None:
    if gate.bridge:
        pytest.skip("the kernel is not asked here")
    with Checkpoint(gate, tmp_path, posture=posture) as point:
        assert writes(gate, 99)
        (would,) = point.wait("would")
        assert (would["step"], would["done"], would["posture"]) == ("block function", False, posture)
        assert writes(gate, 77)
        tried = [a["lease"] for a in point.ask(verb="acts", limit=20)["acts"] if a["what"] == "lease tried"]
        assert tried == ([would["lease"]["id"]] if posture == "shadow" else [])


def test_who_is_never_blocked_is_refused_with_the_reason_in_the_incident(gate: Gate, tmp_path: Path) -> None:
    if gate.bridge:
        pytest.skip("the same list")
    with Checkpoint(gate, tmp_path, never=gate.source) as point:
        assert writes(gate, 99)
        (left,) = point.wait("none")
        assert left["reasons"] == [f"{gate.source} is never blocked (never-block list, management)"]
        assert "never blocked" in point.sekisho("incident", "show", left["incident"], "--config", point.daemon.config)
        assert writes(gate, 77)


def test_rules_on_trial_end_with_every_process_killed(gate: Gate, tmp_path: Path) -> None:
    with Checkpoint(gate, tmp_path, posture="observe") as point:
        assert writes(gate, 41)
        text = point.policy.read_text(encoding="utf-8").replace("mode: observe, learned: all", "mode: enforce, learned: [read]")
        point.policy.write_text(text, encoding="utf-8")
        rules = tmp_path / "stricter.json"
        known = ("--baseline", tmp_path / "state" / "baseline", "--current", tmp_path / "rules.json")
        point.sekisho("policy", "plan", point.policy, *known, "--output", rules, codes=(0, 1))
        point.sekisho("policy", "apply", rules, "--seconds", "8", "--force", "lab", "--by", "lab", "--socket", point.socket)
        before = [poller.polls for poller in point.pollers]
        victims = processes(point.daemon.process.pid)
        assert len(victims) >= 5
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        assert not writes(gate, 42)
        assert value(gate) == 41
        until(lambda: writes(gate, 43), 15, "the kernel did not go back")
        assert value(gate) == 43
        historian = point.pollers[1]  # it only reads
        assert historian.polls > before[1] + 20
        assert (historian.lost, historian.connections) == (0, 1)


def processes(pid: int) -> list[int]:
    """A process and all that it started, itself first."""
    found, at = [pid], 0
    while at < len(found):
        children = Path(f"/proc/{found[at]}/task/{found[at]}/children").read_text(encoding="ascii")
        found += [int(child) for child in children.split()]
        at += 1
    return found

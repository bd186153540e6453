"""A real Prometheus scrapes a whole running appliance: an attack is found, blocked and seen; every panel has data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appliance.host.enforcer.nft import Nft
from appliance.report.wording import cells
from tests.lab.checkpoint import Checkpoint
from tests.lab.daemon import ROOT
from tests.lab.gate import Gate
from tests.lab.net import ip_batch
from tests.lab.test_enforce import writes
from tests.lab.wires import entered
from tests.monitoring.running import Prometheus, asked, recorded, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab
PORT = 9469  # in the namespace of the gate only


@pytest.fixture
def gate(namespaces: None) -> Iterator[Gate]:
    with Gate("mon", bridge=False) as made:
        ip_batch(["link set lo up"], made.near)
        yield made


def status(point: Checkpoint, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "appliance", "status", "--config", str(point.daemon.config), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)


def test_an_attack_is_seen_by_prometheus_and_every_query_has_data(gate: Gate, tmp_path: Path) -> None:
    inside = ("ip", "netns", "exec", gate.near)
    with Checkpoint(gate, tmp_path, lease="120s") as point, Prometheus(tmp_path, PORT, inside) as prometheus:
        wait_for(lambda: prometheus.value("sekisho_watching") == 1, 30)
        calm = status(point)
        print(calm.stdout)
        assert writes(gate, 99)
        (done,) = point.wait("applied")
        wait_for(lambda: prometheus.value("sekisho_leases") == 1, 10)
        empty = [q for _, q in asked() + [("", name) for name in recorded()] if not wait_for(lambda q=q: prometheus.query(q), 20)]
        assert empty == []
        attacked = status(point)
        print(attacked.stdout, status(point, "--lang", "ja").stdout)

        assert prometheus.value("sekisho_blocks_total") == 1
        assert prometheus.value("sekisho_posture") == 2
        assert prometheus.value("sekisho_policy_generation") == 1
        assert prometheus.value("sekisho_interfaces_down") == 0
        assert (prometheus.value("sekisho_frames_total") or 0) > 1000
        assert (prometheus.value("sekisho_frame_bytes_total") or 0) > 60_000
        firing = {a["metric"]["alertname"] for a in prometheus.query('ALERTS{alertstate="firing"}')}
        assert "SekishoLeaseInForce" in firing
        assert firing <= {"SekishoLeaseInForce", "SekishoSecurityIncident", "SekishoFaultIncident"}

        series = prometheus.query('{__name__=~"sekisho_.+", __name__!~".+_bucket"}')
        assert 28 <= len(series) <= 30
        labels = {v for s in series for k, v in s["metric"].items() if k not in ("__name__", "instance", "job", "site")}
        assert labels == {
            "security",
            "fault",
            "maintenance",
            "unknown",
            prometheus.query("sekisho_build_info")[0]["metric"]["version"],
        }

        told = [line for line in point.daemon.lines if line["type"] == "status"]
        learning = [line for line in told if line["mode"] == "learning" and line["adequacy"]["watched"]]
        left = [line["adequacy"]["ready_in"] for line in learning]
        assert left == sorted(left, reverse=True)
        assert all(line["adequacy"]["watched"] + line["adequacy"]["ready_in"] == pytest.approx(12, abs=0.01) for line in learning)
        assert [line["bytes"] for line in told] == sorted(line["bytes"] for line in told)
        latency = told[-1]["latency"]
        assert latency["count"] > 0
        assert latency["sum"] / latency["count"] < 2
        assert 30e6 < told[-1]["memory"] < 500e6

        assert calm.returncode == int("needs attention" in calm.stdout)
        assert attacked.returncode == 1
        assert done["lease"]["id"] in attacked.stdout
        assert "ENFORCE: incidents are answered" in attacked.stdout
        assert max(cells(line) for line in attacked.stdout.splitlines()) <= 80


def test_what_happens_to_the_box_is_seen_where_it_should_be(gate: Gate, tmp_path: Path) -> None:
    inside = ("ip", "netns", "exec", gate.near)
    with Checkpoint(gate, tmp_path) as point, Prometheus(tmp_path, PORT, inside) as prometheus:

        def becomes(metric: str, low: float, high: float) -> None:
            wait_for(lambda: (value := prometheus.value(metric)) is not None and low <= value <= high, 20)

        becomes("sekisho_rules_mended_total", 0, 0)
        with entered(gate.near):
            Nft().run("delete table inet sekisho")  # somebody else's script
        becomes("sekisho_rules_mended_total", 1, 1)

        rules, newer = tmp_path / "rules.json", tmp_path / "newer.json"
        baseline = tmp_path / "state" / "baseline"
        point.sekisho("policy", "plan", point.policy, "--baseline", baseline, "--current", rules, "--output", newer)
        point.sekisho("policy", "apply", newer, "--by", "lab", "--seconds", "300", "--socket", point.socket)
        becomes("sekisho_policy_trial_left_seconds", 250, 300)
        shown = " ".join(status(point).stdout.split())
        assert "generation 1 in force" in shown
        assert "generation 2 ON TRIAL for 4 min" in shown
        point.sekisho("policy", "rollback", "--by", "lab", "--socket", point.socket)
        becomes("sekisho_policy_trial_left_seconds", 0, 0)

        ip_batch(["link set s0 down"], gate.near)
        becomes("sekisho_interfaces_down", 1, 1)
        assert "s0 DOWN" in " ".join(status(point).stdout.split())
        ip_batch(["link set s0 up"], gate.near)
        becomes("sekisho_interfaces_down", 0, 0)

        os.kill(descendant(point, "enforcer"), signal.SIGSTOP)
        becomes("sekisho_enforcer_up", 0, 0)
        os.kill(descendant(point, "enforcer"), signal.SIGCONT)
        becomes("sekisho_enforcer_up", 1, 1)


def descendant(point: Checkpoint, verb: str) -> int:
    """The process of the appliance that was started as `sekisho VERB`."""
    waiting = [point.daemon.process.pid]
    while waiting:
        pid = waiting.pop()
        if f"appliance\0{verb}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
        waiting += [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    raise AssertionError(f"there is no {verb}")


def test_a_sensor_that_dies_is_seen_and_counted(gate: Gate, tmp_path: Path) -> None:
    inside = ("ip", "netns", "exec", gate.near)
    with Checkpoint(gate, tmp_path, posture="observe") as point, Prometheus(tmp_path, PORT, inside) as prometheus:
        before = wait_for(lambda: prometheus.value("sekisho_sensor_starts_total"), 30)
        subprocess.run(["kill", "-9", str(point.daemon.child("sensor.process"))], check=True)
        wait_for(lambda: (prometheus.value("sekisho_sensor_starts_total") or 0) > before, 30)
        wait_for(lambda: (prometheus.value("sekisho_sensor_age_seconds") or 99) < 2, 10)
        assert prometheus.value("resets(sekisho_frames_total[1m])") == 1

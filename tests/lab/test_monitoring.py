"""A real Prometheus scrapes a whole running appliance: an attack is found, blocked and seen; every panel has data."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from appliance.report.wording import cells
from tests.lab import net
from tests.lab.checkpoint import Checkpoint
from tests.lab.daemon import ROOT
from tests.lab.gate import Gate
from tests.lab.net import ip_batch
from tests.lab.test_enforce import writes
from tests.monitoring.running import Prometheus, asked, recorded, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab
PORT = 9469  # in the namespace of the gate only


@pytest.fixture
def gate() -> Iterator[Gate]:
    reason = net.can_build()
    if reason:
        pytest.skip(reason)
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


def test_a_sensor_that_dies_is_seen_and_counted(gate: Gate, tmp_path: Path) -> None:
    inside = ("ip", "netns", "exec", gate.near)
    with Checkpoint(gate, tmp_path, posture="observe") as point, Prometheus(tmp_path, PORT, inside) as prometheus:
        before = wait_for(lambda: prometheus.value("sekisho_sensor_starts_total"), 30)
        subprocess.run(["kill", "-9", str(point.daemon.child("sensor_process"))], check=True)
        wait_for(lambda: (prometheus.value("sekisho_sensor_starts_total") or 0) > before, 30)
        wait_for(lambda: (prometheus.value("sekisho_sensor_age_seconds") or 99) < 2, 10)
        assert prometheus.value("resets(sekisho_frames_total[1m])") == 1

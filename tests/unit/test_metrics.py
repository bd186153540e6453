"""Metrics: thirty series of one gateway, nothing of its plant, over a server that nobody can wear out."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from appliance.config import Metrics, parse_config
from appliance.errors import LiveError, UsageError
from appliance.host.keeper.metrics import MOST_A_SECOND, MOST_AT_ONCE, Exporter
from appliance.report.metrics import METRICS, MOST_SERIES, samples
from appliance.report.snapshot import overview
from tests.unit.snapshots import NOW, Json, rules, snapshot, status, troubled
from tests.unit.test_config import LEAST

UNITS = ("_seconds", "_bytes", "_ratio", "_total", "_info")


def values(said: Json, free: float | None = 0.5) -> dict[str, float]:
    """By name, with the label's value behind a colon where there is one."""
    told = samples(overview(said), "0.1.0", free)
    return {f"{s.metric.name}:{label}".rstrip(":"): value for s in told for label, value in s.values}


def test_names_are_as_prometheus_wants_them() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"sekisho_[a-z_]+", name)
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert metric.meaning
        assert not (metric.kind == "histogram" and not name.endswith(UNITS))


def test_a_box_where_all_happens_has_thirty_series_and_no_more() -> None:
    told = samples(overview(troubled()), "0.1.0", 0.5)
    assert {s.metric.name for s in told} == set(METRICS)
    series = sum(2 if s.metric.kind == "histogram" else len(s.values) for s in told)
    assert series <= MOST_SERIES


def test_values_are_those_of_the_snapshot() -> None:
    said = values(troubled())
    wanted = {
        "sekisho_clock_seconds": NOW,
        "sekisho_sensor_age_seconds": 12.2,
        "sekisho_sensor_starts_total": 3,
        "sekisho_enforcer_up": 1,
        "sekisho_watching": 1,
        "sekisho_interfaces_down": 1,
        "sekisho_frames_total": 301_321,
        "sekisho_frame_bytes_total": 31_200_210,
        "sekisho_frames_dropped_total": 12,
        "sekisho_frames_damaged_total": 3,
        "sekisho_learned_seconds": 28_800,
        "sekisho_novelty_ratio": 0.0112,
        "sekisho_findings_total": 41,
        "sekisho_incidents_total": 10,
        "sekisho_incidents_open:security": 2,
        "sekisho_incidents_open:fault": 1,
        "sekisho_incidents_open:maintenance": 0,
        "sekisho_incidents_open:unknown": 0,
        "sekisho_posture": 2,
        "sekisho_blocks_total": 2,
        "sekisho_leases": 1,
        "sekisho_policy_generation": 7,
        "sekisho_rules_mended_total": 1,
        "sekisho_store_bytes": 1_200_000,
        "sekisho_disk_free_ratio": 0.5,
        "sekisho_problems": 1,
        "sekisho_finding_latency_seconds": 41,
        "sekisho_build_info:0.1.0": 1,
    }
    assert said == wanted | {"sekisho_policy_trial_left_seconds": pytest.approx(88, abs=1e-3)}


def test_what_is_not_known_has_no_sample() -> None:
    gone = values(snapshot(sensor=None, sensor_age=None), None)
    assert "sekisho_frames_total" not in gone
    assert "sekisho_disk_free_ratio" not in gone
    assert gone["sekisho_enforcer_up"] == 0
    assert "sekisho_policy_generation" not in gone
    learns = values(snapshot(sensor=status(mode="learning", adequacy={"readiness": "short", "new": None, "watched": 60.0})))
    assert learns["sekisho_watching"] == 0
    assert "sekisho_novelty_ratio" not in learns
    assert values(snapshot(sensor=status(unlearned=5)))["sekisho_frames_dropped_total"] == 5
    assert values(snapshot(enforcer=rules()))["sekisho_policy_trial_left_seconds"] == 0


@given(st.lists(st.ip_addresses().map(str), min_size=1, max_size=5))
def test_no_name_of_the_plant_gets_into_a_label(addresses: list[str]) -> None:
    said = troubled()
    said["sensor"]["interfaces"] = [{"name": a, "up": True, "frames": 1, "problem": a} for a in addresses]
    said["incidents"]["open_by_cause"] = dict.fromkeys(addresses, 7)
    said["enforcer"]["leases"] = [{"id": a, "source": a, "target": a, "incident": a, "until": 1} for a in addresses]
    said["response"] = {"posture": addresses[0], "blocks": addresses[0]}
    labels = {label for s in samples(overview(said), "0.1.0", 0.5) for label, _ in s.values}
    assert labels == {"", "0.1.0", "security", "fault", "maintenance", "unknown"}


@pytest.fixture
def served() -> Iterator[tuple[Exporter, Json]]:
    said = troubled()
    exporter = Exporter("127.0.0.1", free_port(), lambda: said, ".")
    assert exporter.tend(time.monotonic()) == ""
    yield exporter, said
    exporter.close()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(exporter: Exporter, method: str = "GET", path: str = "/metrics", accept: str = "") -> tuple[int, str]:
    with closing(http.client.HTTPConnection(exporter.host, exporter.port, timeout=10)) as asked:
        asked.request(method, path, headers={"Accept": accept} if accept else {})
        answer = asked.getresponse()
        return answer.status, answer.read().decode()


def test_prometheus_own_parser_reads_what_is_served(served: tuple[Exporter, Json]) -> None:
    code, text = fetch(served[0])
    assert code == 200
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert {name.removesuffix("_total") for name in METRICS} == set(families)
    series = [s for f in families.values() for s in f.samples if not s.name.endswith("_bucket")]
    assert len(series) <= MOST_SERIES
    latency = families["sekisho_finding_latency_seconds"]
    assert {s.labels["le"]: s.value for s in latency.samples if s.name.endswith("_bucket")} == {
        "0.1": 0, "0.25": 39, "0.5": 41, "+Inf": 41,
    }  # fmt: skip
    assert {s.value for s in latency.samples if s.name.endswith("_sum")} == {7.5}


def test_every_scrape_asks_anew_so_that_nothing_is_counted_twice(served: tuple[Exporter, Json]) -> None:
    exporter, said = served
    first, second = (re.sub(r"(?m)^sekisho_disk.*$", "", fetch(exporter)[1]) for _ in range(2))
    assert first == second
    said["findings"] = 42
    assert "sekisho_findings_total 42.0" in fetch(exporter)[1]


@pytest.mark.parametrize(
    ("method", "path", "accept", "code"),
    [
        ("GET", "/", "", 404),
        ("GET", "/metrics/../../etc/passwd", "", 404),
        ("POST", "/metrics", "", 501),
        ("DELETE", "/metrics", "", 501),
        ("GET", "/metrics?name=x", "", 200),
        ("GET", "/metrics", "text/plain; version=\u00e9.x", 200),
    ],
)
def test_only_get_metrics_is_answered(served: tuple[Exporter, Json], method: str, path: str, accept: str, code: int) -> None:
    assert fetch(served[0], method, path, accept)[0] == code


def test_where_there_is_no_snapshot_the_scrape_fails_and_says_why() -> None:
    def refuse() -> Json:
        raise LiveError("keeper.sock: the keeper does not answer")

    exporter = Exporter("127.0.0.1", free_port(), refuse, ".")
    assert exporter.tend(0.0) == ""
    try:
        assert fetch(exporter) == (503, "keeper.sock: the keeper does not answer\n")
    finally:
        exporter.close()


@pytest.mark.parametrize(
    "raw", [b"\0" * 70_000, b"GET " + b"a" * 70_000, b"GET /metrics HTTP/9.9\r\n\r\n", b"\r\n" * 500, b"GET"]
)
def test_nonsense_ends_its_connection_and_nothing_else(served: tuple[Exporter, Json], raw: bytes) -> None:
    with closing(socket.create_connection((served[0].host, served[0].port), timeout=10)) as peer:
        try:
            peer.sendall(raw)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
        except OSError:  # cut while it was still sending
            pass
    assert fetch(served[0])[0] == 200


def test_those_who_say_nothing_are_cut_and_scrapes_go_on(served: tuple[Exporter, Json]) -> None:
    idle = [socket.create_connection((served[0].host, served[0].port), timeout=20) for _ in range(MOST_AT_ONCE * 2)]
    began = time.monotonic()
    try:
        for peer in idle:
            assert peer.recv(1) == b""
        assert time.monotonic() - began < 15
        assert threading.active_count() < MOST_AT_ONCE + 8
        assert fetch(served[0])[0] == 200
    finally:
        for peer in idle:
            peer.close()


def test_who_asks_all_the_time_is_turned_away_and_later_answered_again(served: tuple[Exporter, Json]) -> None:
    answered, refused, end = 0, 0, time.monotonic() + 2
    while time.monotonic() < end:
        try:
            answered += fetch(served[0])[0] == 200
        except (OSError, http.client.HTTPException):
            refused += 1
    assert MOST_A_SECOND <= answered <= 3 * MOST_A_SECOND
    assert refused > 0
    time.sleep(1.1)
    assert fetch(served[0])[0] == 200


def test_a_port_that_is_taken_is_told_and_tried_again() -> None:
    said = snapshot()
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        exporter = Exporter("127.0.0.1", int(other.getsockname()[1]), lambda: said, ".")
        assert exporter.tend(100.0) == f"127.0.0.1 port {exporter.port}: Address already in use"
    assert exporter.tend(101.0) != ""
    assert exporter.tend(131.0) == ""
    assert fetch(exporter)[0] == 200
    exporter.move("", 0)
    assert exporter.tend(200.0) == ""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", exporter.port or 1), timeout=2)


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("", Metrics("127.0.0.1", 9469)),
        ('[metrics]\nlisten = ""\n', Metrics("", 0)),
        ('[metrics]\nlisten = "192.0.2.7:9100"\n', Metrics("192.0.2.7", 9100)),
        ('[metrics]\nlisten = "[::1]:80"\n', Metrics("::1", 80)),
    ],
)
def test_where_it_listens_is_said_in_the_configuration(text: str, metrics: Metrics) -> None:
    assert parse_config(LEAST + text, "c").metrics == metrics


@pytest.mark.parametrize(
    "listen", ["9469", ":9469", "localhost:9469", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9469", "[x]:1"]
)
def test_an_address_that_is_none_is_refused_with_how_to_write_it(listen: str) -> None:
    with pytest.raises(UsageError, match=r"\[metrics\] listen: .* is no address and port; write 127.0.0.1:9469"):
        parse_config(LEAST + f"[metrics]\nlisten = {json.dumps(listen)}\n", "c")


def test_the_page_explains_every_metric() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(sekisho_\w+)(?:\{\w+\})?` \| (.+?) \|", page, flags=re.M))
    assert {name: metric.meaning for name, metric in METRICS.items()} == rows

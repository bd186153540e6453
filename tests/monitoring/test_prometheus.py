"""A real Prometheus scrapes a real keeper that was fed with what was really found: every panel and every rule has data.

The same with a whole `sekisho run` on a wire: tests/lab/test_monitoring.py.
"""

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.monitoring.running import Appliance, Json, Prometheus, asked, fetch, recorded, running, wait_for
from tests.unit.snapshots import port, status

# Nobody knows these where no enforcer runs.
ENFORCED = ("sekisho_leases", "sekisho_policy_", "sekisho_rules_mended_total")


def feed(box: Appliance, second: int, **more: object) -> None:
    """What a sensor would say of one second of a plant."""
    told = 5 * second
    box.feed(
        status(
            time=time.time(),
            interfaces=[port(frames=300_000 + 1000 * second)],
            bytes=10_000_000 + 90_000 * second,
            latency={"buckets": [[0.1, 0], [0.25, told], [0.5, told]], "count": told, "sum": 0.2 * told},
            **more,
        )
    )


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Appliance, Prometheus, list[Json]]]:
    folder = tmp_path_factory.mktemp("scraped")
    for box, records in running(folder):
        feed(box, 0)
        with Prometheus(folder, box.port) as prometheus:
            wait_for(lambda: prometheus.value("up") == 1, 30)
            box.feed(*records)
            for second in range(1, 7):
                feed(box, second)
                time.sleep(1)
            yield box, prometheus, records


def test_every_panel_and_every_recorded_figure_has_data(scraped: tuple[Appliance, Prometheus, list[Json]]) -> None:
    _, prometheus, _ = scraped
    wanted = asked() + [(name, name) for name in recorded()]
    empty = [(title, query) for title, query in wanted if not wait_until_data(prometheus, query)]
    assert [query for _, query in empty if not any(name in query for name in ENFORCED)] == []


def wait_until_data(prometheus: Prometheus, query: str) -> bool:
    if any(name in query for name in ENFORCED):
        return bool(prometheus.query(query))
    return bool(wait_for(lambda: prometheus.query(query), 15))


def test_what_prometheus_has_is_what_was_fed(scraped: tuple[Appliance, Prometheus, list[Json]]) -> None:
    _, prometheus, records = scraped
    incidents = [r for r in records if r["type"] == "incident"]
    assert prometheus.value("sekisho:incidents_open:sum") == len(incidents)
    assert prometheus.value('sekisho_incidents_open{cause="security"}') == sum(r["cause"] == "security" for r in incidents)
    assert prometheus.value("sekisho_findings_total") == sum(r["count"] for r in records if r["type"] == "finding")
    assert prometheus.value("sekisho_frames_total") == 306_000
    assert 15 < (prometheus.value("sekisho:frames:rate5m") or 0) < 30  # 6,000 frames within five minutes
    assert 0.1 < (prometheus.value("sekisho:finding_latency_seconds:p95_1h") or 0) <= 0.25


def test_an_alert_fires_where_it_should_and_only_there(scraped: tuple[Appliance, Prometheus, list[Json]]) -> None:
    _, prometheus, _ = scraped
    wait_for(lambda: prometheus.query('ALERTS{alertname="SekishoSecurityIncident", alertstate="firing"}'), 10)
    assert {alert["metric"]["alertname"] for alert in prometheus.query('ALERTS{alertstate="firing"}')} == {
        "SekishoSecurityIncident"
    }


def test_a_gateway_has_at_most_thirty_series_and_no_word_of_the_plant(scraped: tuple[Appliance, Prometheus, list[Json]]) -> None:
    _, prometheus, records = scraped
    series = prometheus.query('{__name__=~"sekisho_.+", __name__!~".+_bucket"}')
    assert 20 < len(series) <= 30
    labels = {(k, v) for s in series for k, v in s["metric"].items() if k not in ("__name__", "instance", "job", "site")}
    assert {k for k, _ in labels} == {"cause", "version"}
    words = {str(v) for r in records for key in ("src", "dst", "service", "id") if (v := r.get(key))} | {"eth1"}
    assert not words & {v for _, v in labels}


def test_promtool_finds_nothing_wrong_with_what_is_served(scraped: tuple[Appliance, Prometheus, list[Json]]) -> None:
    box, _, _ = scraped
    text = fetch(f"http://127.0.0.1:{box.port}/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

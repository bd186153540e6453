"""The Grafana dashboard is what its builder builds, and asks only for what there is."""

import importlib.util
import json
import re
from types import ModuleType

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from appliance.report.metrics import METRICS
from tests.monitoring.running import MONITORING, asked, recorded

FOLDER = MONITORING / "grafana"
BOARD = json.loads((FOLDER / "dashboards" / "sekisho-site.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_dashboard", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_dashboard_is_the_one_that_is_built() -> None:
    committed = (FOLDER / "dashboards" / "sekisho-site.json").read_text(encoding="utf-8")
    assert builder().build() == committed, "build it anew: python packaging/monitoring/grafana/build.py"


def test_the_model_of_grafana_reads_it_and_loses_nothing() -> None:
    read = Dashboard.from_json(BOARD)
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == BOARD


def test_panels_have_a_title_an_explanation_a_source_and_stand_side_by_side() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        assert panel["description"]
        assert panel["targets"]
        sources = {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])}
        assert sources == {"${datasource}"}
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(("title", "query"), asked(), ids=lambda text: text[:40])
def test_queries_follow_the_choice_of_site_and_gateway_and_ask_for_what_is_served(title: str, query: str) -> None:
    known = {*METRICS, *recorded()}
    names = set(re.findall(r"sekisho[a-z0-9_:]+", query.replace('"sekisho"', "")))
    assert names <= known, title
    assert query.count('site=~".*", instance=~".*"') == len(names) or {"up", "ALERTS"} & set(re.findall(r"\w+", query))


def test_every_metric_but_those_named_here_is_on_the_dashboard() -> None:
    shown = {name for _, query in asked() for name in re.findall(r"sekisho[a-z0-9_:]+", query)}
    behind = {"sekisho_clock_seconds", "sekisho_finding_latency_seconds", "sekisho_incidents_total"}  # as recorded figures
    behind |= {name for name in METRICS if name.startswith("sekisho_frame")}
    assert set(METRICS) - shown == behind


def test_provisioning_names_the_files_that_are_there() -> None:
    source = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "sekisho.yaml").read_text(encoding="utf-8"))
    assert [s["type"] for s in source["datasources"]] == ["prometheus"]
    provider = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "sekisho.yaml").read_text(encoding="utf-8"))
    assert [(p["type"], p["options"]["path"]) for p in provider["providers"]] == [("file", "/var/lib/grafana/dashboards/sekisho")]

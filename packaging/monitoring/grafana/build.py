"""Builds the Grafana dashboard of a site: `python packaging/monitoring/grafana/build.py` writes dashboards/sekisho-site.json.

It asks only for metrics of docs/monitoring.md and figures of ../prometheus/sekisho.rules.yml; a test runs every query against a
real Prometheus. Needs grafana-foundation-sdk (requirements/test.in); the JSON is committed, so nobody who installs needs it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard, prometheus

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(__file__).parent / "dashboards" / "sekisho-site.json"
SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
ONLY = '{site=~"$site", instance=~"$instance"}'
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
WIDTH = 24
Panel = Any  # the builders of panels have no common name
Query = tuple[str, str]  # expression with @ where the selection of the dashboard comes in, legend


def selected(expression: str) -> str:
    """The expression with the dashboard's site and gateway at every `@`; `@{a="b"}` keeps its own matchers."""
    return expression.replace("@{", ONLY[:-1] + ", ").replace("@", ONLY)


def queries(panel: Panel, found: Sequence[Query], *, instant: bool = False) -> Panel:
    """Give a panel its queries."""
    for number, (expression, legend) in enumerate(found):
        query = Dataquery().expr(selected(expression)).legend_format(legend).ref_id(chr(ord("A") + number)).datasource(SOURCE)
        panel.with_target(query.instant() if instant else query.range())
    return panel.datasource(SOURCE)


def limits(*steps: tuple[float, str], base: str = GREEN) -> ThresholdsConfig:
    """Colours: `base`, and from each value on another one."""
    found = [dashboard.Threshold(value=None, color=base), *(dashboard.Threshold(value=v, color=c) for v, c in steps)]
    return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(found)


def words(named: dict[str, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    """Words and colours instead of numbers."""
    options = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=number)
        for number, (value, (text, color)) in enumerate(named.items())
    }
    return [dashboard.ValueMap(options=options)]


def one(
    title: str, says: str, found: Sequence[Query], *, unit: str = "short", span: int = 4, colors: Any = None, **more: Any
) -> Panel:
    """A number as it is now."""
    panel = stat.Panel().title(title).description(says).unit(unit).span(span).height(4)
    panel.color_mode(common.BigValueColorMode.BACKGROUND).graph_mode(common.BigValueGraphMode.NONE)
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"])).thresholds(colors or limits())
    if "named" in more:
        panel.mappings(words(more["named"]))
    return queries(panel, found, instant=True)


def over_time(
    title: str, says: str, found: Sequence[Query], *, unit: str = "short", span: int = 12, stacked: bool = False
) -> Panel:
    """Lines over time, from zero."""
    panel = timeseries.Panel().title(title).description(says).unit(unit).span(span).height(7).min(0)
    panel.fill_opacity(20 if stacked else 8).line_width(1).show_points(common.VisibilityMode.NEVER)
    legend = (
        common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM)
    )
    panel.legend(legend.show_legend(True).calcs([]))
    panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    return queries(panel, found)


def listed(title: str, says: str, expression: str, columns: Sequence[str], span: int) -> Panel:
    """A table of series as they are now."""
    panel = table.Panel().title(title).description(says).span(span).height(7).no_value("none")
    query = (
        Dataquery().expr(selected(expression)).instant().format(prometheus.PromQueryFormat.TABLE).ref_id("A").datasource(SOURCE)
    )
    wanted = {"indexByName": {name: n for n, name in enumerate(columns)}, "includeByName": dict.fromkeys(columns, True)}
    panel.with_target(query).with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=wanted))
    return panel.datasource(SOURCE)


CAUSES = {"security": RED, "fault": "orange", "maintenance": BLUE, "unknown": "purple"}
NOW = [
    one(
        "Gateways",
        "that answer, of those that are asked",
        [('sum(up@{job="sekisho"})', "answer"), ('count(up@{job="sekisho"})', "asked")],
        span=3,
    ),
    one(
        "Learning or watching",
        "while it learns, nothing is judged yet",
        [("min(sekisho_watching@)", "")],
        span=3,
        named={"0": ("learning", YELLOW), "1": ("watching", GREEN)},
    ),
    one(
        "Open: security",
        "incidents that look like an attack",
        [('sum(sekisho_incidents_open@{cause="security"})', "")],
        span=3,
        colors=limits((1, RED)),
    ),
    one(
        "Open: fault",
        "incidents that look like a fault of the plant",
        [('sum(sekisho_incidents_open@{cause="fault"})', "")],
        span=3,
        colors=limits((1, "orange")),
    ),
    one(
        "Open: others",
        "planned work, and what nobody knows the cause of",
        [('sum(sekisho_incidents_open@{cause=~"unknown|maintenance"})', "")],
        span=3,
        colors=limits((1, "purple")),
    ),
    one(
        "Interfaces down",
        "configured, and their frames do not reach the gateway",
        [("sum(sekisho_interfaces_down@)", "")],
        span=3,
        colors=limits((1, RED)),
    ),
    one(
        "Lost frames",
        "of the last five minutes: neither learned nor judged",
        [("max(sekisho:frames_dropped:ratio5m@)", "")],
        unit="percentunit",
        span=3,
        colors=limits((1e-9, YELLOW), (0.001, RED)),
    ),
    one(
        "Problems",
        "of the gateways themselves; sekisho status says each in words",
        [("sum(sekisho_problems@)", "")],
        span=3,
        colors=limits((1, YELLOW)),
    ),
]
INCIDENTS = [
    over_time(
        "Open incidents by cause",
        "a gateway counts an incident as open until somebody closes it",
        [("sum by (cause) (sekisho_incidents_open@)", "{{cause}}")],
        span=9,
        stacked=True,
    ),
    listed(
        "Alerts that fire",
        "what each means and what to do: docs/monitoring.md",
        'ALERTS@{alertstate="firing"}',
        ("alertname", "severity", "site", "instance", "cause"),
        9,
    ),
    over_time("Incidents a day", "opened within the last 24 hours", [("sekisho:incidents:increase1d@", "{{instance}}")], span=6),
    over_time(
        "Findings",
        "deviations a minute; many of them make one incident",
        [("60 * rate(sekisho_findings_total@[$__rate_interval])", "{{instance}}")],
        span=12,
    ),
    over_time(
        "From frame to finding",
        "95 % of the findings of an hour were told within",
        [("sekisho:finding_latency_seconds:p95_1h@", "{{instance}}")],
        unit="s",
        span=12,
    ),
]
TRAFFIC = [
    over_time(
        "Frames", "that reached the interfaces, a second", [("sekisho:frames:rate5m@", "{{instance}}")], unit="pps", span=8
    ),
    over_time(
        "Bits",
        "of the frames that were read, a second",
        [("8 * sekisho:frame_bytes:rate5m@", "{{instance}}")],
        unit="bps",
        span=8,
    ),
    over_time(
        "Lost and damaged",
        "share of the frames of five minutes",
        [("sekisho:frames_dropped:ratio5m@", "{{instance}} lost"), ("sekisho:frames_damaged:ratio5m@", "{{instance}} damaged")],
        unit="percentunit",
        span=8,
    ),
]
LEARNING = [
    over_time("Time learned", "clean time that the baseline rests on", [("sekisho_learned_seconds@", "{{instance}}")], unit="s"),
    over_time(
        "Still new",
        "upper limit (95 %) of the share of a next block of time that would be new; 2 % is enough to watch",
        [("sekisho_novelty_ratio@", "{{instance}}")],
        unit="percentunit",
    ),
]
ENFORCEMENT = [
    one(
        "Posture",
        "what incidents lead to",
        [("max(sekisho_posture@)", "")],
        named={"0": ("told only", BLUE), "1": ("shadow: counted", YELLOW), "2": ("enforce", GREEN)},
    ),
    one(
        "Enforcer",
        "the process that keeps the rules",
        [("min(sekisho_enforcer_up@)", "")],
        named={"0": ("not running", BLUE), "1": ("running", GREEN)},
    ),
    one("Generation", "number of the rules in force", [("max(sekisho_policy_generation@)", "")], colors=limits(base=BLUE)),
    one(
        "Trial ends in",
        "rules that nobody has confirmed yet; 0: none",
        [("max(sekisho_policy_trial_left_seconds@)", "")],
        unit="s",
        colors=limits((1, YELLOW)),
    ),
    one(
        "Rules mended",
        "changed by another program and laid out again, in 24 hours",
        [("sum(increase(sekisho_rules_mended_total@[24h]))", "")],
        colors=limits((0.5, RED)),
    ),
    one("Blocked now", "leases in force", [("sum(sekisho_leases@)", "")], colors=limits((1, YELLOW))),
    over_time(
        "Leases",
        "steps against somebody: in force, and put in force a day",
        [("sekisho_leases@", "{{instance}} in force"), ("increase(sekisho_blocks_total@[1d])", "{{instance}} a day")],
        span=24,
    ),
]
BOX = [
    over_time(
        "Since the sensor spoke",
        "more than three minutes: the plant is not watched",
        [("sekisho_sensor_age_seconds@", "{{instance}}")],
        unit="s",
        span=8,
    ),
    over_time("Starts of the sensor", "within an hour", [("increase(sekisho_sensor_starts_total@[1h])", "{{instance}}")], span=8),
    over_time(
        "Free disk",
        "of the disk that holds the state",
        [("sekisho_disk_free_ratio@", "{{instance}}")],
        unit="percentunit",
        span=8,
    ),
    over_time("Incident store", "disk that incidents take", [("sekisho_store_bytes@", "{{instance}}")], unit="bytes", span=8),
    over_time(
        "Clock", "how far the gateway's clock is off", [("abs(sekisho:clock_error_seconds@)", "{{instance}}")], unit="s", span=8
    ),
    listed("Versions", "of the gateways", "sekisho_build_info@", ("site", "instance", "version"), 8),
]
ROWS = (
    ("Now", NOW),
    ("Incidents", INCIDENTS),
    ("Traffic", TRAFFIC),
    ("Learning", LEARNING),
    ("Enforcement", ENFORCEMENT),
    ("The box", BOX),
)


def variable(name: str, label: str, query: str) -> QueryVariable:
    """A choice of one or more, all of them unless told."""
    found = QueryVariable(name).label(label).query(query).datasource(SOURCE).multi(True).include_all(True).all_value(".*")
    found.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    return found.current(dashboard.VariableOption(selected=True, text="All", value="$__all"))


def build() -> str:
    """The dashboard as JSON text."""
    board = Dashboard("Sekisho: a site").uid("sekisho-site").tags(["sekisho", "ot"]).refresh("30s").time("now-24h", "now")
    board.timezone("browser").editable().tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    board.description("What the gateways of a site see, and how they fare. What each metric and alert means: docs/monitoring.md.")
    board.with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    board.with_variable(variable("site", "Site", 'label_values(up{job="sekisho"}, site)'))
    board.with_variable(variable("instance", "Gateway", 'label_values(up{job="sekisho", site=~"$site"}, instance)'))
    number = 0
    for title, panels in ROWS:
        board.with_row(Row(title))
        for panel in panels:
            number += 1
            board.with_panel(panel.id(number))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(build(), encoding="utf-8")

"""Alert and recording rules: sound by promtool, tried over made-up hours and days, each explained in docs/monitoring.md."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.report.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging" / "monitoring" / "prometheus"
RULES = FOLDER / "sekisho.rules.yml"
TESTS = ("sekisho.test.yml", "sekisho.days.test.yml")
PAGE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
SEVERITIES = {"critical", "warning", "info"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDS = {rule["record"] for rule in rules() if "record" in rule}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; next step: .ci/debian prometheus")
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_promtool_finds_rules_and_configuration_sound() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stderr
    done = promtool("check", "config", FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", TESTS)
def test_each_rule_fires_when_it_should_and_only_then(name: str) -> None:
    done = promtool("test", "rules", FOLDER / name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_the_rules_notice_a_changed_rule(tmp_path: Path) -> None:
    for name in (*TESTS, RULES.name):
        shutil.copy(FOLDER / name, tmp_path)
    changed = RULES.read_text(encoding="utf-8").replace(
        "sekisho_disk_free_ratio < 0.4 and", "sekisho_disk_free_ratio < 0.1 and", 1
    )
    assert changed != RULES.read_text(encoding="utf-8")
    (tmp_path / RULES.name).write_text(changed, encoding="utf-8")
    done = promtool("test", "rules", tmp_path / TESTS[0])
    assert done.returncode == 1
    assert "SekishoDiskFilling" in done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_every_record_is_looked_at() -> None:
    tried = "".join((FOLDER / name).read_text(encoding="utf-8") for name in TESTS)
    assert [rule["alert"] for rule in ALERTS if f'ALERTS{{alertname="{rule["alert"]}"' not in tried] == []
    assert [name for name in RECORDS if f"round({name}," not in tried] == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_it_is_in_both_languages_and_where_to_read_on(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    assert set(said) == {"summary", "summary_ja", "description", "runbook"}
    assert all(said[key].startswith("{{ $labels.instance }}: ") for key in ("summary", "summary_ja"))
    assert said["summary_ja"] != said["summary"]
    assert set(re.findall(r"\{\{.*?\}\}", said["summary"])) == set(re.findall(r"\{\{.*?\}\}", said["summary_ja"]))
    assert rule["labels"]["severity"] in SEVERITIES
    assert said["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
    assert f"\n### {rule['alert']}\n" in PAGE


def test_the_page_has_no_alert_that_is_gone() -> None:
    assert re.findall(r"^### (Sekisho\w+)$", PAGE, flags=re.M) == [rule["alert"] for rule in ALERTS]


def test_rules_ask_only_for_what_is_served() -> None:
    known = {*METRICS, *RECORDS, *(f"{name}_bucket" for name, metric in METRICS.items() if metric.kind == "histogram")}
    asked = {name for rule in rules() for name in re.findall(r"sekisho[a-z0-9_:]+", rule["expr"].replace('"sekisho"', ""))}
    assert asked - known == set()

"""Policies from the command line: check, test, plan, explain, and the one line that a wrong one gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.contract.cli import ROOT, case, refused, sekisho

if TYPE_CHECKING:
    from pathlib import Path

RULES = ROOT / "rules"
PLANT = RULES / "modbus-plant.yaml"


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("policy") / "b"
    assert sekisho("learn", case("modbus-attack", "train"), "--baseline", path).returncode == 0
    return path


def test_the_shipped_policies_are_sound_and_their_tests_pass(baseline: Path) -> None:
    shipped = sorted(RULES.glob("*.yaml"))
    assert len(shipped) >= 3
    assert sekisho("policy", "check", *shipped).stdout.count("nothing wrong") == len(shipped)
    for name in ("modbus-plant", "bacnet-building"):
        ran = sekisho("policy", "test", RULES / f"{name}.yaml")
        assert (ran.returncode, "FAIL" in ran.stdout) == (0, False)
    assert sekisho("policy", "test", PLANT, "--baseline", baseline).returncode == 0


def test_a_test_that_fails_is_named_by_its_line(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(PLANT.read_text().replace("register: 5, expect: refuse", "register: 5, expect: allow"))
    ran = sekisho("policy", "test", policy)
    assert ran.returncode == 1
    failed = [line for line in ran.stdout.splitlines() if "FAIL" in line]
    assert len(failed) == 1
    line = 1 + next(i for i, text in enumerate(policy.read_text().splitlines()) if "register: 5, expect: allow" in text)
    assert failed[0].startswith(f"{policy}:{line}: FAIL")


def test_plan_says_what_would_be_cut_and_what_changes(baseline: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    first = sekisho("policy", "plan", PLANT, "--baseline", baseline, "--output", rules)
    assert first.returncode == 0
    assert "5 learned conversations to guarded assets, 0 of them cut" in first.stdout
    again = sekisho("policy", "plan", PLANT, "--baseline", baseline, "--current", rules)
    assert "changes: 0 added, 0 removed" in again.stdout
    stricter = tmp_path / "p.yaml"
    stricter.write_text(PLANT.read_text().replace("functions: [Write Single Coil]", "functions: [Write Multiple Coils]"))
    ran = sekisho("policy", "plan", stricter, "--baseline", baseline, "--current", rules, "--format", "jsonl")
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 1
    cut = [r for r in records if r["type"] == "policy-conversation" and r["cut"]]
    assert [(r["client"], r["server"], r["mode"], r["cut"]) for r in cut] == [
        ("10.40.2.21", "10.40.2.11", "enforce", ["Write Single Coil"])
    ]
    assert "learned: does not let in write" in cut[0]["why"]
    assert {r["change"] for r in records if r["type"] == "policy-change"} == {"add", "remove"}
    assert records[-1]["type"] == "policy-summary"


def test_explain_names_rule_template_and_the_nearest_rule(baseline: Path) -> None:
    def why(*words: str) -> tuple[int, str]:
        ran = sekisho("policy", "explain", PLANT, "--baseline", baseline, *words)
        return ran.returncode, ran.stdout

    code, said = why("10.40.2.21", "10.40.2.11", "tcp/502", "Write Single Coil", "--register", "2")
    line = 1 + next(i for i, text in enumerate(PLANT.read_text().splitlines()) if "switches the tank" in text)
    assert code == 0
    assert f"allowed, by {PLANT}:{line}" in said
    assert "learned: Write Single Coil" in said
    assert "function-exact" in said
    code, said = why("10.40.2.22", "10.40.2.11", "tcp/502", "Write Single Coil", "--register", "2")
    assert code == 1
    assert "nearest rule:" in said
    assert "what differs:" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("policy", "check", "nowhere.yaml"), "no such file"),
        (("policy", "test", RULES / "default.yaml"), "there is no test in it"),
        (("policy", "check", ROOT / "pcaps" / "modbus-attack" / "test.pcap"), "not UTF-8"),
        (("policy", "check", ROOT / "README.md"), "README.md"),
    ],
)
def test_what_cannot_be_done_gets_one_line(arguments: tuple[str | Path, ...], says: str) -> None:
    refused(sekisho(*arguments), says)


def test_words_of_explain_that_mean_nothing_get_one_line(baseline: Path) -> None:
    for words, says in (
        (("10.40.2.21", "10.40.2.11", "tcp/502", "Write Everything"), "modbus has no function"),
        (("10.40.2.x", "10.40.2.11", "tcp/502"), "no address"),
        (("10.40.2.21", "10.40.2.11", "502"), "no service"),
        (("10.40.2.21", "10.40.2.11", "tcp/4410", "6"), "add --protocol"),
    ):
        refused(sekisho("policy", "explain", PLANT, "--baseline", baseline, *words), says)

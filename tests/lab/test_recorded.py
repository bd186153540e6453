"""The committed captures agree with their labels, their case.toml and the table of pcaps/README.md (no root needed)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import recording
from tests.lab.cases import CASES

pytestmark = pytest.mark.lab
RECORDED = Path(__file__).resolve().parents[2] / "pcaps"
FOLDERS = sorted(path.parent for path in RECORDED.glob("*/case.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_committed_case_agrees_with_itself(folder: Path) -> None:
    assert recording.check(folder) == []


def test_every_case_of_the_lab_is_committed_and_small() -> None:
    assert {folder.name for folder in FOLDERS} == set(CASES)
    assert sum(path.stat().st_size for path in RECORDED.rglob("*") if path.is_file()) < 8 << 20


def test_the_table_in_the_readme_is_what_was_recorded() -> None:
    assert recording.table(RECORDED) in (RECORDED / "README.md").read_text()


def test_every_case_has_a_seed_and_a_network_of_its_own() -> None:
    assert len({case.seed for case in CASES.values()}) == len(CASES)
    assert len({case.hosts[0].address.rsplit(".", 1)[0] for case in CASES.values()}) == len(CASES)

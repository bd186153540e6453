"""What the Debian package is made of agrees with the rest of the repository."""

import re
import subprocess
from pathlib import Path

import pytest

from appliance.enforce import leases, table
from tests.repo.tree import ROOT

SCRIPTS = sorted(
    path
    for path in [
        *(ROOT / "packaging").glob("*"),
        *(ROOT / "packaging/debian").glob("sekisho.p*"),
        *(ROOT / "tests/install").glob("*"),
    ]
    if path.is_file() and path.read_text(encoding="utf-8").startswith("#!/bin/sh")
)


def test_cpppo_is_not_bundled() -> None:
    locked = (ROOT / "requirements/package.txt").read_text(encoding="utf-8")
    assert "pymodbus==" in locked
    assert "cpppo" not in locked


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound_for_the_shell_that_runs_them(path: Path) -> None:
    assert subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, timeout=10).stderr == ""


def test_removal_takes_away_every_table_that_the_program_makes() -> None:
    script = (ROOT / "packaging/debian/sekisho.prerm").read_text(encoding="utf-8")
    wanted = {f"{family} {name}" for family in ("inet", "bridge") for name in (table.TABLE, leases.TABLE)}
    assert set(re.findall(r'"((?:inet|bridge) \w+)"', script)) == wanted


def test_units_start_no_user_that_nobody_makes() -> None:
    made = set(re.findall(r"^u (\S+)", (ROOT / "systemd/sekisho.sysusers").read_text(encoding="utf-8"), flags=re.M))
    for unit in (ROOT / "systemd").glob("*.service"):
        assert set(re.findall(r"^User=(\S+)", unit.read_text(encoding="utf-8"), flags=re.M)) <= made, unit.name


def test_purge_removes_every_user_that_is_made() -> None:
    made = set(re.findall(r"^u (\S+)", (ROOT / "systemd/sekisho.sysusers").read_text(encoding="utf-8"), flags=re.M))
    script = (ROOT / "packaging/debian/sekisho.postrm").read_text(encoding="utf-8")
    assert set(re.findall(r"sekisho-[a-z]+", script)) == made


def test_what_a_unit_says_on_standard_error_reaches_the_journal() -> None:
    for unit in (ROOT / "systemd").glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        if "StandardOutput=null" in text or "StandardInput=socket" in text:  # standard error would go the same way
            assert "StandardError=journal" in text, unit.name

"""Every labelled case goes through the real command: the project's own, and those of ../shared where they are."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.contract.cli import ROOT, of_type, pcap_records, records, sekisho

if TYPE_CHECKING:
    from pathlib import Path

OWN = sorted(path.parent for path in (ROOT / "pcaps").glob("*/train.pcap"))


def through_the_command(folder: Path, tmp_path: Path) -> None:
    """Learn, detect with a page, replay of nothing else: outputs are complete, agree with each other and with the capture."""
    baseline, page = tmp_path / "b", tmp_path / "r.html"
    train, test = folder / "train.pcap", folder / "test.pcap"
    learn = sekisho("learn", train, "--baseline", baseline)
    assert (learn.returncode, learn.stderr) == (0, "")
    detect = sekisho("detect", test, "--baseline", baseline, "--format", "jsonl", "--report", page)
    assert detect.stderr == ""
    found = records(detect.stdout)
    findings, incidents = of_type(found, "finding"), of_type(found, "incident")
    assert detect.returncode == bool(incidents)
    frames = len(pcap_records(test))
    assert found[-1]["frames"] == frames
    assert all(finding["frame"] is None or 1 <= finding["frame"] <= frames for finding in findings)
    assert {finding["incident"] for finding in findings} == {incident["id"] for incident in incidents}
    assert all(incident["revision"] > 1 and incident["title"] for incident in incidents)
    text = page.read_text(encoding="utf-8")
    assert text.count('<article class="card ') == min(60, len(incidents))
    assert f"{frames:,}" in text
    known = sekisho("detect", train, "--baseline", baseline)
    assert known.returncode == 0, known.stdout  # what was learned is not abnormal


@pytest.mark.parametrize("folder", OWN, ids=lambda folder: folder.name)
def test_a_case_of_the_lab_goes_through_the_command(folder: Path, tmp_path: Path) -> None:
    through_the_command(folder, tmp_path)


@pytest.mark.slow
def test_the_shared_cases_go_through_the_command(shared: Path, tmp_path: Path) -> None:
    folders = sorted(path.parent for path in (shared / "pcaps" / "cases").glob("*/train.pcap"))
    assert len(folders) >= 12
    for folder in folders:
        (tmp_path / folder.name).mkdir()
        through_the_command(folder, tmp_path / folder.name)


@pytest.mark.slow
def test_the_scoring_tool_reads_what_the_command_writes(shared: Path) -> None:
    tool = [sys.executable, str(shared / "tools" / "score_cases.py"), "--sekisho", f"{sys.executable} -m appliance"]
    done = subprocess.run(tool, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    total = re.search(r"^TOTAL episodes (\d+)/36 .* errors (\d+)$", done.stdout, re.M)
    assert total, done.stdout
    assert int(total[2]) == 0, done.stdout
    assert int(total[1]) > 29, done.stdout  # what a plain list of allowed values finds

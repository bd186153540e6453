"""`sekisho status` asks a real keeper that was fed with what was really found, and says whether somebody has to do something."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.host.control import ask
from appliance.report.wording import cells
from tests.monitoring.running import ROOT, Appliance, Json, detected, fetch, free_port, running, sekisho, wait_for
from tests.unit.snapshots import port, status


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Appliance, list[Json]]]:
    yield from running(tmp_path_factory.mktemp("box"))


def test_a_box_from_its_first_second_to_an_attack(box: tuple[Appliance, list[Json]]) -> None:
    appliance, records = box
    first = appliance.status()
    assert first.returncode == 1, first.stderr
    assert "NOT CAPTURING - needs attention: the sensor tells nothing" in first.stdout
    appliance.feed(status(time=time.time(), since=time.time() - 100))
    calm = appliance.status()
    assert (calm.returncode, calm.stderr) == (0, "")
    assert "all is well" in calm.stdout
    assert "none open; 0 so far" in calm.stdout
    appliance.feed(*records)
    attacked = appliance.status()
    assert attacked.returncode == 1
    incidents = [r for r in records if r["type"] == "incident"]
    assert f"{len(incidents)} open" in attacked.stdout
    newest = sorted(incidents, key=lambda r: float(r["updated"]), reverse=True)[:3]
    for record in newest:
        assert f"{record['id']}  " in attacked.stdout
        assert record["title"][:30] in " ".join(attacked.stdout.split())
    for done in (first, calm, attacked):
        assert max(cells(line) for line in done.stdout.splitlines()) <= 80
    japanese = appliance.status("--lang", "ja").stdout
    assert "要対応" in japanese
    assert max(cells(line) for line in japanese.splitlines()) <= 80


def test_for_programs_it_is_one_object_with_the_same_judgement(box: tuple[Appliance, list[Json]]) -> None:
    appliance, _ = box
    appliance.feed(status(time=time.time(), interfaces=[port(), port("eth2", up=False, problem="there is no such interface")]))
    done = appliance.status("--format", "json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert {"what": "interface", "count": 1} in told["attention"]
    assert told["snapshot"]["sensor"]["interfaces"][1]["problem"] == "there is no such interface"
    assert len(told["newest"]) <= 3
    assert any("eth2" in problem["what"] for problem in told["snapshot"]["problems"])


def test_what_status_shows_and_what_is_scraped_is_the_same(box: tuple[Appliance, list[Json]]) -> None:
    appliance, _ = box
    snapshot = json.loads(appliance.status("--format", "json").stdout)["snapshot"]
    text = fetch(f"http://127.0.0.1:{appliance.port}/metrics")
    scraped = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(scraped["sekisho_findings_total"]) == snapshot["findings"]
    for cause, count in snapshot["incidents"]["open_by_cause"].items():
        assert float(scraped[f'sekisho_incidents_open{{cause="{cause}"}}']) == count
    assert float(scraped["sekisho_problems"]) == len(snapshot["problems"])


def test_nobody_there_is_one_line_with_a_next_step_and_code_2(tmp_path: Path) -> None:
    done = sekisho("status", "--socket", tmp_path / "keeper.sock")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "the keeper does not answer" in done.stderr
    assert "is `sekisho run` running" in done.stderr
    done = sekisho("status", "--config", tmp_path / "none.toml")
    assert done.returncode == 2
    assert "no such file; name another one, or write it with `sekisho setup`" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root to become somebody else")
def test_who_may_not_ask_is_told_how_to(box: tuple[Appliance, list[Json]]) -> None:
    path = box[0].socket
    for folder in (path.parent, *path.parents[1:-2]):
        folder.chmod(folder.stat().st_mode | 0o111)
    line = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        sys.executable,
        "-m",
        "appliance",
        "status",
        "--socket",
    ]
    done = subprocess.run([*line, str(path)], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{path}: you may not ask the keeper; use sudo, or join the group" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_a_problem_and_the_keeper_goes_on(box: tuple[Appliance, list[Json]], tmp_path: Path) -> None:
    taken = box[0].port
    second = Appliance(tmp_path)
    second.config.write_text(second.config.read_text().replace(str(second.port), str(taken)), encoding="utf-8")
    second.port = taken
    with second:  # what answers at that port is the first one
        problems = [p["what"] for p in wait_for(lambda: ask(second.socket, {"verb": "snapshot"})["snapshot"]["problems"], 10)]
    assert f"metrics cannot be served: 127.0.0.1 port {taken}: Address already in use" in problems


def test_what_waits_to_leave_the_site_is_shown(tmp_path: Path) -> None:
    report = f'[report.to.disk]\nkind = "file"\npath = "{tmp_path}/out.jsonl"\n'
    with Appliance(tmp_path, report) as box:
        reporter = box.start("reporter")
        try:
            box.feed(status(time=time.time()), *detected(tmp_path))
            wait_for(lambda: "nothing waits; last sent" in " ".join(box.status().stdout.split()), 20)
            shown = box.status().stdout
        finally:
            reporter.terminate()
            reporter.wait(20)
    assert "disk (file)" in shown
    assert not [line for line in shown.splitlines() if "reporter" in line]


def test_another_address_for_metrics_holds_at_once(box: tuple[Appliance, list[Json]]) -> None:
    appliance, _ = box
    text, before, after = appliance.config.read_text(encoding="utf-8"), appliance.port, free_port()
    appliance.config.write_text(text.replace(f":{before}", f":{after}"), encoding="utf-8")
    appliance.process.send_signal(signal.SIGHUP)
    assert "sekisho_build_info" in wait_for(lambda: fetch(f"http://127.0.0.1:{after}/metrics"), 10)
    with pytest.raises(OSError, match="refused"):
        fetch(f"http://127.0.0.1:{before}/metrics")
    appliance.port = after

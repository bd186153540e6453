"""kill -9 of the keeper, again and again, while it is fed as fast as it takes: what had a receipt is in the store."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config import Enforce, parse_config
from appliance.host.child import Child
from appliance.host.keeper.process import _operators
from appliance.host.sensor.feed import Feeder
from tests.unit.test_store import finding, incident

ROOT = Path(__file__).resolve().parents[2]
INCIDENTS, FINDINGS = 300, 20  # and findings of each
KILLS = 6


def line(record: dict[str, object]) -> str:
    return json.dumps(record, separators=(",", ":"))


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_all_arrives_in_the_end_once(tmp_path: Path) -> None:
    text = f'[capture]\ninterfaces = ["w0"]\n[metrics]\nlisten = ""\n[state]\ndirectory = "{tmp_path}"\n'
    (tmp_path / "c.toml").write_text(text)
    command = [sys.executable, "-m", "appliance.host.keeper.process", str(tmp_path / "c.toml")]
    notes: list[str] = []
    feeder = Feeder(tmp_path / "keeper.sock", 7, notes.append)
    chance = random.Random(5)
    keeper = Child("keeper", command)
    gone: list[float] = []
    total = 0
    try:
        for number in range(INCIDENTS):
            records = [incident(f"i-7-{number}"), *[finding(f"i-7-{number}", frame=n) for n in range(FINDINGS)]]
            for record in records:
                feeder.give(line(record))
            total += len(records)
        for _ in range(KILLS):
            keeper.start({"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"})
            waiting, began = feeder.counts()[0], time.monotonic()
            while feeder.counts()[0] == waiting and waiting:  # until it gave a receipt
                assert time.monotonic() - began < 60, notes
                time.sleep(0.001)
            gone.append(time.monotonic() - began)
            time.sleep(chance.random() * 0.05)
            assert keeper.process is not None
            keeper.process.send_signal(signal.SIGKILL)
            keeper.process.wait()
            receipts = total - feeder.counts()[0]
            assert stored(tmp_path) >= receipts > 0
            for n in range(100):  # more while it is away
                feeder.give(line(finding("i-7-0", frame=1000 + n)))
            total += 100
        keeper.start({"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"})
        feeder.close(60)
        assert feeder.counts() == (0, 0)
    finally:
        keeper.kill()
    assert stored(tmp_path) == total, "each of them once"
    print(f"receipts again {min(gone):.2f} to {max(gone):.2f} s after a start")


def stored(folder: Path) -> int:
    """Incidents and findings in the file, those that were counted and not kept included."""
    with sqlite3.connect(folder / "keeper.sqlite") as database:
        kept = sum(int(database.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0]) for t in ("incidents", "parts"))  # noqa: S608  # names of ours
        row = database.execute("SELECT value FROM counts WHERE name = 'findings_dropped'").fetchone()
    database.close()
    return kept + (int(row[0]) if row else 0)


def test_operators_of_the_configuration_may_close_and_a_misspelled_one_costs_no_store(tmp_path: Path) -> None:
    said = parse_config(
        f'[capture]\ninterfaces = ["w0"]\n[state]\ndirectory = "{tmp_path}"\n[enforce]\noperators = ["4711"]\n', "c"
    )
    assert _operators(said) == {0, os.getuid(), 4711}
    wrong = replace(said, enforce=replace(said.enforce or Enforce(), operators=("nobody-of-that-name",)))
    assert _operators(wrong) == {0, os.getuid()}

"""The life of a baseline from the command line: accept, list, undo, forget, as real processes over a lab capture."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.contract.cli import case, of_type, records, refused, sekisho

if TYPE_CHECKING:
    from pathlib import Path

CASE = "modbus-attack"
SIGNED = ("--by", "A. Sato", "--why", "new read list")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a baseline and what was detected against it."""
    folder = tmp_path_factory.mktemp("plant")
    assert sekisho("learn", case(CASE, "train"), "--baseline", folder / "b").returncode == 0
    (folder / "x.jsonl").write_text(detected(folder))
    return folder


@pytest.fixture
def plant(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    for name in ("b", "x.jsonl"):
        shutil.copy(original / name, tmp_path)
    return tmp_path


def detected(folder: Path) -> str:
    return sekisho("detect", case(CASE), "--baseline", folder / "b", "--format", "jsonl").stdout


def titles(text: str) -> list[str]:
    return sorted(record["title"] for record in of_type(records(text), "incident"))


def test_an_incident_is_accepted_listed_and_taken_back(plant: Path) -> None:
    before = (plant / "x.jsonl").read_text()
    chosen = of_type(records(before), "incident")[0]
    done = sekisho("baseline", "accept", plant / "b", plant / "x.jsonl", chosen["id"], *SIGNED)
    assert done.returncode == 0, done.stderr
    name = done.stdout.split()[2].rstrip(":")
    assert titles(detected(plant)) == sorted(set(titles(before)) - {chosen["title"]})
    listed = sekisho("baseline", "accept", plant / "b", "--list").stdout
    assert name in listed
    assert "by A. Sato: new read list" in listed
    assert "1 changes accepted" in sekisho("baseline", "show", plant / "b").stdout
    assert sekisho("baseline", "accept", plant / "b", "--undo", name, *SIGNED).returncode == 0
    assert detected(plant) == before
    refused(sekisho("baseline", "accept", plant / "b", "--undo", name, *SIGNED), name, "--list")


def test_a_device_is_forgotten_until_it_is_learned_again(plant: Path) -> None:
    known = titles((plant / "x.jsonl").read_text())
    forgot = sekisho("baseline", "forget", plant / "b", "--asset", "10.40.2.11", *SIGNED)
    assert forgot.returncode == 0, forgot.stderr
    assert titles(detected(plant)) != known
    # what is learned from the same old capture again does not count: it was seen before
    assert sekisho("learn", case(CASE, "train"), "--baseline", plant / "b", "--add").returncode == 0
    assert titles(detected(plant)) != known


def test_a_device_learned_again_after_the_mark_is_known(plant: Path) -> None:
    known = titles((plant / "x.jsonl").read_text())
    at = ("--at", "2020-01-01T00:00:00+09:00")
    assert sekisho("baseline", "forget", plant / "b", "--asset", "10.40.2.11", *at, *SIGNED).returncode == 0
    assert titles(detected(plant)) == known
    assert "10.40.2.11 is learned anew" in sekisho("baseline", "show", plant / "b").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("accept", "b", "x.jsonl", "i-99", *SIGNED), ("i-99", "it has i-1")),
        (("accept", "b", "x.jsonl", "i-1", "--by", "A. Sato"), ("--why", "missing")),
        (("accept", "b", "x.jsonl", *SIGNED), ("name the JSON lines",)),
        (("accept", "b", "nowhere", "i-1", *SIGNED), ("nowhere", "cannot be read")),
        (("accept", "b", "b", "i-1", *SIGNED), ("b", "JSON")),
        (("accept", "b", "short.jsonl", "i-1", *SIGNED), ("short.jsonl", "cut short")),
        (("accept", "b", "bent.jsonl", "i-1", *SIGNED), ("bent.jsonl", "line 1")),
        (("accept", "b", "--undo", "a-0", *SIGNED), ("a-0", "--list")),
        (("forget", "b", "--asset", "10.9.9.9", *SIGNED), ("10.9.9.9", "assets list")),
        (("forget", "b", "--asset", "10.40.2.11", "--at", "soon", *SIGNED), ("soon", "2026-11-24")),
    ],
)
def test_what_cannot_be_accepted_is_said_and_the_baseline_stays(
    plant: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    lines = (plant / "x.jsonl").read_text().splitlines(keepends=True)
    (plant / "short.jsonl").write_text("".join(lines[:-1]))
    (plant / "bent.jsonl").write_text(lines[0].replace('"tcp/502"', '"tcp/../../502"') + "".join(lines[1:]))
    before = (plant / "b").read_bytes()
    done = sekisho("baseline", *arguments, cwd=plant)
    refused(done, *words)
    assert (plant / "b").read_bytes() == before


def test_the_review_lists_what_is_open_until_somebody_confirms_it(tmp_path: Path) -> None:
    assert sekisho("learn", case(CASE), "--baseline", tmp_path / "b").returncode == 0
    shown = sekisho("baseline", "review", tmp_path / "b")
    assert shown.returncode == 1, shown.stderr
    assert "10.40.2.66 moved programs" in shown.stdout
    found = [json.loads(line) for line in sekisho("baseline", "review", tmp_path / "b", "--format", "jsonl").stdout.splitlines()]
    assert {record["type"] for record in found} == {"review"}
    refused(sekisho("baseline", "review", tmp_path / "b", "--confirm", found[0]["id"]), "--by")
    refused(sekisho("baseline", "review", tmp_path / "b", "--confirm", "r-0", *SIGNED), "r-0", "not on the list")
    chosen = [part for record in found for part in ("--confirm", record["id"])]
    assert sekisho("baseline", "review", tmp_path / "b", *chosen, *SIGNED).returncode == 0
    assert "0 of" in sekisho("baseline", "review", tmp_path / "b").stdout

"""One case from standing plant to folder: train.pcap, test.pcap, labels.csv, case.toml."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import labels
from tests.lab.net import LabError
from tests.lab.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lab.cases import Case

SETTLE = 6.0


def record(case: Case, out: Path, tag: str) -> dict[str, object]:
    """Record `case` into out/NAME, replacing what was there only when all went well; returns case.toml's content."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / case.name
        folder.mkdir()
        with Stage(tag, case.hosts, case.seed) as stage:
            time.sleep(SETTLE)  # the first connections and a few cycles: nobody captures the moment a plant is switched on
            stage.record(folder / "train.pcap")
            time.sleep(case.train)
            train = stage.record(folder / "test.pcap")
            stage.started = time.time()
            case.script(stage)
            stage.at(case.test)
            test = stage.stop_recording()
            steps, started = list(stage.steps), stage.started
        if train["dropped"] or test["dropped"]:
            raise LabError(f"{case.name}: the kernel dropped {train['dropped'] + test['dropped']} frames; record fewer at once")
        decided = labels.label(list(labels.read_frames(folder / "test.pcap")), steps)
        (folder / "labels.csv").write_text(labels.rows(decided))
        facts = describe(case, train["frames"], decided)
        (folder / "case.toml").write_text(to_toml(facts) + steps_toml(steps, started))
        problems = check(folder)
        if problems:
            raise LabError(f"{case.name}: " + "; ".join(problems))
        shutil.rmtree(out / case.name, ignore_errors=True)
        shutil.copytree(folder, out / case.name)
    return facts


def describe(case: Case, train_frames: int, decided: list[labels.Step | None]) -> dict[str, object]:
    """Return case.toml's content in the form of the shared cases, with seed and versions besides."""
    positive = [s for s in decided if s is not None and s.label == 1]
    return {
        "name": case.name,
        "kind": case.kind,
        "labels": "by the scenario",
        "episodes": len({s.episode for s in positive}),
        "train_frames": train_frames,
        "test_frames": len(decided),
        "positive_frames": len(positive),
        "unscored_frames": sum(s is not None and s.label == 2 for s in decided),
        "note": case.note,
        "seed": case.seed,
        "hosts": [f"{host.name} {host.address} {host.runs}" for host in case.hosts],
        "peers": [f"{name} {version(name)}" for name in case.packages],
    }


def to_toml(facts: Mapping[str, object]) -> str:
    """Write flat facts as TOML; JSON's strings, integers and lists of strings are TOML's too."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())


def steps_toml(steps: list[labels.Step], started: float) -> str:
    """Write what was done when, in seconds from the start of the test part."""
    text = ""
    for step in steps:
        facts = {"name": step.name, "episode": step.episode, "label": step.label}
        text += f"\n[[steps]]\n{to_toml(facts)}start = {step.start - started:.3f}\nend = {step.end - started:.3f}\n"
    return text


def check(folder: Path) -> list[str]:
    """Return what does not agree between a case's captures, labels and case.toml; empty when all is well."""
    facts = tomllib.loads((folder / "case.toml").read_text())
    train = sum(1 for _ in labels.read_frames(folder / "train.pcap"))
    test = sum(1 for _ in labels.read_frames(folder / "test.pcap"))
    rows = [line.split(";") for line in (folder / "labels.csv").read_text().splitlines()]
    positive = [row for row in rows if row[1] == "1"]
    claims = {
        "train_frames": train,
        "test_frames": test,
        "positive_frames": len(positive),
        "unscored_frames": sum(row[1] == "2" for row in rows),
        "episodes": len({row[2] for row in positive}),
    }
    problems = [f"{key} is {facts[key]}, the files say {value}" for key, value in claims.items() if facts[key] != value]
    if [int(row[0]) for row in rows] != list(range(1, test + 1)):
        problems.append(f"labels.csv has {len(rows)} rows for {test} frames, or they are out of order")
    if facts["kind"] in ("attack", "command") and not positive:
        problems.append("an attack case without a positive frame")
    if facts["kind"] == "fault" and (positive or claims["unscored_frames"] or not any(row[2] for row in rows)):
        problems.append("a fault case names its faults' frames but labels them 0: incidents are judged by their cause")
    if facts["kind"] == "clean" and (positive or claims["unscored_frames"]):
        problems.append("a clean case with labels")
    missing = {s["episode"] for s in facts.get("steps", []) if s["label"] == 1} - {int(row[2]) for row in positive}
    if missing:
        problems.append(f"no frame fits episodes {sorted(missing)}: the script did not do what it says")
    return problems


def table(out: Path) -> str:
    """Return the recorded cases as a Markdown table, a row a case."""
    rows = ["| case | kind | frames | episodes | positive | unscored | what happens |", "|---|---|---|---|---|---|---|"]
    for path in sorted(out.glob("*/case.toml")):
        facts = tomllib.loads(path.read_text())
        rows.append(
            f"| {facts['name']} | {facts['kind']} | {facts['train_frames']} + {facts['test_frames']} | {facts['episodes']} "
            f"| {facts['positive_frames']} | {facts['unscored_frames']} | {facts['note']} |"
        )
    return "\n".join(rows)

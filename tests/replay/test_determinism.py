"""The same captures give the same bytes: whatever the order, the run, the hash seed, or where a recorder began a new file."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding
from appliance.host.baselines import load_baseline, save_baseline
from appliance.host.files import open_capture
from appliance.learn.baselines.baseline import merge
from appliance.learn.baselines.codec import baseline_json
from appliance.learn.meaning.model import Model, derive
from appliance.packets.reader import batches
from appliance.pipeline import Passes, learn_session

LAB = ("bacnet-attack", "bacnet-fault", "enip-attack", "enip-fault", "mixed-normal", "modbus-attack", "modbus-fault",
       "modbus-normal", "modbus-process", "modbus-scan", "network-fault", "unknown-protocol-attack")  # fmt: skip


def sekisho(*arguments: object, seed: int = 0) -> tuple[int, str]:
    """Exit code and standard output of the program as an operator starts it."""
    command = [sys.executable, "-m", "appliance", *map(str, arguments)]
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout


def learn(target: Path, *captures: Path, seed: int = 0) -> Path:
    sekisho("learn", *captures, "--baseline", target, "--replace", seed=seed)
    return target


def detect(baseline: Path, *captures: Path, seed: int = 0) -> list[str]:
    return sekisho("detect", *captures, "--baseline", baseline, "--format", "jsonl", seed=seed)[1].splitlines()


def cut(capture: Path, folder: Path, frame: int) -> tuple[Path, Path]:
    """Both halves of a capture: the first `frame` frames and the rest, times to the microsecond as they were."""
    with capture.open("rb") as file:
        records = list(dpkt.pcap.Reader(file))
    halves = folder / f"{capture.parent.name}-{frame}-a.pcap", folder / f"{capture.parent.name}-{frame}-b.pcap"
    for path, part in zip(halves, (records[:frame], records[frame:]), strict=True):
        with path.open("wb") as file:
            writer = dpkt.pcap.Writer(file)
            for when, raw in part:
                writer.writepkt(raw, when)
    return halves


@pytest.fixture(scope="module")
def cases(root: Path) -> Path:
    return root / "pcaps"


@pytest.fixture(scope="module")
def attacked(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(tmp_path_factory.mktemp("attacked") / "b", cases / "modbus-attack" / "train.pcap")


def test_captures_learned_in_any_order_give_the_same_file(cases: Path, tmp_path: Path) -> None:
    captures = [cases / name / "train.pcap" for name in ("modbus-normal", "mixed-normal", "bacnet-attack")]
    first = learn(tmp_path / "a", *captures).read_bytes()
    assert learn(tmp_path / "b", *reversed(captures), seed=3).read_bytes() == first
    learn(tmp_path / "c", captures[1])
    for capture in (captures[2], captures[0]):
        sekisho("learn", capture, "--baseline", tmp_path / "c", "--add")
    assert (tmp_path / "c").read_bytes() == first


def test_a_baseline_saved_again_is_the_same_file(attacked: Path, tmp_path: Path) -> None:
    save_baseline(tmp_path / "again", load_baseline(attacked)[0])
    assert (tmp_path / "again").read_bytes() == attacked.read_bytes()


def test_two_runs_of_detection_give_identical_lines(cases: Path, attacked: Path) -> None:
    lines = detect(attacked, cases / "modbus-attack" / "test.pcap", seed=1)
    assert len(lines) > 10
    assert json.loads(lines[-1])["type"] == "summary"
    assert detect(attacked, cases / "modbus-attack" / "test.pcap", seed=2) == lines


def told(lines: list[str]) -> list[tuple[object, ...]]:
    """What findings say besides the number of their frame in its file."""
    findings = [record for record in map(json.loads, lines) if record["type"] == "finding"]
    return [tuple(str(f[key]) for key in ("incident", "kind", "time", "src", "dst", "bytes", "seen", "score")) for f in findings]


@pytest.mark.parametrize("case", ["modbus-attack", "enip-attack"])
def test_a_capture_cut_in_two_tells_what_the_whole_tells(case: str, cases: Path, tmp_path: Path) -> None:
    """Both halves are named in the wrong order: they are one stream all the same."""
    baseline, test = learn(tmp_path / "b", cases / case / "train.pcap"), cases / case / "test.pcap"
    a, b = cut(test, tmp_path, 901)
    whole, halves = told(detect(baseline, test)), told(detect(baseline, b, a))
    assert len(whole) > 10
    assert halves == whole


@pytest.mark.parametrize(
    ("case", "frame"),
    [("modbus-normal", 300), ("mixed-normal", 1000), ("mixed-normal", 2001), ("modbus-normal", 901)],
)
def test_nothing_is_found_where_a_quiet_capture_was_cut(case: str, frame: int, cases: Path, tmp_path: Path) -> None:
    baseline, test = learn(tmp_path / "b", cases / case / "train.pcap"), cases / case / "test.pcap"
    assert [json.loads(line)["type"] for line in detect(baseline, *cut(test, tmp_path, frame))] == ["summary"]


def passes(path: Path, most: int = 32768) -> Passes:
    def once() -> Iterator[DecodedBatch]:
        state = DecodeState()
        with open_capture(path) as source:
            for batch in batches(source, max_frames=most):
                yield decode(batch, state)

    return once


def judge(model: Model, path: Path, most: int) -> list[Finding]:
    detector = Detector(model)
    found = [finding for batch in passes(path, most)() for finding in detector.judge(batch)]
    return found + detector.finish()


@pytest.mark.parametrize(
    "case",
    LAB,
)
def test_findings_in_a_capture_do_not_depend_on_the_size_of_batches(case: str, cases: Path) -> None:
    model = derive(learn_session(passes(cases / case / "train.pcap")))
    whole = judge(model, cases / case / "test.pcap", 32768)
    assert bool(whole) == (not case.endswith("-normal"))
    assert judge(model, cases / case / "test.pcap", 100) == whole


def test_a_capture_learned_in_two_halves_is_one_session_with_the_same_counts(cases: Path, tmp_path: Path) -> None:
    train = cases / "modbus-normal" / "train.pcap"
    whole, _ = baseline_json(load_baseline(learn(tmp_path / "a", train))[0])
    a, b = cut(train, tmp_path, 1000)
    halves, _ = baseline_json(load_baseline(learn(tmp_path / "b", b, a))[0])
    assert halves == whole
    assert halves["sessions"] == 1


def test_a_capture_learned_in_two_halves_has_the_digest_of_the_whole(cases: Path, tmp_path: Path) -> None:
    train = cases / "modbus-normal" / "train.pcap"
    whole = learn(tmp_path / "a", train).read_bytes()
    assert learn(tmp_path / "b", *cut(train, tmp_path, 1000)).read_bytes() == whole


@pytest.mark.parametrize("other", ["modbus-scan", "modbus-normal", "unknown-protocol-attack"])
def test_a_baseline_merged_with_another_plant_s_sees_what_it_saw(other: str, cases: Path) -> None:
    own, strange = (learn_session(passes(cases / name / "train.pcap")) for name in ("modbus-attack", other))
    capture = cases / "modbus-attack" / "test.pcap"
    alone = [f for f in judge(derive(own), capture, 32768) if f.frame and f.ranges]
    together = [f for f in judge(derive(merge(own, strange)), capture, 32768) if f.frame and f.ranges]
    assert {f.frame for f in alone} == {f.frame for f in together}
    assert alone

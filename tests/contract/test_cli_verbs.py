"""Every verb does what docs/cli.md says, run as a process on captures of the lab."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from tests.contract.cli import ROOT, case, of_type, pcap_records, records, sekisho, write_pcap
from tests.unit.frames import ethernet, ipv4, pcap, tcp

if TYPE_CHECKING:
    from tests.contract.conftest import Learned

SCHEMAS = {
    name: Draft202012Validator(json.loads((ROOT / "docs" / "schema" / f"{name}.json").read_text(encoding="utf-8")))
    for name in ("finding", "incident", "summary")
}
VERBS = ("learn", "detect", "replay", "baseline show", "baseline merge", "baseline diff", "assets list", "assets export")


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches_by_example(verb: str) -> None:
    done = sekisho(*verb.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^  sekisho {verb.split()[0]} .+", done.stdout, re.M), "no example"
    assert "Traceback" not in done.stdout


def test_learning_says_what_it_learned(tmp_path: Path) -> None:
    done = sekisho("learn", case("modbus-normal", "train"), "--baseline", tmp_path / "b")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"learned 2,541 frames in 1 min 40 s \(1 session\): \d+ assets, \d+ conversations\nbaseline ", done.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_the_order_of_captures_and_adding_later_give_the_same_file(tmp_path: Path) -> None:
    one, two = case("modbus-normal", "train"), case("enip-attack", "train")
    for name, captures in (("together", (one, two)), ("turned", (two, one)), ("first", (one,))):
        assert sekisho("learn", *captures, "--baseline", tmp_path / name).returncode == 0
    assert sekisho("learn", two, "--baseline", tmp_path / "first", "--add").returncode == 0
    files = {(tmp_path / name).read_bytes() for name in ("together", "turned", "first")}
    assert len(files) == 1


def test_nothing_abnormal_is_exit_code_0(quiet: Path) -> None:
    done = sekisho("detect", case("modbus-normal"), "--baseline", quiet)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Nothing abnormal: 2,305 frames in ")


def test_an_attack_is_exit_code_1_and_the_story_names_who_and_where(attacked: Path) -> None:
    done = sekisho("detect", case("modbus-attack"), "--baseline", attacked)
    assert (done.returncode, done.stderr) == (1, "")
    assert "10.40.2.66" in done.stdout
    assert "frame " in done.stdout
    assert "\x1b" not in done.stdout


def test_the_story_is_told_in_japanese_whatever_the_locale(attacked: Path) -> None:
    told = sekisho("detect", case("modbus-attack"), "--baseline", attacked, "--lang", "ja")
    assert "インシデント" in told.stdout
    assert told.returncode == 1


def test_every_line_keeps_its_schema_and_two_runs_are_identical(attacked: Path) -> None:
    runs = [sekisho("detect", case("modbus-attack"), "--baseline", attacked, "--format", "jsonl") for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    found = records(runs[0].stdout)
    for record in found:
        SCHEMAS[record["type"]].validate(record)
    findings, incidents = of_type(found, "finding"), of_type(found, "incident")
    assert {f["incident"] for f in findings} == {i["id"] for i in incidents} != set()
    assert {f["file"] for f in findings} == {None}
    assert (found[-1]["frames"], found[-1]["incidents"]) == (2617, len(incidents))
    assert found[-1]["findings"] == sum(f["count"] for f in findings)
    types = [record["type"] for record in found]
    assert types == sorted(types, key=("finding", "incident", "summary").index)


# Where the same frames in other batches give other findings; see the reason.
CUT = [
    ("enip-attack", 900),
    ("unknown-protocol-attack", 500),
    ("modbus-scan", 1000),
    ("modbus-attack", 700),
]


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned around"])
@pytest.mark.parametrize(("name", "cut"), CUT)
def test_a_capture_cut_in_two_gives_the_findings_of_the_whole(
    name: str, cut: int, learned: Learned, tmp_path: Path, turned: bool
) -> None:
    whole, baseline = case(name), learned(name)
    packets = pcap_records(whole)
    first = write_pcap(tmp_path / "a.pcap", whole, packets[:cut])
    second = write_pcap(tmp_path / "b.pcap", whole, packets[cut:])
    pair = (second, first) if turned else (first, second)
    of_whole, of_parts = (
        of_type(records(sekisho("detect", *paths, "--baseline", baseline, "--format", "jsonl").stdout), "finding")
        for paths in ((whole,), pair)
    )
    for finding in of_whole:
        if finding["frame"] is not None:
            late = finding["frame"] > cut
            finding["file"], finding["frame"] = str((first, second)[late]), finding["frame"] - cut * late
    assert of_parts == of_whole
    assert {f["file"] for f in of_parts} & {str(first), str(second)}
    shown = {path for path in (first, second) if f"({path})" in sekisho("detect", *pair, "--baseline", baseline).stdout}
    assert shown


@pytest.mark.parametrize("name", ["mixed-normal", "modbus-normal"])
def test_a_cut_in_a_quiet_capture_gives_no_finding(name: str, learned: Learned, tmp_path: Path) -> None:
    whole, baseline = case(name), learned(name)
    packets = pcap_records(whole)
    for cut in (1, 777, 1301):
        first = write_pcap(tmp_path / "a.pcap", whole, packets[:cut])
        second = write_pcap(tmp_path / "b.pcap", whole, packets[cut:])
        done = sekisho("detect", first, second, "--baseline", baseline)
        assert done.stdout.startswith(f"Nothing abnormal: {len(packets):,} frames"), (cut, done.stdout)


def test_standard_input_is_a_capture_too(attacked: Path) -> None:
    with case("modbus-attack").open("rb") as capture:
        piped = sekisho("detect", "-", "--baseline", attacked, "--format", "jsonl", stdin=capture)
    named = sekisho("detect", case("modbus-attack"), "--baseline", attacked, "--format", "jsonl")
    assert piped.stdout == named.stdout
    assert piped.returncode == 1


def test_replay_learns_on_the_head_and_judges_the_rest(tmp_path: Path) -> None:
    train, test = case("modbus-attack", "train"), case("modbus-attack")
    head, rest = pcap_records(train), pcap_records(test)
    whole = write_pcap(tmp_path / "whole.pcap", train, [*head, *rest])
    for how in (("--learn-frames", str(len(head))), ("--learn-for", "1m40s")):
        told = sekisho("replay", whole, *how)
        assert (told.returncode, told.stderr) == (1, "")
        assert re.match(r"learned from the first 2,5\d\d frames \(1 min \d\d s\): \d+ assets, \d+ conversations;", told.stdout)
        assert "10.40.2.66" in told.stdout
    lines = sekisho("replay", whole, "--learn-frames", str(len(head)), "--format", "jsonl")
    found = records(lines.stdout)
    assert found[-1]["frames"] == len(rest)
    assert min(f["frame"] for f in of_type(found, "finding") if f["frame"]) > len(head)
    assert "10.40.2.66" in {a for i in of_type(found, "incident") for a in i["assets"]}


def test_a_page_is_written_beside_the_story(attacked: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    with_page = sekisho("detect", case("modbus-attack"), "--baseline", attacked, "--report", target)
    without = sekisho("detect", case("modbus-attack"), "--baseline", attacked)
    assert (with_page.returncode, with_page.stdout) == (without.returncode, without.stdout)
    page = target.read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert "<script" not in page
    assert "eth/0x0806" in page  # the scan's own
    assert {"10.40.2.66", "10.40.2.21", "2,617"} <= set(re.findall(r"[\d.,]+", page))
    assert target.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"Umask:\s+(\d+)", text)[0], 8)


def test_a_quiet_page_draws_nothing_as_abnormal(quiet: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert sekisho("detect", case("modbus-normal"), "--baseline", quiet, "--report", target, "--lang", "ja").returncode == 0
    page = target.read_text(encoding="utf-8")
    assert 'lang="ja"' in page
    assert 'class="link red"' not in page
    assert page.count('class="link c') > 4


def test_show_says_what_was_learned_in_words(quiet: Path) -> None:
    done = sekisho("baseline", "show", quiet)
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    assert "messages begin with their length: bytes 4-5, big-endian, +6 is the size" in text
    assert "bytes 0-1 of a request count up" in text
    assert re.search(r"10\.40\.\d\.21 +10\.40\.\d\.11 +tcp/502 +learning +[\d,]+", text)
    assert "learning: 13 not followed for an hour yet" in text
    assert "a next hour: not knowable yet" in text
    assert "cycles longer than 50 s (half of what was seen) are not knowable yet: hour, shift, day, week, month" in text


def test_merging_is_the_same_in_any_order_and_leaves_its_parts_alone(attacked: Path, quiet: Path, tmp_path: Path) -> None:
    before = (attacked.read_bytes(), quiet.read_bytes())
    for name, parts in (("ab", (attacked, quiet)), ("ba", (quiet, attacked))):
        assert sekisho("baseline", "merge", *parts, "--output", tmp_path / name).returncode == 0
    assert (tmp_path / "ab").read_bytes() == (tmp_path / "ba").read_bytes()
    assert (attacked.read_bytes(), quiet.read_bytes()) == before


def test_halves_learned_apart_and_merged_know_the_whole(tmp_path: Path) -> None:
    whole = case("enip-attack", "train")
    packets = pcap_records(whole)
    half = len(packets) // 2
    for name, part in (("a", packets[:half]), ("b", packets[half:])):
        capture = write_pcap(tmp_path / f"{name}.pcap", whole, part)
        assert sekisho("learn", capture, "--baseline", tmp_path / name).returncode == 0
    assert sekisho("baseline", "merge", tmp_path / "a", tmp_path / "b", "--output", tmp_path / "ab").returncode == 0
    done = sekisho("detect", whole, "--baseline", tmp_path / "ab")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_diff_says_what_was_added_and_what_is_gone(attacked: Path, quiet: Path, tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    sekisho("baseline", "merge", attacked, quiet, "--output", merged)
    more, less, same = (sekisho("baseline", "diff", *pair) for pair in ((quiet, merged), (merged, quiet), (quiet, quiet)))
    assert [done.returncode for done in (more, less, same)] == [1, 1, 0]
    assert "+ asset 10.40.2.21" in more.stdout.splitlines()
    assert "- asset 10.40.2.21" in less.stdout.splitlines()
    assert not [line for line in more.stdout.splitlines() if line.startswith("- asset")]
    assert same.stdout.startswith("no difference")


def test_diff_sees_one_command_more(attacked: Path, tmp_path: Path) -> None:
    train, test = case("modbus-attack", "train"), case("modbus-attack")
    both = tmp_path / "both"
    write_pcap(tmp_path / "both.pcap", train, [*pcap_records(train), *pcap_records(test)])
    assert sekisho("learn", tmp_path / "both.pcap", "--baseline", both).returncode == 0
    changes = sekisho("baseline", "diff", attacked, both).stdout
    assert "+ asset 10.40.2.66" in changes
    assert "+ conversation 10.40.2.66 -> 10.40.2.11 tcp/502" in changes


def test_assets_as_table_csv_and_json_are_the_same_devices(quiet: Path, tmp_path: Path) -> None:
    table = sekisho("assets", "list", quiet).stdout
    rows = list(csv.DictReader(io.StringIO(sekisho("assets", "export", quiet).stdout)))
    target = tmp_path / "assets.json"
    assert sekisho("assets", "export", quiet, "--format", "json", "--output", target).stdout == ""
    loaded = json.loads(target.read_text(encoding="utf-8"))
    assert [row["address"] for row in rows] == [asset["address"] for asset in loaded]
    assert all(asset["address"] in table for asset in loaded)
    server = next(asset for asset in loaded if "tcp/502" in asset["offers"])
    assert "server" in server["roles"]
    assert server["peers"]
    assert server["first"] < server["last"]
    assert not [
        a for a in loaded if a["address"].startswith("02:") and a["address"] in {m for b in loaded for m in b["macs"][1:]}
    ]


def test_a_maker_is_named_by_the_hardware_address(tmp_path: Path) -> None:
    telemecanique, other = bytes.fromhex("0080f4095133"), bytes.fromhex("0080f4095134")
    frames = [
        ethernet(0x0800, ipv4(6, tcp(100 * n, bytes([0, n, 0, 0, 0, 2, 1, 3])), f"10.0.0.{1 + n % 2}"), src=mac, dst=other)
        for n, mac in enumerate([telemecanique, other] * 8)
    ]
    capture = tmp_path / "c.pcap"
    capture.write_bytes(pcap(frames))
    assert sekisho("learn", capture, "--baseline", tmp_path / "b").returncode == 0
    listed = sekisho("assets", "list", tmp_path / "b")
    assert "TELEMECANIQUE" in listed.stdout.upper() or "SCHNEIDER" in listed.stdout.upper()

"""`sekisho doctor` and `sekisho incident export` as commands: exit codes, one line for what cannot be done."""

import json
from pathlib import Path

import pytest

from appliance.host.files import open_capture
from appliance.packets.batch import batch_of
from appliance.packets.frames import Frames
from appliance.packets.reader import batches
from tests.contract.cli import case, refused
from tests.contract.cli import sekisho as run

CLEAN = case("modbus-normal", "train")


def frames() -> list[tuple[int, bytes]]:
    with open_capture(CLEAN) as source:
        return [(int(b.time[i]), b.bytes_of(i)) for b in batches(source) for i in range(len(b))]


def test_a_sound_capture_is_exit_code_0() -> None:
    done = run("doctor", CLEAN)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == str(CLEAN)
    assert "PROBLEM" not in done.stdout


def test_a_capture_where_every_frame_is_twice_is_exit_code_1_in_both_languages(tmp_path: Path) -> None:
    twice = [frame for at, raw in frames() for frame in ((at, raw), (at + 9000, raw))]
    (tmp_path / "x.pcap").write_bytes(Frames.of(batch_of(twice)).pcap())
    done, japanese = run("doctor", tmp_path / "x.pcap"), run("doctor", tmp_path / "x.pcap", "--lang", "ja")
    assert (done.returncode, japanese.returncode) == (1, 1)
    assert "as they enter and leave" in " ".join(done.stdout.split())
    assert "二重のフレーム" in japanese.stdout
    lines = [json.loads(line) for line in run("doctor", tmp_path / "x.pcap", "--format", "jsonl").stdout.splitlines()]
    assert {line["name"] for line in lines if line["state"] == "problem"} == {"copies"}


def test_rotated_captures_are_one_stream_in_any_order(tmp_path: Path) -> None:
    whole = frames()
    for name, part in (("a.pcap", whole[:900]), ("b.pcap", whole[900:])):
        (tmp_path / name).write_bytes(Frames.of(batch_of(part)).pcap())
    one, two = (
        [json.loads(line) | {"about": ""} for line in run("doctor", *paths, "--format", "jsonl").stdout.splitlines()]
        for paths in ([CLEAN], [tmp_path / "b.pcap", tmp_path / "a.pcap"])
    )
    assert one == two


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["doctor", CLEAN, "--config", "/x"], "not both"),
        (["doctor", "--config", "/no/such.toml"], "/no/such.toml: no such file"),
        (["doctor", "/dev/null"], "/dev/null: a device"),
        (["doctor", "--config", "/no/such.toml", "--seconds", "inf"], "is not a number of seconds"),
        (["incident", "export", "i-1-1", "--config", "/no/such.toml", "-o", "never.pcap"], "/no/such.toml: no such file"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(arguments: list[str | Path], said: str) -> None:
    refused(run(*arguments), said)

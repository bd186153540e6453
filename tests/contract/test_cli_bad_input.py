"""Whatever is wrong is one line on standard error that names the thing and the next step; nothing is left half written."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.learn.baselines.codec import VERSION
from tests.contract.cli import COMMAND, case, environment, obey_modes, pcap_records, records, refused, sekisho, write_pcap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NORMAL = case("modbus-normal")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("verb", "--help")),
        (("no-such-verb",), ("no-such-verb", "learn", "--help")),
        (("learn", "a.pcap"), ("--baseline", "sekisho learn --help")),
        (("detect", "--baseline", "b"), ("PCAP",)),
        (("detect", "a", "--baseline", "b", "--lang", "fr"), ("--lang", "fr")),
        (("replay", "a"), ("--learn-for", "--learn-frames")),
        (("replay", str(NORMAL), "--learn-for", "soon"), ("soon", "10m")),
        (("replay", str(NORMAL), "--learn-for", "0m"), ("0m", "10m")),
        (("replay", str(NORMAL), "--learn-frames", "-3"), ("-3",)),
        (("replay", str(NORMAL), "--learn-frames", "2305"), ("2,305 frames", "learn on less")),
        (("replay", str(NORMAL), "--learn-for", "3d"), ("1 min 30 s", "learn on less")),
        (("learn", "-", "--baseline", "b"), ("standard input", "save it to a file")),
        (("learn", str(NORMAL), "--baseline", "no/such/place"), ("no/such/place", "folder")),
        (("learn", str(NORMAL), "--baseline", "."), ("a directory",)),
        (("learn", str(NORMAL), "--baseline", "/dev/null", "--replace"), ("/dev/null", "name a file")),
        (("baseline", "show", "nothing-here"), ("nothing-here", "sekisho learn")),
        (("assets", "list", "."), ("a directory",)),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    refused(sekisho(*arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


def bad_capture(kind: str, folder: Path) -> Path:
    path = folder / "bad.pcap"
    if kind == "directory":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("time,frame\n1,2\n" * 100)
    elif kind == "forbidden":
        path.write_bytes(NORMAL.read_bytes())
        path.chmod(0)
    elif kind == "without frames":
        path.write_bytes(NORMAL.read_bytes()[:24])
    return path


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("missing", "no such file"),
        ("directory", "a directory, not a capture"),
        ("empty", "it is empty"),
        ("text", "not a capture"),
        ("forbidden", "no permission"),
    ],
)
@pytest.mark.parametrize("verb", ["learn", "detect", "replay"])
def test_a_bad_capture_is_named(verb: str, kind: str, word: str, quiet: Path, tmp_path: Path) -> None:
    path = bad_capture(kind, tmp_path)
    target = tmp_path / "b"
    more = ["--learn-frames", "5"] if verb == "replay" else ["--baseline", str(quiet if verb == "detect" else target)]
    refused(sekisho(verb, path, *more, before=obey_modes), str(path), word)
    assert not target.exists()


def test_a_name_cannot_draw_on_the_terminal_or_make_a_second_line(quiet: Path, tmp_path: Path) -> None:
    done = sekisho("detect", tmp_path / "a\x1b[31m\nsekisho: all is well", "--baseline", quiet)
    refused(done, "a\\x1b[31m\\x0asekisho: all is well: no such file")


def test_one_bad_capture_among_good_ones_writes_nothing(tmp_path: Path) -> None:
    done = sekisho("learn", case("modbus-normal", "train"), bad_capture("text", tmp_path), "--baseline", tmp_path / "b")
    refused(done, "bad.pcap: not a capture")
    assert not (tmp_path / "b").exists()


def test_a_capture_without_frames_teaches_nothing_and_shows_nothing(quiet: Path, tmp_path: Path) -> None:
    path = bad_capture("without frames", tmp_path)
    refused(sekisho("learn", path, "--baseline", tmp_path / "b"), str(path), "nothing to learn")
    looked = sekisho("detect", path, "--baseline", quiet, "--format", "jsonl", "--report", tmp_path / "r.html")
    assert (looked.returncode, records(looked.stdout)[-1]["frames"]) == (0, 0)
    assert (tmp_path / "r.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_a_truncated_capture_is_a_note(quiet: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.pcap"
    short.write_bytes(NORMAL.read_bytes()[:-10])
    done = sekisho("detect", short, "--baseline", quiet, "--format", "jsonl")
    assert done.returncode == 0
    assert records(done.stdout)[-1]["frames"] == 2304
    assert done.stderr.startswith(f"sekisho: {short}: ")
    assert done.stderr.count("\n") == 1
    learned = sekisho("learn", short, "--baseline", tmp_path / "b")
    assert (learned.returncode, learned.stderr) == (0, done.stderr)  # said once, though read three times


def test_a_baseline_that_is_there_is_not_overwritten_unasked(quiet: Path, tmp_path: Path) -> None:
    there = tmp_path / "b"
    there.write_bytes(quiet.read_bytes())
    refused(sekisho("learn", NORMAL, "--baseline", there), str(there), "--add", "--replace")
    refused(sekisho("baseline", "merge", quiet, "--output", there), str(there), "--replace")
    assert there.read_bytes() == quiet.read_bytes()


def test_what_is_read_is_never_overwritten(quiet: Path, tmp_path: Path) -> None:
    capture, baseline = tmp_path / "c.pcap", tmp_path / "b"
    capture.write_bytes(NORMAL.read_bytes())
    baseline.write_bytes(quiet.read_bytes())
    linked = tmp_path / "linked"
    linked.symlink_to(capture)
    for command in (
        ("learn", capture, "--baseline", linked, "--replace"),
        ("detect", capture, "--baseline", baseline, "--report", capture),
        ("detect", capture, "--baseline", baseline, "--report", baseline),
        ("replay", capture, "--learn-frames", "9", "--report", linked),
        ("assets", "export", baseline, "--output", baseline),
    ):
        refused(sekisho(*command), "it is read by this command")
    assert (capture.read_bytes(), baseline.read_bytes()) == (NORMAL.read_bytes(), quiet.read_bytes())


def changed(path: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a baseline with its head changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "baseline.json":
                head = json.loads(content)
                change(head)
                content = json.dumps(head).encode()
            new.writestr(name, content)
    return target


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda head: head.update(version=VERSION + 1), "newer version"),
        (lambda head: head.update(frames=1), "digest"),
        (lambda head: head.pop("assets"), "damaged"),
    ],
    ids=["newer", "changed", "damaged"],
)
def test_a_baseline_that_cannot_be_trusted_is_refused(
    change: Callable[[dict[str, Any]], object], word: str, quiet: Path, tmp_path: Path
) -> None:
    bad = changed(quiet, tmp_path / "bad", change)
    for command in (("detect", NORMAL, "--baseline", bad), ("baseline", "show", bad), ("assets", "list", bad)):
        refused(sekisho(*command), str(bad), word)
    content = bad.read_bytes()
    refused(sekisho("learn", NORMAL, "--baseline", bad, "--add"), str(bad), word)
    assert bad.read_bytes() == content


def test_a_baseline_cut_short_or_of_another_kind_is_refused(quiet: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for content in (b"", quiet.read_bytes()[:-100], NORMAL.read_bytes()):
        bad.write_bytes(content)
        refused(sekisho("detect", NORMAL, "--baseline", bad), str(bad), "not a baseline or damaged")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None] | None]]:
    """A folder with 8 KiB of room: a tmpfs where we may mount one, else a limit on the size of files."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if os.geteuid() == 0 and not subprocess.run(mount, capture_output=True, check=False).returncode:
        yield folder, None
        subprocess.run(["umount", str(folder)], check=True)
    else:
        yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


def test_a_full_disk_costs_the_file_and_nothing_else(full: tuple[Path, Callable[[], None] | None], attacked: Path) -> None:
    folder, before = full
    learn = sekisho("learn", case("modbus-attack", "train"), "--baseline", folder / "b", before=before)
    refused(learn, str(folder / "b"), "cannot be written", "make room")
    merge = sekisho("baseline", "merge", attacked, "--output", folder / "b", before=before)
    refused(merge, str(folder / "b"), "cannot be written")
    report = sekisho("detect", case("modbus-attack"), "--baseline", attacked, "--report", folder / "r.html", before=before)
    assert report.returncode == 2
    assert "10.40.2.66" in report.stdout  # the story is told all the same
    assert report.stderr.count("\n") == 1
    assert "cannot be written" in report.stderr
    assert list(folder.iterdir()) == []


def test_an_older_report_survives_a_full_disk(full: tuple[Path, Callable[[], None] | None], attacked: Path) -> None:
    folder, before = full
    (folder / "r.html").write_text("older")
    done = sekisho("detect", case("modbus-attack"), "--baseline", attacked, "--report", folder / "r.html", before=before)
    assert done.returncode == 2
    assert (folder / "r.html").read_text() == "older"


def test_a_folder_that_may_not_be_written_is_named_before_the_work(quiet: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    learn = sekisho("learn", NORMAL, "--baseline", folder / "b", before=obey_modes)
    refused(learn, str(folder / "b"), "no permission")
    done = sekisho("detect", NORMAL, "--baseline", quiet, "--report", folder / "r.html", before=obey_modes)
    refused(done, str(folder / "r.html"), "no permission")


def test_standard_output_that_is_full_is_said(quiet: Path) -> None:
    with Path("/dev/full").open("wb") as out:
        done = sekisho("detect", NORMAL, "--baseline", quiet, capture_output=False, stdout=out, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith("sekisho: standard output: cannot be written")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("more", [("--format", "jsonl"), ("--format", "text")])
def test_nobody_reading_ends_quietly(more: tuple[str, ...], attacked: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = ("detect", str(case("modbus-attack")), "--baseline", str(attacked), *more)
    done = sekisho(*command, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_stopped_leaves_no_traceback_and_no_file(sent: signal.Signals, code: int, attacked: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [*COMMAND, "detect", str(fifo), "--baseline", str(attacked), "--report", str(tmp_path / "r.html")]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    signal.signal(signal.SIGINT, before)
    with fifo.open("wb") as writer:  # opens only when the command reads
        writer.write(NORMAL.read_bytes()[:5000])
        writer.flush()
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def on_terminal(
    command: list[str], stream: str, feed: Callable[[subprocess.Popen[bytes]], None] | None = None, **env: str
) -> str:
    """What the command writes to a stream that is a terminal."""
    master, slave = pty.openpty()
    streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: slave}
    process = subprocess.Popen([*COMMAND, *command], stdin=subprocess.PIPE, env=environment(**env), **streams)
    os.close(slave)
    if feed is not None:
        feed(process)
    assert process.stdin
    process.stdin.close()
    parts = []
    while True:
        try:
            parts.append(os.read(master, 65536))
        except OSError:  # how Linux says that the other side has closed
            break
    process.wait(timeout=30)
    os.close(master)
    return b"".join(parts).decode()


def test_colours_are_for_terminals_that_want_them(attacked: Path) -> None:
    command = ["detect", str(case("modbus-attack")), "--baseline", str(attacked)]
    assert "\x1b[1m" in on_terminal(command, "stdout")
    assert "\x1b" not in on_terminal(command, "stdout", NO_COLOR="1")
    assert "\x1b" not in on_terminal(command, "stdout", TERM="dumb")


def test_progress_is_for_terminals_and_long_work(quiet: Path, tmp_path: Path) -> None:
    assert on_terminal(["detect", str(NORMAL), "--baseline", str(quiet)], "stderr") == ""
    raw, half = NORMAL.read_bytes(), 24 + sum(map(len, pcap_records(NORMAL)[:1200]))

    def slowly(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        process.stdin.write(raw[:half])
        process.stdin.flush()
        time.sleep(1.8)
        process.stdin.write(raw[half:])

    shown = on_terminal(["detect", "-", "--baseline", str(quiet)], "stderr", slowly)
    assert "detecting: " in shown
    assert shown.endswith("\r\x1b[K")  # and it takes itself away
    cut = write_pcap(tmp_path / "c.pcap", NORMAL, pcap_records(NORMAL))
    assert sekisho("detect", cut, "--baseline", quiet).stderr == ""

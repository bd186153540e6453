"""The last frames in memory, and what of them goes to disk."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Packets
from appliance.decode.headers import DecodeState, decode
from appliance.decode.names import address_halves, address_text
from appliance.detect.finding import Finding, Kind
from appliance.host.files import open_capture
from appliance.host.sensor.excerpt_files import MOST_BYTES, MOST_FRAMES
from appliance.host.sensor.excerpts import Excerpts
from appliance.packets.batch import batch_of
from appliance.packets.frames import Frames
from appliance.packets.join import Joiner
from appliance.packets.reader import batches
from appliance.packets.recent import Recent
from tests.bench.sender import udp

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.report.records import PacketsRecord

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
frames_in_batches = st.lists(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=40), min_size=1, max_size=20)


def fill(recent: Recent, parts: list[list[bytes]]) -> list[tuple[int, bytes]]:
    numbers = iter(range(1, 1 << 30))
    sent, at = [], 0
    for part in parts:
        batch = batch_of([(START + (at + i) * SECOND // 1000, raw) for i, raw in enumerate(part)], numbers=numbers)
        recent.keep(batch, np.full(len(part), 7, np.uint64))
        sent += [(at + i + 1, raw) for i, raw in enumerate(part)]
        at += len(part)
    return sent


def pieces(frames: Frames) -> list[tuple[int, bytes]]:
    ends = np.cumsum(frames.captured).tolist()
    return [
        (int(n), frames.data[e - c : e].tobytes()) for n, e, c in zip(frames.number, ends, frames.captured.tolist(), strict=True)
    ]


@given(frames_in_batches)
def test_what_memory_holds_are_the_latest_frames_bit_for_bit(parts: list[list[bytes]]) -> None:
    recent = Recent(1 << 14)
    sent = fill(recent, parts)
    held = pieces(recent.frames(recent.numbered(np.arange(1, len(sent) + 1))))
    assert held == sent[len(sent) - len(held) :]
    assert len(held) >= min(len(parts[-1]), 1)


@given(frames_in_batches)
def test_frames_near_a_time_are_exactly_those_and_the_nearest_come_first(parts: list[list[bytes]]) -> None:
    recent = Recent(1 << 20)
    sent = fill(recent, parts)
    middle = START + len(sent) // 2 * SECOND // 1000
    key = np.array([7], np.uint64)
    rows = recent.near(key, np.array([middle]), 3_000_000, 1_000_000, 0)
    times = [START + (n - 1) * SECOND // 1000 for n, _ in sent]
    wanted = {n for (n, _), t in zip(sent, times, strict=True) if middle - 3_000_000 <= t <= middle + 1_000_000}
    found = recent.frames(rows)
    assert set(found.number.tolist()) == wanted
    far = np.abs(found.time - middle)
    assert (np.diff(far) >= 0).all()
    assert recent.near(key + np.uint64(1), np.array([middle]), SECOND, SECOND, 0).size == 0


def test_a_batch_larger_than_memory_leaves_its_latest_frames() -> None:
    recent = Recent(1 << 16)
    sent = fill(recent, [[bytes([i % 251]) * 200 for i in range(3000)]])
    held = pieces(recent.frames(recent.numbered(np.arange(1, 3001))))
    assert 100 < len(held) < 3000
    assert held == sent[-len(held) :]


@given(st.lists(st.tuples(st.integers(0, 2**32 * 10**9 - 1), st.binary(min_size=1, max_size=80)), min_size=1, max_size=20))
def test_a_capture_of_frames_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[int, bytes]]) -> None:
    path = tmp_path_factory.mktemp("x") / "x.pcap"
    path.write_bytes(Frames.of(batch_of(sent)).pcap())
    with open_capture(path) as source:
        read = [(int(b.time[i]), b.bytes_of(i)) for b in batches(source) for i in range(len(b))]
    assert read == sent


@pytest.mark.parametrize("text", ["10.0.0.1", "fe80::1", "2001:db8::2:3", "00:11:22:aa:bb:cc", "::"])
def test_an_address_becomes_its_halves_and_back(text: str) -> None:
    assert address_text(*address_halves(text)) == text


class Site:
    """Polls of ten devices through memory into excerpts; the clock is the frames'."""

    def __init__(self, folder: Path, memory: int = 1 << 20, disk: int = 1 << 20) -> None:
        self.notes: list[str] = []
        self.folder = folder
        self.state = DecodeState()
        self.excerpts = Excerpts(folder, Packets(memory, disk), self.notes.append)
        self.records: list[PacketsRecord] = []
        self.sent: dict[int, bytes] = {}
        self.now = 0.0

    def poll(self, rounds: int = 20) -> None:
        frames = []
        for _ in range(rounds):
            for device in range(10):
                raw = udp(1, 256 + device, 502, len(self.sent).to_bytes(4, "big") * 5)
                frames.append((START + int(self.now * SECOND), raw))
                self.sent[len(self.sent) + 1] = raw
                self.now += 0.01
        first = len(self.sent) - len(frames) + 1
        self.excerpts.keep(decode(batch_of(frames, numbers=iter(range(first, 1 << 30))), self.state))

    def find(self, number: int, incident: str = "i-1-1", device: int = 3) -> None:
        at = START + int((number - 1) * 0.01 * SECOND)
        address = f"10.0.1.{device}"
        finding = Finding(number, at, "10.0.0.1", address, "10.0.0.1", "udp/502", Kind.UNKNOWN_COMMAND)
        self.excerpts.finding(finding, incident, self.now)

    def turn(self) -> None:
        self.records += self.excerpts.turn(self.now)

    def leave(self) -> None:
        self.records += self.excerpts.leave()

    def frames(self, incident: str = "i-1-1") -> list[bytes]:
        with open_capture(self.folder / "packets" / f"{incident}.pcap") as source:
            return [b.bytes_of(i) for b in batches(source) for i in range(len(b))]


def test_an_excerpt_holds_the_finding_and_its_conversation_and_nothing_else(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.poll(100)
    site.find(504)  # device 3
    site.turn()
    site.now += 5.1
    site.turn()
    site.leave()
    kept = site.frames()
    assert site.sent[504] in kept
    assert kept == [raw for n, raw in site.sent.items() if n % 10 == 4 and abs(n - 504) * 0.01 <= (10 if n < 504 else 5)]
    last = site.records[-1]
    content = (tmp_path / last["file"]).read_bytes()
    assert (last["sha256"], last["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert last["frames"] == len(kept)
    assert (tmp_path / last["file"]).stat().st_mode & 0o777 == 0o600


def test_an_incident_that_grows_keeps_what_it_had_and_a_frame_of_a_finding_of_another_pair(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.poll(10)
    site.find(14)
    site.turn()
    site.poll(200)
    site.find(2000 + 15, device=4)
    site.turn()
    site.leave()
    kept = site.frames()
    assert {site.sent[14], site.sent[2015]} <= set(kept)
    assert len(kept) == len(set(kept))
    order = [raw for raw in site.sent.values() if raw in set(kept)]
    assert kept == order


def test_of_what_did_not_come_the_last_that_came_is_kept(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.poll(10)
    site.now += 60
    address = "10.0.1.3"
    finding = Finding(None, START + int(site.now * SECOND), "10.0.0.1", address, "10.0.0.1", "udp/502", Kind.SILENCE)
    site.excerpts.finding(finding, "i-1-1", site.now)
    site.turn()
    site.leave()
    assert site.frames() == [raw for n, raw in site.sent.items() if n % 10 == 4]


_CRASH = """
import sys
from pathlib import Path
from appliance.host.sensor.excerpt_files import ExcerptFiles
from appliance.packets.batch import batch_of
from appliance.packets.frames import Frames
files = ExcerptFiles(Path(sys.argv[1]), 1 << 20)
at = 0
while True:
    files.wait()
    frames = [(10**18 + at * 1000 + i, bytes([i % 251]) * 300) for i in range(20)]
    files.put(f"i-1-{at % 7}", Frames.of(batch_of(frames, numbers=iter(range(at + 1, at + 21)))))
    at += 20
    if files.said():
        print("written", flush=True)
"""


def test_a_process_that_is_killed_leaves_whole_files_only(tmp_path: Path) -> None:
    for go in range(4):
        command = [sys.executable, "-c", _CRASH, str(tmp_path / "x")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
            assert process.stdout is not None
            for _ in range(5 + 3 * go):
                assert process.stdout.readline() == b"written\n"
            process.kill()
        kept = list((tmp_path / "x").glob("*.pcap"))
        assert kept
        for path in kept:
            with open_capture(path) as source:
                frames = [b.bytes_of(i) for b in batches(source) for i in range(len(b))]
                assert not source.truncated
            assert len(frames) % 20 == 0
            assert all(raw == raw[:1] * 300 for raw in frames)


def test_a_flood_of_findings_stays_within_its_bounds(tmp_path: Path) -> None:
    site = Site(tmp_path, memory=8 << 20)
    for _ in range(12):
        site.poll(100)
        for number in range(len(site.sent) - 999, len(site.sent) + 1):
            site.find(number, device=(number - 1) % 10)
        site.turn()
    site.leave()
    kept = site.frames()
    assert 2400 < len(kept) <= MOST_FRAMES
    assert (tmp_path / "packets" / "i-1-1.pcap").stat().st_size <= MOST_BYTES + 24
    assert len(site.records) < 30


def test_the_oldest_excerpts_go_first(tmp_path: Path) -> None:
    site = Site(tmp_path, disk=20_000)
    site.poll(100)
    for number in range(1, 9):
        site.find(504, f"i-1-{number}")
        site.turn()
        site.now += 6
        site.turn()
    site.leave()
    left = sorted(path.name for path in (tmp_path / "packets").iterdir())
    assert left == sorted(f"i-1-{n}.pcap" for n in range(9 - len(left), 9))
    assert 1 <= len(left) < 8
    assert sum(path.stat().st_size for path in (tmp_path / "packets").iterdir()) <= 20_000
    assert site.excerpts.status()["files"] == len(left)


def test_a_place_that_cannot_be_written_is_one_line_and_what_waits_is_written_later(tmp_path: Path) -> None:
    (tmp_path / "packets").write_bytes(b"")  # a file where the folder should be: fails for root too
    site = Site(tmp_path)
    site.poll(50)
    for number in (104, 204):
        site.find(number, f"i-1-{number}")
        site.turn()
    _until(lambda: site.excerpts.files.problem != "")
    site.turn()
    site.turn()
    assert len(site.notes) == 1
    assert "cannot be written" in site.notes[0]
    assert "packets" in site.excerpts.status()["problem"]
    os.unlink(tmp_path / "packets")  # noqa: PTH108  # as an operator does
    site.find(304, "i-1-304")
    site.turn()
    site.leave()
    assert {r["incident"] for r in site.records} == {"i-1-104", "i-1-204", "i-1-304"}
    assert site.sent[104] in site.frames("i-1-104")


def test_what_a_power_cut_left_half_is_removed_and_what_was_whole_stays(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.poll(50)
    site.find(104)
    site.turn()
    site.leave()
    whole = (tmp_path / "packets" / "i-1-1.pcap").read_bytes()
    (tmp_path / "packets" / ".i-1-1.pcap.part").write_bytes(whole[:100])
    again = Site(tmp_path)
    again.poll(50)
    again.find(204, "i-2-1")
    again.turn()
    again.leave()
    assert sorted(path.name for path in (tmp_path / "packets").iterdir()) == ["i-1-1.pcap", "i-2-1.pcap"]
    assert (tmp_path / "packets" / "i-1-1.pcap").read_bytes() == whole
    assert again.excerpts.status()["files"] == 2


def test_many_incidents_at_once_are_all_written_and_flash_is_spared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, memory=8 << 20, disk=64 << 20)
    site.poll(100)
    last = 0.0
    monkeypatch.setattr("appliance.host.sensor.excerpts.BURST", 4 << 20)
    monkeypatch.setattr("appliance.host.sensor.excerpts.STORIES", 300)
    for second in range(20):
        for number in range(1, 401):
            if second < 2 or number <= 200:
                site.find(len(site.sent) - 10 - number % 500, f"i-1-{number}", device=number % 10)
            if number % 15 == 0:
                site.turn()
                _until(lambda: not site.excerpts.files.busy())
        site.now = last = last + 1.0
    site.leave()
    assert {record["incident"] for record in site.records} == {f"i-1-{number}" for number in range(1, 401)}
    assert (4 << 20) < sum(record["bytes"] for record in site.records) < (64 << 20) + (6 << 20)


def test_without_memory_nothing_is_kept(tmp_path: Path) -> None:
    site = Site(tmp_path, memory=0)
    site.poll()
    site.find(4)
    site.turn()
    site.leave()
    assert list(tmp_path.iterdir()) == []


def _until(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_frames_of_several_interfaces_are_kept_in_the_order_of_their_times(tmp_path: Path) -> None:
    """The two directions of a tap come in over two rings, and a batch reaches over into the next."""
    site, joiner = Site(tmp_path), Joiner()
    sent: list[bytes] = []
    for look in range(40):
        halves: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = ([], [])
        for device in range(10):
            at = START + look * SECOND // 10 + device * 1_000_000
            halves[0].append((at, udp(1, 256 + device, 502, bytes([look, device]))))
            halves[1].append((at + 500_000, udp(256 + device, 1, 20_000, bytes([look, device, 1]), 502)))
        for half in halves:
            joiner.add(batch_of(half))
        batch = joiner.cut(START + look * SECOND // 10 + 5_000_000, len(sent) + 1)
        assert batch is not None
        sent += [batch.bytes_of(row) for row in range(len(batch))]
        site.excerpts.keep(decode(batch, site.state))
    site.find(300, device=3)
    site.turn()
    site.leave()
    kept = site.frames()
    assert sent[299] in kept
    assert kept == [raw for raw in sent if raw == sent[299] or b"\x0a\x00\x01\x03" in raw[26:34]]
    assert len(kept) > 70

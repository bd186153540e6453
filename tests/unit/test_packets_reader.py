import gzip
import itertools
import struct
from pathlib import Path

import pytest

from appliance.errors import CaptureError
from appliance.host.files import open_capture
from appliance.packets.reader import batches
from appliance.packets.source import CaptureSource, open_source
from tests.unit.frames import SECOND, block, interface, packet, pcap, section, segment

FRAMES = [segment(number, bytes([number % 251]) * (number % 40)) for number in range(300)]


def read(path: Path, most: int = 32768) -> tuple[list[tuple[int, int, bytes, int, int]], CaptureSource]:
    rows = []
    with open_capture(path) as source:
        for batch in batches(source, max_frames=most):
            assert 0 < len(batch) <= most
            rows += [
                (
                    int(batch.frame[row]),
                    int(batch.time[row]),
                    batch.bytes_of(row),
                    int(batch.link[row]),
                    int(batch.interface[row]),
                )
                for row in range(len(batch))
            ]
    return rows, source


@pytest.mark.parametrize(("order", "nano", "packed"), [*itertools.product("<>", (False, True), (False, True))])
def test_classic_captures_of_every_kind_give_the_same_frames(tmp_path: Path, order: str, nano: bool, packed: bool) -> None:
    path = tmp_path / "x"
    raw = pcap(FRAMES, order, nano=nano)
    path.write_bytes(gzip.compress(raw) if packed else raw)
    rows, source = read(path)
    assert [row[2] for row in rows] == FRAMES
    assert [row[0] for row in rows] == list(range(1, len(FRAMES) + 1))
    unit = 1 if nano else 1000
    assert [row[1] for row in rows] == [(1_700_000_000 + n) * SECOND + n * unit for n in range(len(FRAMES))]
    assert (source.truncated, source.frames) == (False, len(FRAMES))


@pytest.mark.parametrize("most", [1, 7, 299, 300, 301])
def test_the_size_of_batches_does_not_change_what_is_read(tmp_path: Path, most: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(pcap(FRAMES))
    assert [row[2] for row in read(path, most)[0]] == FRAMES


@pytest.mark.parametrize("start", [0, 65535 - 100, 1_700_000_000])
def test_the_mark_of_likely_records_may_be_common_change_or_stand_in_payloads(tmp_path: Path, start: int) -> None:
    # Payloads full of record headers that are none, right time and plausible length included.
    bait = struct.pack("<IIII", start, 0, 20, 20) * 4
    frames = [bait[number % 16 :] for number in range(400)]
    path = tmp_path / "x"
    path.write_bytes(pcap(frames, start=start))
    rows, source = read(path)
    assert [row[2] for row in rows] == frames
    assert not source.truncated


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_sections_interfaces_clocks_and_unknown_blocks(tmp_path: Path, order: str) -> None:
    other = ">" if order == "<" else "<"
    nano, binary, shifted = (9, b"\x09"), (9, b"\x8a"), (14, struct.pack(order + "q", 100))
    raw = (
        section(order) + interface(1, order) + interface(101, order, options=[nano, shifted])
        + block(0x0BAD, b"what is this", order) + packet(b"one", 5_000_001, 0, order)
        + packet(b"two", 7, 1, order) + block(3, struct.pack(order + "I", 5) + b"three", order)
        + block(2, struct.pack(order + "HHIIII", 1, 0, 0, 9, 4, 4) + b"four", order) + packet(b"none", 1, 9, order)
        + section(other) + interface(113, other, options=[binary]) + packet(b"five", 3 * 1024 + 512, 0, other)
    )  # fmt: skip
    path = tmp_path / "x"
    path.write_bytes(raw)
    rows, source = read(path)
    assert rows == [
        (1, 5_000_001_000, b"one", 1, 0),
        (2, 100 * SECOND + 7, b"two", 101, 1),
        (3, 100 * SECOND + 7, b"three", 1, 0),
        (4, 100 * SECOND + 9, b"four", 101, 1),
        (5, 1000, b"none", 65535, 2),
        (6, 3_500_000_000, b"five", 113, 2),
    ]
    assert not source.truncated


def test_a_block_of_no_interest_may_be_larger_than_the_window(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(section() + interface() + packet(b"a") + block(0x0A, bytes(3 << 20)) + packet(b"b"))
    with open_capture(path) as source:
        frames = [batch.bytes_of(row) for batch in batches(source, block=1 << 19) for row in range(len(batch))]
    assert (frames, source.truncated) == ([b"a", b"b"], False)


@pytest.mark.parametrize("maker", [pcap, lambda frames: section() + interface() + b"".join(map(packet, frames))])
def test_a_capture_cut_anywhere_gives_its_whole_frames_and_says_so(tmp_path: Path, maker: object) -> None:
    assert callable(maker)
    frames = FRAMES[:4]
    raw, path = maker(frames), tmp_path / "x"
    ends = {len(maker(frames[:count])) for count in range(5)}
    for size in range(min(ends), len(raw)):
        path.write_bytes(raw[:size])
        rows, source = read(path)
        whole = sum(len(maker(frames[: count + 1])) <= size for count in range(4))
        assert [row[2] for row in rows] == frames[:whole]
        assert source.truncated == (size not in ends), size
        assert bool(source.reason) == source.truncated


def test_impossible_lengths_end_the_capture_without_believing_them(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(pcap(FRAMES[:3]) + struct.pack("<IIII", 1_700_000_003, 0, 1 << 30, 1 << 30) + bytes(1000))
    rows, source = read(path)
    assert len(rows) == 3
    assert source.reason == "damaged after frame 3: a record claims 1073741824 captured bytes, more than any frame has"


def test_damaged_gzip_after_good_frames_is_truncated(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(pcap([bytes(range(256)) * 4] * 2000), compresslevel=0))
    path = tmp_path / "x.gz"
    path.write_bytes(packed[:-40000])
    rows, source = read(path)
    assert 0 < len(rows) < 2000
    assert (source.truncated, source.reason) == (True, "its gzip data ends early")


def test_frame_check_sequences_named_by_the_header_are_not_part_of_frames(tmp_path: Path) -> None:
    raw = bytearray(pcap([b"frame and fcs4"]))
    raw[20:24] = struct.pack("<I", 1 | 1 << 26 | 2 << 28)
    path = tmp_path / "x"
    path.write_bytes(raw)
    assert [row[2] for row in read(path)[0]] == [b"frame and "]


NOT_CAPTURES = {
    "empty": (b"", "it is empty"),
    "text": (b"hello world\n" * 9, "it starts with 68 65 6c 6c"),
    "short": (pcap([])[:20], "it ends inside its pcap header after 20 of 24 bytes"),
    "modified": (b"\x34\xcd\xb2\xa1" + bytes(40), "it is a modified pcap (Kuznetzov's)"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), "it is zstd data (unpack it first)"),
    "gzip": (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "its gzip data is damaged"),
    "gzip-cut": (gzip.compress(b"")[:12], "its gzip data ends early"),
    "version": (section()[:12] + struct.pack("<HHqI", 2, 0, -1, 28), "its pcapng section has version 2, only 1 is known"),
}


@pytest.mark.parametrize("case", NOT_CAPTURES)
def test_what_is_no_capture_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    raw, why = NOT_CAPTURES[case]
    path = tmp_path / case
    path.write_bytes(raw)
    with pytest.raises(CaptureError) as caught:
        open_capture(path)
    assert str(caught.value) == f"{path}: not a capture: {why}; give a pcap or pcapng file (optionally gzip)"


def test_what_cannot_be_opened_is_refused_in_one_line(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "a directory"), (tmp_path / "none", "no such file"), (Path("/dev/zero"), "a device")):
        with pytest.raises(CaptureError, match=why) as caught:
            open_capture(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(CaptureError):
        open_capture("a\0b")


@pytest.mark.parametrize("raw", [pcap([]), section(), section() + interface()])
def test_a_capture_without_frames_is_read(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(raw)
    rows, source = read(path)
    assert (rows, source.truncated) == ([], False)


class Endless:
    """A capture of any length that exists only while it is read: the same records over and over."""

    def __init__(self, total: int) -> None:
        self._head = pcap([])
        self._body = pcap(FRAMES[:64])[24:]
        self._left, self._at = total, -24

    def readinto(self, buffer: memoryview, /) -> int:
        source, start = (self._head, self._at + 24) if self._at < 0 else (self._body, self._at % len(self._body))
        size = min(len(buffer), len(source) - start, self._left)
        buffer[:size] = source[start : start + size]
        self._at += size
        self._left -= size
        return size

    def close(self) -> None:
        self._left = 0


def test_memory_does_not_grow_with_the_capture() -> None:
    import tracemalloc

    peaks = []
    for total in (32 << 20, 128 << 20):
        tracemalloc.start()
        source = open_source("endless", Endless(total))
        frames = sum(len(batch) for batch in batches(source))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert frames > total // 200
    assert peaks[1] - peaks[0] < 1 << 20

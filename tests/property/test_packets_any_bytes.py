"""The invariant: whatever the bytes, reading and decoding give batches or CaptureError, never anything else."""

import gzip
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.decode.columns import Damage, DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.errors import CaptureError
from appliance.host.files import FileReader, GzipReader
from appliance.packets.reader import batches
from appliance.packets.source import Reader, open_source
from tests.unit.frames import block, decoded, ethernet, interface, ipv4, ipv6, packet, pcap, section, segment, tcp, udp

HEADERS = [
    segment(1, b"abc"), ethernet(0x0800, ipv4(17, udp(b"x"))), ethernet(0x86DD, ipv6(0, b"\x2c\0" + bytes(6) + tcp(1))),
    ethernet(0x8100, b"\0\5\x08\0" + ipv4(6, tcp(9, b"y"), place=0x2000)), ethernet(0x0806, bytes(28)),
    ethernet(40, b"\xaa\xaa\3"), ethernet(0x8847, bytes(8)), ethernet(0x8864, bytes(8)),
]  # fmt: skip
LINKS = (0, 1, 12, 101, 108, 113, 147, 228, 229, 276)


class Bytes(FileReader):
    """Bytes as an input, handed out in pieces of an awkward size."""

    def __init__(self, raw: bytes, most: int) -> None:
        self._raw, self._most = raw, most

    def readinto(self, buffer: memoryview, /) -> int:
        size = min(len(buffer), self._most, len(self._raw))
        buffer[:size], self._raw = self._raw[:size], self._raw[size:]
        return size

    def close(self) -> None:
        self._raw = b""


def damaged(raw: bytes, hits: list[tuple[int, int]]) -> bytes:
    out = bytearray(raw)
    for place, value in hits:
        if out:
            out[place % len(out)] = value
    return bytes(out)


HITS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12)
FRAME = st.builds(damaged, st.sampled_from(HEADERS), HITS).flatmap(
    lambda raw: st.integers(0, len(raw)).map(lambda size: raw[:size]) | st.just(raw)
)
FRAMES = st.lists(FRAME | st.binary(max_size=120), max_size=40)


def pcapng(frames: list[bytes]) -> bytes:
    order = "<" if len(frames) % 2 else ">"
    return section(order) + interface(1, order) + b"".join(packet(raw, 5, 0, order) + block(5, b"xx", order) for raw in frames)


CAPTURES = st.builds(damaged, FRAMES.map(pcap) | FRAMES.map(pcapng), HITS) | st.binary(max_size=200)


def in_bounds(batch: DecodedBatch) -> None:
    end = batch.payload + batch.payload_len
    assert (batch.payload_len >= 0).all()
    assert (batch.payload_base >= 0).all()
    own = (batch.payload >= batch.packets.offset) & (end <= batch.packets.offset + batch.packets.captured)
    arena = (batch.payload >= batch.packets.used) & (end <= batch.data.size)
    assert (own | arena | (batch.payload_len == 0)).all()
    assert np.isin(batch.damage, [int(code) for code in Damage]).all()


@given(CAPTURES, st.booleans(), st.integers(1, 5000), st.integers(1, 50))
def test_any_bytes_give_batches_or_one_clear_error(raw: bytes, packed: bool, piece: int, most: int) -> None:
    reader: Reader = GzipReader(Bytes(gzip.compress(raw), piece)) if packed else Bytes(raw, piece)
    state = DecodeState()
    try:
        with open_source("x", reader) as source:
            frames = 0
            for batch in batches(source, max_frames=most, block=1):
                frames += len(batch)
                in_bounds(decode(batch, state))
    except CaptureError as error:
        complaint = str(error)
    else:
        complaint = ""
        assert source.frames == frames <= len(raw) // 12
        assert source.truncated == bool(source.reason)
    assert complaint == "" or (complaint.startswith("x: ") and "\n" not in complaint)


@given(FRAMES, st.sampled_from(LINKS))
def test_a_frame_is_decoded_the_same_whatever_its_neighbours(frames: list[bytes], link: int) -> None:
    together = decoded(frames, link=link)
    in_bounds(together)
    names = [
        "src_mac",
        "vlan",
        "ethertype",
        "src_hi",
        "src_lo",
        "dst_hi",
        "dst_lo",
        "proto",
        "ip",
        "flow",
        "up",
        "arp_op",
        "tcp_seq",
    ]
    for row, raw in enumerate(frames):
        if together.fragment[row] or together.payload[row] >= together.packets.used:
            continue  # fragments are about their neighbours
        alone = decoded([raw], link=link)
        for name in names:
            assert getattr(together, name)[row] == getattr(alone, name)[0], name
        if not (together.dup[row] or together.repeat[row]):
            assert together.payload_of(row) == alone.payload_of(0)


@given(st.lists(st.binary(max_size=300), max_size=60), st.booleans(), st.integers(1, 70))
def test_what_is_written_is_read(frames: list[bytes], next_generation: bool, most: int) -> None:
    raw = pcapng(frames) if next_generation else pcap(frames, ">" if len(frames) % 3 else "<")
    with open_source("x", Bytes(raw, 777)) as source:
        read = [batch.bytes_of(row) for batch in batches(source, max_frames=most) for row in range(len(batch))]
    assert read == frames
    assert not source.truncated


@given(
    st.binary(min_size=1, max_size=400), st.lists(st.tuples(st.integers(0, 399), st.integers(1, 80)), max_size=30), st.booleans()
)
def test_repeating_any_part_of_a_stream_is_never_an_overlap(stream: bytes, again: list[tuple[int, int]], together: bool) -> None:
    frames = [segment(1 + at, stream[at : at + 50]) for at in range(0, len(stream), 50)]
    whole = len(frames)
    frames += [segment(1 + at, stream[at : at + size]) for at, size in again if at < len(stream)]
    state = DecodeState()
    parts = [decoded(frames, state)] if together else [decoded(frames[:whole], state), decoded(frames[whole:], state)]
    payloads = [part.payload_of(row) for part in parts for row in range(len(part))]
    assert not any(part.overlap.any() for part in parts)
    assert b"".join(payloads[:whole]) == stream
    if together:
        assert not any(payloads[whole:])


def test_the_head_of_a_pcap_may_hold_anything() -> None:
    for value in (0, 0xFFFF, 0xFFFFFFFF):
        head = struct.pack("<IHHIIII", 0xA1B2C3D4, value & 0xFFFF, value & 0xFFFF, value, value, value, value)
        with open_source("x", Bytes(head + pcap(HEADERS)[24:], 100)) as source:
            for batch in batches(source):
                in_bounds(decode(batch, DecodeState()))

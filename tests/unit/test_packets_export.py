"""An excerpt leaves the appliance: whole with its hash, or headers only."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest

from appliance.decode.headers import DecodeState, decode
from appliance.errors import CaptureError, SekishoError
from appliance.host.files import open_capture
from appliance.host.sensor.exporting import OtherHashError, export, patiently
from appliance.packets.batch import PacketBatch, batch_of
from appliance.packets.frames import Frames
from appliance.packets.reader import batches
from tests.bench.sender import udp

if TYPE_CHECKING:
    from pathlib import Path

SECRET = b"recipe 4711, do not tell"


def tcp(payload: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 7, 0, 64, 6, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    return bytes(12) + b"\x08\x00" + head + struct.pack("!HHIIBBHHH", 4000, 502, 1, 1, 0x50, 0x18, 512, 0, 0) + payload


ARP = bytes(12) + b"\x08\x06" + bytes.fromhex("0001080006040001020000000001 0a000001 000000000000 0a000002".replace(" ", ""))
SENT = [
    udp(1, 2, 502, SECRET),
    tcp(SECRET),
    tcp(b""),
    udp(1, 2, 502, SECRET)[:12] + b"\x81\x00\x00\x07" + udp(1, 2, 502, SECRET)[12:],
    ARP,
    bytes(12) + b"\x88\x92" + SECRET,
    bytes(12) + b"\x12\x34" + SECRET,
    b"\x01\x80\xc2\0\0\0" + bytes(6) + b"\x00\x1a\x42\x42\x03" + SECRET[:23],
]


def stored(folder: Path, sent: list[bytes] = SENT) -> dict[str, object]:
    (folder / "packets").mkdir()
    content = Frames.of(batch_of([(10**18 + i, raw) for i, raw in enumerate(sent)])).pcap()
    (folder / "packets" / "i-2-7.pcap").write_bytes(content)
    return {"type": "packets", "incident": "i-2-7", "sha256": hashlib.sha256(content).hexdigest()}


def read(path: Path) -> list[bytes]:
    with open_capture(path) as source:
        return [b.bytes_of(i) for b in batches(source) for i in range(len(b))]


def test_whole_it_leaves_byte_for_byte(tmp_path: Path) -> None:
    record = stored(tmp_path)
    done = export(tmp_path, record, str(tmp_path / "out.pcap"), headers_only=False)
    assert (tmp_path / "out.pcap").read_bytes() == (tmp_path / "packets" / "i-2-7.pcap").read_bytes()
    assert (done.frames, done.sha256, done.original) == (len(SENT), record["sha256"], record["sha256"])


def test_headers_only_no_payload_byte_leaves_and_headers_are_as_they_were(tmp_path: Path) -> None:
    record = stored(tmp_path)
    done = export(tmp_path, record, str(tmp_path / "out.pcap"), headers_only=True)
    bare = read(tmp_path / "out.pcap")
    assert SECRET[:6] not in (tmp_path / "out.pcap").read_bytes()
    assert [len(raw) for raw in bare] == [len(raw) for raw in SENT]
    assert bare[0][:42] == SENT[0][:42]
    assert bare[1][:54] == SENT[1][:54]
    assert bare[3][:46] == SENT[3][:46]
    assert bare[4] == ARP
    assert bare[5] == SENT[5][:14] + bytes(len(SECRET))
    whole, stripped = (decode(batch(frames), DecodeState()) for frames in (SENT, bare))
    for name in ("src_lo", "dst_lo", "sport", "dport", "vlan", "ethertype", "tcp_seq", "payload_len", "arp_sender_ip"):
        assert (getattr(whole, name) == getattr(stripped, name)).all(), name
    assert done.sha256 == hashlib.sha256((tmp_path / "out.pcap").read_bytes()).hexdigest() != done.original


def batch(frames: list[bytes]) -> PacketBatch:
    return batch_of([(10**18 + i, raw) for i, raw in enumerate(frames)])


def test_a_changed_excerpt_does_not_leave(tmp_path: Path) -> None:
    record = stored(tmp_path)
    path = tmp_path / "packets" / "i-2-7.pcap"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="it was changed"):
        export(tmp_path, record, str(tmp_path / "out.pcap"), headers_only=False)
    assert not (tmp_path / "out.pcap").exists()


def test_an_excerpt_that_is_just_written_anew_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    record = stored(tmp_path)
    late = iter([record | {"sha256": "0" * 64}, record | {"sha256": "1" * 64}, record])
    done = patiently(lambda: next(late), tmp_path, str(tmp_path / "out.pcap"), headers_only=False)
    assert done.sha256 == record["sha256"]
    with pytest.raises(OtherHashError):
        patiently(lambda: record | {"sha256": "0" * 64}, tmp_path, str(tmp_path / "never.pcap"), headers_only=False)


@pytest.mark.parametrize(
    ("incident", "said"), [("i-9", "not here any more"), ("../i-2-7", "no incident"), ("i-2-7/../../x", "no incident")]
)
def test_what_is_not_there_is_one_line(tmp_path: Path, incident: str, said: str) -> None:
    record = stored(tmp_path) | {"incident": incident}
    with pytest.raises(SekishoError, match=said) as caught:
        export(tmp_path, record, str(tmp_path / "out.pcap"), headers_only=False)
    assert "\n" not in str(caught.value)

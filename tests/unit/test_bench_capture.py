"""The benchmark's captures: as plausible as their source, and the same every time."""

import io
from pathlib import Path

import dpkt
import pytest

from tests.bench.capture import grow, load

CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def frame(port: int, payload: bytes, reply: bool = False, udp: bool = False) -> bytes:
    """An Ethernet frame with right checksums, as dpkt computes them."""
    sport, dport = (502, port) if reply else (port, 502)
    segment = (
        dpkt.udp.UDP(sport=sport, dport=dport, data=payload) if udp else dpkt.tcp.TCP(sport=sport, dport=dport, data=payload)
    )
    if udp:
        segment.ulen = 8 + len(payload)
    source, target = (SERVER, CLIENT) if reply else (CLIENT, SERVER)
    packet = dpkt.ip.IP(src=source, dst=target, p=17 if udp else 6, data=segment)
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, data=packet))


FRAMES = [
    frame(40001, b""),
    frame(40001, b"odd"),
    frame(40001, b"even length", reply=True),
    frame(59999, bytes(range(256)) * 4),
    frame(40007, b"datagram!", udp=True),
    dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\xff" * 6, type=0x8892, data=b"no IP at all" * 4).pack(),
]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    buffer = io.BytesIO()
    writer = dpkt.pcap.Writer(buffer)
    for number, raw in enumerate(FRAMES):
        writer.writepkt(raw, ts=1_700_000_000 + number * 0.25)
    path = tmp_path / "small.pcap"
    path.write_bytes(buffer.getvalue())
    return path


def read(path: Path) -> list[tuple[float, bytes]]:
    with path.open("rb") as file:
        return [(float(ts), raw) for ts, raw in dpkt.pcap.Reader(file)]


def checksum_is_right(raw: bytes) -> bool:
    packet = dpkt.ethernet.Ethernet(raw).data
    carried, packet.data.sum = packet.data.sum, 0
    packet.sum = 0
    return bool(dpkt.ip.IP(bytes(packet)).data.sum == carried)


@pytest.mark.parametrize("random_payload", [False, True])
def test_ports_move_and_every_checksum_stays_right(small: Path, tmp_path: Path, random_payload: bool) -> None:
    grow(load(small), tmp_path / "out.pcap", 40, 5, random_payload)
    transports = [raw for _, raw in read(tmp_path / "out.pcap") if raw[12:14] == b"\x08\x00"]
    assert len(transports) == 35
    assert all(checksum_is_right(raw) for raw in transports)
    client_ports = {max(t.sport, t.dport) for raw in transports for t in [dpkt.ethernet.Ethernet(raw).data.data]}
    assert len(client_ports) == 3 * 7


def test_a_wrong_checksum_stays_wrong(tmp_path: Path, small: Path) -> None:
    spoilt = bytearray(small.read_bytes())
    spoilt[24 + 16 + 14 + 20 + 16] ^= 0x5A
    small.write_bytes(spoilt)
    grow(load(small), tmp_path / "out.pcap", 12, 1, random_payload=False)
    frames = [raw for _, raw in read(tmp_path / "out.pcap")]
    assert [checksum_is_right(raw) for raw in frames[0:12:6]] == [False, False]
    assert all(checksum_is_right(raw) for raw in frames[1:5])


def test_copies_follow_each_other_in_time_and_keep_sizes_and_payloads(small: Path, tmp_path: Path) -> None:
    assert grow(load(small), tmp_path / "out.pcap", 13, 0, random_payload=False) == 18
    grown = read(tmp_path / "out.pcap")
    assert [time for time, _ in grown] == sorted({time for time, _ in grown})
    assert grown[:6] == read(small)
    assert [raw[54:] for _, raw in grown] == [raw[54:] for raw in FRAMES] * 3


def test_random_payload_is_the_same_every_time_and_unlike_the_source(small: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        grow(load(small), tmp_path / name, 12, 2, random_payload=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    big = [raw[54:] for _, raw in read(tmp_path / "a") if len(raw) > 1000]
    assert len(set(big)) == 2
    assert FRAMES[3][54:] not in big


def test_another_link_type_is_refused(small: Path) -> None:
    raw = bytearray(small.read_bytes())
    raw[20] = 101
    small.write_bytes(raw)
    with pytest.raises(ValueError, match=r"small\.pcap.*Ethernet only"):
        load(small)

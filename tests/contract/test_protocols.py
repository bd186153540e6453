"""One contract for every protocol decoder: same shape, cheap guess, words or WordsError on any bytes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.errors import WordsError
from appliance.protocols.decoders import DECODERS, guess, words
from appliance.protocols.shape import Decoder, Words

if TYPE_CHECKING:
    from pathlib import Path

for library in ("pymodbus", "cpppo", "bacpypes3"):
    pytest.importorskip(library)

GOOD = {
    "modbus": [
        "00010000000601050002ff00",
        "00010000000601030000000a",
        "0001000000050103020007",
        "000100000003018302",
        "00010000000b0110000000020400010002",
        "00010000000d01170000000100050001020007",
        "000100000005012b0e0100",
    ],
    "enip": [
        "65000400000000000000000000000000000000000000000001000000",
        "630000000000000000000000000000000000000000000000",
        "7000280000010211000000000000000000000000000000000000000001000200a1000400010b7c00b1001400b2040402208b240101000600c0325cfff3590400",
        "6f0020000000000100000000000000000000000000000000000000000000020000000000b20010004d03910341424300c400010007000000",
    ],
    "s7": [
        "0300001611e00000000100c0010ac1020100c2020102",
        "0300001902f08032010000ccc100080000f0000001000103c0",
        "0300001f02f080320100000005000e00000401120a10020004000a84000020",
        "0300002302f080320100000006000e00050501120a1001000100008300002800030001",
        "0300002102f0803201000007000010000029000000000009505f50524f4752414d",
        "0300002102f080320700000100000800080001120411440100ff09000400110000",
    ],
    "bacnet": [
        "810a001101040005011409061d0b0044656c63617474793730",
        "810a001a01040004010f0c0080000119553e4442c800003f4908",
        "810b000c0120ffff00ff1008",
        "8282030104100809001927",
    ],
}
SEEDS = [(name, bytes.fromhex(text)) for name, texts in GOOD.items() for text in texts]


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A real message with bytes changed, cut, or appended."""
    data = bytearray(draw(st.sampled_from(SEEDS))[1])
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    end = draw(st.integers(1, len(data)))
    return bytes(data[: end if draw(st.booleans()) else len(data)]) + draw(st.binary(max_size=40))


def headed(draw_bytes: bytes) -> list[bytes]:
    """The same bytes behind each protocol's header, so that they get past the cheap check."""
    size = len(draw_bytes)
    return [
        b"\0\1\0\0" + (size + 1).to_bytes(2, "big") + b"\1" + draw_bytes,
        b"\x6f\0" + size.to_bytes(2, "little") + bytes(20) + draw_bytes,
        b"\x81\x0a" + (size + 6).to_bytes(2, "big") + b"\1\4" + draw_bytes,
        b"\x6f\0"
        + (size + 16).to_bytes(2, "little")
        + bytes(26)
        + b"\2\0"
        + bytes(4)
        + b"\xb2\0"
        + size.to_bytes(2, "little")
        + draw_bytes,
    ]


def check(decoder: Decoder, payload: bytes, request: bool, ranges: list[tuple[int, int]]) -> None:
    """The contract: Words with sane offsets, or WordsError."""
    try:
        said = decoder.words(payload, request, ranges)
    except WordsError:
        return
    assert said == Words.from_json(said.to_json())
    assert said.protocol == decoder.NAME
    assert said.summary.isprintable()
    for field in said.fields:
        assert 0 <= field.first < field.end <= len(payload)
        assert any(field.first < end and first < field.end for first, end in ranges)


RANGES = st.lists(st.tuples(st.integers(0, 70), st.integers(0, 80)), max_size=3)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: d.NAME)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(payload=st.one_of(bent(), st.binary(max_size=120)), request_way=st.booleans(), ranges=RANGES)
def test_any_bytes_give_words_or_words_error(
    decoder: Decoder, payload: bytes, request_way: bool, ranges: list[tuple[int, int]]
) -> None:
    check(decoder, payload, request_way, ranges)
    assert decoder.plausible(payload) in (True, False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.binary(min_size=1, max_size=90), request_way=st.booleans(), ranges=RANGES)
def test_any_body_behind_a_good_header_gives_words_or_words_error(
    body: bytes, request_way: bool, ranges: list[tuple[int, int]]
) -> None:
    for payload in headed(body):
        decoder = guess(payload)
        if decoder is not None:
            check(decoder, payload, request_way, ranges)


@settings(max_examples=40, deadline=None)
@given(noise=st.binary(min_size=1, max_size=60))
def test_good_messages_have_words_also_after_noise(noise: bytes) -> None:
    """The libraries are state machines: what one payload did must not colour the next."""
    before = [words(payload, True) for _, payload in SEEDS]
    for payload in headed(noise):
        try:
            words(payload, True)
        except WordsError:
            continue
    assert [words(payload, True) for _, payload in SEEDS] == before


@pytest.mark.parametrize(("name", "payload"), SEEDS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(SEEDS)])
def test_guess_finds_the_protocol_from_the_bytes(name: str, payload: bytes) -> None:
    decoder = guess(payload)
    assert decoder is not None
    assert name == decoder.NAME


def test_nothing_is_guessed_where_nothing_fits() -> None:
    for payload in (b"", b"\0", bytes(24), b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("16030100a5010000a1"), b"\xff" * 60):
        assert guess(payload) is None
        with pytest.raises(WordsError):
            words(payload, True)


def test_guessing_imports_no_library() -> None:
    code = (
        "import sys\nfrom appliance.protocols.decoders import guess\n"
        f"for p in {[p for _, p in SEEDS]!r}: guess(p)\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'pymodbus', 'cpppo', 'bacpypes3'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def captured(file: Path, most: int) -> list[tuple[int, int, bytes]]:
    """(source port, destination port, payload) of the TCP and UDP packets of a capture, read by dpkt."""
    dpkt = pytest.importorskip("dpkt")
    rows: list[tuple[int, int, bytes]] = []
    with file.open("rb") as handle:
        for _, frame in dpkt.pcap.UniversalReader(handle):
            ip = dpkt.ethernet.Ethernet(frame).data
            transport = getattr(ip, "data", None)
            if isinstance(transport, dpkt.tcp.TCP | dpkt.udp.UDP) and len(transport.data) > 1:
                rows.append((transport.sport, transport.dport, bytes(transport.data)))
            if len(rows) == most:
                break
    return rows


@pytest.mark.parametrize(
    ("case", "port", "name"),
    [
        ("modbus-clean", 502, "modbus"),
        ("modbus-plant-a1", 502, "modbus"),
        ("enip-clean", 44818, "enip"),
        ("enip-lock-plc", 44818, "enip"),
        ("bacnet-clean", 47808, "bacnet"),
        ("bacnet-reinitialize", 47808, "bacnet"),
    ],
)
def test_real_payloads_get_words_of_their_protocol(shared: Path, case: str, port: int, name: str) -> None:
    rows = [(s, d, p) for s, d, p in captured(shared / "pcaps" / "cases" / case / "test.pcap", 400) if port in (s, d)]
    assert len(rows) > 50
    silent = [payload for _, to, payload in rows if words(payload, to == port, [(0, len(payload))]).protocol != name]
    assert silent == []

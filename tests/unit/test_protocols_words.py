"""What the decoders say of messages whose meaning is known: hand-made ones, and labelled ones of real captures."""

from __future__ import annotations

import csv
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import WordsError
from appliance.protocols import Intent, Words, cip
from appliance.protocols.decoders import words

if TYPE_CHECKING:
    from pathlib import Path

for library in ("pymodbus", "cpppo", "bacpypes3"):
    pytest.importorskip(library)

TYPES = st.integers(0xC0, 0xDF) | st.just(0x02A0) | st.integers(0, 0xFFFF)
WRITE_TAG = (
    "6f002000000000010000000000000000000000000000000000000000000002000000" + "0000b20010004d03910341424300c400010007000000"
)
WRITE_PROPERTY = "810a001a01040004010f0c0080000119553e4442c800003f4908"
WRITTEN = "WriteProperty: object identifier analog-value 1, property identifier present-value, property value 100.0, priority 8"
CASES = [
    ("00010000000601050002ff00", True, "Write Single Coil, unit 1, address 2 := ON", Intent.WRITE),
    ("00010000000601050002ff00", False, "Answer to Write Single Coil, unit 1, address 2 := ON", Intent.ANSWER),
    ("00010000000601050002" + "12ff", True, "Write Single Coil, unit 1, address 2 := illegal value 0x12ff", Intent.WRITE),
    ("000000000006010300000009", True, "Read Holding Registers, unit 1, addresses 0-8", Intent.READ),
    ("000000000007010304000a000b", False, "Answer to Read Holding Registers, unit 1, 2 registers: 10 11", Intent.ANSWER),
    ("000100000003018302", False, "Exception to Read Holding Registers, unit 1: Illegal Data Address", Intent.ERROR),
    ("000100000006010800040000", True, "Force Listen Only Mode, unit 1", Intent.CONTROL),
    ("000100000005012b0e0100", True, "Read Device Identification, unit 1", Intent.IDENTIFY),
    ("000000000003014455", True, "function 68, unit 1, known by its number only", Intent.UNKNOWN),
    (WRITE_TAG, True, "Write Tag tag ABC := 7", Intent.WRITE),
    ("630000000000" + "00" * 18, True, "List Identity", Intent.SCAN),
    (WRITE_PROPERTY, True, WRITTEN, Intent.WRITE),
    ("810b000c0120ffff00ff1008", True, "Who-Is", Intent.SCAN),
    ("0300001f02f080320100000005000e00000401120a10020004000a84000020", True, "Read Var, DB10.4.0 4 x byte", Intent.READ),
    ("0300002102f0803201000007000010000029000000000009" + "505f50524f4752414d", True, "PLC Stop", Intent.CONTROL),
]


@pytest.mark.parametrize(("payload", "request_way", "summary", "intent"), CASES, ids=[c[2][:40] for c in CASES])
def test_words_say(payload: str, request_way: bool, summary: str, intent: Intent) -> None:
    said = words(bytes.fromhex(payload), request_way)
    assert (said.summary, said.intent) == (summary, intent)


def test_second_message_of_a_segment_is_told_when_it_is_the_abnormal_one() -> None:
    both = bytes.fromhex("000000000006010300000009" + "00010000000601050002ff00")
    assert words(both, True, [(7, 8)]).service == "Read Holding Registers"
    said = words(both, True, [(19, 20)])
    assert said.service == "Write Single Coil"
    assert [(f.name, f.first, f.end) for f in said.fields] == [("function code", 19, 20)]


def test_written_registers_are_named_by_their_address() -> None:
    said = words(bytes.fromhex("00010000000b0110006400020400010002"), True, [(15, 17)])
    assert [(f.name, f.value) for f in said.fields] == [("register 101", "2")]


def test_member_of_a_multiple_service_packet_is_told() -> None:
    inner = bytes.fromhex("4c0291014100" + "0100"), bytes.fromhex("4d0291014200" + "c400010007000000")
    head = bytes.fromhex("0a0220022401" + "0200" + "0600" + "0e00")
    cip = head + inner[0] + inner[1]
    data = bytes(6) + b"\2\0" + bytes(4) + b"\xb2\0" + len(cip).to_bytes(2, "little") + cip
    payload = b"\x6f\0" + len(data).to_bytes(2, "little") + b"\1" + bytes(19) + data
    second = payload.index(inner[1])
    assert words(payload, True, [(second, second + 1)]).summary == "Write Tag tag B := 7 (2 of 2 in one packet)"
    whole = words(payload, True)
    assert (whole.summary, whole.intent) == ("Multiple Service Packet 2 services: Read Tag, Write Tag", Intent.WRITE)


@given(st.sampled_from([0x4C, 0x52]), st.sampled_from([0, 6]), TYPES, st.binary(max_size=24))
def test_values_of_a_read_are_those_that_cpppo_reads(service: int, status: int, kind: int, data: bytes) -> None:
    reply = bytes([0x80 | service, 0, status, 0]) + kind.to_bytes(2, "little") + data
    assert cip._read(b"head" + reply, 4, 8) == cip._cpppo_value(reply)


def test_words_of_a_read_load_no_library() -> None:
    reply = bytes.fromhex("cc000000" + "ca00" + "0000803f")
    code = f"import sys\nfrom appliance.protocols import cip\nprint(cip.call({reply!r}, 0, 0).phrase, 'cpppo' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "= 1.0 False"


def test_password_is_hidden_in_summary_and_fields() -> None:
    payload = bytes.fromhex("810a001101040005011409061d0b0044656c63617474793730")
    said = words(payload, True, [(0, len(payload))])
    assert "Delcatty" not in said.summary + "".join(f.value for f in said.fields)
    assert ("password", "(hidden)") in [(f.name, f.value) for f in said.fields]


def test_hostile_names_cannot_steer_a_terminal() -> None:
    tag = b"\x1b[2Jx"
    cip = b"\x4c\x04\x91" + bytes([len(tag)]) + tag + b"\0" + b"\1\0"
    data = bytes(6) + b"\2\0" + bytes(4) + b"\xb2\0" + len(cip).to_bytes(2, "little") + cip
    said = words(b"\x6f\0" + len(data).to_bytes(2, "little") + b"\1" + bytes(19) + data, True, [(0, 99)])
    assert said.service == "Read Tag"
    assert said.summary.isprintable()
    assert all(f.value.isprintable() for f in said.fields)


def test_packets_inside_packets_cost_no_more_than_their_bytes() -> None:
    """Offsets that lead back to the same packet would multiply the work with every level."""
    cip = bytes.fromhex("0a0220022401") + (40).to_bytes(2, "little") + (0).to_bytes(2, "little") * 40
    data = bytes(6) + b"\2\0" + bytes(4) + b"\xb2\0" + len(cip).to_bytes(2, "little") + cip
    said = words(b"\x6f\0" + len(data).to_bytes(2, "little") + b"\1" + bytes(19) + data, True)
    assert said.service == "Multiple Service Packet"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"protocol": "x", "service": "y", "summary": 1, "intent": "read", "fields": []},
        {"protocol": "x", "service": "y", "summary": "z", "intent": "reads", "fields": []},
        {"protocol": "x", "service": "y", "summary": "z", "intent": "read", "fields": [["a", -1, 2, "v"]]},
        {"protocol": "x", "service": "y", "summary": "z", "intent": "read", "fields": [["a", True, 2, "v"]]},
        {"protocol": "x", "service": "y", "summary": "z", "intent": "read", "fields": [["a", 1, 2]]},
        {"protocol": "x", "service": "y", "summary": "z", "intent": "read", "fields": {"a": 1}},
    ],
)
def test_nonsense_of_a_worker_is_refused(data: object) -> None:
    with pytest.raises(WordsError):
        Words.from_json(data)


def labelled(shared: Path, case: str, port: int) -> list[bytes]:
    """Payloads of the labelled requests of a case."""
    dpkt = pytest.importorskip("dpkt")
    folder = shared / "pcaps" / "cases" / case
    with (folder / "labels.csv").open(newline="") as handle:
        hot = {int(row[0]) for row in csv.reader(handle, delimiter=";") if row[1] == "1"}
    rows: list[bytes] = []
    with (folder / "test.pcap").open("rb") as handle_bytes:
        for number, (_, frame) in enumerate(dpkt.pcap.Reader(handle_bytes), 1):
            transport = getattr(dpkt.ethernet.Ethernet(frame).data, "data", None) if number in hot else None
            if isinstance(transport, dpkt.tcp.TCP | dpkt.udp.UDP) and transport.data and transport.dport == port:
                rows.append(bytes(transport.data))
    return rows


@pytest.mark.parametrize(
    ("case", "port", "service", "intent"),
    [
        ("modbus-fake-command", 502, "Write Single Coil", Intent.WRITE),
        ("enip-change-time", 44818, "Set Attribute List", Intent.CONTROL),
        ("enip-lock-plc", 44818, "Lock Controller", Intent.PROGRAM),
        ("bacnet-reinitialize", 47808, "ReinitializeDevice", Intent.CONTROL),
    ],
)
def test_labelled_frames_are_told_as_what_they_are(shared: Path, case: str, port: int, service: str, intent: Intent) -> None:
    said = [words(payload, True) for payload in labelled(shared, case, port)]
    assert (service, intent) in [(w.service, w.intent) for w in said]

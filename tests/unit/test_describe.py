"""What devices say of themselves: read right, bounded, mergeable, and told when it changes."""

import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.decode.names import address_text
from appliance.detect.accept import allowed_by
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding, Kind
from appliance.explain.story import explain
from appliance.host.files import open_capture
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.baselines.codec import baseline_from, baseline_json
from appliance.learn.counting.quota import PER_SECOND
from appliance.learn.meaning.accepted import Accepted
from appliance.learn.meaning.model import derive
from appliance.learn.site.selfsaid import MAX_TEXT, MAX_TEXTS, PORTS, Listener, Told, add_text, merge_said
from appliance.packets.reader import batches
from appliance.pipeline import learn_session
from appliance.protocols.describe import MOST, READERS, describe
from appliance.report.assets import assets_csv, assets_table
from appliance.report.inventory import baseline_inventory
from tests.unit.dialogue import CENTRE, MILLI, START, Wire, passes
from tests.unit.frames import SECOND

SHARED = Path(__file__).resolve().parents[3] / "shared" / "pcaps" / "other"
DEVICE = "10.0.0.11"
SENDER = 0xFFFF_0A00_000B


def device_id(unit: int, *texts: bytes) -> bytes:
    """A Modbus answer to Read Device Identification: vendor, product code, revision."""
    objects = b"".join(bytes([n, len(text)]) + text for n, text in enumerate(texts))
    pdu = bytes([0x2B, 0x0E, 1, 1, 0, 0, len(texts)]) + objects
    return struct.pack(">HHHB", 7, 0, 1 + len(pdu), unit) + pdu


def identity(name: bytes = b"1756-L61", after: bytes = b"") -> bytes:
    return struct.pack("<HHHBBHIB", 1, 14, 54, 16, 20, 0, 0x51823F, len(name)) + name + after


def list_identity() -> bytes:
    item = bytes(18) + identity(after=b"\3")
    return struct.pack("<HHIIQI", 0x63, 6 + len(item), 0, 0, 0, 0) + struct.pack("<HHH", 1, 0x0C, len(item)) + item


def get_all() -> bytes:
    reply = b"\x81\0\0\0" + identity()
    return (
        struct.pack("<HHIIQI", 0x6F, 16 + len(reply), 1, 0, 0, 0)
        + bytes(6)
        + b"\2\0\0\0\0\0\xb2\0"
        + struct.pack("<H", len(reply))
        + reply
    )


def i_am(instance: int = 329, vendor: int = 5) -> bytes:
    apdu = b"\x10\0\xc4" + (8 << 22 | instance).to_bytes(4, "big") + b"\x22\x05\xc4\x91\0\x21" + bytes([vendor])
    return b"\x81\x0b" + (6 + len(apdu)).to_bytes(2, "big") + b"\1\0" + apdu


def read_property(prop: int, text: bytes) -> bytes:
    value = bytes([0x75, 1 + len(text), 0]) + text
    apdu = b"\x30\1\x0c\x0c\2\0\1\x49\x19" + bytes([prop]) + b"\x3e" + value + b"\x3f"
    return b"\x81\x0a" + (6 + len(apdu)).to_bytes(2, "big") + b"\1\0" + apdu


def tlv(kind: int, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


LLDP = tlv(1, b"\4\0\1\2\3\4\5") + tlv(5, b"switch1") + tlv(6, b"SCALANCE X208 V5.2") + tlv(0, b"")
DCP = b"\xfe\xff\5\1" + bytes(6) + b"\0\x1a" + b"\2\2\0\x0b\0\0press-one\0" + b"\2\3\0\6\0\0\0\x2a\1\1"
OPTIONS = b"\x35\1\3\x0c\5HMI-1\x3c\4Siem\xff"
DHCP = b"\1\1\6\0" + bytes(232) + bytes.fromhex("63825363") + OPTIONS
SNMP = (
    bytes.fromhex("302e02010104067075626c6963a221020101020100020100301630140608")
    + bytes.fromhex("2b06010201010100")
    + b"\4\x08UPS v1.2"
)
MDNS = bytes.fromhex("000084000000000100000000") + b"\4pump\5local\0\0\1\0\1\0\0\0\x78\0\4\x0a\0\0\x0b"
NBNS = (
    b"\0\1\x29\x10\0\1\0\0\0\0\0\1\x20" + b"".join(bytes([0x41 + (b >> 4), 0x41 + (b & 15)]) for b in b"HMI1".ljust(15) + b"\0")
    + b"\0\0\x20\0\1\xc0\x0c\0\x20\0\1\0\4\x93\xe0\0\6\0\0\x0a\0\0\x0b"
)  # fmt: skip
SZL = (
    b"\3\0\0\x61\2\xf0\x80\x32\7\0\0\0\1\0\x0c\0\x44\0\1\x12\x08\x12\x84\1\1\0\0\0\0\xff\x09\0\x40\0\x11\0\0\0\x1c\0\2"
    + b"\0\1" + b"6ES7 315-2EH14-0AB0 " + bytes(6) + b"\0\7" + b" " * 20 + b"\0\xc0" + b"V\3\2\7"
)  # fmt: skip
SAMPLES: dict[str, list[tuple[bytes, set[Told]]]] = {
    "modbus": [
        (device_id(3, b"Sekisho Lab", b"EM-3", b"2.14"),
         {("modbus/3", "vendor", "Sekisho Lab"), ("modbus/3", "code", "EM-3"), ("modbus/3", "firmware", "2.14")}),
        (struct.pack(">HHHBBB", 1, 0, 12, 1, 0x11, 9) + b"\x05\xffPUMP-42", {("modbus/1", "description", "PUMP-42")}),
    ],
    "cip": [
        (raw, {("cip", "vendor", "Rockwell Automation/Allen-Bradley"), ("cip", "model", "1756-L61"),
               ("cip", "code", "type 14, product 54"), ("cip", "firmware", "16.020"), ("cip", "serial", "0051823f")})
        for raw in (list_identity(), get_all())
    ],
    "bacnet": [
        (i_am(), {("bacnet/329", "identifier", "device 329"), ("bacnet/329", "vendor", "Johnson Controls")}),
        (read_property(70, b"AHU-9"), {("bacnet/329", "model", "AHU-9")}),
        (read_property(44, "V2 ü".encode()), {("bacnet/329", "firmware", "V2 ü")}),
    ],
    "s7": [(SZL, {("s7", "code", "6ES7 315-2EH14-0AB0"), ("s7", "firmware", "V3.2.7")})],
    "lldp": [(LLDP, {("lldp", "identifier", "00:01:02:03:04:05"), ("lldp", "name", "switch1"),
                     ("lldp", "description", "SCALANCE X208 V5.2")})],
    "dcp": [(DCP, {("dcp", "name", "press-one"), ("dcp", "vendor", "Siemens"), ("dcp", "code", "device 0x0101")})],
    "dhcp": [(DHCP, {("dhcp", "name", "HMI-1"), ("dhcp", "description", "Siem")})],
    "snmp": [(SNMP, {("snmp", "description", "UPS v1.2")})],
    "mdns": [(MDNS, {("mdns", "name", "pump.local")})],
    "nbns": [(NBNS, {("nbns", "name", "HMI1")})],
}  # fmt: skip


@pytest.mark.parametrize(("protocol", "payload", "said"), [(p, raw, s) for p, some in SAMPLES.items() for raw, s in some])
def test_a_device_is_understood(protocol: str, payload: bytes, said: set[Told]) -> None:
    assert set(describe(protocol, payload, SENDER)) == said


def test_every_reader_has_samples_and_every_port_a_reader() -> None:
    assert set(SAMPLES) == set(READERS) >= set(PORTS.values())


def test_a_record_about_somebody_else_says_nothing_of_the_sender() -> None:
    assert describe("mdns", MDNS, SENDER + 1) == describe("nbns", NBNS, SENDER + 1) == ()
    handed_on = b"\x81\x04\0\x18\x0a\0\0\x63\xba\xc0" + i_am()[4:]  # a BBMD forwards 10.0.0.99's
    assert describe("bacnet", handed_on, SENDER) == ()
    assert describe("bacnet", handed_on, 0xFFFF_0A00_0063)


def test_requests_and_other_objects_say_nothing() -> None:
    assert describe("modbus", bytes.fromhex("000100000005012b0e0100"), SENDER) == ()
    assert describe("cip", get_all()[:-1], SENDER) == ()  # its name is longer than the object


def test_controls_and_long_texts_are_cut_down() -> None:
    (told,) = describe("dhcp", DHCP[:240] + b"\x0c\xc8" + b"\x1b[31m\r\n" + b"x" * 193 + b"\xff", SENDER)
    assert told[2].isprintable()
    assert len(told[2]) == MAX_TEXT


@pytest.mark.parametrize("protocol", sorted(READERS))
@given(data=st.data())
@settings(max_examples=150)
def test_hostile_bytes_never_raise_and_stay_in_bounds(protocol: str, data: st.DataObject) -> None:
    """Good messages bent in a few places and cut anywhere, and plain noise."""
    base = data.draw(st.sampled_from([raw for raw, _ in SAMPLES[protocol]]) | st.binary(max_size=300))
    bent = bytearray(base)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, max(0, len(bent) - 1)), st.integers(0, 255)), max_size=6)):
        if bent:
            bent[at] = value
    said = describe(protocol, bytes(bent[: data.draw(st.integers(0, len(bent)))]), SENDER)
    assert len(said) <= MOST
    assert all(text.isprintable() and 0 < len(text) <= MAX_TEXT for _, _, text in said)


def plant(firmware: bytes, start: int = START, polls: int = 40) -> list[tuple[int, bytes]]:
    wire = Wire()
    wire.open(start, CENTRE, 40000, DEVICE, 502)
    for n in range(polls):
        at = start + SECOND + n * 500 * MILLI
        wire.tcp(at, CENTRE, 40000, DEVICE, 502, struct.pack(">HHHBBHH", n, 0, 6, 1, 3, 0, 1))
        wire.tcp(at + MILLI, DEVICE, 502, CENTRE, 40000, struct.pack(">HHHBBBH", n, 0, 5, 1, 3, 2, n % 7))
        if n % 10 == 5:
            wire.tcp(at + 9 * MILLI, CENTRE, 40000, DEVICE, 502, bytes.fromhex("000700000005012b0e0100"))
            wire.tcp(at + 10 * MILLI, DEVICE, 502, CENTRE, 40000, device_id(1, b"Sekisho Lab", b"TK-8", firmware))
    return wire.sorted()


def test_texts_are_learned_saved_listed_and_merged() -> None:
    a, b = learn_session(passes(plant(b"2.14"))), learn_session(passes(plant(b"2.15", START + 100 * SECOND)))
    both = merge(a, b)
    assert baseline_json(both)[0] == baseline_json(merge(b, a))[0]
    assert baseline_json(baseline_from(*baseline_json(both)))[0] == baseline_json(both)[0]
    rows = {row.address: row for row in baseline_inventory(both, lambda mac: None)}
    device = rows[DEVICE]
    assert (device.vendor, device.model, device.firmware) == ("Sekisho Lab", "TK-8", "2.15")  # the latest
    assert {"modbus/1 firmware: 2.14", "modbus/1 firmware: 2.15"} <= set(device.said)
    assert "TK-8 2.15" in "\n".join(assets_table([device]))
    assert "modbus/1 firmware: 2.15; " in assets_csv([device])


def judged(baseline: Baseline, frames: list[tuple[int, bytes]], most: int = 32768) -> list[Finding]:
    detector = Detector(derive(baseline), describe)
    return [f for batch in passes(frames, most)() for f in detector.judge(batch)]


def test_other_firmware_is_told_once_with_both_texts() -> None:
    baseline = learn_session(passes(plant(b"2.14")))
    assert [f for f in judged(baseline, plant(b"2.14", START + 90 * SECOND)) if f.kind is Kind.IDENTITY_CHANGE] == []
    later = plant(b"3.0\x1b[2J", START + 90 * SECOND)
    (found,) = [f for f in judged(baseline, later) if f.kind is Kind.IDENTITY_CHANGE]
    assert (found.src, found.seen, found.normal) == (DEVICE, b"firmware 3.0.[2J", (b"firmware 2.14",))
    for lang in ("en", "ja"):
        story = explain([found], "unknown", (), lang)
        assert story is not None
        assert "firmware 3.0.[2J" in story.title
        assert "firmware 2.14" in story.title
    assert [f for f in judged(baseline, later, 1) if f.kind is Kind.IDENTITY_CHANGE] == [found]


def test_an_accepted_firmware_is_normal_from_then_on_and_another_one_is_not() -> None:
    baseline = learn_session(passes(plant(b"2.14")))
    (found,) = [f for f in judged(baseline, plant(b"3.0", START + 90 * SECOND)) if f.kind is Kind.IDENTITY_CHANGE]
    allowed = Accepted()
    allowed._add(allowed_by(found))
    assert allowed.allows(allowed_by(found))
    assert allowed.allows(allowed_by(replace(found, dst="10.0.0.77", client="10.0.0.77")))  # told to somebody else
    assert not allowed.allows(allowed_by(replace(found, seen=b"firmware 6.66")))
    assert not allowed.allows(allowed_by(replace(found, src="10.0.0.12")))


def test_the_same_texts_are_heard_wherever_batches_end_and_a_flood_is_bounded() -> None:
    wire = Wire()
    for n in range(300):
        wire.udp(START + n * 10 * MILLI, DEVICE, 47808, CENTRE, 47808, i_am(n))

    def heard(most: int) -> list[Told]:
        listener = Listener(describe)
        return [told for batch in passes(wire.sorted(), most)() for _, _, told in listener.hear(batch)]

    whole = heard(32768)
    assert len(whole) == 2 * PER_SECOND * 3
    assert heard(1) == heard(7) == whole


texts = st.tuples(st.just("cip"), st.sampled_from(["model", "name"]), st.text("abc", min_size=1, max_size=3))
speeches = st.lists(st.tuples(st.sampled_from([(0, 1), (0, 2)]), texts, st.integers(0, 99)), max_size=20)


@given(st.lists(speeches, min_size=3, max_size=3))
def test_texts_merge_in_any_order(parts: list[list[tuple[tuple[int, int], Told, int]]]) -> None:
    a, b, c = ({} for _ in range(3))  # type: ignore[var-annotated]
    for said, part in zip((a, b, c), parts, strict=True):
        for address, told, time in part:
            add_text(said, address, told, time)
    assert merge_said(a, b) == merge_said(b, a)
    assert merge_said(merge_said(a, b), c) == merge_said(a, merge_said(b, c))


def test_texts_of_an_address_are_bounded_whatever_the_order() -> None:
    told = [("snmp", "name", f"{n:04d}") for n in range(3 * MAX_TEXTS)]
    kept = []
    for seed in range(3):
        said: dict[tuple[int, int], dict[Told, tuple[int, int]]] = {}
        for one in random.Random(seed).sample(told, len(told)):
            add_text(said, (0, 1), one, 5)
        kept.append(said)
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0][0, 1]) == MAX_TEXTS


def heard_in(path: Path) -> set[tuple[str, str, str, str]]:
    def decoded() -> Iterator[DecodedBatch]:
        state = DecodeState()
        with open_capture(path) as source:
            for batch in batches(source):
                yield decode(batch, state)

    listener = Listener(describe)
    return {(address_text(*who), *told) for batch in decoded() for _, who, told in listener.hear(batch)}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("enip/suriverify__enip_test1.pcap", ("172.25.23.2", "cip", "model", "1756-ENBT/A")),
        ("enip/iti__CL5000EIP-Reboot_or_Restart.pcap", ("192.168.10.120", "cip", "firmware", "16.020")),
        ("modbus/icsnpp__modbus_example.pcap", ("127.0.0.1", "modbus/1", "vendor", "Zeek Modbus Test")),
        ("modbus/arkime__modbus.pcap", ("10.0.0.3", "modbus/10", "description", "Wingpath Limited")),
        ("bacnet/emreekin__BACnetIP-MSTP-Mix.pcap", ("192.168.0.24", "bacnet/86114", "model", "GNU Demo")),
        ("s7comm/iti__tia_s300_goOnline.pcapng", ("134.217.61.211", "s7", "firmware", "V3.2.7")),
        ("s7comm/iti__tia_s300_goOnline.pcapng", ("134.217.61.211", "s7", "model", "CPU 315-2 PN/DP")),
        ("profinet/iti__ChangeIPUsingDCP.pcap", ("08:00:06:93:cf:32", "dcp", "name", "X208-BORD")),
        ("profinet/plc4x__working-profinet-recording-plc4x.pcapng", ("88:3f:99:00:06:e0", "lldp", "name", "cdxb195b3")),
        ("s7comm/iti__wrapup.pcapng", ("192.168.0.16", "mdns", "name", "VJTI-PC3.local")),
    ],
)
def test_recorded_devices_are_understood(name: str, wanted: tuple[str, str, str, str]) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip("the shared captures are not here")
    assert wanted in heard_in(path)


def test_listening_looks_at_few_rows_of_a_busy_plant() -> None:
    """Of polling nothing is read: the masks leave only the answers that say who somebody is."""
    from appliance.learn.site.selfsaid import candidates

    for batch in passes(plant(b"2.14", polls=400))():
        rows, _ = candidates(batch)
        assert len(rows) == 40
        assert np.all(batch.payload_len[rows] > 20)

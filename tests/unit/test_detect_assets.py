"""Roles, dark addresses, doubled and moved addresses, group services, and newcomers that do what their kind does."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding, Kind
from appliance.explain.cause import judge as cause
from appliance.host.files import open_capture
from appliance.incident.grouping import Grouping
from appliance.learn.meaning.model import Model, derive
from appliance.learn.site.groups import joined
from appliance.packets.reader import batches
from appliance.pipeline import learn_session
from tests.unit.dialogue import CENTRE, MILLI, START, Plant, Wire, answer, judge, learn, mac_of, request
from tests.unit.frames import SECOND, ethernet

LATER = START + 3600 * SECOND
SIEMENS = bytes.fromhex("001b1b")
SCREEN, SECOND_SCREEN = "10.0.0.50", "10.0.0.51"


def plant(seed: int = 4) -> Wire:
    return Plant(seed, devices=3, opens=False).run(60, LATER)


def polls(wire: Wire, client: str, server: str, at: int, many: int, unit: int, value: int = 2, function: int = 3) -> None:
    """What the centre of `Plant` asks a device, said by anybody to anybody."""
    wire.open(at, client, 50000, server, 7001)
    for n in range(many):
        when = at + (n + 1) * 100 * MILLI
        wire.tcp(when, client, 50000, server, 7001, request(n, unit, function, (n % 3) * 100, value + n % 3))
        wire.tcp(when + MILLI, server, 7001, client, 50000, answer(n, unit, 3, bytes(4 + 2 * (n % 3))))


@pytest.fixture(scope="module")
def model() -> Model:
    wire = Plant(1, devices=3).run(300)
    for n in range(30):
        at = START + n * SECOND
        wire.arp(at, CENTRE, f"10.0.0.{11 + n % 3}")
        wire.arp(at + MILLI, CENTRE, f"10.0.0.{150 + n % 4}")  # stations that are switched off
        wire.udp(at, CENTRE, 5353, "224.0.0.251", 5353, bytes([n]))
    mac = SIEMENS + b"\0\0\x01"
    wire.open(START + 20 * SECOND, SCREEN, 45000, "10.0.0.11", 7001)
    for n in range(60):
        at = START + 21 * SECOND + n * 100 * MILLI
        wire.tcp(at, SCREEN, 45000, "10.0.0.11", 7001, request(n, 1, 3, 0, 2), mac=mac)
        wire.tcp(at + MILLI, "10.0.0.11", 7001, SCREEN, 45000, answer(n, 1, 3, b"\1\2\3\4"))
    return derive(learn(wire.sorted()))


def kinds(findings: list[Finding]) -> set[Kind]:
    return {f.kind for f in findings}


def causes(findings: list[Finding]) -> list[str]:
    grouping = Grouping()
    for finding in findings:
        grouping.add(finding)
    return [cause(incident.findings).cause for incident in grouping.incidents.values()]


def arp(wire: Wire, at: int, ip: str, mac: bytes, target: str, op: int = 2) -> None:
    """An ARP frame that claims `ip` for `mac`."""
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, op) + mac + bytes(map(int, ip.split(".")))
    wire.frames.append((at, ethernet(0x0806, body + bytes(6) + bytes(map(int, target.split("."))) + bytes(18), src=mac)))


def test_one_more_device_that_is_polled_like_the_others_costs_less(model: Model) -> None:
    wire = plant()
    polls(wire, CENTRE, "10.0.0.14", LATER + SECOND, 40, unit=4)
    found = judge(model, wire.sorted())
    assert kinds(found) == {Kind.SIMILAR_ASSET}
    assert causes(found) == ["unknown"]
    assert min(f.score for f in found) > 0.01


def test_one_more_device_that_gets_a_command_the_others_never_got_costs_in_full(model: Model) -> None:
    wire = plant()
    polls(wire, CENTRE, "10.0.0.14", LATER + SECOND, 10, unit=4)
    wire.tcp(LATER + 4 * SECOND, CENTRE, 50000, "10.0.0.14", 7001, request(99, 4, 6, 100, 3))
    found = judge(model, wire.sorted())
    assert {Kind.SIMILAR_ASSET, Kind.NEW_CONVERSATION} <= kinds(found)
    assert next(f.payload[7] for f in found if f.kind is Kind.NEW_CONVERSATION) == 6
    assert causes(found) == ["security"]


def test_one_more_screen_of_the_same_make_that_reads_the_same_costs_less_and_another_make_does_not(model: Model) -> None:
    def screen(make: bytes) -> list[Finding]:
        wire = plant()
        for n in range(20):
            at = LATER + SECOND + n * 100 * MILLI
            body = request(n, 1, 3, 0, 2)
            wire.tcp(at, SECOND_SCREEN, 45000, "10.0.0.11", 7001, body, mac=make + b"\0\0\x02")
            wire.tcp(at + MILLI, "10.0.0.11", 7001, SECOND_SCREEN, 45000, answer(n, 1, 3, b"\1\2\3\4"))
        return judge(model, wire.sorted())

    alike, other = screen(SIEMENS), screen(bytes.fromhex("000c29"))
    assert kinds(alike) == {Kind.SIMILAR_ASSET}
    assert Kind.NEW_ASSET in kinds(other)
    assert (causes(alike), causes(other)) == (["unknown"], ["security"])


def test_a_known_asset_that_answers_a_stranger_is_not_called_unknown(model: Model) -> None:
    wire = plant()
    wire.udp(LATER + SECOND, "10.0.0.99", 4000, "10.0.0.11", 9999, b"who")
    wire.udp(LATER + SECOND + MILLI, "10.0.0.11", 9999, "10.0.0.99", 4000, b"me")
    found = judge(model, wire.sorted())
    assert {f.src for f in found if f.kind is Kind.NEW_ASSET} == {"10.0.0.99"}
    assert {f.src for f in found} == {"10.0.0.99", "10.0.0.11"}


def test_a_server_that_starts_to_ask_and_a_client_that_begins_to_serve_change_their_roles(model: Model) -> None:
    wire = plant()
    wire.open(LATER + SECOND, "10.0.0.12", 51000, CENTRE, 4444)
    found = [f for f in judge(model, wire.sorted()) if f.kind is Kind.ROLE_CHANGE]
    assert [(f.src, f.client, f.service) for f in found] == [
        ("10.0.0.12", "10.0.0.12", "tcp/4444"),
        (CENTRE, "10.0.0.12", "tcp/4444"),
    ]


def test_asking_who_always_asks_and_always_serves_changes_no_role(model: Model) -> None:
    wire = plant()
    wire.open(LATER + SECOND, CENTRE, 51000, "10.0.0.12", 80)
    assert kinds(judge(model, wire.sorted())) == {Kind.NEW_CONVERSATION}


@pytest.mark.parametrize("asker", [CENTRE, "10.0.0.99"])
def test_a_search_is_seen_on_its_first_dark_address(model: Model, asker: str) -> None:
    wire = plant()
    wire.arp(LATER + SECOND, asker, "10.0.0.77")
    dark = [f for f in judge(model, wire.sorted()) if f.kind is Kind.DARK_ADDRESS]
    assert [(f.src, f.dst, f.service) for f in dark] == [(asker, "10.0.0.77", "eth/0x0806")]


def test_a_connection_to_an_address_that_nobody_has_is_told_as_such(model: Model) -> None:
    wire = plant()
    wire.tcp(LATER + SECOND, CENTRE, 51000, "10.0.9.9", 502, flags=0x02)
    (found,) = judge(model, wire.sorted())
    assert (found.kind, found.dst) == (Kind.DARK_ADDRESS, "10.0.9.9")
    assert causes([found]) == ["unknown"]


def test_what_learning_showed_to_be_asked_for_is_not_dark(model: Model) -> None:
    wire = plant()
    for n in range(4):
        wire.arp(LATER + n * SECOND, CENTRE, f"10.0.0.{150 + n}")
        wire.arp(LATER + n * SECOND, CENTRE, "10.0.0.12")
    assert judge(model, wire.sorted()) == []


def test_a_known_device_may_look_for_a_router_once_but_not_for_more(model: Model) -> None:
    wire = plant()
    for n in range(3):
        wire.arp(LATER + n * SECOND, CENTRE, "10.0.0.254")
    assert judge(model, wire.sorted()) == []
    wire.arp(LATER + 4 * SECOND, CENTRE, "10.0.0.200")
    assert kinds(judge(model, wire.sorted())) == {Kind.DARK_ADDRESS}


def test_an_address_with_two_owners_is_told_once_and_an_exchange_is_not_that(model: Model) -> None:
    twin, owner = bytes.fromhex("0a0b0c0d0e0f"), mac_of("10.0.0.12")
    wire = Wire()
    for n in range(10):
        arp(wire, LATER + n * SECOND, "10.0.0.12", twin if n % 2 else owner, CENTRE)
    found = [f for f in judge(model, wire.sorted()) if f.frame]
    assert [f.kind for f in found] == [Kind.ADDRESS_CHANGE, Kind.DUPLICATE_ADDRESS]
    assert [(f.frame, f.seen) for f in found] == [(2, twin), (3, twin)]
    swap = Wire()
    for n in range(10):
        arp(swap, LATER + n * SECOND, "10.0.0.12", twin if n > 4 else owner, CENTRE)
    assert [f.kind for f in judge(model, swap.sorted()) if f.frame] == [Kind.ADDRESS_CHANGE]


def test_one_that_takes_the_addresses_of_two_is_in_between(model: Model) -> None:
    """ARP poisoning: the owners are still there, and it claims both."""
    wire, between = Wire(), bytes.fromhex("0a0b0c0d0e0f")
    for n in range(6):
        for address in (CENTRE, "10.0.0.12"):
            arp(wire, LATER + n * SECOND, address, mac_of(address), "10.0.0.11")
            arp(wire, LATER + n * SECOND + MILLI, address, between, "10.0.0.11")
    found = [f for f in judge(model, wire.sorted()) if f.frame]
    assert causes(found) == ["security"]
    assert sorted(f.src for f in found if f.kind is Kind.DUPLICATE_ADDRESS) == [CENTRE, "10.0.0.12"]


def test_known_hardware_under_a_new_address_is_called_that(model: Model) -> None:
    wire = plant()
    arp(wire, LATER + SECOND, "10.0.0.42", mac_of("10.0.0.12"), CENTRE)
    (found,) = judge(model, wire.sorted())
    assert (found.kind, found.src, found.normal) == (Kind.READDRESSED, "10.0.0.42", (bytes([10, 0, 0, 12]),))
    assert causes([found]) == ["maintenance"]


def test_a_new_group_service_and_a_new_protocol_without_ip_are_told_once_per_device(model: Model) -> None:
    wire = plant()
    for n in range(5):
        wire.udp(LATER + n * SECOND, "10.0.0.11", 1900, "239.255.255.250", 1900, b"notify")
        wire.frames.append((LATER + n * SECOND, ethernet(0x88CC, b"\2\7", src=mac_of("10.0.0.11"), dst=b"\1\x80\xc2\0\0\x0e")))
    found = judge(model, wire.sorted())
    assert sorted((f.kind, f.service) for f in found) == [(Kind.NEW_SERVICE, "eth/0x88cc"), (Kind.NEW_SERVICE, "udp/1900")]
    assert causes(found) == ["unknown", "unknown"]


def igmp3(group: str, kind: int = 4) -> bytes:
    return struct.pack(">BBHHHBBH", 0x22, 0, 0, 0, 1, kind, 0, 0) + bytes(map(int, group.split(".")))


def test_a_join_is_told_unless_the_group_was_in_use() -> None:
    wire = Plant(1).run(60)
    wire._put(START + SECOND, 2, igmp3("239.1.1.1"), "10.0.0.11", "224.0.0.22")
    known = derive(learn(wire.sorted()))
    later = Plant(4, opens=False).run(20, LATER)
    for n, group in enumerate(("239.1.1.1", "239.2.2.2", "239.2.2.2")):
        later._put(LATER + (n + 1) * SECOND, 2, igmp3(group), "10.0.0.11", "224.0.0.22")
    (found,) = judge(known, later.sorted())
    assert (found.kind, found.dst, found.service) == (Kind.NEW_SERVICE, "239.2.2.2", "ip/2")


@pytest.mark.parametrize(
    ("report", "groups"),
    [
        (b"\x16\0\0\0\xef\1\1\1", [0xEF010101]),
        (b"\x12\0\0\0\xef\1\1\1", [0xEF010101]),
        (b"\x17\0\0\0\xef\1\1\1", []),  # leave
        (b"\x11\0\0\0\xef\1\1\1", []),  # query
        (igmp3("239.1.1.1", 3), []),  # only from nobody: a leave
        (igmp3("10.1.1.1"), []),
        (igmp3("239.1.1.1")[:-1], []),
        (b"\x22\0\0\0\0\0\xff\xff", []),
        (b"\x16", []),
    ],
)
def test_igmp_reports(report: bytes, groups: list[int]) -> None:
    assert joined(report) == groups


def test_findings_do_not_depend_on_where_batches_end(model: Model) -> None:
    wire = plant()
    polls(wire, CENTRE, "10.0.0.14", LATER + SECOND, 20, unit=4)
    polls(wire, "10.0.0.12", CENTRE, LATER + SECOND, 5, unit=1)
    wire.tcp(LATER + 4 * SECOND, CENTRE, 50000, "10.0.0.14", 7001, request(99, 4, 6, 100, 3))
    for n in range(30):
        wire.arp(LATER + n * 100 * MILLI, "10.0.0.99", f"10.0.0.{30 + n % 15}")
        arp(wire, LATER + n * 100 * MILLI + 7, "10.0.0.12", (bytes.fromhex("0a0b0c0d0e0f"), mac_of("10.0.0.12"))[n % 2], CENTRE)
    whole = judge(model, wire.sorted())
    assert len(kinds(whole)) >= 6
    for most in (1, 7, 64):
        assert judge(model, wire.sorted(), most) == whole


SHARED = Path(__file__).resolve().parents[3] / "shared" / "pcaps" / "other"


@pytest.mark.parametrize("name", ["scan/nfstream__synscan.pcap", "scan/esnet__tcp_0_1000_20190821.pcap"])
def test_recorded_scans_are_found_by_a_plant_that_never_saw_one(model: Model, name: str) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip("the shared captures are not here")
    detector, state = Detector(model), DecodeState()
    with open_capture(path) as source:
        found = [f for batch in batches(source) for f in detector.judge(decode(batch, state))]
    first = [f for f in found if f.kind is Kind.DARK_ADDRESS]
    assert first
    assert min(f.frame or 0 for f in first) <= 2
    assert Kind.SCAN in kinds(found)


def test_a_device_that_takes_the_address_set_by_dcp_is_seen() -> None:
    path = SHARED / "profinet" / "iti__ChangeIPUsingDCP.pcap"
    if not path.exists():
        pytest.skip("the shared captures are not here")

    def once(most: int = 2) -> Iterator[DecodedBatch]:
        state = DecodeState()
        with open_capture(path) as source:
            for batch in batches(source, max_frames=1):
                if int(batch.frame[0]) <= most:
                    yield decode(batch, state)

    detector = Detector(derive(learn_session(once)))
    found = [f for batch in once(most=6) for f in detector.judge(batch)]
    assert [(f.frame, f.kind, f.dst) for f in found] == [(5, Kind.DARK_ADDRESS, "192.168.0.10")]

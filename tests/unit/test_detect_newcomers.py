"""Who was never seen, who asks everybody, and addresses that moved: one story each."""

import numpy as np
import pytest

from appliance.detect.finding import Finding, Kind
from appliance.detect.newcomers import PER_SECOND
from appliance.incident.grouping import Grouping
from appliance.incident.incident import Incident
from appliance.learn.meaning.model import Model, derive
from tests.unit.dialogue import CENTRE, MILLI, START, Plant, Wire, judge, learn
from tests.unit.frames import SECOND

LATER = START + 3600 * SECOND


@pytest.fixture(scope="module")
def model() -> Model:
    wire = Plant(1).run(200)
    for n in range(30):
        at = START + n * SECOND
        wire.arp(at, CENTRE, f"10.0.0.{11 + n % 2}")
        wire.arp(at + MILLI, CENTRE, f"10.0.0.{150 + n % 12}")  # it asks for stations that are switched off
        wire.udp(at, CENTRE, 5353, "224.0.0.251", 5353, bytes([n]))
    return derive(learn(wire.sorted()))


def plant() -> Wire:
    return Plant(4, opens=False).run(60, LATER)


def incidents(findings: list[Finding]) -> list[Incident]:
    grouping = Grouping()
    for finding in findings:
        grouping.add(finding)
    return list(grouping.incidents.values())


def kinds(findings: list[Finding]) -> set[Kind]:
    return {f.kind for f in findings}


def test_a_stranger_that_talks_is_a_new_asset_with_its_first_payload(model: Model) -> None:
    wire = plant()
    wire.udp(LATER + 2 * SECOND, "10.0.0.99", 4000, "10.0.0.11", 9999, b"hello")
    (found,) = judge(model, wire.sorted())
    assert (found.kind, found.src, found.dst, found.service) == (Kind.NEW_ASSET, "10.0.0.99", "10.0.0.11", "udp/9999")
    assert (found.client, found.payload, found.time_ns) == ("10.0.0.99", b"hello", LATER + 2 * SECOND)
    assert wire.sorted()[(found.frame or 0) - 1][1].endswith(b"hello")


def test_a_known_asset_on_a_new_service_is_a_new_conversation(model: Model) -> None:
    wire = plant()
    wire.open(LATER + 2 * SECOND, CENTRE, 51000, "10.0.0.11", 80)
    wire.tcp(LATER + 3 * SECOND, CENTRE, 51000, "10.0.0.11", 80, b"GET /")
    found = judge(model, wire.sorted())
    assert kinds(found) == {Kind.NEW_CONVERSATION}
    assert b"GET /" in {f.payload for f in found}


def test_two_devices_that_never_talked_to_each_other_are_a_new_conversation(model: Model) -> None:
    wire = plant()
    wire.open(LATER + 2 * SECOND, "10.0.0.12", 51000, "10.0.0.11", 7001)
    found = judge(model, wire.sorted())
    assert kinds(found) == {Kind.NEW_CONVERSATION, Kind.ROLE_CHANGE}  # a device that only answered asks
    assert {(f.client, f.service) for f in found} == {("10.0.0.12", "tcp/7001")}


def test_a_busy_stranger_is_bounded_in_findings_and_one_incident(model: Model) -> None:
    wire = plant()
    for n in range(500):
        wire.udp(LATER + 2 * SECOND + n * 4 * MILLI, "10.0.0.99", 4000, "10.0.0.11", 9999, n.to_bytes(2, "big"))
    found = judge(model, wire.sorted())
    assert 1 <= len(found) <= 3 * PER_SECOND
    assert len(incidents(found)) == 1


def test_a_port_scan_is_one_incident_that_says_scan(model: Model) -> None:
    wire = plant()
    for n, port in enumerate(np.random.default_rng(1).permutation(np.arange(20, 220)).tolist()):
        at = LATER + SECOND + n * 10 * MILLI
        wire.tcp(at, "10.0.0.99", 40000 + n, "10.0.0.11", port, flags=0x02)
        wire.refuse(at + MILLI, "10.0.0.11", port, "10.0.0.99", 40000 + n)
    found = judge(model, wire.sorted())
    (incident,) = incidents(found)
    assert Kind.SCAN in {f.kind for f in incident.findings}
    assert sum(f.kind is Kind.SCAN for f in found) > len(found) / 2


def test_an_address_scan_over_the_network_is_one_incident(model: Model) -> None:
    """Nearly all of it is dark: ARP asks, and a SYN goes to the two that are there."""
    wire = plant()
    for n in range(120):
        wire.arp(LATER + SECOND + n * 20 * MILLI, "10.0.0.99", f"10.0.0.{n + 1}")
    for n, device in enumerate(("10.0.0.11", "10.0.0.12")):
        wire.tcp(LATER + 4 * SECOND, "10.0.0.99", 40000 + n, device, 7001, flags=0x02)
    found = judge(model, wire.sorted())
    (incident,) = incidents(found)
    assert Kind.SCAN in {f.kind for f in incident.findings}
    assert "10.0.0.99" in incident.assets
    assert {f.service for f in found if f.kind is Kind.SCAN} == {"eth/0x0806"}


def test_asking_for_stations_that_were_always_off_is_no_scan(model: Model) -> None:
    wire = plant()
    for n in range(60):
        wire.arp(LATER + n * 100 * MILLI, CENTRE, f"10.0.0.{150 + n % 12}")
    assert judge(model, wire.sorted()) == []


def test_a_few_wrong_addresses_are_no_scan(model: Model) -> None:
    wire = plant()
    for n in range(60):
        wire.arp(LATER + n * 100 * MILLI, CENTRE, f"10.0.0.{200 + n % 5}")
    assert Kind.SCAN not in kinds(judge(model, wire.sorted()))


def test_an_address_behind_other_hardware_is_told_once_with_both(model: Model) -> None:
    wire, other = plant(), bytes.fromhex("0a0b0c0d0e0f")
    for n in range(5):
        wire.tcp(LATER + (n + 1) * SECOND + 500, "10.0.0.12", 7001, CENTRE, 40001, b"", flags=0x10, mac=other)
    (found, doubled) = judge(model, wire.sorted())  # its owner goes on talking
    assert (doubled.kind, doubled.src, doubled.seen) == (Kind.DUPLICATE_ADDRESS, "10.0.0.12", other)
    assert (found.kind, found.src, found.seen) == (Kind.ADDRESS_CHANGE, "10.0.0.12", other)
    assert found.normal == (b"\x02\x00\x0a\x00\x00\x0c",)
    assert found.frame is not None


def test_the_chatter_of_known_assets_to_groups_is_no_newcomer(model: Model) -> None:
    wire = plant()
    for n in range(5):
        wire.udp(LATER + n * SECOND, "10.0.0.11", 5353, "224.0.0.251", 5353, b"query")
    assert judge(model, wire.sorted()) == []


def test_a_stranger_that_only_talks_to_a_group_is_a_new_asset(model: Model) -> None:
    wire = plant()
    wire.udp(LATER + SECOND, "10.0.0.99", 1900, "239.255.255.250", 1900, b"notify")
    assert kinds(judge(model, wire.sorted())) == {Kind.NEW_ASSET}


def test_two_strangers_are_two_incidents(model: Model) -> None:
    wire = plant()
    for n in range(2):
        for k in range(3):
            wire.udp(LATER + SECOND + k, f"10.0.0.{98 + n}", 4000, "10.0.0.11", 9000 + k, b"x")
    assert len(incidents(judge(model, wire.sorted()))) == 2

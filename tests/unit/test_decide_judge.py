"""What a generation says to a request."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from appliance.decide.functions import FRAMINGS, MODBUS
from appliance.decide.judge import Outcome, judge
from appliance.decide.rules import Allow, Exactness, Generation, Lease, Mode, Pattern, Protected, Service, Step

HMI, PLC, OTHER = ip_address("10.0.0.1"), ip_address("10.0.0.11"), ip_address("10.0.0.66")
SERVICE = Service("tcp", 502)
READ = bytes.fromhex("0001 0000 0006 01 03 0000 0002")
WRITE = bytes.fromhex("0001 0000 0006 01 06 0004 0002")


def plant(mode: Mode = Mode.ENFORCE) -> Generation:
    allow = Allow(
        ip_network("10.0.0.1"),
        ip_network("10.0.0.11"),
        SERVICE,
        6,
        (Pattern(0x01030000, 0x0103000F),),
        (12,),
        Exactness.FUNCTION,
        "learned",
        FRAMINGS[MODBUS],
    )
    return Generation(1, (ip_network("10.0.0.250"),), (Protected(ip_network("10.0.0.11"), SERVICE, mode),), (allow,))


def lease(step: Step, source: str, target: str | None, pattern: Pattern | None = None) -> Generation:
    service = SERVICE if pattern else None
    one = Lease("b-1", step, ip_network(source), ip_network(target) if target else None, service, 6, pattern, 100, "test")
    return replace(plant(), leases=(one,))


def test_a_read_passes_and_a_write_of_the_same_client_does_not() -> None:
    assert judge(plant(), HMI, PLC, SERVICE, READ).outcome is Outcome.ALLOWED
    assert judge(plant(), HMI, PLC, SERVICE, WRITE).outcome is Outcome.REFUSED
    assert judge(plant(), HMI, PLC, SERVICE, b"").outcome is Outcome.ALLOWED


def test_a_stranger_cannot_even_connect() -> None:
    assert not judge(plant(), OTHER, PLC, SERVICE, b"").passes


@pytest.mark.parametrize(
    ("what", "payload"),
    [
        ("a write behind a read", READ + WRITE),
        ("half a read", READ[:10]),
        ("a message begun that hides the next segment's function", READ[:5] + b"\x20" + READ[6:]),
        ("a message shorter than its segment", READ[:5] + b"\x02" + READ[6:]),
        ("less than the window", READ[:8]),
    ],
)
def test_smuggling_is_refused(what: str, payload: bytes) -> None:
    assert judge(plant(), HMI, PLC, SERVICE, payload).outcome is Outcome.REFUSED, what


def test_shadow_counts_and_observe_does_nothing() -> None:
    assert judge(plant(Mode.SHADOW), HMI, PLC, SERVICE, WRITE).outcome is Outcome.COUNTED
    assert judge(plant(Mode.SHADOW), HMI, PLC, SERVICE, WRITE).passes
    assert judge(plant(Mode.OBSERVE), HMI, PLC, SERVICE, WRITE).outcome is Outcome.UNGUARDED
    assert judge(plant(), HMI, PLC, Service("tcp", 80), WRITE).outcome is Outcome.UNGUARDED


def test_the_never_block_list_comes_before_leases_and_rules() -> None:
    g = lease(Step.ISOLATE, "10.0.0.250", None)
    assert judge(g, ip_address("10.0.0.250"), PLC, SERVICE, WRITE, 10).outcome is Outcome.NEVER
    assert judge(g, HMI, ip_address("10.0.0.250"), SERVICE, WRITE, 10).outcome is Outcome.NEVER


@pytest.mark.parametrize(
    ("g", "reads", "writes"),
    [
        (lease(Step.PAIR, "10.0.0.1", "10.0.0.11"), False, False),
        (lease(Step.ISOLATE, "10.0.0.1", None), False, False),
        (lease(Step.LOG, "10.0.0.1", "10.0.0.11"), True, False),
        (lease(Step.FUNCTION, "10.0.0.1", "10.0.0.11", Pattern(0x01030000, 0x0103FFFF)), False, False),
        (lease(Step.FUNCTION, "10.0.0.1", "10.0.0.11", Pattern(0x01060000, 0x0106FFFF)), True, False),
    ],
)
def test_leases_hold_until_they_end(g: Generation, reads: bool, writes: bool) -> None:
    assert judge(g, HMI, PLC, SERVICE, READ, 99).passes is reads
    assert judge(g, HMI, PLC, SERVICE, WRITE, 99).passes is writes
    assert judge(g, HMI, PLC, SERVICE, READ, 100).outcome is Outcome.ALLOWED

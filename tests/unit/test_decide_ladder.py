"""From an incident to a step: the mildest that stops it, and every reason for passing one over."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from appliance.decide.compiling import compile_policy
from appliance.decide.gate import CYCLES, MIN_REQUESTS, Shadow, gate, held_back, promotions
from appliance.decide.judge import Outcome, judge
from appliance.decide.ladder import Decision, ladder, scene_of
from appliance.decide.learned import Talk, talks_of
from appliance.decide.policy import HOUR, Guarded, Limits, Policy
from appliance.decide.rules import Generation, Mode, Protected, Service, Step
from appliance.detect.finding import Finding, Kind
from appliance.incident.incident import Cause
from appliance.learn.meaning.adequacy import Readiness
from tests.unit.dialogue import CENTRE, Plant, learned, request

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 10**18
SERVICE = Service("tcp", Plant.port)
PLC, STRANGER = "10.0.0.11", "10.0.0.66"
EVERY_STEP = Limits(tuple(Step), 4, 60 * 10**9)
PLANT = Policy("p", (Guarded("plc", "p:1", ip_network(PLC), Mode.ENFORCE, ("all",)),), limits=EVERY_STEP)


@pytest.fixture(scope="module")
def talks() -> list[Talk]:
    return talks_of(learned())


def found(kind: Kind, src: str = CENTRE, payload: bytes = b"", dst: str = PLC, service: str = str(SERVICE)) -> list[Finding]:
    return [Finding(1, NOW, src, dst, src, service, kind, payload=payload)]


def decided(talks: list[Talk], findings: list[Finding], policy: Policy = PLANT, blocks: Sequence[int] = ()) -> Decision:
    offsets = compile_policy(policy, talks, NOW).offsets
    return ladder(scene_of("i-7", findings, talks, offsets), Cause.SECURITY, policy, blocks, NOW)


WRITE = request(9, 1, 6, 40, 1)


def test_a_new_command_of_a_known_client_loses_its_function_only(talks: list[Talk]) -> None:
    d = decided(talks, found(Kind.UNKNOWN_COMMAND, payload=WRITE))
    assert d.step is Step.FUNCTION
    assert d.lease is not None
    assert d.effect is not None
    assert str(d.effect.method) == "tcp reset"
    assert d.lease.until == NOW + EVERY_STEP.longest_lease
    g = replace(compile_policy(replace(PLANT, assets=()), talks, NOW).generation, leases=(d.lease,))
    client, server = ip_address(CENTRE), ip_address(PLC)
    assert judge(g, client, server, SERVICE, WRITE, NOW).outcome is Outcome.REFUSED
    assert judge(g, client, server, SERVICE, request(10, 1, 3, 0, 2), NOW).passes
    assert judge(g, client, server, SERVICE, WRITE, d.lease.until).passes


def test_a_stranger_loses_its_pair(talks: list[Talk]) -> None:
    d = decided(talks, found(Kind.NEW_CONVERSATION, STRANGER, WRITE))
    assert d.step is Step.PAIR
    assert d.lease is not None
    assert (d.lease.source, d.lease.target) == (ip_network(STRANGER), ip_network(PLC))
    assert len(d.reasons) == 1


def test_a_scan_of_a_stranger_isolates_it_and_one_of_a_known_host_does_not(talks: list[Talk]) -> None:
    assert decided(talks, found(Kind.SCAN, STRANGER)).step is Step.ISOLATE
    d = decided(talks, found(Kind.SCAN, CENTRE, dst="10.0.0.99"))
    assert d.step is Step.LOG
    assert any("learned conversations of" in reason for reason in d.reasons)


@pytest.mark.parametrize(
    ("policy", "blocks", "says"),
    [
        (replace(PLANT, never=(ip_network(CENTRE),)), (), "is never blocked"),
        (replace(PLANT, management=(ip_network(PLC),)), (), "is never blocked"),
        (PLANT, (NOW - HOUR + 1, NOW - 3, NOW - 2, NOW), "blocks in the last hour"),
        (replace(PLANT, limits=replace(EVERY_STEP, blocks_per_hour=0)), (), "blocks in the last hour"),
        (replace(PLANT, limits=Limits()), (), "block function: the policy does not allow it"),
        (replace(PLANT, bridge=True), (), "the connection hangs"),
    ],
)
def test_a_block_is_refused_with_its_reason(talks: list[Talk], policy: Policy, blocks: tuple[int, ...], says: str) -> None:
    d = decided(talks, found(Kind.UNKNOWN_COMMAND, payload=WRITE), policy, blocks)
    assert (d.step, d.lease) == (Step.LOG, None)
    assert any(says in reason for reason in d.reasons)


def test_blocks_of_an_hour_ago_count_no_more(talks: list[Talk]) -> None:
    assert decided(talks, found(Kind.UNKNOWN_COMMAND, payload=WRITE), blocks=[NOW - HOUR] * 9).step is Step.FUNCTION


def test_what_was_learned_is_never_the_target(talks: list[Talk]) -> None:
    d = decided(talks, found(Kind.UNKNOWN_COMBINATION, payload=request(9, 1, 3, 0, 9)))
    assert d.step is Step.LOG
    assert any("cannot tell it from a request that was learned" in reason for reason in d.reasons)


def test_faults_answers_and_link_layers_are_only_logged(talks: list[Talk]) -> None:
    scene = scene_of("i-1", found(Kind.UNKNOWN_COMMAND, payload=WRITE), talks, {SERVICE: 6})
    for cause in (Cause.FAULT, Cause.MAINTENANCE, Cause.UNKNOWN):
        assert ladder(scene, cause, PLANT, (), NOW).step is Step.LOG
    assert scene_of("i-1", found(Kind.SILENCE), talks, {}) is None
    assert scene_of("i-1", found(Kind.NEW_ASSET, "02:00:00:00:00:01", service="eth/0x8892"), talks, {}) is None
    assert ladder(None, Cause.SECURITY, PLANT, (), NOW).step is Step.LOG


GOOD = Shadow(MIN_REQUESTS, 0, 0, CYCLES * HOUR)


def test_the_gate_opens_one_step_at_a_time_with_all_reasons_met() -> None:
    assert gate(Mode.OBSERVE, Mode.SHADOW, Shadow(), Readiness.ENOUGH, 0, "").allowed
    assert gate(Mode.SHADOW, Mode.ENFORCE, GOOD, Readiness.ENOUGH, HOUR, "A. Sato").allowed
    assert gate(Mode.ENFORCE, Mode.OBSERVE, Shadow(), Readiness.NOTHING, 0, "").allowed


@pytest.mark.parametrize(
    ("now_in", "shadow", "learned_is", "cycle", "operator", "says"),
    [
        (Mode.OBSERVE, GOOD, Readiness.ENOUGH, HOUR, "A", "one step at a time"),
        (Mode.SHADOW, GOOD, Readiness.LEARNING, HOUR, "A", "learning is not enough"),
        (Mode.SHADOW, GOOD, Readiness.ENOUGH, 0, "A", "cycle is not known"),
        (Mode.SHADOW, replace(GOOD, until=CYCLES * HOUR - 1), Readiness.ENOUGH, HOUR, "A", "2 of 3 full cycles"),
        (Mode.SHADOW, replace(GOOD, refused=1), Readiness.ENOUGH, HOUR, "A", "1 accepted requests would have been refused"),
        (Mode.SHADOW, replace(GOOD, requests=5), Readiness.ENOUGH, HOUR, "A", "5 requests were judged"),
        (Mode.SHADOW, GOOD, Readiness.ENOUGH, HOUR, " ", "name the operator"),
    ],
)
def test_the_gate_says_why_not(now_in: Mode, shadow: Shadow, learned_is: Readiness, cycle: int, operator: str, says: str) -> None:
    told = gate(now_in, Mode.ENFORCE, shadow, learned_is, cycle, operator)
    assert not told.allowed
    assert len(told.reasons) == 1
    assert says in told.reasons[0]


def test_only_what_goes_up_has_to_pass_the_gate() -> None:
    one, two = ip_network("10.0.0.1/32"), ip_network("10.0.0.2/32")
    now = Generation(1, protected=(Protected(one, SERVICE, Mode.SHADOW), Protected(two, SERVICE, Mode.ENFORCE)))
    new = Generation(2, protected=(Protected(one, SERVICE, Mode.ENFORCE), Protected(two, SERVICE, Mode.SHADOW)))
    assert promotions(now, new) == [(one, SERVICE, Mode.SHADOW, Mode.ENFORCE)]
    assert [row[2] for row in promotions(Generation(0), new)] == [Mode.OBSERVE, Mode.OBSERVE]


def test_each_asset_is_held_back_by_what_shadow_has_seen_of_it() -> None:
    ready, new, quiet = (ip_network(f"10.0.0.{k}/32") for k in (1, 2, 3))
    now = Generation(1, protected=tuple(Protected(host, SERVICE, Mode.SHADOW) for host in (ready, quiet)))
    wanted = Generation(2, protected=tuple(Protected(host, SERVICE, Mode.ENFORCE) for host in (ready, new, quiet)))
    seen = {(ready, SERVICE): GOOD, (quiet, SERVICE): replace(GOOD, requests=3)}
    first, second = held_back(now, wanted, seen, HOUR, "A. Sato")
    assert first.startswith(f"{new} {SERVICE}: observe -> enforce: one step at a time")
    assert second == f"{quiet} {SERVICE}: shadow -> enforce: 3 requests were judged in shadow, 1,000 are needed"
    assert held_back(Generation(0), replace(now, number=1), {}, 0, "") == []  # into shadow goes who wants

"""Incidents are answered once, at once where that is sure enough, and never late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from appliance.decide.answering import FRESH, PER_INCIDENT, Answering, Site
from appliance.decide.judge import Outcome, judge
from appliance.decide.learned import Ask, Talk, talks_of
from appliance.decide.policy import Guarded, Limits, Policy
from appliance.decide.rules import Generation, Mode, Service, Step
from appliance.detect.finding import Finding, Kind
from appliance.explain.workplan import Once, Plan
from appliance.incident.incident import Cause
from appliance.protocols import Intent
from tests.unit.dialogue import CENTRE, Plant, learned, request

if TYPE_CHECKING:
    from appliance.decide.ladder import Decision
    from appliance.decide.rules import Lease

NOW = 10**18
SERVICE = Service("tcp", Plant.port)
PLC, STRANGER = "10.0.0.11", "10.0.0.66"
LIMITS = Limits(tuple(Step), 8, 60 * 10**9)
PLANT = Policy("p", (Guarded("plc", "p:1", ip_network(PLC), Mode.ENFORCE, ("all",)),), limits=LIMITS)
TALKS = talks_of(learned())


@pytest.fixture
def answering() -> Answering:
    return Answering(Site.of(PLANT, TALKS, NOW))


def found(kind: Kind, payload: bytes, src: str = CENTRE, at: int = NOW) -> Finding:
    return Finding(1, at, src, PLC, src, str(SERVICE), kind, payload=payload)


def write(register: int, function: int = 6) -> Finding:
    return found(Kind.UNKNOWN_COMMAND, request(9, 1, function, register, 1))


def intruder(number: int) -> Finding:
    return found(Kind.NEW_CONVERSATION, request(1, 1, 6, 0, 2), f"10.0.0.{100 + number}")


def leases(decisions: list[Decision]) -> list[Lease]:
    return [d.lease for d in decisions if d.lease is not None]


def test_an_unknown_write_is_answered_by_its_first_finding_and_only_once(answering: Answering) -> None:
    first = leases(answering.found("i-1-7", write(40), NOW))
    assert [(x.step, x.id, x.incident) for x in first] == [(Step.FUNCTION, "l-i-1-7", "i-1-7")]
    assert leases(answering.found("i-1-7", write(40), NOW)) == []
    assert leases(answering.found("i-1-7", write(41), NOW)) == []  # the whole function was never in use
    other = leases(answering.found("i-1-7", write(40, 16), NOW))
    assert [x.id for x in other] == ["l-i-1-7-2"]
    assert answering.recent(NOW) == 2


def test_of_a_function_in_use_only_what_was_never_asked_is_taken(answering: Answering) -> None:
    asked = {a.head[7] for t in TALKS for a in t.asks}
    assert 3 in asked
    assert answering.site is not None
    answering.site = replace(answering.site, protocols={})  # nobody knows that 3 is a read
    (lease,) = leases(answering.found("i-1", write(4000, 3), NOW))
    g = Generation(1, leases=(lease,))
    client, server = ip_address(CENTRE), ip_address(PLC)
    assert judge(g, client, server, SERVICE, request(1, 1, 3, 4000, 1), NOW).outcome is Outcome.REFUSED
    for talk in TALKS:
        for ask in talk.asks:
            if talk.pair and client in talk.pair[0] and server in talk.pair[1]:
                assert judge(g, client, server, SERVICE, ask.head[: ask.size], NOW).passes


def test_a_new_read_of_a_known_client_is_not_answered(answering: Answering) -> None:
    """Modbus requests are known to read; who polls one register more is no attack to be stopped."""
    decisions = answering.found("i-1", write(4000, 3), NOW)
    assert leases(decisions) == []
    assert "block function: the request changes nothing" in decisions[0].reasons
    assert len(leases(answering.found("i-1", write(4000, 6), NOW))) == 1


def test_a_newcomer_waits_for_a_cause_that_is_sure_enough(answering: Answering) -> None:
    """Who only is new may be the maker's man; who is new and writes is not."""
    quiet = answering.found("i-1", found(Kind.NEW_CONVERSATION, request(1, 1, 3, 0, 2), STRANGER), NOW)
    assert leases(quiet) == []
    assert "quarantine pair: the cause is 60% sure, 70% are needed" in quiet[0].reasons
    (lease,) = leases(answering.told("i-1", Cause.SECURITY, 0.95, NOW))
    assert (lease.step, str(lease.source)) == (Step.PAIR, f"{STRANGER}/32")
    (lease,) = leases(answering.found("i-2", found(Kind.NEW_CONVERSATION, request(1, 1, 6, 0, 2), "10.0.0.67"), NOW))
    assert lease.step is Step.PAIR


def test_planned_work_and_faults_are_not_answered(answering: Answering) -> None:
    assert answering.told("i-1", Cause.MAINTENANCE, 0.95, NOW) == []
    assert answering.found("i-1", write(40), NOW) == []
    assert answering.found("i-2", found(Kind.MISSING_ANSWER, b""), NOW) == []


def test_what_was_told_late_is_for_people(answering: Answering) -> None:
    assert answering.found("i-1", write(40), NOW + FRESH + 1) == []


def test_a_refused_lease_may_be_asked_again_but_not_for_ever(answering: Answering) -> None:
    for k in range(PER_INCIDENT):
        (lease,) = leases(answering.found("i-1", write(40), NOW + k))
        answering.ended(lease)
    (over,) = answering.found("i-1", write(40), NOW + 9)
    assert over.step is Step.LOG
    assert over.reasons == (f"{PER_INCIDENT} leases were made for this incident; look at it",)
    assert answering.found("i-1", write(40), NOW + 10) == []  # said once


def test_a_name_that_the_enforcer_has_is_not_given_again(answering: Answering) -> None:
    answering.taken = {"l-i-1", "l-i-1-2"}
    assert [x.id for x in leases(answering.found("i-1", write(40), NOW))] == ["l-i-1-3"]


def test_nobody_who_is_never_blocked_is_answered_and_the_reason_is_told() -> None:
    policy = replace(PLANT, never=(ip_network(f"{CENTRE}/32"),))
    (decision,) = Answering(Site.of(policy, TALKS, NOW)).found("i-1", write(40), NOW)
    assert decision.lease is None
    assert decision.reasons == (f"{CENTRE} is never blocked (never-block list, management)",)


def test_the_cap_of_the_hour_holds_over_incidents(answering: Answering) -> None:
    for k in range(LIMITS.blocks_per_hour):
        assert len(leases(answering.found(f"i-{k}", intruder(k), NOW))) == 1
    (decision,) = answering.found("i-99", write(40), NOW)
    assert "blocks in the last hour" in decision.reasons[0]


def test_of_a_bacnet_client_only_the_service_is_taken_on_a_bridge_too() -> None:
    """ReadProperty was learned, with any invoke id; WriteProperty is dropped with any, and a read with none."""
    read = bytes.fromhex("810a001101040205000c0c0000000119550000"[:34])
    write = bytes.fromhex("810a001601040205010f0c0080000119553e44424800003f")
    udp = Service("udp", 47808)
    closed = bytes((1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1))
    client, server = ip_network(f"{CENTRE}/32"), ip_network(f"{PLC}/32")
    ask = Ask(read.ljust(96, b"\0"), closed.ljust(96, b"\0"), len(read), 1000, Intent.READ, "ReadProperty")
    conversation = TALKS[0].conversation
    talk = Talk(conversation, client, server, udp, "bacnet", (ask,), True, True)
    answering = Answering(Site.of(replace(PLANT, bridge=True), [talk], NOW))
    finding = replace(write_finding(write), service="udp/47808")
    (lease,) = leases(answering.found("i-1", finding, NOW))
    g = Generation(1, leases=(lease,), bridge=True)
    for invoke in (0, 7, 255):
        for payload, passes in ((write, False), (read, True)):
            sent = payload[:8] + bytes((invoke,)) + payload[9:]
            assert judge(g, ip_address(CENTRE), ip_address(PLC), udp, sent, NOW).passes is passes
    segmented = write[:6] + b"\x0a" + write[7:]
    fresh = Answering(answering.site)
    (left,) = fresh.found("i-2", replace(finding, payload=segmented), NOW)
    assert "block function: its service is not where the kernel looks" in left.reasons


def write_finding(payload: bytes) -> Finding:
    return found(Kind.UNKNOWN_COMMAND, payload)


TERM = LIMITS.longest_lease


def test_what_a_lease_stops_is_not_answered_again_in_another_incident(answering: Answering) -> None:
    assert len(leases(answering.found("i-1-7", write(40), NOW))) == 1
    assert answering.found("i-2-1", write(40), NOW) == []  # the sensor was started anew and gives new numbers
    assert len(answering.holding.leases) == 1


@pytest.mark.parametrize(("asked", "at", "due"), [
    (0, TERM - 1, False),  # only what it was found by
    (TERM // 3, TERM - 1, False),  # in the first half of its time
    (TERM // 2, TERM - 1, True),
    (TERM // 2, TERM // 2, False),  # not yet
    (TERM - 1, TERM, False),  # it is over
])  # fmt: skip
def test_a_lease_is_renewed_shortly_before_its_end_where_what_it_stops_goes_on(
    answering: Answering, asked: int, at: int, due: bool
) -> None:
    (lease,) = leases(answering.found("i-1", write(40), NOW))
    if asked:
        assert answering.found("i-1", replace(write(40), time_ns=NOW + asked), NOW + asked) == []
    longer = answering.due(NOW + at)
    assert longer == ([replace(lease, until=NOW + at + TERM)] if due else [])


def test_renewals_are_blocks_of_the_hour_and_take_half_of_them(answering: Answering) -> None:
    now = NOW
    assert len(leases(answering.found("i-1", write(40), now))) == 1

    def due() -> list[Lease]:
        """After a time in which the attack went on."""
        answering.found("i-1", replace(write(40), time_ns=now - 9), now - 9)
        return answering.due(now)

    for k in range(LIMITS.renewals_per_hour):
        now += TERM - 1
        (lease,) = due()
        answering.renewed(lease, now)
        assert answering.recent(now) == k + 2
    now += TERM - 1
    assert due() == []
    for k in range(LIMITS.blocks_per_hour - LIMITS.renewals_per_hour - 1):  # others still find room
        assert len(leases(answering.found(f"i-9{k}", replace(intruder(k), time_ns=now), now))) == 1


def test_leases_that_are_over_are_forgotten_also_where_nobody_says_so(answering: Answering) -> None:
    for k in range(30):  # posture observe: no lease is ever in force, so none ever ends
        at = NOW + k * 10 * TERM
        assert len(leases(answering.found(f"i-{k}", replace(intruder(k), time_ns=at), at))) == 1
    assert len(answering.holding.leases) == 1


def test_planned_work_renews_nothing(answering: Answering) -> None:
    answering.found("i-1", write(40), NOW)
    answering.told("i-1", Cause.MAINTENANCE, 0.9, NOW)
    answering.found("i-1", replace(write(40), time_ns=NOW + TERM - 9), NOW + TERM - 9)
    assert answering.due(NOW + TERM - 8) == []


def test_what_an_earlier_keeper_put_in_force_is_adopted(answering: Answering) -> None:
    (lease,) = leases(answering.found("i-1-7", write(40), NOW))
    heir = Answering(answering.site)
    heir.adopt([lease], answering.blocks)
    assert heir.found("i-1-7", replace(write(40), time_ns=NOW + TERM - 9), NOW + TERM - 9) == []  # no double
    assert [x.id for x in heir.due(NOW + TERM - 8)] == [lease.id]
    assert heir.recent(NOW) == 1


WINDOW = Once(NOW - 10**9, NOW + 10**9)
WORK = Plan("Pump 3", (ip_network(f"{CENTRE}/32"),), (ip_network(f"{PLC}/32"),), (WINDOW,), UTC, frozenset({"write"}))


def planning(plan: Plan) -> Answering:
    return Answering(Site.of(PLANT, TALKS, NOW, [plan]))


def test_work_of_a_plan_is_never_answered_and_what_it_does_not_name_is() -> None:
    assert planning(WORK).found("i-1", write(40), NOW) == []
    late = replace(write(40), time_ns=NOW + 2 * 10**9)
    assert len(leases(planning(WORK).found("i-1", late, NOW + 2 * 10**9))) == 1
    assert len(leases(planning(WORK).found("i-1", intruder(1), NOW))) == 1
    assert len(leases(planning(replace(WORK, may=frozenset({"read"}))).found("i-1", write(40), NOW))) == 1


def test_a_command_that_only_words_can_tell_waits_for_them() -> None:
    unknown = write(40, 100)  # no table of ours knows function 100
    answering = planning(WORK)
    assert answering.found("i-1", unknown, NOW) == []
    assert answering.told("i-1", Cause.MAINTENANCE, 0.9, NOW) == []
    answering = planning(WORK)
    assert answering.found("i-1", unknown, NOW) == []
    assert len(leases(answering.told("i-1", Cause.SECURITY, 0.9, NOW))) == 1


def test_what_comes_after_planned_work_and_is_not_of_it_is_answered_at_once() -> None:
    answering = planning(WORK)
    answering.found("i-1", write(40), NOW)
    answering.told("i-1", Cause.MAINTENANCE, 0.9, NOW)
    late = NOW + 2 * 10**9
    assert len(leases(answering.found("i-1", replace(write(41), time_ns=late), late))) == 1

"""Rules as kernel text and what may be asked: pure functions, without a kernel."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.policy import RENEWALS, SECOND
from appliance.decide.records import generation_json
from appliance.decide.rules import Allow, Generation, Lease, Mode, Pattern, Protected, Service, Step
from appliance.decode.framing import Framing
from appliance.enforce import desk as acts
from appliance.enforce.changes import Elements, Tables
from appliance.enforce.desk import WIDEST, Desk
from appliance.enforce.leases import end_lease, lease_elements, leases_table
from appliance.enforce.listing import normalised
from appliance.enforce.table import Trial, policy_table
from appliance.errors import RulesError

MODBUS = Service("tcp", 502)
CLIENT, SERVER = ip_network("10.0.0.1/32"), ip_network("10.0.0.11/32")
NOW = 1_800_000_000 * SECOND


def generation(number: int, mode: Mode = Mode.ENFORCE) -> Generation:
    allow = Allow(CLIENT, SERVER, MODBUS, 6, (Pattern(0x01030000, 0x0103FFFF),), (12,), framing=Framing(4, 2, True, 6))
    return Generation(number, (ip_network("192.0.2.0/24"),), (Protected(SERVER, MODBUS, mode),), (allow,))


def lease(name: str = "l-1", step: Step = Step.FUNCTION, seconds: int = 60, **more: object) -> Lease:
    base = Lease(name, step, CLIENT, SERVER, MODBUS, 6, Pattern(0x01060000, 0x0106FFFF), NOW + seconds * SECOND, "write", "i-1")
    return replace(base, **more)  # type: ignore[arg-type]


def test_the_allowlist_is_elements_and_the_lookup_is_one() -> None:
    text = policy_table(generation(3))
    assert "10.0.0.1/32 . 10.0.0.11/32 . 0x01030000-0x0103ffff" in text
    assert "10.0.0.11/32 . tcp . 502 : goto g3_tcp_502_enforce4" in text
    assert "52 . 5 . 0x6" in text  # 20 + 20 + 12 bytes, and six bytes after the length field
    assert text.count("reject with tcp reset") == 2
    assert text.index("@g3_never4 accept") < text.index("vmap @g3_protected4")


def test_what_is_only_observed_is_not_in_the_kernel() -> None:
    text = policy_table(generation(3, Mode.OBSERVE))
    assert "tcp_502" not in text
    assert "reject" not in text


def test_a_bridge_drops_and_never_rejects() -> None:
    text = policy_table(replace(generation(3), bridge=True))
    assert text.startswith("add table bridge sekisho\ndelete table bridge sekisho\n")
    assert "reject" not in text


def test_a_trial_stands_beside_what_is_confirmed() -> None:
    text = policy_table(generation(3), Trial(generation(4), 60))
    assert "ip timeout 60s" in text
    assert text.index("@trial goto g4") < text.index("jump g3")


def test_more_rules_are_elements_not_rules() -> None:
    one = generation(1)
    many = replace(
        one, allowed=tuple(replace(one.allowed[0], client=ip_network(f"10.1.{k // 250}.{k % 250}/32")) for k in range(2000))
    )
    assert len(policy_table(many).splitlines()) == len(policy_table(one).splitlines())


def test_overlapping_networks_are_told_once() -> None:
    g = replace(generation(1), never=tuple(ip_network(n) for n in ("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", "11.0.0.1/32")))
    assert "elements = { 10.0.0.0/8, 11.0.0.1/32 }" in policy_table(g)


@given(st.integers(0, 0xFFFF), st.sampled_from(list(Step)), st.integers(1, 3000))
def test_a_lease_is_elements_with_the_time_it_has_left(register: int, step: Step, seconds: int) -> None:
    wanted = lease(step=step, seconds=seconds, pattern=Pattern(0x01060000 | register, 0x0106FFFF))
    for _, key, left in lease_elements(wanted, NOW):
        assert left == seconds
        assert key.startswith(("10.0.0.1", "10.0.0.11"))
    assert lease_elements(wanted, wanted.until) == []


def test_leases_are_laid_out_again_with_a_new_policy() -> None:
    desk = acts.lease(Desk(generation(1)), lease(), WIDEST, "sensor", NOW).desk
    later = acts.apply(desk, generation(2), 60, "A. Sato", NOW + 20 * SECOND)
    assert "timeout 40s" in later.change.text
    assert end_lease(desk.confirmed, lease()).text.startswith("add element inet sekisho_leases said_tcp_502_6_4")
    assert "said_tcp_502_6_4" in leases_table(desk.confirmed, NOW)


def test_a_lease_that_looks_elsewhere_lays_the_table_out_and_the_next_one_is_an_element() -> None:
    bare = Desk(replace(generation(1), allowed=()))
    first = acts.lease(bare, lease(), WIDEST, "sensor", NOW)
    assert isinstance(first.change, Tables)
    assert not first.change.policy  # the policy's counters go on
    assert "@ih,48,32 @said_tcp_502_6_4 goto refuse" in first.change.text
    assert "0x01060000-0x0106ffff timeout 60s" in first.change.text
    second = acts.lease(first.desk, lease("l-2", pattern=Pattern(0x01050000, 0x0105FFFF)), WIDEST, "sensor", NOW)
    assert isinstance(second.change, Elements)
    assert "said_tcp_502_6_4" in acts.whole(second.desk, NOW).text
    assert isinstance(acts.lease(Desk(generation(1)), lease(), WIDEST, "sensor", NOW).change, Elements)


def test_without_a_policy_nobody_is_blocked() -> None:
    with pytest.raises(RulesError, match="apply one first"):
        acts.lease(Desk(Generation(0)), lease(), WIDEST, "sensor", NOW)


def test_trial_confirm_and_the_one_way_back() -> None:
    start = Desk(Generation(0))
    tried = acts.apply(start, generation(1), 60, "A", NOW).desk
    with pytest.raises(RulesError, match="on trial"):
        acts.apply(tried, generation(2), 60, "A", NOW)
    assert acts.tick(tried, NOW + 61 * SECOND)[0].desk == start
    held = acts.confirm(tried, "A", NOW).desk
    assert (held.confirmed.number, held.trial) == (1, None)
    back = acts.rollback(held, "A", NOW)
    assert back.desk.confirmed == start.confirmed
    with pytest.raises(RulesError, match="no generation to go back to"):
        acts.rollback(back.desk, "A", NOW)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (lease(source=ip_network("192.0.2.9/32")), "never blocked"),
        (lease(step=Step.ISOLATE, source=ip_network("192.0.0.0/8"), target=None), "never blocked"),
        (lease(seconds=7200), "longer than"),
        (lease(offset=61), "not possible here"),
        (lease(seconds=-5), "not possible here"),
        (lease(step=Step.PAIR), "do not allow it"),
    ],
)
def test_a_lease_that_must_not_be_is_refused(wanted: Lease, why: str) -> None:
    with pytest.raises(RulesError, match=why):
        acts.lease(Desk(generation(1)), wanted, replace(WIDEST, steps=(Step.FUNCTION, Step.ISOLATE)), "sensor", NOW)


def test_leases_are_capped_by_the_hour() -> None:
    desk, limits = Desk(generation(1)), replace(WIDEST, blocks_per_hour=3)
    for k in range(3):
        desk = acts.lease(desk, lease(f"l-{k}"), limits, "sensor", NOW + k).desk
    with pytest.raises(RulesError, match="within the hour"):
        acts.lease(desk, lease("l-9"), limits, "sensor", NOW + SECOND)
    assert acts.lease(desk, lease("l-9", seconds=7000), limits, "sensor", NOW + 3601 * SECOND).desk.leases.keys() >= {"l-9"}


def test_a_lease_is_renewed_in_one_transaction_and_ends_later() -> None:
    desk = acts.lease(Desk(generation(1)), lease(), WIDEST, "s", NOW).desk
    act = acts.renew(desk, "l-1", NOW + 90 * SECOND, WIDEST, "s", NOW + 50 * SECOND)
    assert isinstance(act.change, Elements)
    assert [line.split()[0] for line in act.change.text.splitlines()] == ["add", "delete", "add"]
    assert act.change.text.endswith("timeout 40s }\n")
    assert act.desk.leases["l-1"] == replace(desk.leases["l-1"], until=NOW + 90 * SECOND)
    assert (act.record["what"], act.record["until"]) == ("lease renewed", NOW + 90 * SECOND)
    assert [a.record["what"] for a in acts.tick(act.desk, NOW + 89 * SECOND)] == []
    assert [a.record["what"] for a in acts.tick(act.desk, NOW + 90 * SECOND)] == ["lease ended"]


@pytest.mark.parametrize(("name", "until", "at", "why"), [
    ("l-9", 90, 50, "not in force"),
    ("l-1", 90, 60, "over"),  # the kernel has ended it
    ("l-1", 60, 50, "renewed for longer already"),
    ("l-1", 3700, 50, "longer than"),
])  # fmt: skip
def test_a_renewal_that_must_not_be_is_refused(name: str, until: int, at: int, why: str) -> None:
    desk = acts.lease(Desk(generation(1)), lease(), WIDEST, "s", NOW).desk
    with pytest.raises(RulesError, match=why):
        acts.renew(desk, name, NOW + until * SECOND, WIDEST, "s", NOW + at * SECOND)


def test_who_must_not_be_blocked_any_more_has_no_lease_renewed() -> None:
    desk = acts.lease(Desk(generation(1)), lease(), WIDEST, "s", NOW).desk
    desk = replace(desk, confirmed=replace(desk.confirmed, never=(lease().source,)))
    with pytest.raises(RulesError, match="never blocked"):
        acts.renew(desk, "l-1", NOW + 90 * SECOND, WIDEST, "s", NOW)


def test_renewals_are_capped_by_lease_and_by_hour() -> None:
    limits = replace(WIDEST, blocks_per_hour=4 * RENEWALS)
    desk = acts.lease(Desk(generation(1)), lease(), limits, "s", NOW).desk
    for k in range(1, RENEWALS + 1):
        desk = acts.renew(desk, "l-1", NOW + (60 + k) * SECOND, limits, "s", NOW + k * SECOND).desk
    assert len(desk.made) == 1 + RENEWALS  # each counts
    with pytest.raises(RulesError, match="renewed 5 times"):
        acts.renew(desk, "l-1", NOW + 90 * SECOND, limits, "s", NOW + 9 * SECOND)
    desk = acts.lease(desk, lease("l-2"), limits, "s", NOW).desk
    with pytest.raises(RulesError, match="5 renewals within the hour"):
        acts.renew(desk, "l-2", NOW + 90 * SECOND, replace(limits, blocks_per_hour=10), "s", NOW + 9 * SECOND)
    assert acts.renew(desk, "l-2", NOW + 90 * SECOND, limits, "s", NOW + 9 * SECOND).desk.leases.keys() == {"l-1", "l-2"}


def test_a_desk_survives_its_json() -> None:
    desk = acts.lease(acts.apply(Desk(generation(1)), generation(2), 60, "A", NOW).desk, lease(), WIDEST, "s", NOW).desk
    assert acts.desk_from(acts.rules_json(desk), acts.leases_json(desk)) == desk
    assert generation_json(desk.confirmed)["number"] == 1


def test_what_moves_by_itself_is_left_out_of_a_listing() -> None:
    listing = """table inet sekisho {
\tcounter a {
\t\tpackets 7 bytes 700
\t}
\tset x {
\t\ttypeof ip saddr
\t\tflags timeout
\t\telements = { 10.0.0.1 timeout 1m expires 59s12ms,
\t\t\t     10.0.0.2 timeout 1m expires 3s }
\t}
\tset y {
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = { 10.0.0.9 }
\t}
}"""
    text = normalised(listing)
    assert "10.0.0.1" not in text
    assert "10.0.0.2" not in text
    assert "10.0.0.9" in text
    assert "packets 0 bytes 0" in text

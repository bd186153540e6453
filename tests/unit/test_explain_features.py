"""Incidents as numbers: what is counted, what a site adds, and that nothing that can come makes it fail."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.detect.finding import Finding, Kind
from appliance.explain.features import FEATURES, GROUPS, NAMES, STEP, features, group_of
from appliance.explain.site import Partner, Site, site_of
from appliance.protocols import Intent, Words
from tests.unit.dialogue import CENTRE, Plant, learn, mac_of
from tests.unit.frames import SECOND

HMI, PLC, OTHER, STRANGER = "10.0.0.1", "10.0.0.11", "10.0.0.2", "10.0.0.99"
SITE = Site(
    {
        HMI: Partner({"tcp/502": 1.0}, frozenset({PLC})),
        OTHER: Partner({"tcp/502": 0.1, "udp/123": 0.9}, frozenset({PLC})),
        PLC: Partner(clients=frozenset({HMI, OTHER}), services=frozenset({"tcp/502"})),
    },
    {"02:00:0a:00:00:02": frozenset({OTHER})},
)
COMMAND = Finding(7, 100 * SECOND, HMI, PLC, HMI, "tcp/502", Kind.UNKNOWN_COMMAND, ((7, 8),), b"\x05", (b"\x03",))
SILENCE = Finding(None, 100 * SECOND, PLC, HMI, HMI, "tcp/502", Kind.SILENCE)
MOVE = Finding(9, 130 * SECOND, PLC, HMI, PLC, "eth", Kind.ADDRESS_CHANGE, (), bytes.fromhex("02000a0000ff"), (mac_of(PLC),))


def named(*findings: Finding, words: list[Words | None] | None = None, site: Site | None = SITE) -> dict[str, float]:
    return dict(zip(NAMES, features(findings, words or [], site).tolist(), strict=True))


def test_there_is_a_group_for_every_kind_and_direction() -> None:
    for kind in Kind:
        for client in (HMI, PLC):
            assert group_of(replace(COMMAND, kind=kind, client=client)) in GROUPS
    assert all(meaning for meaning in FEATURES.values())


def test_a_stranger_a_person_and_a_cyclic_master_differ() -> None:
    master, person = named(COMMAND), named(replace(COMMAND, src=OTHER, client=OTHER))
    stranger = named(replace(COMMAND, src=STRANGER, client=STRANGER, kind=Kind.NEW_ASSET))
    assert [x["actor.presence"] for x in (master, person, stranger)] == [1.0, 0.25, -1.0]
    assert [x["actor.used"] for x in (master, person, stranger)] == [1.0, 1.0, -1.0]
    assert [x["actor.stranger"] for x in (master, person, stranger)] == [0.0, 0.0, 1.0]


def test_who_suffers_does_not_hide_who_acts() -> None:
    act, outage = replace(COMMAND, src=OTHER, client=OTHER), replace(SILENCE, time_ns=SILENCE.time_ns + 9 * SECOND)
    row = named(act, outage)
    assert (row["acts"], row["actor.presence"], row["actor.pairs"]) == (0.5, 0.25, 1.0)
    assert named(outage)["acts"] == 0.0


def test_a_device_that_asks_what_it_is_asked_for_differs_from_a_master_that_serves_something_else() -> None:
    clock = replace(SITE.of(HMI), clients=frozenset({PLC}), services=frozenset({"udp/123"}))
    site = replace(SITE, partners={**SITE.partners, HMI: clock})
    assert named(COMMAND, site=site)["actor.serves"] == 0.0
    assert named(replace(COMMAND, src=PLC, dst=HMI, client=PLC), site=site)["actor.serves"] == 1.0


def test_a_newcomer_that_is_asked_is_no_stranger_that_acts() -> None:
    answers = replace(COMMAND, src=STRANGER, dst=HMI, client=HMI, kind=Kind.NEW_ASSET)
    asked = replace(COMMAND, dst=STRANGER, kind=Kind.NEW_CONVERSATION)
    row = named(answers, asked)
    assert (row["new.asked"], row["actor.stranger"], row["actor.pairs"]) == (1.0, 0.0, 0.0)


def test_a_reconnect_is_no_act_where_words_say_so() -> None:
    opening, write = (Words("enip", "x", "x", intent) for intent in (Intent.SESSION, Intent.WRITE))
    assert named(COMMAND, words=[opening])["acts"] == 0.0
    assert named(COMMAND, words=[write])["acts"] == 1.0


def test_what_comes_first_is_told() -> None:
    late = replace(SILENCE, time_ns=SILENCE.time_ns + 20 * SECOND)
    early = replace(SILENCE, time_ns=SILENCE.time_ns - 20 * SECOND)
    assert named(COMMAND, late)["failure.first"] == -1
    assert named(early, COMMAND)["failure.first"] == 1
    assert named(SILENCE)["failure.first"] == 1
    assert named(COMMAND)["failure.first"] == 0


def test_a_failure_that_meets_all_who_poll_differs_from_one_that_meets_one() -> None:
    two = replace(SITE, partners={**SITE.partners, OTHER: Partner({"tcp/502": 0.95}, frozenset({PLC}))})
    assert named(SILENCE, site=two)["affected"] == 0.0
    assert named(SILENCE, replace(SILENCE, dst=OTHER, client=OTHER), site=two)["affected"] == 1.0
    assert named(SILENCE)["affected"] == 0.5, "who looks in now and then is not expected to meet it, and one is no witness"
    rare = replace(SITE, partners={**SITE.partners, HMI: SITE.of(OTHER)})
    assert named(SILENCE, site=rare)["affected"] == 0.0, "where all look in now and then, all are"
    assert named(COMMAND)["affected"] == -1


def test_an_exchange_differs_from_a_place_that_was_taken() -> None:
    exchanged = named(SILENCE, MOVE)
    taken = named(replace(MOVE, seen=mac_of(OTHER)))
    assert exchanged["moved.after"] == pytest.approx(np.log1p(30), abs=STEP / 2)
    assert (exchanged["moved.taken"], taken["moved.taken"]) == (0.0, 1.0)
    both = named(MOVE, replace(MOVE, src=OTHER))
    assert (exchanged["moved.shared"], both["moved.shared"]) == (1.0, 2.0)
    assert taken["moved.after"] == -1
    at_once = [replace(MOVE, src=who, kind=Kind.DUPLICATE_ADDRESS) for who in (PLC, OTHER)]
    assert (both["moved.twice"], named(*at_once, *[COMMAND] * 40)["moved.twice"]) == (0.0, 2.0)
    assert named(MOVE)["moved.vendor"] == 1.0
    assert named(replace(MOVE, seen=bytes.fromhex("3c970e000001")))["moved.vendor"] == 0.0


def test_words_say_what_requests_want_and_answers_refuse() -> None:
    write, refusal = (Words("modbus", "x", "x", intent) for intent in (Intent.WRITE, Intent.ERROR))
    answer = replace(COMMAND, src=PLC, dst=HMI, kind=Kind.UNKNOWN_VALUE)
    row = named(COMMAND, answer, words=[write, refusal])
    assert (row["intent.write"], row["errors"], row["spoken"]) == (1.0, 1.0, 1.0)
    assert named(COMMAND, answer)["intent.write"] == 0.0


def test_a_site_is_read_from_a_baseline() -> None:
    site = site_of(learn(Plant().run(300).sorted()))
    device = Plant.address(0)
    assert site.of(CENTRE).servers == {Plant.address(0), Plant.address(1)}
    assert site.of(device).clients == {CENTRE}
    assert site.of(device).services == {"tcp/7001"}
    assert site.of(CENTRE).presence["tcp/7001"] > 0.9
    assert site.owners[mac_of(device).hex(":")] == {device}
    assert not site.knows(STRANGER)


ADDRESS = st.sampled_from([HMI, PLC, OTHER, STRANGER, "fe80::1", "00:11:22:33:44:55"])
FINDINGS = st.builds(
    Finding,
    frame=st.none() | st.integers(1, 99),
    time_ns=st.integers(0, 2**62),
    src=ADDRESS,
    dst=ADDRESS,
    client=ADDRESS,
    service=st.sampled_from(["tcp/502", "eth", "udp/1"]),
    kind=st.sampled_from(list(Kind)),
    ranges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2).map(tuple),
    seen=st.binary(max_size=6),
    normal=st.lists(st.binary(max_size=6), max_size=2).map(tuple),
    count=st.integers(0, 2**40),
)
HEARD = st.none() | st.sampled_from([Words("m", "s", "s", intent) for intent in Intent])


@given(st.lists(FINDINGS, max_size=8), st.lists(HEARD, max_size=9), st.none() | st.just(SITE))
def test_any_findings_give_finite_numbers_in_any_order(
    findings: list[Finding], heard: list[Words | None], site: Site | None
) -> None:
    row = features(findings, heard, site)
    assert row.shape == (len(NAMES),)
    assert np.isfinite(row).all()
    assert np.array_equal(features(findings[::-1], [], site), features(findings, [], site))

"""Rules compiled from what was learned, over captures of the lab: attacks are refused as far as said, nothing else is."""

from pathlib import Path

import pytest

from appliance.decide.judge import Outcome
from appliance.decide.rules import Exactness
from appliance.learn.baselines.ledger import Signed
from appliance.learn.meaning.suspects import left_out, suspects
from tests.replay.allowlist import all_of_it, compiled, judged, learned

NORMAL = [
    ("mixed-normal", "10.45.1.0/24"),
    ("modbus-normal", "10.40.0.0/16"),
    ("modbus-fault", "10.40.0.0/16"),
    ("bacnet-fault", "10.42.0.0/16"),
    ("enip-fault", "10.41.0.0/16"),
    ("network-fault", "10.0.0.0/8"),
    ("modbus-scan", "10.0.0.0/8"),
]


@pytest.mark.parametrize(("case", "network"), NORMAL)
def test_no_request_of_a_learned_plant_is_refused(case: str, network: str) -> None:
    baseline = learned(case)
    c, _ = compiled(all_of_it(network), baseline)
    seen = judged(case, c, baseline)
    assert seen.of(0, Outcome.REFUSED) == 0
    assert seen.of(0, Outcome.ALLOWED) > 400


@pytest.mark.parametrize(
    ("case", "network", "refused", "passed"),
    [
        # a function scan, writes of a stranger and a register that nobody writes: all of it
        ("modbus-attack", "10.40.2.0/24", {"function-scan", "unknown-host-writes-coils", "master-writes-parameter"}, set()),
        # the fan is stopped by a message of a length that no request of the station has
        (
            "bacnet-attack",
            "10.42.1.0/24",
            {"unknown-host-asks-who-is", "unknown-host-writes-limit", "unknown-host-reinitializes", "station-stops-fan"},
            set(),
        ),
        # what a known client says inside CIP is not seen, and nobody guards the broadcast: said as L4-only
        (
            "enip-attack",
            "10.41.1.0/24",
            {"unknown-host-writes-setpoint"},
            {"unknown-host-lists-identity", "master-writes-limit", "master-resets-controller"},
        ),
        # the length and the stranger are told; what the controller may say at all is not looked into
        (
            "unknown-protocol-attack",
            "10.43.0.0/16",
            {"unknown-host-doses", "length-lies"},
            {"controller-overdoses", "controller-sends-unused-command"},
        ),
    ],
)
def test_requests_of_attacks_are_refused_and_others_pass(case: str, network: str, refused: set[str], passed: set[str]) -> None:
    baseline = learned(case)
    c, _ = compiled(all_of_it(network), baseline)
    seen = judged(case, c, baseline)
    assert (seen.refused_in, seen.passed_in) == (refused, passed)
    assert seen.of(0, Outcome.REFUSED) == 0


def test_how_exact_the_kernel_is_is_said_per_conversation() -> None:
    c, _ = compiled(all_of_it("10.45.1.0/24"), learned("mixed-normal"))
    exact = {(str(e.talk.service), e.exactness) for e in c.entered if e.allow}
    assert ("tcp/502", Exactness.FUNCTION) in exact
    assert ("udp/47808", Exactness.COMMAND) in exact
    assert {level for service, level in exact if service in ("tcp/44818", "tcp/4410")} == {Exactness.L4}
    assert all(e.note for e in c.entered if e.exactness is not Exactness.FUNCTION)


def test_learned_writes_stay_out_unless_the_policy_lets_them_in() -> None:
    baseline = learned("modbus-attack")
    c, talks = compiled(all_of_it("10.40.2.0/24", ("read", "identify")), baseline)
    left = {a.function for e in c.entered for a in e.left if e.talk.protocol == "modbus"}
    assert left == {"Write Single Coil", "Write Single Register"}
    hmi = next(e for e in c.entered if e.talk.text() == "10.40.2.21 -> 10.40.2.11 tcp/502")
    assert hmi.allow is not None
    functions = {p.first >> 16 & 0xFF for p in hmi.allow.patterns}
    assert functions == {1, 2, 3}
    assert "learned: does not let in write" in hmi.why
    assert len([t for t in talks if t.protocol == "modbus"]) == 5


def test_what_the_kernel_cannot_tell_apart_enters_whole_or_not_at_all() -> None:
    c, _ = compiled(all_of_it("10.41.1.0/24", ("read",)), learned("enip-attack"))
    cip = [e for e in c.entered if e.talk.protocol == "enip"]
    assert cip
    assert all(e.allow is None and "cannot tell" in e.why for e in cip)


def test_what_waits_for_review_does_not_enter_until_somebody_confirms_it() -> None:
    """Learned from the capture with the attack in it: the stranger is listed, left out, and let in once confirmed."""
    baseline = learned("modbus-attack", "test.pcap")
    open_ones = suspects(baseline)
    stranger = "10.40.2.66"
    assert stranger in {s.client for s in open_ones}
    waiting, _ = compiled(all_of_it("10.40.2.0/24"), baseline, left_out(open_ones))
    mine = [e for e in waiting.entered if e.talk.text().startswith(stranger) and e.talk.answered]
    assert mine
    assert all(e.allow is None and "baseline review" in e.why for e in mine)
    for s in open_ones:
        baseline.ledger.confirmed[s.id] = Signed(1, "A. Sato", "looked at")
    sure, _ = compiled(all_of_it("10.40.2.0/24"), baseline, left_out(suspects(baseline)))
    assert any(e.allow is not None for e in sure.entered if e.talk.text().startswith(stranger))


@pytest.mark.parametrize(
    ("name", "network", "attacks"), [("bacnet-reinitialize", "172.16.0.0/12", 120), ("enip-clean", "0.0.0.0/0", 0)]
)
def test_public_captures(shared: Path, name: str, network: str, attacks: int) -> None:
    case = str(shared / "pcaps" / "cases" / name)
    baseline = learned(case)
    c, _ = compiled(all_of_it(network), baseline)
    seen = judged(case, c, baseline)
    assert seen.of(0, Outcome.REFUSED) == 0
    assert seen.of(0, Outcome.ALLOWED) > 500
    assert seen.of(1, Outcome.REFUSED) == sum(n for (label, _), n in seen.requests.items() if label == 1) == attacks

"""Accepting one incident of a real capture silences what it is about, for good, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.decode.headers import DecodeState, decode
from appliance.detect.accept import deviations
from appliance.host.files import open_capture
from appliance.incident.incident import Incident
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.baselines.ledger import Acceptance, Allowed, Ledger, Signed
from appliance.learn.meaning.model import derive
from appliance.packets.reader import batches
from appliance.pipeline import State, finish, learn_session, step

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "pcaps" / "cases"
LAB = [
    "bacnet-attack", "bacnet-fault", "enip-attack", "enip-fault", "modbus-attack", "modbus-fault", "modbus-scan",
    "network-fault", "unknown-protocol-attack",
]  # fmt: skip
PUBLIC = ["bacnet-reinitialize", "enip-change-time", "enip-clean", "enip-lock-plc", "modbus-exploit", "modbus-fake-command"]
MOST = 4  # incidents accepted of one case, each on its own
Stories = dict[tuple[str, ...], Incident]


def learned(case: Path) -> Baseline:
    def frames():  # type: ignore[no-untyped-def]
        state = DecodeState()
        with open_capture(case / "train.pcap") as source:
            for batch in batches(source):
                yield decode(batch, state)

    return learn_session(frames)


def incidents(baseline: Baseline, case: Path) -> Stories:
    state, decoding = State.start(derive(baseline)), DecodeState()
    with open_capture(case / "test.pcap") as source:
        for batch in batches(source):
            state, _ = step(state, decode(batch, decoding))
    return finish(state)[0].grouping.incidents


def accepting(baseline: Baseline, *chosen: Incident) -> Baseline:
    entries = [Acceptance("a change", Signed(1, "A. Sato", "a test"), deviations(i.findings)) for i in chosen]
    return replace(baseline, ledger=Ledger({a.id: a for a in entries}))


def same(incident: Incident) -> set[Allowed]:
    """What an incident is about: another one with nothing else is accepted with it."""
    return {replace(deviation, count=0) for deviation in deviations(incident.findings)}


def check(case: Path) -> None:
    baseline = learned(case)
    before = incidents(baseline, case)
    assert before
    for key in list(before)[:MOST]:
        others = {other for other in before if not same(before[other]) <= same(before[key])}
        assert set(incidents(accepting(baseline, before[key]), case)) == others
        assert len(others) >= len(before) - 2
    assert incidents(accepting(baseline, *before.values()), case) == {}


@pytest.mark.parametrize("name", LAB)
def test_an_accepted_incident_of_the_lab_is_silent_and_all_others_are_told(name: str) -> None:
    check(ROOT / "pcaps" / name)


@pytest.mark.parametrize("name", PUBLIC)
def test_an_accepted_incident_of_a_public_capture_is_silent_and_all_others_are_told(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip("the shared captures are not here")
    check(SHARED / name)

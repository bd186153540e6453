"""Findings that share a story share an incident; ids stay, and commands come in the order in which they are to be told."""

from dataclasses import replace

import pytest

from appliance.commands import OpenIncident, TellFinding
from appliance.detect.finding import Finding, Kind
from appliance.incident import grouping as grouping_module
from appliance.incident.grouping import ACTORS, AFTERMATH, MAX_ASSETS, Grouping
from appliance.incident.incident import Cause, Incident, State
from appliance.incident.telling import SPOKEN, telling_findings, told
from appliance.learn.meaning.model import derive
from appliance.pipeline import State as PipelineState
from appliance.pipeline import finish, step
from appliance.protocols import Words
from tests.unit.dialogue import START, Plant, learn, passes
from tests.unit.frames import SECOND

COMMAND = Finding(7, 100 * SECOND, "10.0.0.1", "10.0.0.11", "10.0.0.1", "tcp/502", Kind.UNKNOWN_COMMAND, ((7, 8),), b"\x05")
STRANGER = replace(COMMAND, src="10.0.0.99", client="10.0.0.99", kind=Kind.NEW_ASSET)


def grouped(*findings: Finding) -> list[list[Finding]]:
    """Findings by incident, in the order in which incidents opened."""
    grouping = Grouping()
    for finding in findings:
        grouping.add(finding)
    return [incident.findings for incident in grouping.incidents.values()]


def at(finding: Finding, seconds: float, **changes: object) -> Finding:
    return replace(finding, time_ns=finding.time_ns + int(seconds * SECOND), **changes)  # type: ignore[arg-type]


def test_everything_a_newcomer_does_is_one_incident() -> None:
    story = [
        STRANGER,
        at(STRANGER, 1, dst="10.0.0.12", service="tcp/80"),
        at(STRANGER, 2, kind=Kind.SCAN, dst="10.0.0.13"),
        at(STRANGER, 3, kind=Kind.NEW_CONVERSATION, src="10.0.0.11", dst="10.0.0.99"),
    ]
    assert grouped(*story) == [story]


def test_requests_and_answers_of_a_conversation_are_told_apart_and_so_are_conversations() -> None:
    answer = at(COMMAND, 1, src="10.0.0.11", dst="10.0.0.1", kind=Kind.UNKNOWN_VALUE)
    elsewhere = at(COMMAND, 2, dst="10.0.0.12")
    again = at(COMMAND, 3, kind=Kind.WRONG_LENGTH)
    assert grouped(COMMAND, answer, elsewhere, again) == [[COMMAND, again], [answer], [elsewhere]]


def test_all_that_fails_at_one_device_is_one_outage() -> None:
    outage = [
        at(COMMAND, 0, kind=Kind.MISSING_ANSWER),
        at(COMMAND, 1, kind=Kind.SILENCE, src="10.0.0.11", dst="10.0.0.1", frame=None),
        at(COMMAND, 2, kind=Kind.CONNECTION_FAILURE, src="10.0.0.11", dst="10.0.0.2", client="10.0.0.2"),
    ]
    assert grouped(*outage) == [outage]


def test_a_device_that_fails_right_after_somebody_acted_on_it_is_the_same_story() -> None:
    """And one that fails long after is another."""
    failure = at(COMMAND, 5, kind=Kind.SILENCE, src="10.0.0.11", dst="10.0.0.2", client="10.0.0.2", frame=None)
    late = replace(failure, time_ns=failure.time_ns + 2 * AFTERMATH + SECOND)
    assert grouped(COMMAND, failure) == [[COMMAND, failure]]
    assert grouped(COMMAND, late) == [[COMMAND], [late]]
    assert grouped(failure, at(failure, -6)) == [[failure, at(failure, -6)]]


def test_a_failure_of_another_device_is_another_story() -> None:
    failure = at(COMMAND, 5, kind=Kind.SILENCE, src="10.0.0.12", dst="10.0.0.1", frame=None)
    assert len(grouped(COMMAND, failure)) == 2


def test_an_incident_spans_its_findings_and_counts_those_that_stand_for_many() -> None:
    grouping = Grouping()
    first, opened = grouping.add(at(COMMAND, 5, count=3))
    again, reopened = grouping.add(COMMAND)
    assert (opened, reopened, first is again) == (True, False, True)
    assert (first.id, first.total, first.state, first.cause) == ("i-1", 4, State.OPEN, Cause.UNKNOWN)
    assert (first.opened_ns, first.updated_ns) == (100 * SECOND, 105 * SECOND)
    assert first.assets == ["10.0.0.1", "10.0.0.11"]


def test_a_storm_is_counted_beyond_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping_module, "KEPT", 50)
    grouping = Grouping()
    for n in range(500):
        incident, _ = grouping.add(replace(STRANGER, frame=n, dst=f"10.1.{n // 250}.{n % 250}"))
    assert (len(grouping.incidents), incident.total, len(incident.findings)) == (1, 500, 50)
    assert len(incident.assets) == MAX_ASSETS


def test_an_incident_is_opened_before_its_first_finding_is_told_and_only_once() -> None:
    state = PipelineState.start(derive(learn(Plant(1).run(200).sorted())))
    commands = []

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return payload[:7] + b"\x05" + payload[8:] if asks and n % 20 == 9 else payload

    frames = Plant(2, opens=False, edit=edit).run(100, START + 9000 * SECOND).sorted()
    for batch in passes(frames, 64)():
        state, more = step(state, batch)
        commands += more
    state, more = finish(state)
    commands += more
    opened = [c.incident.id for c in commands if isinstance(c, OpenIncident)]
    tellings = [c for c in commands if isinstance(c, TellFinding)]
    assert opened == ["i-1", "i-2"]  # two conversations
    assert len(tellings) == 10
    for name in opened:
        order = [type(c) for c in commands if (c.incident.id if isinstance(c, OpenIncident) else c.incident) == name]
        assert order == [OpenIncident] + [TellFinding] * 5
    assert (state.first, state.last) == (frames[0][0], frames[-1][0])


def test_words_are_asked_for_a_few_findings_that_differ_most() -> None:
    storm = [replace(COMMAND, frame=n, payload=b"same") for n in range(100)]
    others = [replace(COMMAND, frame=200 + n, payload=b"other" * (n + 1)) for n in range(30)]
    chosen = telling_findings([*storm, *others])
    assert len(chosen) == SPOKEN
    assert [f.frame for f in chosen[:2]] == [0, 200]


def test_an_incident_told_is_a_further_revision_with_words_and_the_same_findings() -> None:
    asked: list[Finding] = []

    def speak(finding: Finding) -> Words | None:
        asked.append(finding)
        return None

    silent = Incident("i-7", 1, 2, findings=[replace(COMMAND, payload=b"x" * 12)], total=1)
    spoken = told(silent, speak)
    assert (spoken.id, spoken.revision, spoken.findings) == ("i-7", 2, silent.findings)
    assert spoken.title
    assert spoken.advice
    assert silent.revision == 1
    assert asked == silent.findings
    assert told(silent, speak, "ja").title != spoken.title


def test_a_device_that_comes_back_with_other_hardware_is_one_story_with_its_outage() -> None:
    silence = at(COMMAND, 0, kind=Kind.SILENCE, src="10.0.0.11", dst="10.0.0.1", frame=None)
    moved = at(COMMAND, 40, kind=Kind.ADDRESS_CHANGE, src="10.0.0.11", dst="10.0.0.1", client="10.0.0.11", seen=b"\2\0\0\0\0\1")
    changed = at(COMMAND, 90, kind=Kind.UNKNOWN_VALUE, src="10.0.0.11", dst="10.0.0.1")
    assert grouped(silence, moved, changed) == [[silence, moved, changed]]


def test_who_takes_the_place_of_two_is_one_story_with_what_he_forges() -> None:
    change = replace(COMMAND, kind=Kind.ADDRESS_CHANGE, seen=b"\2\0\0\0\0\1")
    moves = [at(change, n, src=f"10.0.0.1{n}", client=f"10.0.0.1{n}") for n in (1, 2)]
    elsewhere = at(change, 3, src="10.0.0.13", client="10.0.0.13", seen=b"\2\0\0\0\0\2")
    forged = at(COMMAND, 5, dst="10.0.0.12")
    assert grouped(*moves, elsewhere, forged) == [[*moves, forged], [elsewhere]]


def test_what_a_device_tells_others_after_a_newcomer_acted_belongs_to_the_newcomer() -> None:
    changed = at(COMMAND, 9, src="10.0.0.11", dst="10.0.0.1", kind=Kind.UNKNOWN_VALUE)
    act = replace(STRANGER, payload=b"\0\6")
    assert grouped(act, changed) == [[act, changed]]
    assert grouped(STRANGER, changed) == [[STRANGER], [changed]], "who only knocked did nothing to it"


def test_what_others_hear_after_somebody_acted_belongs_to_who_acted() -> None:
    act = at(replace(COMMAND, payload=b"\0\6"), 0, src="10.0.0.2", client="10.0.0.2")
    heard = at(COMMAND, 9, src="10.0.0.11", dst="10.0.0.1", kind=Kind.UNKNOWN_VALUE)
    assert grouped(act, heard) == [[act, heard]]


def test_a_device_that_looks_for_the_address_of_a_stranger_answers_him() -> None:
    asked = at(COMMAND, 1, src="10.0.0.11", dst="10.0.0.99", client="10.0.0.11", kind=Kind.DARK_ADDRESS, service="eth/0x0806")
    other = replace(asked, dst="10.0.0.77")
    assert grouped(STRANGER, asked, other) == [[STRANGER, asked], [other]]


def test_what_is_told_late_belongs_to_the_act_that_had_begun_before() -> None:
    acts = [STRANGER, at(STRANGER, 8)]
    late = at(COMMAND, 3, kind=Kind.MISSING_ANSWER)
    earlier = at(COMMAND, -3, kind=Kind.MISSING_ANSWER)
    assert grouped(*acts, late) == [[*acts, late]]
    assert grouped(*acts, earlier) == [acts, [earlier]]


def test_an_answer_missed_before_the_reconnect_belongs_to_who_acted_and_not_to_the_reconnect() -> None:
    """It is told last, when its time has run out."""
    act = replace(STRANGER, payload=b"\0\x5a")
    opened = at(COMMAND, 15, kind=Kind.WRONG_LENGTH)
    missing = at(COMMAND, 3, kind=Kind.MISSING_ANSWER)
    assert grouped(act, opened, missing) == [[act, missing], [opened]]
    crowd = [at(COMMAND, 4 + n, src=f"10.0.0.2{n}", client=f"10.0.0.2{n}") for n in range(ACTORS)]
    assert grouped(act, *crowd, missing)[0] == [act], "acts are remembered, but not without end"


def test_what_is_told_late_makes_no_outage_older() -> None:
    silence = at(COMMAND, 20, kind=Kind.SILENCE, src="10.0.0.11", dst="10.0.0.1", frame=None)
    late = at(COMMAND, 0, kind=Kind.MISSING_ANSWER)
    second = at(COMMAND, 42, kind=Kind.WRONG_LENGTH, src="10.0.0.2", client="10.0.0.2")
    assert grouped(silence, late, second) == [[silence, late, second]]


def test_a_device_that_is_late_and_then_silent_is_one_story() -> None:
    pace = at(COMMAND, 0, kind=Kind.PERIOD_CHANGE, frame=None)
    missing = at(COMMAND, 5, kind=Kind.MISSING_ANSWER)
    elsewhere = replace(missing, dst="10.0.0.12")
    assert grouped(pace, missing, elsewhere) == [[pace, missing], [elsewhere]]


def test_a_master_late_at_two_devices_on_which_it_acted_is_told_with_each_act() -> None:
    acts = [at(COMMAND, n, dst=f"10.0.0.1{n}") for n in (1, 2)]
    late = [at(COMMAND, 9 + n, kind=Kind.PERIOD_CHANGE, dst=f"10.0.0.1{n}", frame=None) for n in (1, 2)]
    assert grouped(*acts, *late) == [[acts[0], late[0]], [acts[1], late[1]]]


def test_what_a_device_says_of_itself_through_other_hardware_belongs_to_the_move() -> None:
    moved = at(COMMAND, 0, kind=Kind.ADDRESS_CHANGE, src="10.0.0.11", dst="10.0.0.1", client="10.0.0.11", seen=b"\2\0\0\0\0\1")
    says = at(COMMAND, 4, kind=Kind.IDENTITY_CHANGE, src="10.0.0.11", dst="10.0.0.1")
    elsewhere = replace(says, src="10.0.0.12")
    assert grouped(moved, says, elsewhere) == [[moved, says], [elsewhere]]


def test_what_a_scan_finds_is_part_of_the_scan() -> None:
    """But not what answers somebody else, nor what comes where nobody searched."""
    scan = at(STRANGER, 1, kind=Kind.SCAN, dst="10.0.0.77")
    found = at(STRANGER, 2, src="10.0.0.77", dst="10.0.0.99", client="10.0.0.77", service="eth/0x0806")
    another = replace(found, dst="10.0.0.1")
    assert grouped(STRANGER, scan, found) == [[STRANGER, scan, found]]
    assert grouped(STRANGER, scan, another) == [[STRANGER, scan], [another]]
    assert grouped(STRANGER, replace(scan, kind=Kind.NEW_CONVERSATION), found)[1:] == [[found]]


def test_a_client_that_falls_silent_is_one_story_however_many_miss_it() -> None:
    first, second = (at(COMMAND, n, kind=Kind.SILENCE, src=f"10.0.0.1{n}", dst="10.0.0.1", frame=None) for n in (1, 2))
    another = at(COMMAND, 3, kind=Kind.SILENCE, src="10.0.0.13", dst="10.0.0.2", client="10.0.0.2", frame=None)
    later = at(COMMAND, 300, kind=Kind.SILENCE, src="10.0.0.14", dst="10.0.0.1", frame=None)
    assert grouped(first, second, another, later) == [[first, second], [another], [later]]


def test_a_device_that_says_other_things_of_itself_after_work_on_it_or_an_outage_belongs_to_that() -> None:
    act = replace(STRANGER, payload=b"\0\x5a")
    says = at(COMMAND, 60, kind=Kind.IDENTITY_CHANGE, src="10.0.0.11", dst="10.0.0.1")
    assert grouped(act, says) == [[act, says]]
    silence = at(COMMAND, 0, kind=Kind.SILENCE, src="10.0.0.11", dst="10.0.0.1", frame=None)
    elsewhere = replace(says, src="10.0.0.12")
    assert grouped(silence, says, elsewhere) == [[silence, says], [elsewhere]]


def test_requests_out_of_order_two_minutes_after_an_outage_are_its_end_but_a_new_command_is_not() -> None:
    silence = at(COMMAND, 0, kind=Kind.SILENCE, src="10.0.0.11", dst="10.0.0.1", frame=None)
    again = at(COMMAND, 90, kind=Kind.WRONG_ORDER)
    command = at(COMMAND, 91)
    assert grouped(silence, again, command) == [[silence, again], [command]]


def test_an_answer_that_did_not_come_because_of_a_flood_is_dated_before_it_and_belongs_to_it() -> None:
    flood = at(COMMAND, 1, kind=Kind.FLOOD)
    missing = at(COMMAND, 0.5, kind=Kind.MISSING_ANSWER)
    assert grouped(flood, missing) == [[flood, missing]]


def test_a_master_that_loses_its_pace_and_its_order_is_one_story() -> None:
    pace = at(COMMAND, 0, kind=Kind.PERIOD_CHANGE, frame=None)
    late = at(COMMAND, 2, kind=Kind.WRONG_ORDER, dst="10.0.0.12")
    another = at(COMMAND, 3, kind=Kind.WRONG_ORDER, dst="10.0.0.12", src="10.0.0.2", client="10.0.0.2")
    assert grouped(pace, late, another) == [[pace, late], [another]]


def test_a_device_exchanged_so_quickly_that_only_its_pace_shows_it_is_one_story() -> None:
    pace = at(COMMAND, 0, kind=Kind.PERIOD_CHANGE, frame=None)
    moved = at(COMMAND, 5, kind=Kind.ADDRESS_CHANGE, src="10.0.0.11", dst="10.0.0.1", client="10.0.0.11", seen=b"\2\0\0\0\0\1")
    assert grouped(pace, moved) == [[pace, moved]]
    assert grouped(moved, at(pace, 9)) == [[moved, at(pace, 9)]], "whichever is told first"

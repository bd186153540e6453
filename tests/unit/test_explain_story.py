"""Cause, technique, advice and title of incidents as they happen in plants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.detect.finding import Finding, Kind
from appliance.explain.cause import judge
from appliance.explain.story import because, details, explain
from appliance.explain.technique import TECHNIQUES
from appliance.explain.texts import say
from appliance.protocols import Intent, Words
from appliance.protocols.decoders import words

if TYPE_CHECKING:
    from collections.abc import Sequence

WRITE_COIL = bytes.fromhex("00010000000601050002ff00")


def finding(kind: Kind, *, answer: bool = False, client: str = "10.0.0.1", server: str = "10.0.0.2", **more: object) -> Finding:
    src, dst = (server, client) if answer else (client, server)
    made = Finding(frame=7, time_ns=0, src=src, dst=dst, client=client, service="tcp/502", kind=kind)
    return replace(made, **more)  # type: ignore[arg-type]  # the tests name real fields


def said(intent: Intent, service: str = "Write Single Coil") -> Words:
    return Words("modbus", service, f"{service}, unit 1", intent)


COMMAND = finding(Kind.UNKNOWN_COMMAND, ranges=((7, 8),), seen=b"\5", normal=(b"\1", b"\2"), payload=WRITE_COIL)

CASES: list[tuple[str, Sequence[Finding], Sequence[Words | None], str, str, str]] = [
    (
        "a write from a newcomer",
        [finding(Kind.NEW_ASSET), COMMAND],
        [None, said(Intent.WRITE)],
        "security",
        "T0848",
        "check-output",
    ),
    ("a new write of a known master", [COMMAND], [said(Intent.WRITE)], "security", "T0855", "check-output"),
    ("a new command without words", [COMMAND], [], "security", "T0855", "ask-owner"),
    ("a new set value", [finding(Kind.UNKNOWN_VALUE)], [said(Intent.WRITE)], "unknown", "T0836", "check-output"),
    ("a restart", [COMMAND], [said(Intent.CONTROL, "Restart Communications")], "security", "T0816", "check-mode"),
    ("a controller locked", [COMMAND], [said(Intent.PROGRAM, "Lock Controller")], "security", "T0843", "check-plan"),
    ("firmware", [COMMAND], [said(Intent.PROGRAM, "Firmware Transfer")], "security", "T0857", "check-plan"),
    ("a scan", [finding(Kind.SCAN, count=254)], [], "security", "T0846", "ask-owner"),
    ("a cut cable", [finding(Kind.SILENCE, frame=None), finding(Kind.MISSING_ANSWER, count=3)], [], "fault", "", "check-power"),
    (
        "a reconnect after an outage",
        [finding(Kind.CONNECTION_FAILURE), finding(Kind.WRONG_IDENTITY, answer=True)],
        [],
        "fault",
        "",
        "check-power",
    ),
    (
        "a device exchanged",
        [finding(Kind.SILENCE, frame=None), finding(Kind.ADDRESS_CHANGE)],
        [],
        "maintenance",
        "",
        "check-changed",
    ),
    ("a poisoned address table", [finding(Kind.ADDRESS_CHANGE, count=40)], [], "security", "T0830", "check-changed"),
    ("a flood of a newcomer", [finding(Kind.NEW_ASSET), finding(Kind.FLOOD, count=9000)], [], "security", "T0814", "check-load"),
    ("a loop", [finding(Kind.FLOOD, count=9000)], [], "fault", "", "check-switch"),
    ("a drifting sensor", [finding(Kind.UNKNOWN_VALUE, answer=True, ranges=((9, 11),))], [], "fault", "", "check-sensor"),
    ("remote desktop", [finding(Kind.NEW_CONVERSATION, service="tcp/3389")], [], "security", "T0886", "ask-owner"),
    (
        "a function sweep",
        [finding(Kind.UNKNOWN_COMMAND, seen=bytes([n])) for n in range(9, 20)],
        [said(Intent.UNKNOWN, "function")] * 11,
        "security",
        "T0855",
        "ask-owner",
    ),
]


@pytest.mark.parametrize(("what", "findings", "heard", "cause", "technique", "first"), CASES, ids=[c[0] for c in CASES])
def test_story_of(
    what: str, findings: Sequence[Finding], heard: Sequence[Words | None], cause: str, technique: str, first: str
) -> None:
    assert judge(findings, heard).cause == cause, what
    story = explain(findings, cause, heard, "en")
    assert story is not None
    assert story.technique == technique
    servers = {"10.0.0.2"}
    assert story.advice[0] == say(f"step.{first}", "en", client="10.0.0.1", server=next(iter(servers)))


def test_same_act_on_many_devices_is_told_once() -> None:
    findings = [finding(Kind.UNKNOWN_COMMAND, server=f"10.0.0.{n}") for n in range(2, 32)]
    heard = [said(Intent.CONTROL, "ReinitializeDevice")] * 30
    judgement = judge(findings, heard)
    assert (judgement.cause, judgement.confidence) == ("security", 0.95)
    story = explain(findings, "security", heard)
    assert story is not None
    assert "30 devices" in story.title
    assert story.technique == "T0816"
    japanese = explain(findings, "security", heard, "ja")
    assert japanese is not None
    assert "30 台の機器" in japanese.title


def test_title_has_the_words_or_the_bytes() -> None:
    pytest.importorskip("pymodbus")
    heard = words(WRITE_COIL, True, COMMAND.ranges)
    with_words, without = explain([COMMAND], "security", [heard]), explain([COMMAND], "security")
    assert with_words is not None
    assert without is not None
    assert with_words.title == "10.0.0.1 sent 10.0.0.2 a command never seen before: Write Single Coil, unit 1, address 2 := ON"
    assert without.title == "10.0.0.1 sent 10.0.0.2 a command never seen before: byte 7 = 05 (normally 01, 02)"
    assert details(COMMAND, heard, "ja")[1:] == [
        "ファンクションコード (バイト 7) = 0x05 (Write Single Coil)",
        "通常は 01, 02",
    ]


def test_gravest_act_leads() -> None:
    findings = [finding(Kind.NEW_CONVERSATION), finding(Kind.UNKNOWN_VALUE), finding(Kind.UNKNOWN_COMMAND)]
    story = explain(findings, "security", [said(Intent.READ, "Read"), said(Intent.WRITE, "Write"), said(Intent.READ, "Read")])
    assert story is not None
    assert "Write, unit 1" in story.title


def test_no_findings_no_story() -> None:
    assert explain([], "unknown") is None


FINDINGS = st.builds(
    Finding,
    frame=st.none() | st.integers(1, 9),
    time_ns=st.just(0),
    src=st.sampled_from(["a", "b", "{x}"]),
    dst=st.sampled_from(["a", "b"]),
    client=st.sampled_from(["a", "b"]),
    service=st.sampled_from(["tcp/502", "eth/0x8892", "tcp/445"]),
    kind=st.sampled_from(list(Kind)),
    ranges=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=2).map(tuple),
    seen=st.binary(max_size=20),
    normal=st.lists(st.binary(max_size=3), max_size=3).map(tuple),
    count=st.integers(0, 5),
)
HEARD = st.none() | st.sampled_from([said(intent) for intent in Intent])


@given(st.lists(FINDINGS, min_size=1, max_size=6), st.lists(HEARD, max_size=8), st.sampled_from(["en", "ja"]))
def test_any_findings_have_a_whole_story(findings: list[Finding], heard: list[Words | None], lang: str) -> None:
    judgement = judge(findings, heard)
    assert judgement.cause in ("security", "fault", "maintenance", "unknown")
    assert 0 < judgement.confidence <= 1
    story = explain(findings, judgement.cause, heard, lang)
    assert story is not None
    assert story.title
    assert story.impact
    assert 1 <= len(story.advice) <= 3
    assert story.technique in TECHNIQUES or story.technique == ""
    assert because(judgement, lang)
    assert all(details(f, None, lang) for f in findings)

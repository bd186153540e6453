"""What leaves the site keeps the forms that receivers know: OCSF, syslog, CEF; and holds back what may not leave."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from appliance.report.cef import cef
from appliance.report.event import About, Event, checked, headline, severity
from appliance.report.ocsf import detection_finding, fitted
from appliance.report.redact import Redaction
from appliance.report.syslog import framed, message

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).resolve().parents[2] / "docs" / "schema" / "ocsf.json").read_text(encoding="utf-8"))
)
ABOUT = About("gw-7", "0.1.0")
FINDING: dict[str, Any] = {
    "frame": 4782,
    "time": 1424799609.41,
    "src": "10.0.0.9",
    "dst": "10.0.0.1",
    "client": "10.0.0.9",
    "service": "tcp/502",
    "kind": "unknown-command",
    "bytes": [[7, 8]],
    "seen": "05",
    "normal": "01 02 03 04",
    "score": 0.0003,
    "count": 1,
}
RECORD: dict[str, Any] = {
    "type": "incident",
    "id": "i-3-7",
    "revision": 2,
    "state": "open",
    "opened": 1424799609.41,
    "updated": 1424799621.9,
    "cause": "security",
    "confidence": 0.97,
    "title": "10.0.0.9 sent 10.0.0.1 a command never seen before: Write Single Coil, address 46 := 9",
    "technique": "T0855",
    "assets": ["10.0.0.9", "10.0.0.1"],
    "advice": ["Find the device 10.0.0.9: the switch's address table names its port.", "Check 10.0.0.1."],
    "impact": "Outputs of 10.0.0.1 may have been switched.",
    "findings": 14,
    "plan": 'Not in the work plan; next window Tuesday 02:00 ("Pump 3").',
}
# What schema.ocsf.io 1.9.0 requires of class 2004 and of the objects we fill: events/base_event, findings/finding,
# objects/metadata, product (name or uid), finding_info, analytic, attack, extension, observable, network_connection_info.
REQUIRED = {
    "": ("activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id", "time", "type_uid"),
    "metadata": ("product", "version"),
    "metadata.product": ("name",),
    "finding_info": ("uid",),
    "finding_info.analytic": ("type_id",),
    "finding_info.attacks.technique": ("uid",),
    "metadata.extensions": ("name", "uid", "version"),
    "observables": ("name", "type_id"),
    "evidences": ("src_endpoint",),
    "evidences.src_endpoint": ("uid",),
    "evidences.connection_info": ("direction_id",),
    "resources": ("uid",),
    "remediation": ("desc",),
}


def event(seq: int = 9, findings: tuple[dict[str, Any], ...] = (FINDING,), *, first: bool = False, **changed: Any) -> Event:
    return Event(seq, 1_424_799_622 * 10**9, RECORD | changed, findings, first=first)


def found(value: Any, path: str) -> list[Any]:
    """All values at a path of keys; lists are gone through."""
    values = [value]
    for key in path.split(".") if path else []:
        values = [v[key] for v in values]
        values = [x for v in values for x in (v if isinstance(v, list) else [v])]
    return values


texts = st.text(max_size=60)
events = st.builds(
    Event,
    seq=st.integers(1, 2**40),
    logged=st.integers(0, 2**62),
    record=st.fixed_dictionaries(
        {
            **{key: st.just(value) for key, value in RECORD.items()},
            "revision": st.integers(1, 10**6),
            "state": st.sampled_from(["open", "closed"]),
            "opened": st.floats(0, 4e9),
            "updated": st.floats(0, 4e9),
            "cause": st.sampled_from(["security", "fault", "maintenance", "unknown"]),
            "confidence": st.floats(0, 1),
            "title": texts,
            "impact": texts,
            "plan": texts,
            "advice": st.lists(texts.filter(bool), max_size=3),
            "assets": st.lists(st.sampled_from(["10.0.0.1", "fe80::1", "00:11:22:33:44:55"]), max_size=90),
            "technique": st.sampled_from(["", "T0855", "T0846"]),
        }
    ),
    findings=st.lists(st.just(FINDING), max_size=64).map(tuple),
    test=st.booleans(),
    first=st.booleans(),
)


@given(events)
def test_every_event_keeps_the_schema_and_what_ocsf_requires(one: Event) -> None:
    whole = detection_finding(one, ABOUT)
    SCHEMA.validate(whole)
    assert whole["type_uid"] == 2004 * 100 + whole["activity_id"]
    for path, keys in REQUIRED.items():
        if path.split(".")[0] in whole and ("attacks" not in path or one.record["technique"]):
            for value in found(whole, path):
                assert set(keys) <= set(value), path


def test_a_revision_says_what_was_done_and_the_same_revision_has_the_same_uid() -> None:
    opened, later, closed = event(revision=1, first=True), event(10), event(11, revision=3, state="closed")
    said = [detection_finding(e, ABOUT) for e in (opened, later, closed)]
    assert [s["activity_name"] for s in said] == ["Create", "Update", "Close"]
    assert [s["metadata"]["uid"] for s in said] == ["gw-7:i-3-7:1", "gw-7:i-3-7:2", "gw-7:i-3-7:3"]
    assert {s["finding_info"]["uid"] for s in said} == {"gw-7:i-3-7"}
    assert [s["is_alert"] for s in said] == [True, True, False]
    assert detection_finding(event(77), ABOUT)["metadata"]["uid"] == "gw-7:i-3-7:2"
    assert said[1]["finding_info"]["attacks"][0]["technique"] == {"uid": "T0855", "name": "Unauthorized Command Message"}
    assert said[1]["evidences"][0]["dst_endpoint"] == {"uid": "10.0.0.1", "ip": "10.0.0.1", "port": 502}
    assert said[1]["ot"]["findings"][0]["bytes"] == [[7, 8]]


@pytest.mark.parametrize(
    ("cause", "confidence", "technique", "grave"),
    [
        ("security", 0.95, "T0855", 5),
        ("security", 0.95, "T0846", 4),
        ("security", 0.6, "T0869", 3),
        ("fault", 0.9, "", 3),
        ("fault", 0.5, "", 2),
        ("unknown", 0.5, "", 3),
        ("maintenance", 0.9, "", 1),
    ],
)
def test_severity_follows_cause_confidence_and_technique(cause: str, confidence: float, technique: str, grave: int) -> None:
    assert severity(RECORD | {"cause": cause, "confidence": confidence, "technique": technique}) == grave


@given(events, st.integers(2048, 9000))
def test_an_event_that_is_too_long_loses_evidence_and_says_so(one: Event, limit: int) -> None:
    line = fitted(one, ABOUT, limit)
    assert len(line) <= limit
    assert line.isascii()
    whole = json.loads(line)
    SCHEMA.validate(whole)
    assert len(whole.get("evidences", [])) == len(whole["ot"]["findings"])
    cut = len(json.dumps(detection_finding(one, ABOUT), separators=(",", ":"))) > limit
    assert whole["metadata"].get("is_truncated", False) is cut


# RFC 5424 section 6, what we emit of it; parameter values as in section 6.3.3
SYSLOG = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S{1,255}) sekisho - incident "
    rb'((?:\[[!-~]+(?: [!-~]+="(?:[^"\\\]]|\\["\\\]])*")*\])+) (.*)',
    re.S,
)


@given(events, st.sampled_from(["ocsf", "cef", "text"]), st.integers(2048, 9000))
def test_syslog_messages_follow_the_grammar_and_the_limit(one: Event, form: str, limit: int) -> None:
    octets = message(one, ABOUT, form, limit)
    assert len(octets) <= limit
    match = SYSLOG.fullmatch(octets)
    assert match, octets
    assert 13 * 8 <= int(match[1]) <= 13 * 8 + 7
    assert datetime.fromisoformat(match[2].decode()).utcoffset() is not None
    body = match[5]
    assert body.startswith(b"\xef\xbb\xbf") is not body.isascii()
    body.decode("utf-8")
    assert framed(octets) == b"%d " % len(octets) + octets


def test_the_longest_names_fit_into_the_shortest_message() -> None:
    longest = {"id": f"i-{'9' * 18}-{'9' * 12}", "revision": 10**9, "title": "未知のコマンド" * 90, "findings": 10**9}
    record = RECORD | longest | {"assets": ["fe80::1%eth0"] * 90}
    one = Event(2**40, 2**62, record, (FINDING | {"service": "eth/0x8892"},) * 64)
    octets = message(one, About("g" * 63, "10.20.30", "ja"), "ocsf", 2048)
    assert len(octets) <= 2048
    assert json.loads(octets[octets.index(b"] {") + 2 :])["metadata"]["is_truncated"] is True


def test_values_of_structured_data_are_escaped() -> None:
    octets = message(event(id='i-"\\]\n'), ABOUT, "text")
    assert rb'incident="i-\"\\\]"' in octets
    assert b"\n" not in octets


def test_text_that_is_not_ascii_has_a_byte_order_mark_and_is_not_cut_in_a_character() -> None:
    octets = message(event(title="未知のコマンド" * 400), ABOUT, "text", 2048)
    assert b"] \xef\xbb\xbf" in octets
    assert 2040 < len(octets) <= 2048
    octets.decode("utf-8")


@given(events)
def test_cef_has_seven_fields_and_no_stray_separator(one: Event) -> None:
    line = cef(one, ABOUT)
    assert "\n" not in line
    fields = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    assert fields[:4] == ["CEF:0", "Sekisho", "Sekisho", "0.1.0"]
    assert 0 <= int(fields[6]) <= 10
    keys = re.findall(r"(?:^| )(\w+)(?<!\\)=", fields[7])
    assert {"externalId", "rt", "cat", "cn1"} <= set(keys)
    assert [k for k in keys if k.endswith("Label") and k[:-5] not in keys] == []


def test_cef_escapes_what_separates() -> None:
    line = cef(event(title="a|b\\c\nd", impact="x=1\ny"), ABOUT)
    assert r"|a\|b\\c d|" in line
    assert line.endswith(r"msg=x\=1\ny")


def test_an_event_without_words_yet_says_what_where_and_who() -> None:
    assert headline(event(title="", revision=1)) == "Incident i-3-7, unknown-command: 10.0.0.9 -> 10.0.0.1 (tcp/502)"


def test_addresses_leave_as_names_that_stay_the_same() -> None:
    redaction = Redaction(frozenset({"addresses"}), b"k" * 32)
    one = event(
        impact="fe80::1 and 00:11:22:33:44:55 at 12:30:05, 192.168.1.2: down. 10.0.0.1", title="10.0.0.9: 95 ports of 10.0.0.1"
    )
    out = redaction.event(one)
    said = json.dumps(detection_finding(out, ABOUT)) + cef(out, ABOUT) + str(message(out, ABOUT, "text"))
    for address in ("10.0.0.9", "10.0.0.1", "fe80::1", "00:11:22:33:44:55", "192.168.1.2", "Pump 3"):
        assert address not in said
    assert "12:30:05" in said
    assert out.record["assets"] == [redaction.name("10.0.0.9"), redaction.name("10.0.0.1")]
    assert out.findings[0]["src"] == redaction.name("10.0.0.9")
    assert redaction.name("10.0.0.9") != Redaction(frozenset({"addresses"}), b"l" * 32).name("10.0.0.9")
    assert one.record["assets"] == ["10.0.0.9", "10.0.0.1"]


def test_values_of_the_process_do_not_leave() -> None:
    out = Redaction(frozenset({"values"})).event(event())
    assert out.record["title"] == "unknown-command: 10.0.0.9 -> 10.0.0.1 (tcp/502), 14 findings"
    assert (out.findings[0]["seen"], out.findings[0]["normal"], out.findings[0]["bytes"]) == ("", "", [[7, 8]])
    assert ":= 9" not in json.dumps(detection_finding(out, ABOUT))


@pytest.mark.parametrize(
    ("record", "findings", "said"),
    [
        ({}, [], "no incident record"),
        (RECORD | {"revision": "2"}, [], "revision"),
        (RECORD | {"revision": True}, [], "revision"),
        (RECORD | {"assets": [1]}, [], "assets"),
        (RECORD, "x", "findings"),
        (RECORD, [1], "finding"),
        (RECORD, [FINDING | {"bytes": [[1]]}], "bytes"),
    ],
)
def test_a_record_of_another_form_is_refused(record: dict[str, Any], findings: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(record, findings)


def test_a_record_is_taken_with_the_keys_that_are_known() -> None:
    record, findings = checked(RECORD | {"new": 1}, [FINDING | {"match": "x"}])
    assert (record, findings) == (RECORD, (FINDING,))

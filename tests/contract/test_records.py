"""Records keep the contract of docs/records.md: the schemas, the examples in the page, and what the encoders give."""

import json
import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from appliance.decide.rules import Lease, Mode, Pattern, Service, Step
from appliance.detect.finding import Finding, Kind
from appliance.incident.incident import Cause, Incident, State
from appliance.learn.meaning.adequacy import Readiness
from appliance.report.latency import Latency
from appliance.report.records import dumps, finding_record, incident_record, packets_record, summary_record
from appliance.report.response import Act, response_line, response_record
from appliance.report.status import Known, PacketsStatus, SensorState

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMES = ("finding", "incident", "summary", "status", "packets", "response")

addresses = st.one_of(st.ip_addresses().map(str), st.just("00:11:22:33:44:55"))
times = st.integers(0, 2**62)
ranges = st.lists(st.tuples(st.integers(0, 1400), st.integers(1, 8)).map(lambda r: (r[0], r[0] + r[1])), max_size=4)
findings = st.builds(
    Finding,
    frame=st.none() | st.integers(1, 2**40),
    time_ns=times,
    src=addresses,
    dst=addresses,
    client=addresses,
    service=st.sampled_from(["tcp/502", "udp/47808", "ip/1", "eth/0x8892", "llc/0x82"]),
    kind=st.sampled_from(list(Kind)),
    ranges=ranges.map(tuple),
    seen=st.binary(max_size=40),
    normal=st.lists(st.binary(min_size=1, max_size=4), max_size=5).map(tuple),
    score=st.floats(0, 1),
    payload=st.binary(max_size=60),
    count=st.integers(1, 10**9),
)
incidents = st.builds(
    Incident,
    id=st.from_regex(r"i-[0-9]{1,6}", fullmatch=True),
    opened_ns=times,
    updated_ns=times,
    revision=st.integers(1, 1000),
    state=st.sampled_from(list(State)),
    cause=st.sampled_from(list(Cause)),
    confidence=st.floats(0, 1),
    title=st.text(),
    technique=st.sampled_from(["", "T0855", "T0836"]),
    assets=st.lists(addresses, max_size=5),
    advice=st.lists(st.text(), max_size=3),
    impact=st.text(),
    because=st.text(),
    findings=st.lists(findings, max_size=2),
    total=st.integers(0, 10**6),
)


def schema(name: str) -> Draft202012Validator:
    loaded = json.loads((DOCS / "schema" / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(loaded)
    return Draft202012Validator(loaded)


SCHEMAS = {name: schema(name) for name in NAMES}


def back(line: str) -> dict[str, object]:
    assert line.isascii()
    assert "\n" not in line
    loaded = json.loads(line)
    assert isinstance(loaded, dict)
    return loaded


@given(findings, st.from_regex(r"i-[0-9]+", fullmatch=True))
def test_every_finding_keeps_its_schema_and_loses_nothing(finding: Finding, incident: str) -> None:
    record = back(dumps(finding_record(finding, incident)))
    SCHEMAS["finding"].validate(record)
    assert list(record) == list(SCHEMAS["finding"].schema["properties"])
    assert record["frame"] == finding.frame
    assert record["bytes"] == [list(r) for r in finding.ranges]
    assert bytes.fromhex(str(record["seen"])) == finding.seen
    assert tuple(bytes.fromhex(x) for x in str(record["normal"]).split()) == finding.normal


@given(incidents)
def test_every_incident_keeps_its_schema(incident: Incident) -> None:
    record = back(dumps(incident_record(incident)))
    SCHEMAS["incident"].validate(record)
    assert list(record) == list(SCHEMAS["incident"].schema["properties"])
    assert record["title"] == incident.title
    assert record["findings"] == max(incident.total, len(incident.findings))


@given(st.integers(0, 2**40), st.floats(-1e6, 1e9), st.integers(0, 10**9))
def test_every_summary_keeps_its_schema(frames: int, seconds: float, damaged: int) -> None:
    record = back(dumps(summary_record(frames, 3, 2, seconds, damaged)))
    SCHEMAS["summary"].validate(record)
    assert list(record) == list(SCHEMAS["summary"].schema["properties"])


counts = st.integers(0, 2**50)


@given(
    st.sampled_from(["learning", "watching"]),
    counts,
    st.lists(
        st.tuples(
            st.text(max_size=15), st.booleans(), counts, counts, st.lists(st.just("rx-gro"), max_size=2), st.text(max_size=40)
        ),
        max_size=3,
    ),
    st.none() | st.tuples(counts, counts),
    st.builds(Known, st.sampled_from(list(Readiness)).map(str), st.none() | st.floats(0, 1), counts, st.none() | counts),
    st.lists(st.floats(-1, 1e6), max_size=20),
    st.none()
    | st.fixed_dictionaries(
        {"seconds": st.floats(0, 1e6), "files": counts, "bytes": counts, "missed": counts, "problem": st.text()}
    ),
)
def test_every_status_keeps_its_schema(
    mode: str,
    frames: int,
    ports: list[tuple[str, bool, int, int, list[str], str]],
    learned: tuple[int, int] | None,
    known: Known,
    waits: list[float],
    packets: PacketsStatus | None,
) -> None:
    latency = Latency()
    for wait in waits:
        latency.add(wait)
    record = back(
        dumps(
            SensorState(
                now=frames, mode=mode, frames=frames, findings=1, incidents=1, interfaces=ports, learned=learned,
                packets=packets, size=frames, damaged=1, known=known, latency=latency.record(), memory=frames, since=frames,
                unlearned=frames,
            ).record()
        )
    )  # fmt: skip
    SCHEMAS["status"].validate(record)
    told = latency.record()
    assert record["latency"] == told
    assert [count for _, count in told["buckets"]] == [sum(wait <= bound for wait in waits) for bound, _ in told["buckets"]]
    assert told["count"] == len(waits)
    assert list(record) == list(SCHEMAS["status"].schema["properties"])


@given(st.integers(1, 10**9), st.integers(1, 5000), times, times)
def test_every_packets_record_keeps_its_schema(number: int, frames: int, since: int, until: int) -> None:
    name = f"i-3-{number}"
    told = packets_record(
        incident=name, file=f"packets/{name}.pcap", frames=frames, size=2048, sha256="0f" * 32, since=since, until=until
    )
    record = back(dumps(told))
    SCHEMAS["packets"].validate(record)
    assert list(record) == list(SCHEMAS["packets"].schema["properties"])
    assert (record["incident"], record["frames"]) == (name, frames)


@given(st.integers(0, 4_102_444_800_000_000))
def test_time_keeps_its_microseconds(micros: int) -> None:
    finding = Finding(None, micros * 1000 + 999, "a", "b", "a", "tcp/1", Kind.SILENCE)
    assert round(finding_record(finding, "i-1")["time"] * 1_000_000) == micros


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("finding", "frame", 0),
        ("finding", "kind", "strange"),
        ("finding", "bytes", [[1]]),
        ("finding", "seen", "5"),
        ("finding", "normal", "01  02"),
        ("finding", "service", "502"),
        ("incident", "cause", "attack"),
        ("incident", "technique", "t1"),
        ("summary", "seconds", -1),
        ("status", "mode", "blocking"),
        ("packets", "file", "packets/../i-7.pcap"),
        ("packets", "sha256", "9f"),
        ("status", "interfaces", [{"name": "eth1"}]),
    ],
)
def test_the_schemas_refuse_what_the_contract_forbids(name: str, key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        SCHEMAS[name].validate(example(name) | {key: value})


def example(name: str) -> dict[str, object]:
    blocks = re.findall(r"```json\n(.*?)\n```", (DOCS / "records.md").read_text(encoding="utf-8"), re.DOTALL)
    return next(record for record in map(back, blocks) if record["type"] == name)


numbers = st.integers(0, 0xFFFF_FFFF)
leases = st.builds(
    Lease,
    id=st.from_regex(r"l-i-[0-9]{1,6}", fullmatch=True),
    step=st.sampled_from(list(Step)),
    source=st.sampled_from([ip_network("10.0.0.9/32"), ip_network("fd00::9/128")]),
    target=st.none() | st.just(ip_network("10.0.0.1/32")),
    service=st.none() | st.just(Service("tcp", 502)),
    offset=st.integers(0, 60),
    pattern=st.none() | st.tuples(numbers, numbers).map(lambda p: Pattern(min(p), max(p))),
    until=times,
    reason=st.text(max_size=40),
)


@given(
    times, st.sampled_from(list(Mode)), st.sampled_from(list(Act)), st.sampled_from(list(Step)), st.none() | leases,
    st.lists(st.text(max_size=600), max_size=12),
)  # fmt: skip
def test_every_response_keeps_its_schema(
    now: int, posture: Mode, act: Act, step: Step, lease: Lease | None, reasons: list[str]
) -> None:
    record = back(dumps(response_record("i-3-7", now, posture, act, step, lease, "", reasons)))
    SCHEMAS["response"].validate(record)
    assert list(record) == list(SCHEMAS["response"].schema["properties"])
    for lang in ("en", "ja"):
        said = response_line(record, lang)
        assert all(str(reason) in said for reason in record["reasons"])  # type: ignore[attr-defined]
    assert record["done"] is (act not in (Act.NONE, Act.WOULD, Act.REFUSED))


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_the_page_are_valid_and_every_key_is_explained(name: str) -> None:
    record = example(name)
    SCHEMAS[name].validate(record)
    page = (DOCS / "records.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {name}")[1].split("\n## ")[0]
    table = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("|"))
    assert {key for key in SCHEMAS[name].schema["properties"] if key != "type"} <= set(re.findall(r"`([a-z0-9]+)`", table))


def test_the_schema_and_the_page_know_every_kind() -> None:
    kinds = {kind.value for kind in Kind}
    assert set(SCHEMAS["finding"].schema["properties"]["kind"]["enum"]) == kinds
    assert kinds <= set(re.findall(r"`([a-z-]+)`", (DOCS / "records.md").read_text(encoding="utf-8")))


def test_a_number_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        dumps(finding_record(Finding(1, 0, "a", "b", "a", "tcp/1", Kind.FLOOD, score=float("nan")), "i-1"))

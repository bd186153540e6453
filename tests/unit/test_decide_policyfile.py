"""Policy files: what is read, and the one line that everything else gets."""

from __future__ import annotations

from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest

from appliance.decide.policyfile import parse_policy
from appliance.decide.rules import Mode, Service, Step
from appliance.errors import DocumentError

GOOD = """\
version: 1
name: Plant
time-zone: Asia/Tokyo
mode: shadow
management: [10.0.0.250]
zones:
  office: [10.1.0.0/24]
assets:
  plc: {address: 10.0.0.11, mode: enforce, learned: all}
  meter: {address: 10.0.0.12}
rules:
  - name: sets the level
    from: [10.0.0.1, office]
    to: plc
    service: tcp/502
    protocol: modbus
    functions: [6]
    registers: [4, 10-12]
    until: 2026-12-24 18:00
    why: test run
limits: {steps: [log, quarantine pair], blocks-per-hour: 3, longest-lease: 2m}
"""


def read(text: str) -> object:
    return parse_policy("p.yaml", text.encode(), ZoneInfo)


def test_a_policy_is_read() -> None:
    p = parse_policy("p.yaml", GOOD.encode(), ZoneInfo)
    assert [(a.name, a.mode, a.learned) for a in p.assets] == [
        ("plc", Mode.ENFORCE, ("all",)),
        ("meter", Mode.SHADOW, ("read", "diagnose", "identify", "session", "answer")),
    ]
    rule = p.rules[0]
    assert rule.clients == (ip_network("10.0.0.1"), ip_network("10.1.0.0/24"))
    assert (rule.service, rule.registers, rule.place) == (Service("tcp", 502), ((4, 4), (10, 12)), "p.yaml:12")
    assert rule.until == 1_798_102_800 * 1_000_000_000
    assert rule.holds(rule.until - 1)
    assert not rule.holds(rule.until)
    assert p.limits.steps == (Step.LOG, Step.PAIR)
    assert p.limits.longest_lease == 120 * 10**9
    assert p.untouchable == (ip_network("10.0.0.250"),)


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


WITHOUT_REGISTERS = GOOD.replace("    registers: [4, 10-12]\n", "")
WRONG = {
    "a key twice": (changed("name: Plant", "name: Plant\nname: Other"), 3, "'name' is there twice (line 2)"),
    "no version": (changed("version: 1\n", ""), 1, "'version' is missing; add it"),
    "a later version": (changed("version: 1", "version: 2"), 1, "not a whole number from 1 to 1"),
    "an unknown key": (changed("zones:", "zonse:"), 7, "did you mean 'zones'?"),
    "off as a mode": (changed("mode: shadow", "mode: off"), 4, "quote it if it is a word"),
    "no as a name": (changed("name: Plant", "name: no"), 2, "quote it if it is a word"),
    "an octal number": (changed("functions: [6]", "functions: [06]"), 17, "leave the zero out"),
    "a number to the base of 60": (changed("longest-lease: 2m", "longest-lease: 1:30"), 21, "quote it"),
    "a number with an underscore": (changed("blocks-per-hour: 3", "blocks-per-hour: 1_0"), 21, "write the digits only"),
    "a number with an exponent": (changed("blocks-per-hour: 3", "blocks-per-hour: 1e3"), 21, "quote it"),
    "nothing behind the colon": (changed("why: test run", "why:"), 20, "write a value"),
    "a mode nobody knows": (changed("mode: shadow", "mode: shadwo"), 4, "did you mean 'shadow'?"),
    "an address that is none": (changed("10.0.0.11", "10.0.0.256"), 9, "no address or network"),
    "host bits": (changed("10.1.0.0/24", "10.1.0.7/24"), 7, "host bits are set"),
    "everybody": (changed("10.1.0.0/24", "0.0.0.0/0"), 7, "nearly everybody"),
    "a name that is nowhere": (changed("to: plc", "to: plx"), 14, "or a name (meter, office, plc)"),
    "a port that is none": (changed("tcp/502", "tcp/70000"), 15, "port from 1 to 65535"),
    "a service that is none": (changed("tcp/502", "modbus"), 15, "write it like tcp/502"),
    "a function misspelt": (changed("[6]", "[write singel register]"), 17, "did you mean 'Write Single Register'?"),
    "CIP functions": (WITHOUT_REGISTERS.replace("modbus", "enip").replace("[6]", "[write]"), 17, "cannot see what CIP"),
    "functions without a protocol": (changed("    protocol: modbus\n", ""), 17, "is known for protocol: modbus only"),
    "a function too short to be seen": (changed("[6]", "[Read Exception Status]"), 17, "end before what the kernel compares"),
    "two protocols of one service": (
        GOOD.replace(
            "rules:\n",
            "rules:\n  - {name: x, from: 10.0.0.1, to: plc, service: tcp/502, protocol: bacnet, functions: [read]}\n",
        ),
        13,
        "a service has one protocol",
    ),
    "registers backwards": (changed("10-12", "12-10"), 18, "no register or range"),
    "an exception for nothing": (changed("    why: test run\n", ""), 19, "add why:"),
    "a time that is none": (changed("2026-12-24 18:00", "tomorrow"), 19, "write it like 2026-11-24 02:00"),
    "a zone of time that is none": (changed("Asia/Tokyo", "Asia/Toyko"), 3, "no time zone"),
    "an asset twice": (changed("10.0.0.12", "10.0.0.11"), 10, "is 'plc' already"),
    "an asset called as a zone": (changed("meter:", "office:"), 10, "a zone of this name"),
    "enforcing without management": (changed("management: [10.0.0.250]\n", ""), 8, "needs management:"),
    "enforcing what is never blocked": (changed("10.0.0.250", "10.0.0.8/29"), 9, "is never blocked"),
    "a step nobody knows": (changed("quarantine pair", "quarantine"), 21, "did you mean 'quarantine pair'?"),
    "too long a lease": (changed("2m", "25h"), 21, "no time from 1s to 24h"),
    "a reference": (changed("[10.0.0.250]", "&x [10.0.0.250]"), 5, "references"),
    "a tag": (changed("name: Plant", "name: !!python/object:os.system Plant"), 2, "tags (!) are not read"),
    "a tab": (changed("  plc:", "\tplc:"), 9, "check indentation"),
    "too deep": ("version: 1\nname: " + "[" * 40 + "]" * 40, 2, "nested too deeply"),
    "a second document": (GOOD + "---\nversion: 1\n", 0, "p.yaml"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_policy_gets_one_line_with_file_line_and_fix(case: str) -> None:
    text, line, says = WRONG[case]
    with pytest.raises(DocumentError) as refused:
        read(text)
    told = str(refused.value)
    assert "\n" not in told
    assert says in told
    assert told.startswith("p.yaml")
    if line:
        assert f"line {line}:" in told


def test_too_large_too_many_and_not_text() -> None:
    for data, says in (
        (b"#" * (1 << 19), "split it"),
        (b"version: 1\nname: \xff", "UTF-8"),
        (b"", "nothing is in it"),
        (b"[" * 50_000, "nested too deeply"),
        (b"version: 1\nname: x\nzones: {" + b", ".join(b"z%d: 10.0.0.1" % i for i in range(5000)) + b"}", "at most 4096"),
    ):
        with pytest.raises(DocumentError, match=says):
            parse_policy("p.yaml", data, ZoneInfo)

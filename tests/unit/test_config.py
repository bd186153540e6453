"""A configuration is read strictly: what is not understood is named, with the file, the key and what to do."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Capture, Config, Enforce, Learning, Output, duration, parse_config
from appliance.config.report import Destination, Tls, ToFile, ToMail, ToSyslog, ToWebhook
from appliance.decide.rules import Mode
from appliance.errors import UsageError

LEAST = '[capture]\ninterfaces = ["eth1"]\n[state]\ndirectory = "/var/lib/sekisho"\n'
REPORT = '[report]\n[report.to.siem]\nkind = "syslog"\nhost = "siem.example"\n'
FULL = """\
[capture]
interfaces = ["eth1", "br0.12"]
ring_mib = 128
latency_ms = 100
promiscuous = false
offloads = "check"
ignore = ["not port 22"]
[learning]
for = "1h30m"
survey = "5m"
spool_mib = 64
[state]
directory = "/srv/s"
runtime = "/run/s"
store_mib = 8
[plans]
files = ["/etc/p1.yaml"]
[output]
language = "ja"
status_every = "10s"
[enforce]
policy = "/etc/p.yaml"
posture = "shadow"
bridge = true
operators = ["sato", "1000"]
per_hour = 3
longest = "5m"
"""


def test_the_least_is_two_lines_and_the_rest_has_defaults() -> None:
    assert parse_config(LEAST, "c") == Config(Capture(("eth1",)), "/var/lib/sekisho", "/var/lib/sekisho")


def test_without_the_table_nothing_is_answered_and_with_it_nothing_is_done_yet() -> None:
    assert parse_config(LEAST, "c").enforce is None
    given = parse_config(LEAST + "[enforce]\n", "c").enforce
    assert given is not None
    assert (given.posture, given.policy, given.limits.blocks_per_hour) == (Mode.OBSERVE, "", 12)


def test_everything_can_be_said() -> None:
    minute = 60 * 10**9
    assert parse_config(FULL, "c") == Config(
        Capture(("eth1", "br0.12"), 128, 100, False, "check", ("not port 22",)),
        "/srv/s",
        "/run/s",
        Learning(90 * minute, 5 * minute, 64 << 20),
        Output("ja", 10 * 10**9),
        Enforce("/etc/p.yaml", Mode.SHADOW, True, ("sato", "1000"), 3, 5 * minute),
        store_bytes=8 << 20,
        plans=("/etc/p1.yaml",),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"\[capture\] interfaces: names 0 interfaces"),
        ("x", "see docs/cli.md"),
        (LEAST + '[plans]\nfiles = ["p.yaml"]\n', "does not begin with /"),
        (LEAST + '[plans]\nfiles = ["/a", "/a"]\n', "at most 64 different ones"),
        (LEAST + "[learn]\n", r"learn: is no key"),
        (LEAST + '[output]\nlang = "en"\n', r"\[output\] lang: is no key"),
        (LEAST + '[output]\nlanguage = "de"\n', "none of en, ja"),
        (LEAST + '[output]\nstatus_every = "1 minute"\n', "not a duration"),
        (LEAST + "[output]\nstatus_every = 60\n", "is not a duration such as 10m"),
        (LEAST + '[learning]\nfor = "0s"\n', "not a duration"),
        (LEAST + "[learning]\nspool_mib = 1\n", "1 is not within 16"),
        (LEAST + '[enforce]\nposture = "enforce"\n', "enforce needs a policy"),
        (LEAST + '[enforce]\npolicy = "p.yaml"\n', "does not begin with /"),
        (LEAST + '[enforce]\nposture = "block"\n', "none of observe, shadow, enforce"),
        (LEAST + '[enforce]\noperators = ["root; id"]\n', "no name or number of a user"),
        (LEAST + '[enforce]\nlongest = "2d"\n', "more than a day"),
        (LEAST + "[report]\n", "has 0 destinations"),
        (LEAST + REPORT.replace("syslog", "fax"), r"\[report.to.siem\] kind: 'fax' is none of file, syslog, webhook, mail"),
        (LEAST + REPORT.replace("kind", "# "), r"\[report.to.siem\] kind: is missing"),
        (LEAST + REPORT + "secret = 'x'\n", r"\[report.to.siem\] secret: is no key"),
        (LEAST + REPORT + "certificate = '/c'\n", "belong together"),
        (LEAST + REPORT + "ca = 'c'\n", "does not begin with /"),
        (LEAST + REPORT + "max_bytes = 480\n", "480 is not within 2048"),
        (LEAST + REPORT + "causes = ['rain']\n", "'rain' is none of"),
        (LEAST + REPORT + "redact = ['names']\n", "'names' is none of"),
        (LEAST + REPORT.replace("siem.example", "siem example"), "is no host"),
        (LEAST + REPORT.replace("[report]", "[report]\ngateway = 'a b'"), "is no name"),
        (LEAST + REPORT + '[report.to."a b"]\nkind = "file"\n', "no name of a destination"),
        (LEAST + "[report.to]\na = 1\n", r"\[report.to.a\] is no table"),
        (LEAST + '[report.to.w]\nkind = "webhook"\nurl = "http://a/"\n', "no https address"),
        (LEAST + '[report.to.m]\nkind = "mail"\nhost = "h"\nfrom = "a@b"\nto = ["x"]\n', "no mail address"),
        (LEAST + '[report.to.m]\nkind = "mail"\nhost = "h"\nfrom = "a@b"\nto = ["a@b\\nBcc: c@d"]\n', "no mail address"),
        (LEAST + '[report.to.m]\nkind = "mail"\nhost = "h"\nfrom = "a@b"\nto = []\n', "names 0 addresses"),
        (LEAST.replace("eth1", "eth 1"), "no name of an interface"),
        (LEAST.replace("eth1", "a" * 16), "no name of an interface"),
        (LEAST.replace('["eth1"]', '["a", "a"]'), "different ones"),
        (LEAST.replace('["eth1"]', '"eth1"'), "is not a list of texts"),
        (LEAST.replace("/var", "var"), "does not begin with /"),
        (LEAST.replace("[state]\ndirectory", "[state]\n#"), r"\[state\] directory: is missing"),
        (LEAST.replace("[state]", "ring_mib = true\n[state]"), "is not a whole number"),
        (LEAST.replace("[state]", "latency_ms = 9\n[state]"), "9 is not within 10 and 5000"),
        (LEAST.replace("[state]", 'ignore = ["port 22"]\n[state]'), r"c: \[capture\] ignore 'port 22'"),
        (LEAST.replace("[state]", 'ignore = ["not port 22"]\nprogram = "/x"\n[state]'), "has both"),
        ("state = 5\n", "'5' is not a table"),
        ("a" * (257 << 10), "longer than"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_config(text, "c")
    assert str(caught.value).startswith("c: ")
    assert "\n" not in str(caught.value)


def test_destinations_are_read_with_what_holds_for_all_of_them() -> None:
    text = (
        LEAST
        + REPORT.replace("[report]", '[report]\nredact = ["addresses"]')
        + (
            '[report.to.w]\nkind = "webhook"\nurl = "https://[::1]:8443/in?a=b"\nredact = []\n'
            'causes = ["fault"]\nsecret_file = "/s"\n'
            '[report.to.m]\nkind = "mail"\nhost = "h"\nsecurity = "tls"\nfrom = "a@b"\nto = ["c@d"]\ngather = "5s"\n'
            '[report.to.f]\nkind = "file"\npath = "/o"\n'
        )
    )
    report = parse_config(text, "c").report
    assert report is not None
    siem, hook, mail, file = report.destinations
    assert siem == Destination("siem", "syslog", ToSyslog("siem.example", 6514, Tls()), redact=("addresses",))
    assert hook == Destination("w", "webhook", ToWebhook("::1", 8443, "/in?a=b", Tls(), "/s"), ("fault",))
    assert mail.target == ToMail("h", 465, "tls", Tls(), "a@b", ("c@d",), gather_s=5.0)
    assert (file.target, parse_config(LEAST, "c").report) == (ToFile("/o"), None)


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_one_line(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_config(text, "c")


def test_durations() -> None:
    assert [duration(text) for text in ("90s", "1h30m", "0.5s")] == [90 * 10**9, 5400 * 10**9, 5 * 10**8]
    for wrong in ("", "5", "m", "-1s", "1e3s", "99999999999d"):
        with pytest.raises(ValueError, match="not a duration"):
            duration(wrong)


def test_a_block_is_held_back_a_part_of_the_latency_only() -> None:
    assert [Capture(("a",), latency_ms=ms).shape.hold_ms for ms in (10, 100, 500, 5000)] == [8, 10, 50, 60]
    assert Capture(("a",), ring_mib=64).shape.size == 64 << 20

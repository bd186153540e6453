"""What is planned, when the next window is, and what is wrong in a plan."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.detect.finding import Finding, Kind
from appliance.errors import DocumentError
from appliance.explain.calendar_plan import plan_text
from appliance.explain.planfile import parse_plans
from appliance.explain.planning import plan_sentence, plan_title
from appliance.explain.workplan import Plan, Planned, Weekly, planned
from appliance.protocols import Intent, Words

ROOT = Path(__file__).resolve().parents[2]
HEAD = "version: 1\ntime-zone: Asia/Tokyo\nhosts: {laptop: 10.0.0.66, pump: 10.0.0.13}\nplans:\n"
ONCE = "{from: 2026-11-24 02:00, to: 2026-11-24 04:00}"


def text(when: str = ONCE, **more: str) -> str:
    fields = {"name": "Pump 3", "who": "[laptop]", "assets": "[pump]", "may": "[read, write]", "ticket": "CHG-1"} | more
    body = "".join(f"    {key}: {value}\n" for key, value in fields.items() if value)
    return HEAD + "  -\n" + body + f"    when: [{when}]\n"


def plan(when: str = ONCE, **more: str) -> Plan:
    return parse_plans("p", text(when, **more).encode(), ZoneInfo)[0]


def at(moment: str, zone: str = "Asia/Tokyo") -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000_000


def finding(
    when: str = "2026-11-24 02:30", kind: Kind = Kind.UNKNOWN_COMMAND, src: str = "10.0.0.66", dst: str = "10.0.0.13",
    payload: bytes = b"\x05", service: str = "tcp/502", count: int = 1, client: str = "",
) -> Finding:  # fmt: skip
    return Finding(1, at(when), src, dst, client or src, service, kind, payload=payload, count=count)


def speak(f: Finding) -> Words | None:
    intents = {1: Intent.READ, 5: Intent.WRITE, 8: Intent.PROGRAM, 9: Intent.DIAGNOSE}
    intent = intents.get(f.payload[0])
    return None if intent is None else Words("x", "Diagnostics" if intent is Intent.DIAGNOSE else "y", "z", intent)


def said(p: Plan, *findings: Finding, total: int | None = None) -> Planned | None:
    return planned(findings, len(findings) if total is None else total, [p], speak)


def inside(p: Plan, *findings: Finding) -> bool:
    verdict = said(p, *findings)
    return verdict is not None and verdict.inside


def test_an_act_is_planned_inside_its_window_only() -> None:
    assert inside(plan(), finding())
    assert not inside(plan(), finding("2026-11-24 01:59"))
    assert not inside(plan(), finding("2026-11-24 04:00"))
    assert not inside(plan(), finding(), finding("2026-11-24 05:00"))


@pytest.mark.parametrize(
    "other",
    [
        finding(src="10.0.0.67"),
        finding(dst="10.0.0.14"),
        finding(payload=b"\x08"),
        finding(payload=b"\x77"),
        finding(payload=b""),
        finding(count=40),
        finding(kind=Kind.FLOOD, payload=b""),
        finding(kind=Kind.OVERLAP),
        finding(kind=Kind.SCAN, payload=b""),
        finding(kind=Kind.ADDRESS_CHANGE, src="10.0.0.13", dst="10.0.0.66"),
        finding(src="10.0.0.13", dst="10.0.0.66", kind=Kind.NEW_CONVERSATION),
    ],
    ids=lambda f: f"{f.kind.value} {f.src} {f.payload.hex()} {f.count}",
)
def test_one_finding_outside_the_plan_makes_the_incident_unplanned(other: Finding) -> None:
    assert not inside(plan(), finding(), other)


def test_findings_that_were_not_kept_are_not_planned() -> None:
    verdict = said(plan(), finding(), total=3)
    assert verdict is not None
    assert not verdict.inside


def test_a_plan_may_name_functions_services_outages_and_exchanges() -> None:
    assert inside(plan(functions="[diagnostics]"), finding(payload=b"\x09"), finding())
    assert not inside(plan(services="[udp/47808]"), finding())
    assert inside(plan(services="[tcp/502]"), finding())
    silent = finding(kind=Kind.SILENCE, src="10.0.0.13", dst="10.0.0.21", client="10.0.0.21", payload=b"")
    assert said(plan(), silent) is None
    assert inside(plan(may="[outage]"), silent)
    moved = finding(kind=Kind.ADDRESS_CHANGE, src="10.0.0.13", dst="10.0.0.66", payload=b"")
    assert inside(plan(may="[exchange]"), moved)
    assert inside(plan(may="[anything]"), finding(payload=b"\x77"), finding(kind=Kind.FLOOD))
    assert not inside(plan(may="[anything]"), finding(src="10.0.0.67"))


def test_answers_and_bare_connections_of_planned_work_are_planned() -> None:
    bare = finding(kind=Kind.NEW_CONVERSATION, payload=b"")
    answer = finding(src="10.0.0.13", dst="10.0.0.66", client="10.0.0.66", kind=Kind.UNKNOWN_VALUE, payload=b"\x77")
    assert inside(plan(), bare, finding(), answer)


WEEKLY = "{every: week, on: [tuesday], from: 22:00, to: 02:00, since: 2026-11-10, until: 2026-12-01}"


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        ("2026-11-24 21:59", False), ("2026-11-24 22:00", True), ("2026-11-25 01:59", True), ("2026-11-25 02:00", False),
        ("2026-11-23 23:00", False), ("2026-11-03 23:00", False), ("2026-12-01 23:00", True), ("2026-12-08 23:00", False),
    ],
)  # fmt: skip
def test_a_weekly_window_over_midnight_holds_on_its_days(moment: str, holds: bool) -> None:
    assert plan(WEEKLY).open(at(moment)) is holds


@pytest.mark.parametrize(
    ("after", "begins"),
    [
        ("2026-11-20 12:00", "2026-11-24 22:00"), ("2026-11-24 22:30", "2026-12-01 22:00"),
        ("2026-10-01 00:00", "2026-11-10 22:00"), ("2026-12-01 23:00", None),
    ],
)  # fmt: skip
def test_the_next_window_is_told(after: str, begins: str | None) -> None:
    assert plan(WEEKLY).next(at(after)) == (at(begins) if begins else None)


def test_a_weekly_window_stays_at_its_local_hour_when_clocks_change() -> None:
    document = text("{every: week, on: [sunday, monday], from: 06:00, to: 07:00}").replace("Asia/Tokyo", "Europe/Berlin")
    window = parse_plans("p", document.encode(), ZoneInfo)[0].windows[0]
    assert isinstance(window, Weekly)
    for day in ("2026-10-19", "2026-10-25", "2026-10-26"):  # the clocks of Berlin change on the 25th
        assert window.holds(at(f"{day} 06:30", "Europe/Berlin"))
        assert not window.holds(at(f"{day} 05:30", "Europe/Berlin"))


def test_the_sentence_names_plan_ticket_and_next_window_in_both_languages() -> None:
    done, late = said(plan(contact="M. Tanaka"), finding()), said(plan(), finding("2026-11-23 10:00"))
    none, over = said(plan(), finding(src="10.9.9.9")), said(plan(), finding("2026-11-25 10:00"))
    assert done is not None
    assert late is not None
    assert none is not None
    assert over is not None
    assert plan_sentence(done) == 'Covered by the work plan "Pump 3" (ticket CHG-1). Contact: M. Tanaka.'
    assert plan_title(done, "A writes") == 'Planned work "Pump 3": A writes'
    assert plan_title(late, "A writes") == "A writes"
    assert plan_sentence(late) == 'Not in the work plan; next window Tuesday 2026-11-24 02:00 ("Pump 3").'
    assert plan_sentence(late, "ja") == "作業計画の時間外です。次の時間帯は 2026-11-24 火曜日 02:00（「Pump 3」）。"
    assert plan_sentence(none) == "Not in any work plan."
    assert "no further window" in plan_sentence(over)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (text(may="[reed]"), ("line 9", "'reed'", "did you mean 'read'?")),
        (text(may=""), ("says nothing that is allowed", "functions:")),
        (text(who="[10.0.0.300]"), ("line 7", "plans[0].who[0]", "no address", "laptop")),
        (text(who="[10.0.0.5/8]"), ("no address or network",)),
        (text(who="[]"), ("0 entries",)),
        (text(who=""), ("'who' is missing",)),
        (text(services="[modbus]"), ("'modbus' is no service", "tcp/502")),
        (text("{from: 2026-11-24 04:00, to: 2026-11-24 02:00}"), ("not after from:",)),
        (text("{from: 2026-11-24 04:00, to: 2027-11-24 02:00}"), ("more than 31 days", "split")),
        (text("{from: tomorrow, to: 2026-11-24 02:00}"), ("'tomorrow' is no time",)),
        (text("{every: day, from: 02:00, to: 03:00, on: [monday]}"), ("'day'", "week")),
        (text("{every: week, on: [tuseday], from: 02:00, to: 03:00}"), ("did you mean 'tuesday'?",)),
        (text("{every: week, on: [monday], from: 2:00, to: 03:00}"), ("'2:00'", "like 02:00")),
        (text("{every: week, on: [monday], from: 24:00, to: 03:00}"), ("'24:00'",)),
        (text("{every: week, on: [monday], from: 02:00, to: 03:00, since: 2026-02-30}"), ("'2026-02-30' is no day",)),
        (text(tickt="x"), ("tickt", "did you mean 'ticket'?")),
        (text().replace("Asia/Tokyo", "Asia/Tokio"), ("line 2", "'Asia/Tokio' is no time zone")),
        (text().replace("Asia/Tokyo", "../../etc/passwd"), ("line 2", "is no time zone")),
        (text().replace("version: 1", "version: 2"), ("line 1", "version")),
        (text() + text()[len(HEAD) :], ("there is a plan 'Pump 3' already")),
    ],
)
def test_a_wrong_plan_is_refused_with_line_and_fix(document: str, words: tuple[str, ...]) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_plans("p", document.encode(), ZoneInfo)
    assert str(caught.value).startswith("p, line ")
    assert [w for w in words if w not in str(caught.value)] == [], str(caught.value)


def test_the_examples_are_right() -> None:
    files = sorted((ROOT / "rules" / "work-plans").glob("*.yaml"))
    assert files
    for file in files:
        assert parse_plans(str(file), file.read_bytes(), ZoneInfo)


def calendar(*lines: str, describes: str = r"who: 10.0.0.66\nassets: 10.0.0.13\nmay: read\, write") -> bytes:
    event = ["BEGIN:VEVENT", "UID:1", "SUMMARY:Pumps", f"DESCRIPTION:{describes}", *lines, "END:VEVENT"]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *event, "END:VCALENDAR", ""]).encode()


NOW = at("2026-11-21 12:00")
FIRST = ("DTSTART;TZID=Asia/Tokyo:20261124T020000", "DTEND;TZID=Asia/Tokyo:20261124T040000")


@pytest.mark.parametrize(
    ("rule", "open_at", "closed_at"),
    [
        ((), ["2026-11-24 03:00"], ["2026-12-01 03:00"]),
        (("RRULE:FREQ=WEEKLY;BYDAY=TU;UNTIL=20261215T170000Z",), ["2026-12-01 03:00", "2026-12-15 03:00"], ["2026-12-22 03:00"]),
        (("RRULE:FREQ=MONTHLY;COUNT=3",), ["2026-12-24 03:00", "2027-01-24 03:00"], ["2027-02-24 03:00", "2026-12-01 03:00"]),
        (
            ("RRULE:FREQ=WEEKLY", "EXDATE;TZID=Asia/Tokyo:20261201T020000"),
            ["2026-11-24 03:00", "2026-12-08 03:00"],
            ["2026-12-01 03:00"],
        ),
    ],
)
def test_a_calendar_becomes_a_plan(rule: tuple[str, ...], open_at: list[str], closed_at: list[str]) -> None:
    document, count = plan_text("c", calendar(*FIRST, *rule), "Asia/Tokyo", ZoneInfo, {}, NOW)
    assert count == 1
    found = parse_plans("c", document.encode(), ZoneInfo)[0]
    assert (str(found.who[0]), found.may) == ("10.0.0.66/32", frozenset({"read", "write"}))
    assert [m for m in open_at if not found.open(at(m))] == []
    assert [m for m in closed_at if found.open(at(m))] == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello", ("not a calendar",)),
        (b"\xff\xfe", ("not a calendar",)),
        (calendar(*FIRST, describes="come all"), ("'Pumps'", "does not say assets", "--assets")),
        (calendar("DTSTART:20200101T000000Z", "DTEND:20200101T010000Z"), ("still to come",)),
        (calendar(*FIRST, "RRULE:FREQ=SECONDLY"), ("more often than daily",)),
        (calendar("DTSTART:nonsense"), ("c",)),
    ],
)
def test_a_calendar_that_makes_no_plan_is_refused(data: bytes, words: tuple[str, ...]) -> None:
    with pytest.raises(DocumentError) as caught:
        plan_text("c", data, "Asia/Tokyo", ZoneInfo, {"who": "10.0.0.66"}, NOW)
    assert "\n" not in str(caught.value)
    assert [w for w in words if w not in str(caught.value)] == [], str(caught.value)


def test_what_a_calendar_says_cannot_leave_its_place_in_the_plan() -> None:
    hostile = r"who: 10.0.0.66\, \"]\nassets: 10.0.0.13\nmay: read\nticket: x\"\, may: [anything]"
    document, _ = plan_text("c", calendar(*FIRST, describes=hostile), "Asia/Tokyo", ZoneInfo, {}, NOW)
    with pytest.raises(DocumentError, match="no address"):
        parse_plans("c", document.encode(), ZoneInfo)


def test_the_epoch_is_utc() -> None:
    assert at("1970-01-01 00:00", "UTC") == int(datetime(1970, 1, 1, tzinfo=UTC).timestamp())

"""Work plans from the command line: check, show, import, and what `detect` says with one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.contract.cli import ROOT, case, of_type, records, refused, sekisho

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ROOT / "rules" / "work-plans" / "example.yaml"
CASE = "enip-attack"


def test_the_example_is_checked_and_shown() -> None:
    assert sekisho("plan", "check", EXAMPLE).stdout == "2 plans, nothing wrong\n"
    shown = sekisho("plan", "show", EXAMPLE)
    assert shown.returncode == 0
    assert "every Tuesday 02:00 to 04:00 Asia/Tokyo" in shown.stdout


def test_detect_tells_planned_work_and_what_is_not(tmp_path: Path) -> None:
    assert sekisho("learn", case(CASE, "train"), "--baseline", tmp_path / "b").returncode == 0

    def detect(*more: str | Path, form: str = "jsonl", lang: str = "en") -> str:
        return sekisho(
            "detect",
            case(CASE),
            "--baseline",
            tmp_path / "b",
            "--format",
            form,
            "--lang",
            lang,
            "--report",
            tmp_path / "r.html",
            *more,
        ).stdout

    without = of_type(records(detect()), "incident")
    assert {i["plan"] for i in without} == {""}
    begin = datetime.fromtimestamp(without[0]["opened"] // 1, UTC) - timedelta(minutes=10)
    (tmp_path / "p.yaml").write_text(
        "version: 1\ntime-zone: UTC\nplans:\n  - name: Upgrade\n    ticket: CHG-7\n    who: [10.41.1.66]\n"
        "    assets: [10.41.1.0/24]\n    may: [anything]\n    when:\n"
        f"      - from: {begin:%Y-%m-%d %H:%M}\n        to: {begin + timedelta(hours=1):%Y-%m-%d %H:%M}\n"
    )
    found = of_type(records(detect("--work-plan", tmp_path / "p.yaml")), "incident")
    assert len(found) == len(without)
    assert [i["plan"] for i in found if i["cause"] == "maintenance"] == ['Covered by the work plan "Upgrade" (ticket CHG-7).']
    assert "Not in any work plan." in {i["plan"] for i in found}
    story = detect("--work-plan", tmp_path / "p.yaml", form="text", lang="ja")
    assert "作業計画「Upgrade」（票 CHG-7）の範囲内です。" in story
    assert "どの作業計画にもありません。" in (tmp_path / "r.html").read_text()


def test_a_calendar_is_imported_and_never_overwrites(tmp_path: Path) -> None:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:1", "SUMMARY:Pumps", "RRULE:FREQ=WEEKLY"]
    lines += ["DTSTART:20250101T020000Z", "DTEND:20250101T040000Z", "END:VEVENT", "END:VCALENDAR", ""]
    (tmp_path / "c.ics").write_text("\r\n".join(lines))
    made = (
        "plan",
        "import",
        "c.ics",
        "--out",
        "p.yaml",
        "--time-zone",
        "Asia/Tokyo",
        "--who",
        "10.0.0.66",
        "--assets",
        "10.0.0.13",
    )
    refused(sekisho(*made, cwd=tmp_path), "c.ics", "'Pumps'", "--may")
    done = sekisho(*made, "--may", "read, write", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "every Wednesday 11:00 to 13:00 Asia/Tokyo" in sekisho("plan", "show", tmp_path / "p.yaml").stdout
    refused(sekisho(*made, "--may", "read", cwd=tmp_path), "p.yaml", "--replace")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "check", "nowhere.yaml"), ("nowhere.yaml", "no such file")),
        (("plan", "check", "."), (".", "cannot be read")),
        (("plan", "check", "bad.yaml"), ("bad.yaml, line 3", "plan", "did you mean 'plans'?")),
        (("plan", "check", str(EXAMPLE), str(EXAMPLE)), ("in another file too",)),
        (("detect", "x.pcap", "--baseline", "b", "--work-plan", "bad.yaml"), ("bad.yaml, line 3",)),
        (("plan", "import", "bad.yaml", "--out", "o", "--time-zone", "UTC"), ("bad.yaml", "not a calendar")),
        (("plan", "import", "bad.yaml", "--out", "o", "--time-zone", "Mars"), ("Mars", "Asia/Tokyo")),
    ],
)
def test_what_is_wrong_in_a_plan_is_one_line(arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\ntime-zone: UTC\nplan: []\n")
    refused(sekisho(*arguments, cwd=tmp_path), *words)

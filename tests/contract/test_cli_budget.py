"""The one knob through the real command: refused, kept, said; and without it nothing changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.cli import case, of_type, records, refused, sekisho

if TYPE_CHECKING:
    from tests.contract.conftest import Learned

KNOB = "--false-per-day"


def test_a_budget_that_the_clean_time_cannot_support_is_refused_in_one_line(learned: Learned) -> None:
    baseline, test = learned("modbus-attack"), case("modbus-attack")
    refused(sekisho("detect", test, "--baseline", baseline, KNOB, "1"), "cannot support it", "1 from 3 days on")
    refused(sekisho("replay", test, "--learn-for", "60s", KNOB, "2"), "cannot support it", "2 from 1.5 days on")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many"])
def test_what_is_no_number_of_incidents_is_refused(value: str, learned: Learned) -> None:
    done = sekisho("detect", case("modbus-attack"), "--baseline", learned("modbus-attack"), f"{KNOB}={value}")
    refused(done, value, "a number of incidents above 0")


def test_a_budget_that_mutes_nothing_changes_no_record(learned: Learned) -> None:
    command = ("detect", case("modbus-attack"), "--baseline", learned("modbus-attack"), "--format", "jsonl")
    plain, kept = sekisho(*command), sekisho(*command, KNOB, "1e6")
    assert (plain.returncode, kept.returncode) == (1, 1)
    assert plain.stdout == kept.stdout
    assert of_type(records(kept.stdout), "incident")


def test_the_story_begins_with_what_is_promised(learned: Learned) -> None:
    done = sekisho("detect", case("modbus-attack"), "--baseline", learned("modbus-attack"), KNOB, "50000")
    first, *rest = done.stdout.splitlines()
    assert first.startswith("50,000 false incidents a day accepted, ")
    assert "promised (95 %); " in first
    assert len(first) < 110
    assert any("SECURITY" in line for line in rest)

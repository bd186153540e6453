"""The screen of `sekisho status`: what a person needs, in eighty columns, whatever the snapshot holds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageError
from appliance.report.overview import attention, overview_lines, quantile, size_text
from appliance.report.overview_words import WORDS
from appliance.report.snapshot import overview
from appliance.report.wording import cells
from tests.unit.snapshots import NOW, Json, incident, port, rules, snapshot, status, troubled

LEARNS = status(
    mode="learning",
    frames=12_000,
    adequacy={"readiness": "short", "new": 0.31, "watched": 4700.0, "ready_in": 2500.0},
    unlearned=7,
)


def screen(said: Json, newest: list[Json] | None = None, lang: str = "en", *, color: bool = False, columns: int = 80) -> str:
    return "\n".join(overview_lines(overview(said), newest or [], "0.1.0", lang, color=color, columns=columns))


def test_where_all_is_well_it_says_so_and_nothing_needs_attention() -> None:
    said = screen(snapshot())
    assert said.startswith(
        "sekisho 0.1.0   2026-11-21 12:40:12 UTC   running for 1 h 20 min\nWATCHING since 2026-11-21 11:33 UTC"
    )
    assert "all is well" in said
    assert "300,121 frames, no loss" in said
    assert "95 % of them told" in said
    assert "none open; 0 so far" in said
    assert "the enforcer does not run" in said
    assert "nothing is sent out of this site" in said
    assert attention(overview(snapshot())) == []


def test_while_learning_it_says_how_far_and_how_long_at_the_least() -> None:
    said = " ".join(screen(snapshot(sensor=LEARNS)).split())
    assert "LEARNING" in said
    assert "1 h 18 min of traffic; too short to judge anything; up to 31.0 % of what comes next may be new" in said
    assert "at least 41 min 40 s more" in said
    assert "7 not learned for lack of disk" in said
    assert "findings" not in said


def test_what_needs_attention_is_named_the_gravest_first_with_advice() -> None:
    said = screen(troubled(), [incident(), incident(id="i-3-6", cause="fault", title="A device fell silent")])
    assert attention(overview(troubled())) == [("interface", 1), ("incident", 3), ("trial", 1), ("problem", 1)]
    one_line = " ".join(said.split())
    for part in (
        "needs attention: 1 interface not watched, 3 incidents open, rules on trial, 1 problem",
        "enp3s0f1 DOWN 1,200 frames, 12 LOST (1 %); receive offloads on: rx-gro",
        "3 open (security 2, fault 1); 10 so far",
        "i-3-7 11-21 12:26 security: A client that was never here",
        "i-3-6 11-21 12:26 fault: A device fell silent",
        "generation 7 in force; ENFORCE: incidents are answered",
        "generation 8 ON TRIAL for 1 min 28 s more",
        "l-3 block-function 10.0.0.9 → 10.0.0.1 18 min 08 s left i-3-7",
        "siem (syslog) 12 wait, since 1 h 03 min; 3 LOST for lack of room",
        "duty (mail) nothing waits; last sent 2 min 00 s ago",
        "usb (file) nothing waits, nothing was sent yet",
        "enp3s0f1: it is gone (for 1 min 52 s) → check the cable",
    ):
        assert part in one_line, part


def test_a_lease_whose_time_is_over_is_not_shown() -> None:
    leases = rules()["leases"]
    over = [{**leases[0], "until": round((NOW - 1) * 1e9)}]
    assert "lease" not in screen(snapshot(enforcer=rules(leases=over)))
    many = [{**leases[0], "id": f"l-{n}"} for n in range(9)]
    assert "9 leases in force" in screen(snapshot(enforcer=rules(leases=many)))
    assert "and 5 more" in screen(snapshot(enforcer=rules(leases=many)))


def test_a_box_whose_sensor_never_spoke_shows_it_at_once() -> None:
    said = snapshot(sensor=None, sensor_age=None)
    assert "NOT CAPTURING - needs attention: the sensor tells nothing" in screen(said)
    assert attention(overview(said)) == [("sensor", 1)]


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("columns", [60, 80, 100])
def test_every_line_fits_also_where_everything_is_wrong(lang: str, columns: int) -> None:
    for said in (troubled(), snapshot(), snapshot(sensor=LEARNS), snapshot(sensor=None)):
        lines = screen(said, [incident()] * 3, lang, columns=columns).splitlines()
        assert max(cells(line) for line in lines) <= columns
        assert len(lines) < (40 if columns >= 80 else 60)


def test_colour_only_adds_colour() -> None:
    painted = screen(troubled(), [incident()], color=True)
    assert "\x1b[" in painted
    bare = re.sub(r"\x1b\[[\d;]*m", "", painted)
    assert [line.split() for line in bare.splitlines()] == [
        line.split() for line in screen(troubled(), [incident()]).splitlines()
    ]


def test_both_languages_have_the_same_places() -> None:
    for key, (english, japanese) in WORDS.items():
        assert english
        assert japanese
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", japanese)), key
    with pytest.raises(UsageError, match="language 'de'"):
        screen(snapshot(), lang="de")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e18, 1e18) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_whatever_a_snapshot_holds_is_shown_in_the_width_without_escapes(data: st.DataObject) -> None:
    said = troubled()
    for key in data.draw(st.lists(st.sampled_from(sorted(said)), max_size=4)):
        said[key] = data.draw(values)
    if isinstance(said["sensor"], dict) and said["sensor"]:
        for key in data.draw(st.lists(st.sampled_from(sorted(said["sensor"])), max_size=4)):
            said["sensor"] = said["sensor"] | {key: data.draw(values)}
    record = incident(
        **{key: data.draw(values) for key in data.draw(st.sets(st.sampled_from(["id", "opened", "cause", "title"])))}
    )
    lines = list(overview_lines(overview(said), [record], "0.1.0"))
    assert all(cells(line) <= 80 for line in lines)
    assert "\x1b" not in "".join(lines)


def test_an_escape_sequence_in_a_title_or_a_name_is_shown_as_text() -> None:
    said = snapshot(sensor=status(interfaces=[port("e\x1b[2J")]), incidents={"total": 1, "open_by_cause": {"fault": 1}})
    shown = screen(said, [incident(title="\x1b]0;x\x07", id="i-\u202e1")])
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"\x1b[2J" in shown


def test_the_time_in_which_most_was_told_is_an_end_of_a_bucket() -> None:
    sensor = overview(snapshot()).sensor
    assert sensor is not None
    assert (quantile(sensor, 0.5), quantile(sensor, 0.95), quantile(sensor, 0.99)) == (0.25, 0.25, 0.5)
    none = overview(snapshot(sensor=status(latency={"buckets": [[0.1, 0]], "count": 0, "sum": 0}))).sensor
    assert none is not None
    assert quantile(none, 0.95) is None


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (812, "812 B"), (1536, "1.5 KiB"), (1 << 28, "256 MiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes_are_said_in_two_figures(size: int, text: str) -> None:
    assert size_text(size) == text

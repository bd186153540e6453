"""What the reporter writes of itself is passed on by its form, and nothing else is."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.host.keeper.reported import MOST, reported

NOW = 1_795_264_812.0


def write(folder: Path, said: object) -> Path:
    path = folder / "reporter.json"
    path.write_text(json.dumps(said), encoding="utf-8")
    return path


def test_destinations_and_problems_are_passed_on(tmp_path: Path) -> None:
    one = {"name": "siem", "kind": "syslog", "waiting": 2, "oldest": NOW - 9, "dropped": 0, "last_sent": None, "token": "secret"}
    wrong = {"what": "siem: 2 reports wait", "since": NOW - 9, "advice": "try it"}
    said, problems, why = reported(write(tmp_path, {"time": NOW - 1, "destinations": [one], "problems": [wrong]}), NOW)
    assert said == {"time": NOW - 1, "destinations": [{k: v for k, v in one.items() if k != "token"}]}
    assert (problems, why) == ([wrong], "")


def test_one_that_stopped_writing_is_said_to_be_silent(tmp_path: Path) -> None:
    path = write(tmp_path, {"time": NOW - 100, "destinations": []})
    assert reported(path, NOW)[2] == "it has said nothing for 100 s"
    assert reported(tmp_path / "none", NOW) == (None, [], "it has said nothing yet")


KEYS = st.sampled_from(["name", "what", "waiting", "since", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.just(10**400) | st.text(max_size=500),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["time", "destinations", "problems", "x"]), values))
def test_whatever_is_there_has_the_form_that_others_rely_on(tmp_path_factory: pytest.TempPathFactory, said: object) -> None:
    found, problems, why = reported(write(tmp_path_factory.mktemp("r"), said), NOW)
    assert (found is None) <= bool(why)
    assert len(problems) <= MOST
    assert all(isinstance(p["what"], str) and len(p["what"]) <= 400 and isinstance(p["since"], int | float) for p in problems)
    assert json.loads(json.dumps([found, problems], allow_nan=False)) == [found, problems]


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"time": NaN}', b'{"time": "now"}', b'{"time": 1' + b"0" * 400 + b"}"]
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "reporter.json"
    path.write_bytes(raw)
    found, problems, why = reported(path, NOW)
    assert (found, problems) == (None, [])
    assert why
    assert "\n" not in why

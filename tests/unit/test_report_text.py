"""The story for people: what it says, and that nothing hostile or too wide reaches the terminal."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.detect.finding import Finding, Kind
from appliance.errors import UsageError
from appliance.incident.incident import Cause, Incident
from appliance.report.labels import LABELS, label
from appliance.report.outline import bytes_text, hex_rows, left_out, outline, range_text
from appliance.report.records import summary_record
from appliance.report.text import COLUMNS, story
from appliance.report.wording import cells, fit, listed, moment, plain, span, wrap

T0 = 1_424_799_609_410_000_000
WRITE = bytes.fromhex("0001000000060105 0013 ff00".replace(" ", ""))
COMMAND = Finding(4782, T0, "10.0.0.9", "10.0.0.1", "10.0.0.9", "tcp/502", Kind.UNKNOWN_COMMAND, ((7, 8),), b"\x05",
                  (b"\x03", b"\x01"), 0.0003, WRITE)  # fmt: skip
ATTACK = Incident("i-7", T0, T0 + 12_000_000_000, 2, cause=Cause.SECURITY, confidence=0.97, title="A stranger writes",
                  technique="T0855", assets=["10.0.0.9", "10.0.0.1"], advice=["Find the device.", "Check the output."],
                  impact="An output may have moved.", findings=[COMMAND], total=14)  # fmt: skip
SUMMARY = summary_record(36_000, 14, 1, 3725.0, 0)


def told(*incidents: Incident, lang: str = "en", color: bool = False) -> list[str]:
    return list(story(incidents, SUMMARY, lang, color))


def test_an_incident_says_cause_title_who_where_and_what_is_normal() -> None:
    text = "\n".join(told(ATTACK))
    for words in (
        "SECURITY 97 %", "A stranger writes", "T0855 i-7", "2015-02-24 17:40:09.410 UTC", "10.0.0.9 → 10.0.0.1", "tcp/502",
        "14 findings", "frame 4782, byte 7: unknown command", "0000  00 01 00 00 00 06 01[05]00 13 ff 00",
        "seen 05   normally 03, 01", "1. Find the device.", "2. Check the output.", "impact: An output may have moved.",
    ):  # fmt: skip
        assert words in text


def test_the_last_line_closes_the_story() -> None:
    assert told(ATTACK)[-1] == "1 incident (security 1), 36,000 frames in 1 h 02 min"
    assert told() == ["Nothing abnormal: 36,000 frames in 1 h 02 min"]
    assert told(lang="ja") == ["異常はありません: 36,000 フレーム（1 h 02 min）"]


def test_an_absence_has_no_frame_number() -> None:
    silence = Finding(None, T0, "10.0.0.7", "10.0.0.3", "10.0.0.7", "tcp/502", Kind.SILENCE)
    text = "\n".join(told(Incident("i-1", T0, T0, cause=Cause.FAULT, findings=[silence], total=1)))
    assert "no frame: silence" in text
    assert "frame None" not in text


def test_colours_only_mark_and_change_no_word() -> None:
    plainly, coloured = told(ATTACK), told(ATTACK, color=True)
    assert "\x1b" not in "".join(plainly)
    assert "\x1b[" in coloured[0]
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == plainly


def test_a_language_without_texts_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UsageError, match=r"'de'.*en, ja"):
        told(lang="de")


@given(st.text(), st.lists(st.text(), max_size=3), st.text(), st.sampled_from(["en", "ja"]))
def test_no_text_escapes_to_the_terminal_or_is_wider_than_it(title: str, advice: list[str], impact: str, lang: str) -> None:
    incident = Incident("i-1", T0, T0, title=title, advice=advice, impact=impact, findings=[COMMAND], total=1)
    for line in told(incident, lang=lang):
        assert plain(line) == line
        assert cells(line) <= COLUMNS


def test_both_languages_have_the_same_places() -> None:
    for key, texts in LABELS.items():
        english, japanese = ({name for _, name, _, _ in string.Formatter().parse(text) if name} for text in texts)
        assert english == japanese, key
        assert all(texts), key


def test_every_kind_and_cause_has_a_label() -> None:
    for lang in ("en", "ja"):
        assert len({label(lang, f"kind.{kind.value}") for kind in Kind}) == len(Kind)
        assert len({label(lang, f"cause.{cause.value}") for cause in Cause}) == len(Cause)


def test_like_findings_are_one_place_and_a_scan_is_one_place() -> None:
    scan = [Finding(i, T0, "10.0.0.9", f"10.0.0.{i}", "10.0.0.9", "tcp/502", Kind.SCAN, count=2) for i in range(1, 50)]
    found = outline(Incident("i-1", T0, T0, findings=[COMMAND, COMMAND, *scan], total=206))
    assert [(place.finding.frame, place.count) for place in found.places] == [(4782, 2), (1, 98)]
    assert found.findings == 206
    assert found.clients == ("10.0.0.9",)
    assert found.servers[0] == "10.0.0.1"
    assert len(found.servers) == 49


def test_the_server_is_named_also_when_the_answer_is_to_blame() -> None:
    answer = Finding(9, T0, "10.0.0.1", "10.0.0.9", "10.0.0.9", "tcp/502", Kind.WRONG_ECHO)
    found = outline(Incident("i-1", T0, T0, findings=[answer], total=1))
    assert (found.clients, found.servers) == (("10.0.0.9",), ("10.0.0.1",))


@given(st.binary(max_size=1500), st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 9)), max_size=80), st.integers(1, 8))
def test_hex_rows_mark_exactly_the_abnormal_bytes(payload: bytes, starts: list[tuple[int, int]], most: int) -> None:
    ranges = [(first, first + size) for first, size in starts]
    rows = hex_rows(payload, ranges, most=most)
    assert len(rows) <= most
    for row in rows:
        for at, (byte, marked) in enumerate(row.cells, start=row.offset):
            assert byte == payload[at]
            assert marked == any(first <= at < end for first, end in ranges[:64])
    assert 0 <= left_out(payload, rows) <= len(payload)


def test_rows_that_are_skipped_are_said_to_be() -> None:
    rows = hex_rows(bytes(100), [(70, 72)])
    assert [(row.offset, row.skipped) for row in rows] == [(0, False), (64, True)]


def test_ranges_and_bytes_read_as_people_count() -> None:
    assert range_text([(7, 8), (10, 12)]) == "7, 10-11"
    assert bytes_text(b"\x00\x13\xff", [(8, 10), (12, 13)]) == "00 13 | ff"
    assert bytes_text(bytes(9), [(0, 9)]).endswith("…")


@given(st.text(), st.integers(2, 40))
def test_fitted_text_has_exactly_the_width(text: str, columns: int) -> None:
    assert cells(fit(plain(text), columns)) == columns


@given(st.text(), st.integers(8, 60))
def test_wrapping_keeps_every_visible_character_and_the_width(text: str, columns: int) -> None:
    lines = wrap(text, columns)
    assert all(cells(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(plain(text).split())


def test_hidden_characters_are_shown() -> None:
    assert plain("a\x1b[31mb\u202ec\ud800") == "a\\x1b[31mb\\u202ec\\ud800"


def test_times_spans_and_lists() -> None:
    assert moment(T0) == "2015-02-24 17:40:09.410"
    assert moment(10**21) == "1000000000000 s"
    assert [span(x) for x in (0.4, 12, 62, 3725, 100_000)] == ["0.40 s", "12 s", "1 min 02 s", "1 h 02 min", "1 d 03 h"]
    assert listed(["a", "b", "c", "d"], 2) == "a, b +2"

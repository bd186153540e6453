"""Bytes drawn for a terminal."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from appliance.explain.where import marked_hex, normal, place

PAYLOAD = bytes.fromhex("00010000000601050002ff00")


def test_brackets_stand_around_the_abnormal_bytes() -> None:
    assert marked_hex(PAYLOAD, [(7, 8)]) == "0000  00 01 00 00 00 06 01[05]00 02 ff 00"
    assert marked_hex(PAYLOAD, [(7, 8), (10, 12)]) == "0000  00 01 00 00 00 06 01[05]00 02[ff 00]"
    assert marked_hex(PAYLOAD, [(0, 1), (1, 2)]) == "0000 [00 01]00 00 00 06 01 05 00 02 ff 00"
    assert marked_hex(PAYLOAD, [(3, 5)], width=4) == "0000  00 01 00[00]\n0004 [00]06 01 05\n0008  00 02 ff 00"


def test_colour_marks_without_brackets() -> None:
    assert marked_hex(PAYLOAD[:3], [(1, 2)], color=True) == "0000  00 \x1b[7m01\x1b[0m 00"


def test_long_payloads_fold_around_the_marks() -> None:
    lines = marked_hex(bytes(160), [(80, 81)], context=1).splitlines()
    assert [line[:4] for line in lines] == ["...", "0040", "0050", "0060", "..."]
    assert len(marked_hex(bytes(160), [], context=1).splitlines()) == 10


@given(st.binary(max_size=70), st.lists(st.tuples(st.integers(-3, 90), st.integers(-3, 90)), max_size=4), st.integers(1, 20))
def test_every_byte_stays_and_only_the_ranges_are_marked(data: bytes, ranges: list[tuple[int, int]], width: int) -> None:
    marked = {at for first, end in ranges for at in range(first, end)}
    drawn, count = marked_hex(data, ranges, color=True, width=width), 0
    for line in drawn.splitlines():
        for code, digits in re.findall(r"(\x1b\[7m)?([0-9a-f]{2})(?:\x1b\[0m)?", line[6:]):
            assert int(digits, 16) == data[count]
            assert bool(code) == (count in marked)
            count += 1
    assert count == len(data)
    plain = marked_hex(data, ranges, width=width)
    assert bytes.fromhex("".join(re.sub(r"[\[\] ]", "", line[4:]) for line in plain.splitlines())) == data
    assert plain.count("[") == plain.count("]")


def test_places_and_normal_values_are_said_in_both_languages() -> None:
    assert place([(7, 8)], "en") == "byte 7"
    assert place([(7, 9), (11, 12)], "en") == "bytes 7-8, 11"
    assert place([(7, 9)], "ja") == "バイト 7-8"
    assert place([], "en") == ""
    assert normal([b"\1", b"\2"], "en") == "normally 01, 02"
    assert normal([b"\1"], "ja") == "通常は 01"
    assert normal([], "en") == ""
    assert normal([bytes(20)], "en") == "normally " + "00" * 16 + "…"

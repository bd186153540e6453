"""Places and values as phrases."""

from __future__ import annotations

from appliance.explain.where import normal, place


def test_places_and_normal_values_are_said_in_both_languages() -> None:
    assert place([(7, 8)], "en") == "byte 7"
    assert place([(7, 9), (11, 12)], "en") == "bytes 7-8, 11"
    assert place([(7, 9)], "ja") == "バイト 7-8"
    assert place([], "en") == ""
    assert normal([b"\1", b"\2"], "en") == "normally 01, 02"
    assert normal([b"\1"], "ja") == "通常は 01"
    assert normal([], "en") == ""
    assert normal([bytes(20)], "en") == "normally " + "00" * 16 + "…"

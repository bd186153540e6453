"""Numbers in text: what goes on from before, and what is the same words with a longer or shorter number."""

import numpy as np
import pytest

from appliance.detect.figures import explained, grown, moved_on, reworded
from appliance.learn.sample import WIDTH

Bytes = np.typing.NDArray[np.uint8]


def head(text: bytes) -> Bytes:
    """As a message's head stands in a table: zero beyond its end."""
    row = np.zeros(WIDTH, np.uint8)
    row[: len(text)] = np.frombuffer(text, np.uint8)
    return row


@pytest.mark.parametrize(
    ("now", "known", "same"),
    [
        (b'{"t":1700452725,"v":9.73}', b'{"t":17004\0\0\x0067,"v":\0\0.\0\0}', True),
        (b'{"t":1700452725,"v":109.73}', b'{"t":17004\0\0\x0067,"v":\0\0.\0\0}', True),
        (b'{"t":1700452725,"x":9.73}', b'{"t":17004\0\0\x0067,"v":\0\0.\0\0}', False),
        (b'{"t":1700452725,"v":9.73} ', b'{"t":17004\0\0\x0067,"v":\0\0.\0\0}', False),
        (b'{"t":1700452725,"v":9.73', b'{"t":17004\0\0\x0067,"v":\0\0.\0\0}', False),
        (b"sp=12 on", b"sp=1 on", False),  # two figures are no number yet
        (b"sp=120 on", b"sp=12 on", True),
        (b"sp=120 off", b"sp=12 on", False),
        (b"\x08sp=120 on", b"\x07sp=12 on", True),
        (b"\x09sp=120 on", b"\x07sp=12 on", False),  # longer by one: 8 was to be said
        (b"sp=120 b", b"sp=12 a", False),  # what comes behind says no length
        (b"0/sp=120 on", b"0.sp=12 on", True),  # what says the length is a figure by chance
    ],
)
def test_the_same_words_about_another_number(now: bytes, known: bytes, same: bool) -> None:
    assert reworded(head(now), len(now), head(known), len(known)) is same


@pytest.mark.parametrize(
    ("now", "before", "goes_on"),
    [
        (b"t=1700450004", b"t=1700449999", True),
        (b"t=1900450004", b"t=1700449999", True),  # 12 %: a figure that moves says what it likes within that
        (b"t=9700450004", b"t=1700449999", False),
        (b"u=1700450004", b"t=1700449999", True),  # what stands before it is judged by itself
        (b"t=1700450004", b"1700449999", False),  # at another place
        (b"t=0.45", b"t=1.12", True),
        (b"t=4.45", b"t=1.12", False),
        (b"t=1.2.3", b"t=1.2.2", False),  # no number
    ],
)
def test_a_number_goes_on_where_the_message_before_left_it(now: bytes, before: bytes, goes_on: bool) -> None:
    data, offsets = np.zeros(WIDTH, bool), np.array([3])
    assert not moved_on(head(now), head(before), offsets, data), "a number that does not move is looked at"
    data[4] = True
    assert moved_on(head(now), head(before), offsets, data) is goes_on


@pytest.mark.parametrize(
    ("now", "offsets", "by", "fits"),
    [
        (b"\x2a\x06100.25\x0593.12", [0, 1], -2, False),  # 2a is no length of anything: two less would be 2c - 2
        (b"\x2a\x06100.25\x0593.12", [1], -2, True),  # six figures stand behind it
        (b"\x2a\x05100.25\x0593.12", [1], -2, False),
        (b"\x2a\x06100.25\x0593.12", [2, 3, 8], -2, True),
    ],
)
def test_a_byte_that_differs_may_say_how_many_figures_follow(now: bytes, offsets: list[int], by: int, fits: bool) -> None:
    known = head(b"\x2b\x04" + bytes(12))
    assert explained(head(now), known, np.array(offsets), by) is fits


def test_numbers_with_nothing_between_them_grow_each_by_a_figure() -> None:
    before, now = head(b"\x0351.7658.7665.7606"), head(b"\x03100.27107.27114.27fa")
    assert grown(now, before, 1, 3)
    assert not grown(head(b"\x03100271072711427fa"), before, 1, 3)

"""Numbers in figures inside binary answers: what has grown by a figure, and says so, is nothing new."""

import numpy as np
import pytest

from appliance.detect.figures import explained, grown
from appliance.learn.messages.sample import WIDTH

Bytes = np.typing.NDArray[np.uint8]


def head(text: bytes) -> Bytes:
    """As a message's head stands in a table: zero beyond its end."""
    row = np.zeros(WIDTH, np.uint8)
    row[: len(text)] = np.frombuffer(text, np.uint8)
    return row


@pytest.mark.parametrize(
    ("now", "before", "start", "by", "may"),
    [
        (b"\x91\x06100.12", b"\x91\x0599.98", 2, 1, True),
        (b"\x91\x05-9.98", b"\x91\x049.98", 2, 1, True),
        (b"\x91\x05100.12", b"\x91\x0599.98", 2, 0, False),  # it is as long as before
        (b"\x91\x0610000.12", b"\x91\x0599.98", 2, 3, False),  # more than a figure and a sign
        (b"\x91\x06100.12 7.123", b"\x91\x0599.98 7.12", 2, 3, True),  # two numbers
        (b"\x91\x0612 ok", b"\x91\x051 ok", 2, 1, False),  # two figures are no number yet
        (b"\x91\x06ab 100.12", b"\x91\x05ab 99.98", 2, 1, False),  # data begin with something else
    ],
)
def test_an_answer_may_be_longer_by_its_numbers(now: bytes, before: bytes, start: int, by: int, may: bool) -> None:
    assert grown(head(now), head(before), start, by) is may
    assert grown(head(before), head(now), start, -by) is may, "or shorter"


@pytest.mark.parametrize(
    ("now", "said", "sound"),
    [
        (b"\x91\x0a100.12", [1], True),  # longer by one, as it says
        (b"\x91\x0b100.12", [1], False),
        (b"\x91\x0a100.12", [1, 2, 3], True),  # figures are free
        (b"\x95\x0a100.12", [0, 1], False),
    ],
)
def test_what_else_differs_says_how_long(now: bytes, said: list[int], sound: bool) -> None:
    assert explained(head(now), head(b"\x91\x0999.98"), np.array(said), 1) is sound


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

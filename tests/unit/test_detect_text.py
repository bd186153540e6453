"""Numbers and message ends written as text: what carries is normal, what ends a message is watched."""

import pytest

from appliance.detect.carry import _carried_over
from tests.evaluate.capture import Capture, changed, place
from tests.evaluate.detectors import Sekisho
from tests.evaluate.strangers import LINE, plant


@pytest.fixture(scope="module", params=[2, 7])
def watched(request: pytest.FixtureRequest) -> tuple[Sekisho, Capture]:
    head, rest = plant(True, 600, request.param).split(0.6)
    sekisho = Sekisho()
    sekisho.learn(head)
    return sekisho, rest


def test_values_that_drift_are_normal_when_their_figures_carry(watched: tuple[Sekisho, Capture]) -> None:
    sekisho, rest = watched
    assert sekisho.detect(rest) == []


def test_the_end_of_an_answer_is_watched_behind_its_data(watched: tuple[Sekisho, Capture]) -> None:
    sekisho, rest = watched
    answers = [
        (i, w, raw) for i, (_, raw) in enumerate(rest.frames) if (w := place(raw)) and LINE.direction(w) is False and w.size > 20
    ]
    index, where, raw = answers[len(answers) // 2]
    wrong = rest.with_changes({index: changed(raw, where, where.size - 1, b"\n")})
    assert [(cry.frame, cry.ranges) for cry in sekisho.detect(wrong)] == [(index + 1, ((where.size - 1, where.size),))]


@pytest.mark.parametrize(
    ("before", "now", "carries"),
    [
        (b"1F", b"20", True),
        (b"20", b"1E", True),
        (b"19", b"20", True),
        (b"1F", b"30", False),
        (b"1F", b"2C", False),
        (b"\x10\xf0", b"\x11\x02", True),
        (b"\x10\x70", b"\x11\x02", False),
    ],
)
def test_a_higher_figure_moves_by_one_where_the_lower_passes_zero(before: bytes, now: bytes, carries: bool) -> None:
    assert _carried_over(before[0], before[1], now[0], now[1]) is carries

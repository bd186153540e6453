"""What was asked or answered while a port was not watched yet, or not any more, is nobody's fault; afterwards it is."""

import pytest

from appliance.detect.detector import Detector
from appliance.detect.finding import Finding, Kind
from appliance.learn.meaning.model import Model
from tests.unit.dialogue import MILLI, START, Plant, learned, passes
from tests.unit.frames import SECOND

POLL = 150  # of which a half is not seen
AT = START + SECOND + POLL * 100 * MILLI + 15 * MILLI  # right behind it; the other device is asked 5 ms later


@pytest.fixture(scope="module")
def model() -> Model:
    return learned()


def judged(model: Model, *, asked: bool, since: int = 0, whole: bool = True) -> list[Finding]:
    """Findings where one half of one exchange of the first device was not seen, with a port that was opened at `since`."""

    def edit(n: int, d: int, is_request: bool, payload: bytes) -> bytes | None:
        return None if n == POLL and d == 0 and is_request != asked else payload

    detector = Detector(model)
    detector.view.since, detector.view.whole = since, whole
    return [f for batch in passes(Plant(6, edit=edit).run(300).sorted(), 50)() for f in detector.judge(batch)]


def kinds(findings: list[Finding]) -> list[Kind]:
    return [f.kind for f in findings if f.kind in (Kind.MISSING_ANSWER, Kind.UNASKED_ANSWER)]


def test_a_request_right_before_a_port_is_opened_may_have_been_answered(model: Model) -> None:
    assert kinds(judged(model, asked=True)) == [Kind.MISSING_ANSWER]
    assert kinds(judged(model, asked=True, since=AT)) == []
    assert kinds(judged(model, asked=True, since=AT - 100 * MILLI)) == [Kind.MISSING_ANSWER]


def test_an_answer_right_after_a_port_is_opened_may_have_been_asked_for(model: Model) -> None:
    assert kinds(judged(model, asked=False)) == [Kind.UNASKED_ANSWER]
    assert kinds(judged(model, asked=False, since=AT)) == []
    assert kinds(judged(model, asked=False, since=AT - 3 * SECOND)) == [Kind.UNASKED_ANSWER]


@pytest.mark.parametrize("asked", [True, False])
def test_while_a_port_is_gone_no_half_of_an_exchange_is_missed(model: Model, asked: bool) -> None:
    assert kinds(judged(model, asked=asked, whole=False)) == []

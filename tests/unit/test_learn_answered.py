"""What is said unasked between answers neither lowers what an answer must repeat nor opens what answers say."""

import numpy as np
import pytest

from appliance.learn.messages.answered import alone, surest
from tests.evaluate.capture import Capture, changed, place
from tests.evaluate.detectors import Sekisho
from tests.evaluate.invented import READ, Recipe, invented_plant


def test_an_answer_between_two_requests_of_its_connection_is_sure() -> None:
    flow = np.array([1, 2, 1, 2, 1, 2, 2, 1, 1, 2, 1])
    request = np.array([1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1], bool)
    # connection 1: ask tell ask tell tell ask; 2: ask ask tell tell ask
    assert np.flatnonzero(alone(flow, request)).tolist() == [2]
    assert alone(np.array([7, 7]), np.array([True, False])).tolist() == [False, True], "the last one, too"
    assert not alone(np.array([7, 8]), np.array([True, False])).any(), "asked on another connection"


def test_only_where_they_are_most_the_sure_ones_count() -> None:
    of, sure = np.arange(40) < 30, np.arange(40) % 2 == 0
    assert np.flatnonzero(surest(of, sure)).tolist() == list(range(0, 30, 2))
    assert surest(of, np.arange(40) < 14).sum() == 30
    assert surest(np.arange(40) < 8, sure).sum() == 8, "too few to tell"


@pytest.mark.parametrize(("seed", "operation", "object_at"), [(214, 1, 5), (331, 6, 11)])
def test_of_answers_that_repeat_one_byte_beside_unasked_messages_the_object_and_count_are_watched(
    seed: int, operation: int, object_at: int
) -> None:
    """A tenth of all said is unasked and has a number as well: six of ten changes were found."""
    recipe = Recipe(seed)
    assert recipe.events
    head, rest = invented_plant(recipe).split(0.6)
    detector = Sekisho()
    detector.learn(head)
    quiet = {cry.frame for cry in detector.detect(rest)}
    places = [(i, at) for i, (_, raw) in enumerate(rest.frames) if (at := place(raw))]
    reads = [(i, at) for i, at in places if rest.frames[i][1][at.offset + operation] == READ | 0x80]
    wrong = {}
    for i, at in reads[10 :: len(reads) // 20][:20]:
        pay = rest.frames[i][1][at.offset :]
        other = recipe.mend(pay[:object_at] + bytes([pay[object_at] ^ 0x10]) + pay[object_at + 1 :])
        wrong[i] = changed(rest.frames[i][1], at, 0, other)
    told = {cry.frame for cry in detector.detect(Capture(rest.frames).with_changes(wrong))}
    found = [i for i in wrong if i + 1 in told and i + 1 not in quiet]
    assert len(found) >= 19

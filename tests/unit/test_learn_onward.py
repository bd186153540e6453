"""Learning that goes on: the same as learning at once, and what appears later is learned later."""

import dataclasses
from collections.abc import Iterator

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.baselines.codec import baseline_digest, baseline_json
from appliance.learn.onward import Onward
from appliance.packets.batch import batch_of
from appliance.pipeline import learn_session, survey
from tests.bench.sender import polls, udp

SECOND = 10**9
Timed = list[tuple[int, bytes]]


def plant(count: int, start: int = 1_700_000_000 * SECOND, gap: int = SECOND // 100) -> Timed:
    frames = polls(6)
    return [(start + i * gap, frames[i % len(frames)]) for i in range(count)]


def batches(frames: Timed, state: DecodeState, size: int = 500) -> Iterator[DecodedBatch]:
    numbers = iter(range(1, len(frames) + 1))
    for at in range(0, len(frames), size):
        yield decode(batch_of(frames[at : at + size], numbers=numbers), state)


def digest(baseline: Baseline) -> str:
    return baseline_digest(*baseline_json(baseline))


def test_a_survey_of_everything_is_what_learning_gives() -> None:
    frames = plant(3000)
    whole = learn_session(lambda: batches(frames, DecodeState()))
    assert digest(Onward(survey(lambda: batches(frames, DecodeState()))).baseline()) == digest(whole)


def test_frames_counted_after_the_survey_count_as_if_they_had_been_in_it() -> None:
    frames, state = plant(6000), DecodeState()
    head, rest = frames[:3000], frames[3000:]

    def passes() -> Iterator[DecodedBatch]:
        nonlocal state
        state = DecodeState()
        return batches(head, state)

    onward = Onward(survey(passes))
    for batch in batches(rest, state):
        onward.add(batch)
    assert digest(onward.baseline()) == digest(learn_session(lambda: batches(frames, DecodeState())))


def test_a_service_that_appears_later_is_learned_under_a_structure_of_its_own() -> None:
    late_port = 9600
    onward = Onward(survey(lambda: batches(plant(3000), DecodeState())))
    late = [
        (1_700_000_100 * SECOND + i * SECOND // 100, udp(1, 256, late_port, b"\x80\0\2" + bytes([i % 2, 1, 7]) * 5, 30000))
        for i in range(1200)
    ]
    state = DecodeState()
    for at, batch in enumerate(batches(late, state, 600)):
        onward.add(batch)
        assert onward.adopt() == (1 if at == 0 else 0)
    learned = onward.baseline().services[17, late_port]
    assert [int(known.table.numbers["count"].sum()) for known in learned.values()] == [600]


def test_a_resumed_session_counts_under_the_structures_that_are_there() -> None:
    first = learn_session(lambda: batches(plant(3000), DecodeState()))
    onward = Onward.resumed(first)
    for batch in batches(plant(3000, 1_700_001_000 * SECOND), DecodeState()):
        onward.add(batch)
    both = onward.baseline()
    assert (both.sessions, both.frames) == (2, 6000)
    assert {port: set(learned) for port, learned in both.services.items()} == {
        port: set(learned) for port, learned in first.services.items()
    }
    assert dataclasses.replace(both).watched == 2 * first.watched

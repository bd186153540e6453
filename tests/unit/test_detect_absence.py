"""What does not happen: silence, refused connections, requests that nobody answers."""

from collections.abc import Iterator

import pytest

from appliance.detect.absence import MISSING, SLACK
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding, Kind
from appliance.learn.meaning.model import Model, derive
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Plant, Wire, answer, judge, learn, learned, passes, request
from tests.unit.frames import SECOND

LATER = START + 3600 * SECOND
DEVICE = "10.0.0.11"


@pytest.fixture(scope="module")
def model() -> Model:
    return learned(300)


def without(polls: range, *, asks: bool = True, seed: int = 6) -> Wire:
    """400 polls (40 s) in which the first device gives no answers for a while, and is not asked either where `asks`."""

    def edit(n: int, d: int, is_request: bool, payload: bytes) -> bytes | None:
        return None if d == 0 and n in polls and (asks or not is_request) else payload

    return Plant(seed, opens=False, edit=edit).run(400, LATER)


def ended(frames: Frames, device: str) -> int:
    """When the device was last heard, ns."""
    address = bytes(map(int, device.split(".")))
    return max(at for at, raw in frames if address in (raw[26:30], raw[30:34]))


def one(findings: list[Finding], kind: Kind) -> Finding:
    assert [f.kind for f in findings] == [kind], findings
    return findings[0]


@pytest.mark.parametrize("most", [32768, 50])
def test_a_silence_that_ends_is_told_with_the_time_from_which_it_was_too_long(model: Model, most: int) -> None:
    found = one(judge(model, without(range(100, 350)).sorted(), most), Kind.SILENCE)
    last = LATER + SECOND + 99 * 100 * MILLI
    assert (found.frame, found.client, found.src, found.service) == (None, CENTRE, DEVICE, "tcp/7001")
    assert last + SLACK < found.time_ns < last + SLACK + 2 * SECOND


def test_a_silence_at_the_end_of_the_input_is_told(model: Model) -> None:
    frames = without(range(100, 400)).sorted()
    found = one(judge(model, frames), Kind.SILENCE)
    assert ended(frames, DEVICE) + SLACK < found.time_ns < ended(frames, DEVICE) + SLACK + 2 * SECOND


def test_a_device_that_is_not_heard_at_all_is_told(model: Model) -> None:
    found = one(judge(model, without(range(400)).sorted()), Kind.SILENCE)
    assert found.src == DEVICE


def ticked(model: Model, frames: Frames, until: int) -> list[Finding]:
    """What a clock alone brings out, second by second, after the frames."""
    detector = Detector(model)
    for batch in passes(frames, 32768)():
        assert detector.judge(batch) == []
    last = max(at for at, _ in frames) if frames else LATER
    return [f for second in range(until) for f in detector.tick(last + second * SECOND)] + detector.finish()


def test_a_network_that_falls_silent_as_a_whole_is_told_by_the_clock_once(model: Model) -> None:
    frames = without(range(0)).sorted()
    found = ticked(model, frames, 40)
    assert {f.kind for f in found} == {Kind.SILENCE}
    assert len({f.src for f in found}) == len(found) == 2
    last = max(at for at, _ in frames)
    assert all(last + SLACK - SECOND < f.time_ns < last + SLACK + 3 * SECOND for f in found)
    assert ticked(model, frames, 9) == []


def test_a_network_of_which_nothing_is_heard_from_the_start_is_told_by_the_clock_once(model: Model) -> None:
    found = ticked(model, [], 60)
    assert {f.kind for f in found} == {Kind.SILENCE}
    assert len({f.src for f in found}) == len(found) == 2
    assert ticked(model, [], 9) == []


def silent_so_far(model: Model, frames: Frames) -> Iterator[Finding]:
    """Findings of a detector whose input goes on."""
    detector = Detector(model)
    for batch in passes(frames, 50)():
        yield from detector.judge(batch)


def test_a_silence_that_lasts_is_told_while_others_go_on(model: Model) -> None:
    found = list(silent_so_far(model, without(range(100, 400)).sorted()))
    assert one(found, Kind.SILENCE).src == DEVICE


def test_a_pause_that_is_no_silence_yet_is_polls_left_out(model: Model) -> None:
    found = one(judge(model, without(range(100, 180)).sorted()), Kind.PERIOD_CHANGE)
    assert (found.frame, found.client, found.dst) == (None, CENTRE, DEVICE)


def test_pauses_as_long_as_those_learned_are_no_silence() -> None:
    """A plant that stands still for 25 s now and then."""
    wire = Wire()
    for turn in range(6):
        part = Plant(turn, opens=turn == 0, first_number=turn * 100).run(50, START + turn * 30 * SECOND)
        wire.frames += part.frames
    frames = without(range(100, 380)).sorted()
    assert judge(derive(learn(wire.sorted())), frames) == []


def test_a_conversation_of_a_few_frames_has_no_silence() -> None:
    wire = Plant(1).run(300)
    wire.udp(START + SECOND, CENTRE, 7, DEVICE, 8, b"a")
    wire.udp(START + 2 * SECOND, DEVICE, 8, CENTRE, 7, b"b")
    assert judge(derive(learn(wire.sorted())), without(range(0)).sorted()) == []


@pytest.mark.parametrize("most", [32768, 1, 5])
def test_requests_that_nobody_answers_are_told_once_from_the_fourth_on(model: Model, most: int) -> None:
    frames = without(range(100, 160), asks=False).sorted()
    found = one(judge(model, frames, most), Kind.MISSING_ANSWER)
    assert (found.src, found.dst, found.client) == (CENTRE, DEVICE, CENTRE)
    assert found.count > MISSING
    assert found.frame is not None
    when = frames[found.frame - 1][0]
    assert when == found.time_ns
    assert 2 * SECOND <= when - (LATER + SECOND + 10 * SECOND) < 4 * SECOND


def slow(answered: int) -> Frames:
    """One device, a request a second; from some poll on nobody answers."""
    wire = Wire()
    for n in range(60):
        wire.tcp(LATER + n * SECOND, CENTRE, 40000, DEVICE, 7001, request(n, 1, 3, 0, 2))
        if n < answered:
            wire.tcp(LATER + n * SECOND + MILLI, DEVICE, 7001, CENTRE, 40000, answer(n, 1, 3, bytes(4)))
    return wire.frames


def test_a_request_that_ends_a_batch_counts_as_unanswered(model: Model) -> None:
    frames = slow(20)
    assert judge(model, frames, 41) == judge(model, frames)


def test_the_fourth_request_without_an_answer_is_the_one_that_is_told(model: Model) -> None:
    found = [f for f in judge(model, slow(20)) if f.kind is Kind.MISSING_ANSWER]
    assert [(f.frame, f.count) for f in found] == [(44, 4)]


def test_a_second_outage_is_told_again(model: Model) -> None:
    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes | None:
        return None if d == 0 and not asks and (50 <= n < 90 or 200 <= n < 240) else payload

    found = judge(model, Plant(6, opens=False, edit=edit).run(300, LATER).sorted())
    assert [f.kind for f in found] == [Kind.MISSING_ANSWER] * 2


def test_a_lost_answer_now_and_then_is_told_for_each_device_once_in_ten_seconds(model: Model) -> None:
    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes | None:
        return None if not asks and n % 20 < 2 else payload

    found = judge(model, Plant(6, opens=False, edit=edit).run(300, LATER).sorted())
    assert {f.kind for f in found} == {Kind.MISSING_ANSWER}
    assert sorted(f.dst for f in found) == [DEVICE] * 3 + ["10.0.0.12"] * 3


def refusing(start: int, times: int, wire: Wire | None = None) -> Wire:
    wire = wire or Plant(6, opens=False).run(300, start)
    for n in range(times):
        at = start + 2 * SECOND + n * SECOND
        wire.tcp(at, CENTRE, 52000 + n, DEVICE, 7001, flags=0x02)
        wire.refuse(at + MILLI, DEVICE, 7001, CENTRE, 52000 + n)
    return wire


def test_a_refused_connection_of_a_known_conversation_is_told(model: Model) -> None:
    frames = refusing(LATER, 1).sorted()
    found = one(judge(model, frames), Kind.CONNECTION_FAILURE)
    assert (found.src, found.dst, found.client, found.service) == (DEVICE, CENTRE, CENTRE, "tcp/7001")
    assert found.frame is not None
    assert frames[found.frame - 1][0] == found.time_ns


def test_refusals_in_a_row_are_told_now_and_then_only(model: Model) -> None:
    found = judge(model, refusing(LATER, 25).sorted())
    assert {f.kind for f in found} == {Kind.CONNECTION_FAILURE}
    assert 2 <= len(found) <= 4


def test_refusals_that_were_normal_while_learning_are_normal() -> None:
    normal = refusing(START, 12, Plant(1).run(300))
    assert judge(derive(learn(normal.sorted())), refusing(LATER, 5).sorted()) == []


def test_a_connection_that_ends_well_is_no_failure(model: Model) -> None:
    wire = Plant(6, opens=False).run(100, LATER)
    wire.open(LATER + 2 * SECOND, CENTRE, 53000, DEVICE, 7001)
    wire.tcp(LATER + 3 * SECOND, CENTRE, 53000, DEVICE, 7001, flags=0x11)
    wire.tcp(LATER + 3 * SECOND + MILLI, DEVICE, 7001, CENTRE, 53000, flags=0x11)
    assert judge(model, wire.sorted()) == []


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("most", [32768, 70])
def test_a_clock_that_is_set_is_no_silence(model: Model, hours: int, most: int) -> None:
    """Also not for what is counted later: a device that falls silent afterwards is told, once, with the new time."""
    cut = LATER + 15 * SECOND
    frames = [(at + (hours * 3600 * SECOND if at > cut else 0), raw) for at, raw in without(range(200, 400)).sorted()]
    found = one(judge(model, frames, most), Kind.SILENCE)
    last = LATER + SECOND + 199 * 100 * MILLI + hours * 3600 * SECOND
    assert last + SLACK < found.time_ns < last + SLACK + 2 * SECOND


@pytest.mark.parametrize("seconds", [20, 300])
@pytest.mark.parametrize("known", [True, False])
def test_a_clock_that_is_known_to_have_been_set_by_little_is_no_silence_either(model: Model, seconds: int, known: bool) -> None:
    """Unless it is known, so small a step looks like silence; and it holds for one step only."""
    frames, third = without(range(0)).sorted(), 500
    steps = [(0, frames[:third]), (1, frames[third : 2 * third]), (2, frames[2 * third :])]
    detector, found = Detector(model), []
    for number, batch in enumerate(passes([(at + n * seconds * SECOND, raw) for n, part in steps for at, raw in part], 50)()):
        if known and number == third // 50:
            detector.clock_set(seconds * SECOND)
        found += [(number * 50 // third, f.kind) for f in detector.judge(batch)]
    assert len(frames) > 2 * third
    assert ((1, Kind.SILENCE) in found) is not known
    assert (2, Kind.SILENCE) in found
    assert not known or {part for part, _ in found} == {2}


def test_an_absence_stands_behind_what_led_to_it_however_large_the_batch() -> None:
    wire = Plant(seed=2).run(200, START + 3600 * SECOND)
    quiet = START + 3700 * SECOND
    frames = [f for f in wire.sorted() if f[0] < START + 3610 * SECOND]
    stranger = Wire()
    stranger.open(START + 3609 * SECOND, "10.0.0.99", 50_000, Plant.address(0), 7001)
    frames += [*stranger.frames, *[(quiet + n * SECOND, f) for n, (_, f) in enumerate(frames[-3:])]]
    frames.sort(key=lambda f: f[0])
    kinds = [f.kind for f in judge(learned(), frames)]
    assert kinds.index(Kind.NEW_ASSET) < kinds.index(Kind.SILENCE)

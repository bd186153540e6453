"""A handle that a connection has shown as its own and then changes in the middle."""

import pytest

from appliance.detect.finding import Kind
from appliance.learn.meaning.model import Model, derive
from tests.unit.dialogue import START, Plant, Wire, judge, learn
from tests.unit.frames import SECOND

HANDLES = [bytes.fromhex(text) for text in ("58495496", "f2a82727", "7c69ddd8", "472d8260", "0b1c9e31")]


def session(number: int, bend: dict[int, bytes] | None = None, polls: int = 60) -> Wire:
    """A connection whose messages carry its handle from the second poll on; `bend`: other handles in some requests."""

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        handle = bytes(4) if n == 0 and asks else HANDLES[number % len(HANDLES)]
        if asks and bend and n in bend:
            handle = bend[n]
        body = payload[6:] if n else payload[6:8] + b"\0\0\0\0"
        return payload[:4] + (len(body) + 4).to_bytes(2, "big") + handle + body

    plant = Plant(number + 1, devices=1, edit=edit, first_number=number * 1000, sport=41_000 + number)
    return plant.run(polls, START + number * 600 * SECOND)


@pytest.fixture(scope="module")
def model() -> Model:
    return derive(learn([frame for number in range(4) for frame in session(number).sorted()]))


def frame(poll: int) -> int:
    return 3 + 2 * poll + 1  # three frames of the handshake, requests and answers in turn


def test_handles_of_connections_are_known_as_such(model: Model) -> None:
    (service,) = model.services[6, 7001]
    assert service.structure.identity[6:10].all()


def test_a_new_connection_with_a_handle_of_its_own_is_normal(model: Model) -> None:
    assert judge(model, session(4).sorted()) == []


@pytest.mark.parametrize("value", [HANDLES[0], bytes.fromhex("0b1c9e32"), b"\xff\xff\xff\xff"])
def test_another_handle_in_the_middle_is_told_with_its_bytes(model: Model, value: bytes) -> None:
    (found,) = judge(model, session(4, {30: value}).sorted())
    differs = [6 + i for i in range(4) if value[i] != HANDLES[4][i]]
    assert (found.kind, found.frame) == (Kind.WRONG_IDENTITY, frame(30))
    assert (found.ranges[0][0], found.ranges[-1][1]) == (differs[0], differs[-1] + 1)
    assert b"".join(found.normal) == bytes(HANDLES[4][i - 6] for i in differs)


def test_a_handle_that_stays_is_told_once_and_coming_back_is_told_as_well(model: Model) -> None:
    bend = dict.fromkeys(range(20, 40), HANDLES[1])
    assert [f.frame for f in judge(model, session(4, bend).sorted())] == [frame(20), frame(40)]


@pytest.mark.parametrize("most", [1, 7, 64])
def test_batches_change_nothing(model: Model, most: int) -> None:
    frames = session(4, {20: HANDLES[1], 21: HANDLES[1], 40: HANDLES[2]}).sorted()
    assert judge(model, frames, most) == judge(model, frames)


def test_connections_side_by_side_have_handles_of_their_own(model: Model) -> None:
    one, other = session(2).sorted(), session(3).sorted()
    shift = other[0][0] - one[0][0]
    mixed = sorted(one + [(at - shift + SECOND // 50, raw) for at, raw in other], key=lambda frame: frame[0])
    assert [f for f in judge(model, mixed) if f.kind is Kind.WRONG_IDENTITY] == []

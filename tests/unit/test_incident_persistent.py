"""A benign change that stays costs one incident in a run, however long it lasts and however often the devices reconnect."""

from collections.abc import Callable

import numpy as np
import pytest

from appliance.learn.meaning.model import Model, derive
from appliance.pipeline import State, finish, step
from tests.unit.dialogue import MILLI, START, Frames, Plant, Wire, answer, learn, learned, passes, request
from tests.unit.frames import SECOND

POLLS, FROM = 3000, 100  # five minutes; the change comes after ten seconds


@pytest.fixture(scope="module")
def model() -> Model:
    return learned()


def new_read_list(n: int, d: int, asks: bool, payload: bytes) -> bytes | None:
    number = int.from_bytes(payload[:2], "big")
    if d or n < FROM or n % 3:
        return payload
    return request(number, d + 1, 3, 700, 4) if asks else answer(number, d + 1, 3, bytes(8))


def new_firmware(n: int, d: int, asks: bool, payload: bytes) -> bytes | None:
    number = int.from_bytes(payload[:2], "big")
    return payload if asks or d or n < FROM else answer(number, d + 1, 0x41, payload[9:])


def reconnecting(plant: Plant) -> Frames:
    """The plant in sixty second pieces, each on a connection of its own."""
    wire = Wire()
    for k in range(5):
        plant.sport = 40_000 + 10 * k
        wire.frames += plant.run(POLLS // 5, START + k * 61 * SECOND).frames
    return wire.sorted()


def exchanged() -> Frames:
    frames: Frames = []
    for at, frame in Plant(4).run(POLLS).sorted():
        new = at > START + 15 * SECOND and frame[6:12] == b"\x02\x00\x0a\x00\x00\x0b"
        if not (new and at < START + 40 * SECOND):
            frames.append((at, frame[:6] + b"\x02\x00\x77\x00\x00\x0b" + frame[12:] if new else frame))
    return frames


def second_client() -> Frames:
    wire = Plant(5).run(POLLS)
    random = np.random.default_rng(1)
    for k in range(5):
        wire.open(START + (10 + 60 * k) * SECOND, "10.0.0.50", 45_000 + k, Plant.address(0), 7001)
        for n in range(300):
            at = START + (11 + 60 * k) * SECOND + n * 150 * MILLI + int(random.integers(0, MILLI))
            wire.tcp(at, "10.0.0.50", 45_000 + k, Plant.address(0), 7001, request(n, 1, 3, (n % 40) * 10, 2))
            wire.tcp(at + MILLI, Plant.address(0), 7001, "10.0.0.50", 45_000 + k, answer(n, 1, 3, bytes(4)))
    return wire.sorted()


def two_clients(polls: int, changed: bool) -> Frames:
    """Device 0 polled by the centre and by a panel; its answers change for both."""
    edit = new_firmware if changed else lambda n, d, asks, payload: payload
    wire = Plant(6, edit=edit).run(polls)
    wire.open(START, "10.0.0.2", 46_000, Plant.address(0), 7001)
    for n in range(polls):
        at = START + 2 * SECOND + n * 100 * MILLI
        wire.tcp(at, "10.0.0.2", 46_000, Plant.address(0), 7001, request(n, 1, 3, 0, 2))
        tell = answer(n, 1, 3, bytes([n % 7, n % 11, n % 13, n % 5]))
        wire.tcp(at + MILLI, Plant.address(0), 7001, "10.0.0.2", 46_000, edit(n, 0, False, tell) or b"")
    return wire.sorted()


CHANGES: dict[str, Callable[[], Frames]] = {
    "a new read list": lambda: Plant(2, edit=new_read_list).run(POLLS).sorted(),
    "new firmware": lambda: Plant(3, edit=new_firmware).run(POLLS).sorted(),
    "new firmware, reconnecting": lambda: reconnecting(Plant(3, edit=new_firmware)),
    "an exchanged device": exchanged,
    "a second client": second_client,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_stays_is_one_incident(name: str, model: Model) -> None:
    state = State.start(model)
    for batch in passes(CHANGES[name]())():
        state, _ = step(state, batch)
    stories = finish(state)[0].grouping.incidents
    assert len(stories) == 1, list(stories)


def test_a_device_that_changes_for_all_its_clients_is_one_incident() -> None:
    state = State.start(derive(learn(two_clients(600, changed=False))))
    for batch in passes(two_clients(POLLS, changed=True))():
        state, _ = step(state, batch)
    stories = finish(state)[0].grouping.incidents
    assert len(stories) == 1, list(stories)

"""What holds a client up is no incident; what is late, left out or asked again for no visible reason is."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.detect.finding import Finding, Kind
from tests.order_time.others import others
from tests.order_time.plants import Plant, made
from tests.order_time.score import judge, learned
from tests.order_time.traffic import SECOND, Exchange, Frames, Traffic, exchanges, frames_of
from tests.sim.plants import Bacnet
from tests.sim.short import Busy, false_incidents

PLANTS = {plant.name: plant for plant in made(3)}
MILLI = SECOND // 1000


def told(plant: Plant, frames: Frames) -> list[Finding]:
    return judge(learned(plant), frames)


def moved(plant: Plant, by: Callable[[Exchange], int]) -> Frames:
    """The plant's test half with every exchange later by so many ns."""
    traffic = exchanges(plant.test)
    return frames_of(Traffic(sorted((e.moved(e.at + by(e)) for e in traffic.exchanges), key=lambda e: e.at), traffic.others))


def middle(plant: Plant) -> int:
    """A time between two rounds, half way through."""
    times = [e.at for e in exchanges(plant.test).exchanges]
    half = (times[0] + times[-1]) // 2
    return next(a + 1 for a, b in pairwise(times) if a > half and b - a > SECOND // 2)


@pytest.mark.parametrize("name", ["steady", "jittery", "datagrams"])
def test_a_station_that_stalls_once_is_late_everywhere_and_not_told(name: str) -> None:
    plant = PLANTS[name]
    since = middle(plant)
    assert told(plant, moved(plant, lambda e: 600 * MILLI if e.at >= since else 0)) == []


@pytest.mark.parametrize("name", ["steady", "jittery", "datagrams"])
def test_the_same_delay_towards_one_server_only_is_told(name: str) -> None:
    plant = PLANTS[name]
    since, victim = middle(plant), exchanges(plant.test).exchanges[0].conversation
    found = told(plant, moved(plant, lambda e: 600 * MILLI if e.at >= since and e.conversation == victim else 0))
    assert {f.kind for f in found} & {Kind.PERIOD_CHANGE, Kind.WRONG_ORDER}


def test_a_station_that_goes_on_being_late_has_another_period() -> None:
    plant = PLANTS["steady"]
    since = middle(plant)
    found = told(plant, moved(plant, lambda e: max(0, e.at - since) // 4))
    assert Kind.PERIOD_CHANGE in {f.kind for f in found}
    assert min(f.time_ns for f in found) < since + 6 * SECOND


def test_answers_that_always_take_long_excuse_no_client_for_ever() -> None:
    """Units on a serial line answer in their own time, so that every request is preceded by a wait; a faster round is told."""
    plant = next(plant for plant in others(3) if plant.name == "gateway")
    since = middle(plant)
    found = told(plant, moved(plant, lambda e: min(0, since - e.at) // 10))
    assert Kind.PERIOD_CHANGE in {f.kind for f in found}
    assert since < min(f.time_ns for f in found) < since + 20 * SECOND


def asked_again(plant: Plant, *, answered: bool) -> Frames:
    """One datagram stays without its answer; it is sent again 400 ms later and answered, or never."""
    traffic = exchanges(plant.test)
    lost = traffic.exchanges[len(traffic.exchanges) // 2]
    again = replace(lost.moved(lost.at + 400 * MILLI), answers=lost.moved(lost.at + 400 * MILLI).answers)
    return frames_of(traffic.with_({lost}, [replace(lost, answers=()), *([again] if answered else [])]))


def test_a_datagram_asked_again_is_one_request() -> None:
    plant = PLANTS["datagrams"]
    assert told(plant, asked_again(plant, answered=True)) == []
    assert [f.kind for f in told(plant, asked_again(plant, answered=False))] == [Kind.MISSING_ANSWER]


def test_a_poll_without_a_number_that_comes_at_its_time_is_not_the_last_one_asked_again() -> None:
    plant = PLANTS["datagrams"]

    def bare(frames: Frames) -> Frames:
        """The same plant in a protocol without a running number (the byte at offset 4 of either direction)."""
        t = exchanges(frames)
        return frames_of(
            Traffic(
                [
                    replace(
                        e, asks=e.asks[:4] + b"\0" + e.asks[5:], answers=tuple((at, b[:4] + b"\0" + b[5:]) for at, b in e.answers)
                    )
                    for e in t.exchanges
                ],
                t.others,
            )
        )

    numberless = Plant("numberless", bare(plant.train), bare(plant.test), plant.numbered, ())
    assert told(numberless, numberless.test) == []
    assert Kind.MISSING_ANSWER in {f.kind for f in told(numberless, asked_again(numberless, answered=False))}


def test_ten_minutes_of_a_busy_plant_that_loses_datagrams_and_stalls_are_enough_for_the_next_ten() -> None:
    assert false_incidents(Busy(Bacnet(), 0).run(20), 10) == ([], 0)

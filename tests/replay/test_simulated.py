"""Simulated life, short: what `tests/sim` measures at length holds for one seed."""

import pytest

from appliance.detect.finding import Finding, Kind
from appliance.learn.meaning.model import Model, derive
from appliance.pipeline import learn_session
from tests.sim.mixed import ATTACKS, found_at, office_host, segment, with_attack
from tests.sim.plants import TONGUES
from tests.sim.short import Busy, false_incidents
from tests.sim.thirty_days import findings, incidents, simulate, split
from tests.sim.watching import run
from tests.sim.wire import HOUR, MINUTE, MONDAY, Frames, passes

LEARNED, REST = 80 * MINUTE, 40 * MINUTE


@pytest.fixture(scope="module")
def office() -> tuple[Model, Frames, list[Finding]]:
    head, tail = split(segment(1, LEARNED + REST, poll=5), MONDAY + LEARNED)
    model = derive(learn_session(passes(head)))
    return model, tail, findings(model, passes(tail))


def test_an_office_beside_the_plant_is_at_most_one_false_incident_an_hour(office: tuple[Model, Frames, list[Finding]]) -> None:
    _, tail, told = office
    assert len({(raw[6:12], raw[26:34]) for _, raw in tail if raw[12:14] == b"\x08\x00"}) > 300  # there is an office
    assert len(incidents(told)) <= REST / HOUR


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_an_attack_of_an_office_host_on_the_plant_is_found(attack: object, office: tuple[Model, Frames, list[Finding]]) -> None:
    model, tail, told = office
    at = MONDAY + LEARNED + 10 * MINUTE
    short = [f for f in tail if f[0] < at + MINUTE]
    known = {(f.src, f.dst, f.service) for f in told}
    frames = with_attack(short, attack, at, office_host(tail, at))  # type: ignore[arg-type]
    new = found_at(model, frames, at, at + MINUTE, known)
    assert {f.kind for f in new} & {Kind.NEW_ASSET, Kind.NEW_CONVERSATION, Kind.SCAN, Kind.DARK_ADDRESS, Kind.ROLE_CHANGE}


@pytest.mark.parametrize("protocol", ["enip", "private"])
def test_promises_are_kept_over_sixteen_days_and_small_ones_are_refused(protocol: str) -> None:
    cells, cover = simulate(protocol, range(3, 4), (4.0, 14.0), weekly=True)
    by = {(cell.learned, cell.asked): cell for cell in cells}
    assert (by[4.0, 0.25].refused, by[4.0, 0.5].refused) == (1, 1)  # 3 / 4 days are 0.75
    assert [(cell.learned, cell.asked) for cell in cells if cell.beyond()] == []  # one seed: more than the mean is no proof
    for asked in (0.5, 1.0, 2.0, 5.0):
        assert by[14.0, asked].came[0] <= asked * 16
    assert by[4.0, None].came[0] > 4  # what a budget has to be kept against
    assert [c.unit for c in cover if c.learned == 14.0 and not c.inside] == []


@pytest.mark.parametrize(("protocol", "poll", "stride"), [("modbus", 60, 4099), ("bacnet", 60, 1)])
def test_a_slow_plant_is_watched_in_two_hours_however_its_numbers_count(protocol: str, poll: int, stride: int) -> None:
    watched = run(protocol, 1, poll, stride)
    assert watched.first is not None
    assert watched.first <= 2
    assert watched.plant is not None
    assert watched.plant <= 2
    assert (watched.limits >= 5, watched.passed) == (True, 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_two_minutes_of_datagrams_between_equal_ports_say_who_asks_and_not_that_numbers_never_come_again(seed: int) -> None:
    """Four stations and a few devices: neither side is a hub. A number of one byte comes round after minutes."""
    found, _ = false_incidents(Busy(TONGUES["bacnet"](), seed).run(10), 2)
    content = {Kind.REPLAY, Kind.UNASKED_ANSWER, Kind.UNKNOWN_COMMAND, Kind.UNKNOWN_VALUE, Kind.UNKNOWN_COMBINATION}
    assert {f.kind for f in found} & content == set()
    assert {f.client for f in found if f.service == "udp/47808"} <= {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}  # stations

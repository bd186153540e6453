"""Hosts that come and go are learned as such, and nothing else becomes open by it."""

from collections.abc import Iterable

import numpy as np
import pytest

from appliance.decode.conversation import Address, Conversation, Port
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.meaning.openness import LATE, MANY, Openness, network, openness
from appliance.learn.site.topology import NUMBERS, START, Asset
from tests.unit.frames import SECOND

HOUR = 3600 * SECOND
BEGIN, WATCHED = 1_700_000_000 * SECOND, 2 * HOUR
LATER, EARLY = BEGIN + HOUR, BEGIN + SECOND
GATEWAY = 0x02FE
WEB, MODBUS, NAMES = (6, 443), (6, 502), (17, 53)


def ip(text: str) -> Address:
    a, b, c, d = map(int, text.split("."))
    return 0, 0xFFFF_0000_0000 | a << 24 | b << 16 | c << 8 | d


def site(talks: Iterable[tuple[str, str, Port, int, int]], outside: int = MANY) -> Baseline:
    """A baseline of (client, server, port, first, last); 10.* has hardware of its own, everything else is behind the gateway."""
    baseline = Baseline(watched=WATCHED, first=BEGIN, last=BEGIN + WATCHED)
    everything = [*talks, *(("10.9.0.1", f"20.0.{i}.1", WEB, EARLY, EARLY) for i in range(outside))]
    for client, server, port, first, last in everything:
        numbers = np.array([{"first": first, "last": last}.get(name, START[name]) for name in NUMBERS], np.int64)
        baseline.conversations[Conversation(ip(client), ip(server), port)] = numbers
        for address in (client, server):
            mac = ip(address)[1] if address.startswith("10.") else GATEWAY
            seen = Asset({mac}, first, last, 1)
            have = baseline.assets.get(ip(address))
            baseline.assets[ip(address)] = seen if have is None else have.merged(seen)
    return baseline


PLANT = [("10.0.0.1", f"10.0.0.{11 + i}", MODBUS, EARLY, BEGIN + WATCHED) for i in range(3)]
OFFICE = [
    *((f"10.1.0.{100 + i}", "10.1.0.5", NAMES, LATER, LATER) for i in range(LATE)),
    *((f"10.1.0.{100 + i}", f"30.{k}.{i}.1", WEB, LATER + k, LATER + k) for i in range(LATE) for k in range(LATE)),
]


def opened(talks: Iterable[tuple[str, str, Port, int, int]] = (*PLANT, *OFFICE)) -> Openness:
    return openness(site(talks))


def admitted(found: Openness, client: str, server: str, port: Port) -> bool:
    return found.admits(Conversation(ip(client), ip(server), port))


@pytest.mark.parametrize(
    ("client", "server", "port"),
    [
        ("10.1.0.200", "10.1.0.5", NAMES),  # who was never seen asks whom guests ask
        ("10.1.0.101", "99.1.2.3", WEB),  # a guest meets a place nobody met
        ("10.1.0.200", "99.1.2.3", WEB),
    ],
)
def test_what_guests_do_all_the_time_is_open_to_the_next(client: str, server: str, port: Port) -> None:
    assert admitted(opened(), client, server, port)


@pytest.mark.parametrize(
    ("client", "server", "port"),
    [
        ("10.1.0.101", "10.0.0.11", MODBUS),  # a guest turns to a controller
        ("10.1.0.101", "10.0.0.11", WEB),  # also by a service that the office uses
        ("10.1.0.101", "10.0.0.99", WEB),  # or looks for one
        ("10.1.0.200", "10.1.0.5", MODBUS),  # another service of the office's server
        ("10.1.0.101", "99.1.2.3", (6, 8080)),  # another service outside
        ("10.0.0.11", "99.1.2.3", WEB),  # a controller calls outside
        ("10.0.0.11", "10.1.0.5", NAMES),  # or does what guests do
        ("10.0.0.77", "10.0.0.11", MODBUS),  # a stranger in the plant
        ("99.1.2.3", "10.0.0.11", MODBUS),
    ],
)
def test_the_plant_stays_closed(client: str, server: str, port: Port) -> None:
    assert not admitted(opened(), client, server, port)


def test_an_hour_is_the_least() -> None:
    baseline = site([*PLANT, *OFFICE])
    baseline.watched = HOUR - 1
    assert openness(baseline) == Openness()


def test_a_plant_without_guests_is_closed() -> None:
    found = opened(PLANT)
    assert not found.guests
    assert not admitted(found, "10.0.0.99", "10.0.0.11", MODBUS)


def test_too_few_late_ones_open_nothing() -> None:
    assert not opened([*PLANT, *(t for t in OFFICE if t[0] == "10.1.0.100")]).guests


def test_what_was_there_from_the_beginning_is_not_late() -> None:
    found = opened([*PLANT, *((c, s, p, EARLY, EARLY) for c, s, p, _, _ in OFFICE)])
    assert not found.guests
    assert not admitted(found, "10.1.0.200", "10.1.0.5", NAMES)


def test_a_network_behind_the_gateway_that_the_plant_talks_to_is_not_outside() -> None:
    remote = [("10.0.0.1", "172.16.0.9", MODBUS, EARLY, BEGIN + WATCHED)]
    found = opened([*PLANT, *OFFICE, *remote])
    assert not admitted(found, "10.1.0.101", "172.16.0.9", WEB)
    assert not admitted(found, "10.1.0.101", "172.16.0.77", WEB)


def test_places_of_a_guest_that_left_early_stay_outside() -> None:
    found = opened([*PLANT, *OFFICE, ("10.1.0.50", "40.0.0.1", WEB, EARLY, EARLY)])
    assert admitted(found, "10.1.0.101", "40.0.0.2", WEB)


def test_two_merged_say_the_same_in_any_order() -> None:
    a, b = site(PLANT), site(OFFICE)
    assert openness(merge(a, b)) == openness(merge(b, a))


def test_networks_of_addresses() -> None:
    assert network(ip("10.0.0.1")) == network(ip("10.0.0.200")) != network(ip("10.0.1.1"))
    assert network((0xFE80 << 48, 1)) == network((0xFE80 << 48, 2)) != network((0x2001 << 48, 1))

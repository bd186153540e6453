"""The opener's reader of links against a real kernel, in a namespace of our own. Root."""

from __future__ import annotations

import select
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from appliance.host.capture.links import Event, Here, Links, Listed, Removed
from tests.lab import net
from tests.lab.wires import Wire, entered

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab


@pytest.fixture
def wire(namespaces: None) -> Iterator[Wire]:
    with Wire("lnk") as made:
        yield made


def until(links: Links, wanted: Event | type[Event], seconds: float = 20) -> list[Event]:
    """What is told until an event, or one of a kind, comes."""
    told: list[Event] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        select.select([links.fileno()], [], [], 0.2)
        for event in links.events():
            told.append(event)
            if event == wanted or (isinstance(wanted, type) and isinstance(event, wanted)):
                return told
    raise AssertionError(f"{wanted} was not told; told was {told}")


@contextmanager
def followed(wire: Wire) -> Iterator[tuple[Links, int]]:
    """The links of the near end, all listed and the port with its carrier, and the port's index."""
    with entered(wire.near):
        links, index = Links(), socket.if_nametoindex("w0")
    with links:
        ready = Here(index, "w0", True, 1)
        if ready not in until(links, Listed):
            until(links, ready)  # a carrier may take its time
        yield links, index


def test_links_go_down_get_another_name_and_go(wire: Wire) -> None:
    with followed(wire) as (links, index):
        net.ip_batch(["link set w0 down", "link set w0 name lan0"], wire.near)
        until(links, Here(index, "lan0", False, 1))
        net.ip_batch(["link set lan0 up"], wire.near)
        until(links, Here(index, "lan0", True, 1))
        net.ip_batch(["link del lan0"], wire.near)
        until(links, Removed(index))


def test_a_port_that_leaves_a_bridge_is_not_gone(wire: Wire) -> None:
    with followed(wire) as (links, index):
        net.ip_batch(["link add br0 type bridge", "link set w0 master br0", "link set w0 nomaster", "link del br0"], wire.near)
        assert Removed(index) not in until(links, Removed)


def test_where_the_kernel_had_to_drop_events_all_are_asked_anew(wire: Wire) -> None:
    with followed(wire) as (links, index):
        links._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        net.ip_batch(["link set w0 down", "link set w0 up"] * 40 + ["link del w0"], wire.near)
        told = until(links, Listed)  # nothing else makes it ask again
        assert told.count(Removed(index)) == 1

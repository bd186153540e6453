"""Interfaces as the kernel tells of them: messages in any shape. Real links come and go in tests/lab/test_links.py."""

import contextlib
import select
import socket
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.host.capture.links import DELLINK, NEWLINK, Here, Links, Listed, Removed, events_of
from appliance.host.capture.offloads import JOINING, offloads_on

UP = 0x1 | 0x40


def message(kind: int, index: int = 7, flags: int = UP, name: bytes = b"eth1\0", family: int = 0, asked: int = 0) -> bytes:
    attributes = pack("=HH", 4 + len(name), 3) + name + bytes(-len(name) % 4)
    body = pack("=BxHiII", family, 1, index, flags, 0) + pack("=HHI", 8, 4, 1500) + attributes
    return pack("=IHHII", 16 + len(body), kind, 0, asked, 0) + body


def test_a_datagram_holds_several_messages() -> None:
    data = (
        message(NEWLINK, asked=1)
        + message(NEWLINK, 8, flags=0x1, name=b"lan0\0")
        + message(DELLINK, 9)
        + pack("=IHHIIi", 20, 3, 2, 1, 0, 0)
    )
    assert events_of(data) == [
        (True, Here(7, "eth1", True, 1)),
        (False, Here(8, "lan0", False, 1)),
        (False, Removed(9)),
        (True, Listed()),
    ]


def test_a_port_that_leaves_a_bridge_is_still_here() -> None:
    assert events_of(message(DELLINK, family=socket.AF_BRIDGE)) == []


def test_what_does_not_hold_together_ends_a_datagram() -> None:
    whole = message(NEWLINK)
    assert events_of(whole + whole[:-1]) == [(False, Here(7, "eth1", True, 1))]
    assert events_of(pack("=IHHII", 4, NEWLINK, 0, 1, 0) + whole) == []


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(PermissionError):
        events_of(pack("=IHHIIi", 20, 2, 0, 1, 0, -1))


@given(st.binary(max_size=400))
def test_any_bytes_are_events_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(OSError):
        assert all(isinstance(event, Here | Removed | Listed) for _, event in events_of(data))


def test_what_is_here_is_listed_first() -> None:
    with Links() as links:
        assert select.select([links.fileno()], [], [], 10)[0]
        told = list(links.events())
    assert {event.name for event in told if isinstance(event, Here)} >= {"lo"}
    assert told[-1] == Listed()


def test_a_port_that_is_not_there_has_no_offloads_on() -> None:
    assert offloads_on("sks-none", switch_off=True) == ()
    assert "rx-gro" in JOINING

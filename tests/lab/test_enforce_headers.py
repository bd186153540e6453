"""Headers before a request on a bridge: what is judged behind them, and what passes without a look and is counted."""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from appliance.decide.rules import Allow, Generation, Mode, Pattern, Protected, Service
from tests.lab.gate import SERVER, SIX, Gate
from tests.lab.test_enforce import Office
from tests.lab.wires import entered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Frames = dict[str, Callable[[bytes], bytes]]  # payload -> frame

pytestmark = pytest.mark.lab

BACNET = Service("udp", 47808)
CLIENT, CLIENT6 = "10.77.2.9", "fd77:2::9"
READ, WRITE = b"mark\x0c of a read..", b"mark\x0f of a write."  # what differs is the byte that the rule looks at
MACS = b"\xff" * 6 + b"\x02\0\0\0\0\x09"
Q, AD, PRIORITY = (0x8100, 10), (0x88A8, 20), (0x8100, 0xE000)
IPV4, IPV6, MPLS = 0x0800, 0x86DD, 0x8847
UDP, IPIP, HOP, FRAGMENT, OPTIONS = 17, 4, 0, 44, 60


class Line:
    """Raw frames in at the client's end; whether they come out at the server's."""

    def __init__(self, gate: Gate) -> None:
        with entered(gate.server):
            self.far = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.far.bind(("e0", 0))
        with entered(gate.client):
            self.near = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.near.bind(("e0", 0))
        self.far.settimeout(0.3)

    def passes(self, frame: bytes, mark: bytes) -> bool:
        self.near.send(frame)
        end = time.monotonic() + 1
        try:
            while time.monotonic() < end:
                if mark in self.far.recv(2000):
                    return True
        except TimeoutError:
            pass
        return False

    def close(self) -> None:
        self.near.close()
        self.far.close()


def checksum(head: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def udp(payload: bytes) -> bytes:
    return struct.pack("!HHHH", 50000, BACNET.port, 8 + len(payload), 0) + payload


def four(body: bytes, protocol: int = UDP, fragment: int = 0, options: bytes = b"") -> bytes:
    words, ends = 5 + len(options) // 4, ip_address(CLIENT).packed + ip_address(SERVER).packed
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, words * 4 + len(body), 7, fragment, 64, protocol, 0) + ends + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def six(body: bytes, following: int = UDP) -> bytes:
    ends = ip_address(CLIENT6).packed + ip_address(SIX).packed
    return struct.pack("!IHBB", 6 << 28, len(body), following, 64) + ends + body


def extension(following: int) -> bytes:
    """Hop-by-hop or destination options with padding (RFC 8200 4.3, 4.6)."""
    return struct.pack("!BB6s", following, 0, b"\x01\x04\0\0\0\0")


def frame(kind: int, body: bytes, *tags: tuple[int, int]) -> bytes:
    return MACS + b"".join(struct.pack("!HH", *tag) for tag in tags) + struct.pack("!H", kind) + body


def pieces(payload: bytes) -> bytes:
    return struct.pack("!BBHI", UDP, 0, 1, 9) + udp(payload)


JUDGED: Frames = {
    "bare": lambda p: frame(IPV4, four(udp(p))),
    "802.1Q": lambda p: frame(IPV4, four(udp(p)), Q),
    "802.1ad": lambda p: frame(IPV4, four(udp(p)), AD),
    "priority": lambda p: frame(IPV4, four(udp(p)), PRIORITY),
    "options": lambda p: frame(IPV4, four(udp(p), options=b"\x01\x01\x01\0")),
    "IPv6": lambda p: frame(IPV6, six(udp(p))),
    "IPv6, 802.1Q": lambda p: frame(IPV6, six(udp(p)), Q),
    "hop-by-hop": lambda p: frame(IPV6, six(extension(UDP) + udp(p), HOP)),
    "destination options": lambda p: frame(IPV6, six(extension(UDP) + udp(p), OPTIONS)),
}
REFUSED: Frames = {
    "fragment": lambda p: frame(IPV4, four(udp(p), fragment=0x2000)),
    "fragment, 802.1Q": lambda p: frame(IPV4, four(udp(p), fragment=0x2000), Q),
    "IPv6 fragment": lambda p: frame(IPV6, six(pieces(p), FRAGMENT)),
    "IPv6 fragment behind options": lambda p: frame(IPV6, six(extension(FRAGMENT) + pieces(p), HOP)),
}
OPAQUE: Frames = {
    "tag in a tag": lambda p: frame(IPV4, four(udp(p)), AD, Q),
    "802.1Q twice": lambda p: frame(IPV4, four(udp(p)), Q, Q),
    "MPLS": lambda p: frame(MPLS, struct.pack("!I", 16 << 12 | 0x100 | 64) + four(udp(p))),
    "IP in IP": lambda p: frame(IPV4, four(four(udp(p)), IPIP)),
}


@pytest.fixture
def gate(namespaces: None) -> Iterator[Gate]:
    with Gate("eh", bridge=True) as made:
        yield made


def test_what_stands_before_a_request_hides_nothing_that_is_not_counted(gate: Gate, tmp_path: Path) -> None:
    office, line = Office(gate, tmp_path), Line(gate)
    office.start()
    try:
        pairs = [(ip_network(CLIENT), ip_network(SERVER)), (ip_network(CLIENT6), ip_network(SIX))]
        said = (Pattern(0x0C00_0000, 0x0CFF_FFFF),)
        allowed = tuple(Allow(client, server, BACNET, 4, said, (len(READ),)) for client, server in pairs)
        guards = tuple(Protected(server, BACNET, Mode.ENFORCE) for _, server in pairs)
        office.enforce(Generation(1, (), guards, allowed, bridge=True))
        got = {name: (line.passes(make(READ), READ), line.passes(make(WRITE), WRITE)) for name, make in JUDGED.items()}
        assert got == dict.fromkeys(JUDGED, (True, False))
        assert {name: line.passes(make(READ), READ) for name, make in REFUSED.items()} == dict.fromkeys(REFUSED, False)
        assert office.ask(verb="opaque")["opaque"] == 0
        for count, (name, make) in enumerate(OPAQUE.items(), 1):
            assert line.passes(make(WRITE), WRITE), name
            assert office.ask(verb="opaque")["opaque"] == count, name
    finally:
        office.kill()
        line.close()

"""What also lives on a plant network: LLDP from the switch, mDNS and SSDP from an office PC, a time server."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import time
from typing import TYPE_CHECKING

from tests.lab.peers.control import NTP_EPOCH, Control, Spec, run_peer

if TYPE_CHECKING:
    import random

LLDP_GROUP = bytes.fromhex("0180c200000e")


def tlv(kind: int, value: bytes) -> bytes:
    """Return one LLDP TLV (IEEE 802.1AB 8.4)."""
    return struct.pack("!H", kind << 9 | len(value)) + value


async def lldp(spec: Spec, dice: random.Random) -> None:
    """Announce the switch every `lldp` seconds."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        mac: bytes = sock.getsockname()[4]
        body = tlv(1, b"\x04" + mac) + tlv(2, b"\x05" + b"Gi0/1") + tlv(3, struct.pack("!H", 120))
        body += tlv(5, spec["name"].encode()) + tlv(6, b"Lab switch, firmware 4.1") + tlv(0, b"")
        while True:
            sock.send(LLDP_GROUP + mac + b"\x88\xcc" + body)
            await asyncio.sleep(spec["lldp"] * dice.uniform(0.98, 1.02))


def mdns_query(name: str) -> bytes:
    """Return a PTR question for `name` (RFC 6762)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!6H", 0, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 12, 1)


async def group_talk(address: str, group: tuple[str, int], messages: list[bytes], every: float, dice: random.Random) -> None:
    """Send `messages` in turn to a multicast group or the broadcast address, so that each is seen early and often."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        sock.bind((address, group[1]))
        await asyncio.sleep(dice.uniform(0, every))
        for message in itertools.cycle(messages):
            sock.sendto(message, group)
            await asyncio.sleep(every * dice.uniform(0.7, 1.3))


class TimeServer(asyncio.DatagramProtocol):
    """Answers NTP clients (RFC 5905, mode 4) from this machine's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        """Answer with the client's stamp as origin."""
        now = time.time()
        stamp = struct.pack("!II", int(now) + NTP_EPOCH, int(now % 1 * 2**32))
        answer = b"\x24\x02\x06\xe9" + struct.pack("!II", 700, 900) + b"GPS\0" + stamp + data[40:48] + stamp + stamp
        assert isinstance(self.transport, asyncio.DatagramTransport)
        self.transport.sendto(answer, addr)


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `address`, `name`, and any of `lldp`, `mdns`, `ssdp`, `beacon` (seconds), `time_server` (true)."""
    address = spec["address"]
    if "lldp" in spec:
        control.background(lldp(spec, dice))
    if "mdns" in spec:
        names = ["_ipp._tcp.local", "_googlecast._tcp.local", "_services._dns-sd._udp.local"]
        control.background(group_talk(address, ("224.0.0.251", 5353), [mdns_query(n) for n in names], spec["mdns"], dice))
    if "ssdp" in spec:
        text = (
            b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: upnp:rootdevice\r\n\r\n'
        )
        control.background(group_talk(address, ("239.255.255.250", 1900), [text], spec["ssdp"], dice))
    if "beacon" in spec:
        near = address.rsplit(".", 1)[0] + ".255"
        announce = b"LICENCE-SERVER 7.2 " + spec["name"].encode()
        control.background(group_talk(address, (near, 22350), [announce], spec["beacon"], dice))
    if spec.get("time_server"):
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(TimeServer, local_addr=(address, 123))


if __name__ == "__main__":
    run_peer(setup)

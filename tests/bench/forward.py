"""Packets that a router forwards per second: without rules, with an allowlist of N elements, with N linear rules (root).

    python -m tests.bench.forward [--clients 10000] [--seconds 4]

Modbus reads of many allowed clients are sent as fast as one process can and counted where they arrive. The rules of ours are
what the enforcer would tell the kernel for that policy.
"""

from __future__ import annotations

import argparse
import os
import struct
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

from appliance.decide.rules import Allow, Generation, Mode, Pattern, Protected, Service
from appliance.decode.framing import Framing
from appliance.enforce.table import policy_table
from appliance.host.enforcer.nft import Nft
from tests.bench.sender import Sender
from tests.lab import net
from tests.lab.net import PREFIX, ip_batch
from tests.lab.wires import entered
from tests.unit.frames import ethernet, ipv4, tcp

MODBUS, SERVER = Service("tcp", 502), "10.77.2.2"
READ = bytes.fromhex("00010000000601030000000a")
AT_ONCE = 64  # frames given to the kernel at once
SENT = 256  # clients that send, spread over all
MACS = {"c": b"\x02\0\0\0\x01\x01", "e": b"\x02\0\0\0\x01\x02", "s": b"\x02\0\0\0\x02\x01", "f": b"\x02\0\0\0\x02\x02"}


def client(k: int) -> str:
    """The address of the k-th client."""
    return f"10.1.{k // 250}.{k % 250 + 1}"


def summed(packet: bytes) -> bytes:
    """A packet with its header's checksum, which a router looks at (RFC 1071)."""
    head = packet[:10] + b"\0\0" + packet[12:20]
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return packet[:10] + struct.pack(">H", ~total & 0xFFFF) + packet[12:]


def ours(clients: int) -> str:
    """The policy as the enforcer tells it."""
    pattern = (Pattern(0x0103_0000, 0x0103_00FF),)
    server = ip_network(SERVER)
    allowed = tuple(
        Allow(ip_network(client(k)), server, MODBUS, 6, pattern, (12,), framing=Framing(4, 2, True, 6)) for k in range(clients)
    )
    return policy_table(Generation(1, (), (Protected(server, MODBUS, Mode.ENFORCE),), allowed))


def linear(clients: int) -> str:
    """The same pairs, functions and lengths, a rule each."""
    head = ["table inet linear {", "chain forward {", "type filter hook forward priority 0; policy accept;"]
    match = f"ip daddr {SERVER} tcp dport 502 @ih,48,32 0x01030000-0x010300ff @ih,32,16 6 ip length 52 accept"
    rules = [f"ip saddr {client(k)} {match}" for k in range(clients)]
    return "\n".join([*head, *rules, f"ip daddr {SERVER} tcp dport 502 drop", "}", "}", ""])


class Road:
    """Sender, router and receiver in namespaces of their own, with fixed neighbours."""

    def __init__(self) -> None:
        self.near, self.gate, self.far = (f"{PREFIX}{os.getpid()}-fwd-{n}" for n in ("near", "gate", "far"))

    def __enter__(self) -> Road:
        ip_batch([f"netns add {n}" for n in (self.near, self.gate, self.far)])
        mac = {k: v.hex(":") for k, v in MACS.items()}
        ip_batch(
            [
                f"link add c0 address {mac['c']} type veth peer name e0 address {mac['e']} netns {self.near}",
                f"link add s0 address {mac['s']} type veth peer name e0 address {mac['f']} netns {self.far}",
                "address add 10.77.1.1/24 dev c0",
                "address add 10.77.2.1/24 dev s0",
                "link set c0 up",
                "link set s0 up",
                "route add 10.1.0.0/16 dev c0",
                f"neighbour add {SERVER} lladdr {mac['f']} dev s0",
            ],
            self.gate,
        )
        for name in (self.near, self.far):
            ip_batch(["link set e0 up"], name)
        with entered(self.gate):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.near, self.gate, self.far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=30)

    def received(self) -> int:
        """Packets that arrived at the far end."""
        command = ["ip", "netns", "exec", self.far, "cat", "/sys/class/net/e0/statistics/rx_packets"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout)

    def rate(self, frames: list[bytes], seconds: float) -> tuple[float, float]:
        """Packets per second that were sent, and that arrived."""
        with entered(self.near):
            sender = Sender("e0", frames)
        before, sent, begin = self.received(), 0, time.monotonic()
        while time.monotonic() - begin < seconds:
            sent += sender.send(AT_ONCE)
        spent = time.monotonic() - begin
        return sent / spent, (self.received() - before) / spent

    def load(self, text: str) -> None:
        """Replace all rules of the router."""
        with entered(self.gate):
            Nft().run("flush ruleset\n" + text)


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--clients", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--rounds", type=int, default=3)
    o = options.parse_args()
    reason = net.can_build()
    if reason:
        sys.stderr.write(f"forward: {reason}\n")
        return 2
    step = max(1, o.clients // SENT)
    frames = [
        ethernet(0x0800, summed(ipv4(6, tcp(1, READ), client(k), SERVER)), src=MACS["e"], dst=MACS["c"])
        for k in range(0, o.clients, step)
    ]
    kinds = {"no rules": "", f"allowlist of {o.clients:,} elements": ours(o.clients)}
    kinds[f"{o.clients:,} linear rules"] = linear(o.clients)
    best = dict.fromkeys(kinds, (0.0, 0.0))
    with Road() as road:
        for _ in range(o.rounds):
            for name, text in kinds.items():
                road.load(text)
                best[name] = max(best[name], road.rate(frames, o.seconds), key=lambda found: found[1])
    base = best["no rules"][1]
    for name, (sent, arrived) in best.items():
        print(f"{name:32s} {arrived:10,.0f} packets/s arrived of {sent:10,.0f} sent   {arrived / base:6.1%} of no rules")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A checkpoint between two networks: client, gate (a router or a bridge) and server namespaces, with a real Modbus server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pymodbus.client import ModbusTcpClient

from tests.lab.net import PREFIX, ip_batch
from tests.lab.wires import entered

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT, SERVER, SIX = "10.77.1.2", "10.77.2.2", "fd77:2::2"
STRANGER = "10.77.1.9"
_SERVE = """
import asyncio
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
async def main():
    block = [SimData(0, values=[7] * 200, datatype=DataType.REGISTERS)]
    servers = [ModbusTcpServer(SimDevice(1, simdata=block), address=(a, 502)) for a in ("0.0.0.0", "::")]
    await asyncio.gather(*(s.serve_forever() for s in servers))
asyncio.run(main())
"""


class Gate:
    """`client`, `gate`, `server` are namespaces; a bridge has one network (10.77.2.0/24), a router two."""

    def __init__(self, tag: str, *, bridge: bool) -> None:
        self.bridge = bridge
        self.client, self.gate, self.server = (f"{PREFIX}{os.getpid()}-{tag}-{n}" for n in ("client", "gate", "server"))
        self.source = "10.77.2.9" if bridge else CLIENT
        self.stranger = f"{self.source.rsplit('.', 1)[0]}.77"
        self.sources = [self.source, "10.77.2.10" if bridge else STRANGER]
        self._peer: subprocess.Popen[bytes] | None = None

    @property
    def near(self) -> str:
        """The namespace in which the appliance runs."""
        return self.gate

    @property
    def far(self) -> str:
        """The namespace from which it is spoken to."""
        return self.client

    def __enter__(self) -> Gate:
        ip_batch([f"netns add {n}" for n in (self.client, self.gate, self.server)])
        ip_batch(
            [
                f"link add c0 type veth peer name e0 netns {self.client}",
                f"link add s0 type veth peer name e0 netns {self.server}",
            ],
            self.gate,
        )
        ip_batch(["link set lo up"], self.server)
        try:
            (self._bridge if self.bridge else self._router)()
            self.serve()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for name in (self.client, self.gate, self.server):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=30)

    def _router(self) -> None:
        for side, number in ((self.client, 1), (self.server, 2)):
            ip_batch(
                [f"address add 10.77.{number}.2/24 dev e0", f"address add fd77:{number}::2/64 dev e0 nodad", "link set e0 up"]
                + ([f"address add {a}/24 dev e0" for a in (STRANGER, self.stranger)] if number == 1 else []),
                side,
            )
            ip_batch([f"route add default via 10.77.{number}.1", f"route add default via inet6 fd77:{number}::1"], side)
        ip_batch(
            [f"address add 10.77.{n}.1/24 dev {d}" for n, d in ((1, "c0"), (2, "s0"))]
            + [f"address add fd77:{n}::1/64 dev {d} nodad" for n, d in ((1, "c0"), (2, "s0"))]
            + ["link set c0 up", "link set s0 up"],
            self.gate,
        )
        with entered(self.gate):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")

    def _bridge(self) -> None:
        ip_batch(["link add br0 type bridge stp_state 0", "link set br0 up"], self.gate)
        ip_batch([f"link set {d} master br0" for d in ("c0", "s0")] + ["link set c0 up", "link set s0 up"], self.gate)
        ip_batch([f"address add {a}/24 dev e0" for a in (*self.sources, self.stranger)] + ["link set e0 up"], self.client)
        ip_batch([f"address add {SERVER}/24 dev e0", f"address add {SIX}/64 dev e0 nodad", "link set e0 up"], self.server)

    def serve(self) -> None:
        """Start the Modbus server and wait until it answers."""
        command = ["ip", "netns", "exec", self.server, sys.executable, "-c", _SERVE]
        self._peer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        hosts = [SERVER] if self.bridge else [SERVER, SIX]  # IPv6 comes up a second later
        end = time.monotonic() + 20
        while hosts and time.monotonic() < end:
            with self.connect(hosts[0]) as talk:
                if talk.connected and not talk.read_holding_registers(0, count=2).isError():
                    hosts.pop(0)
                    continue
            time.sleep(0.2)
        if hosts:
            raise AssertionError(f"the Modbus server did not answer at {hosts[0]} within 20 s")

    def stop(self) -> None:
        """End the server."""
        if self._peer is not None:
            self._peer.kill()
            self._peer.wait(10)

    @contextmanager
    def connect(self, host: str = SERVER, source: str = "", timeout: float = 1.0) -> Iterator[ModbusTcpClient]:
        """A client, connected or not (see `connected`); the block runs in the client's namespace, since clients reconnect."""
        with entered(self.client):
            talk = ModbusTcpClient(host, timeout=timeout, retries=0, source_address=(source, 0) if source else None)
            talk.connect()  # type: ignore[no-untyped-call]
            try:
                yield talk
            finally:
                talk.close()  # type: ignore[no-untyped-call]

"""A rough line between the client and the gate: loss by nftables, delay and reordering by a forwarder on a TUN device.

What the client sends towards the server goes into the TUN device; the forwarder drops some, holds some back so that later ones
overtake them, and puts the rest on the wire. What comes back is lost by `numgen` in the client's own rules.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.host.enforcer.nft import Nft
from tests.lab.gate import SERVER, Gate
from tests.lab.net import ip_batch
from tests.lab.wires import entered

if TYPE_CHECKING:
    from types import TracebackType

READ = bytes.fromhex("0000000601030000000a")  # ten registers from the first, unit 1
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
DELAY, HELD = 0.002, (0.004, 0.03)  # seconds that every packet takes, and that a held one takes besides
FLAP = 0.15  # seconds
LATE = 0.05  # share that is held back


@dataclass
class Rough:
    """Used around the traffic; counts what it saw. `loss` is a share of the packets of each direction."""

    gate: Gate
    loss: float = 0.02
    seen: int = 0
    lost: int = 0
    overtaken: int = 0
    joined: int = 0  # segments that hold more than one request of 12 bytes
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Rough:
        with entered(self.gate.client):
            self._tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._tun, TUNSETIFF, struct.pack("16sH22x", b"rough0", IFF_TUN | IFF_NO_PI))
            self._out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"e0")
            lost = f"iifname e0 tcp sport 502 numgen random mod 1000 < {round(self.loss * 1000)} counter drop"
            Nft().run("\n".join(["table inet rough {", "chain in {", "type filter hook input priority 0;", lost, "}", "}", ""]))
        ip_batch(["link set rough0 up mtu 1400", f"route add {SERVER}/32 dev rough0 src {self.gate.source}"], self.gate.client)
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(5)
        os.close(self._tun)
        self._out.close()
        with entered(self.gate.client):
            Nft().run("delete table inet rough")

    def _forward(self) -> None:
        dice, waiting, number, deaf = random.Random(7), list[tuple[float, int, bytes]](), 0, 0.0
        while not self._over.is_set():
            due = waiting[0][0] - time.monotonic() if waiting else 0.2
            if select.select([self._tun], [], [], max(0.0, min(due, 0.2)))[0]:
                packet, now = os.read(self._tun, 2048), time.monotonic()
                if packet[0] >> 4 != 4:
                    continue
                self.seen += 1
                self.joined += joined(packet)
                if dice.random() < self.loss / 4:
                    deaf = now + FLAP  # a line that flaps loses a few in a row
                if now < deaf or dice.random() < self.loss / 2:
                    self.lost += 1
                else:
                    number += 1
                    late = dice.uniform(*HELD) if dice.random() < LATE else 0.0
                    heapq.heappush(waiting, (now + DELAY + late, number, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, mine, packet = heapq.heappop(waiting)
                self.overtaken += any(other < mine for _, other, _ in waiting)
                self._out.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))


def joined(packet: bytes) -> bool:
    """Whether a packet carries two requests or more of 12 bytes."""
    ip = (packet[0] & 15) * 4
    size = int.from_bytes(packet[2:4], "big") - ip - (packet[ip + 12] >> 4) * 4
    return packet[9] == 6 and size >= 24


AGAIN, POLL_S, TRIES = 0.1, 0.02, 30  # a master asks again sooner than TCP does; between polls; until it gives up


class Master(threading.Thread):
    """Reads registers on one connection and asks again, with the same number, before TCP sends again by itself."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(daemon=True)
        self.gate = gate
        self.polls, self.lost, self.again, self.connections = 0, 0, 0, 0
        self.broken: list[str] = []
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        talk: socket.socket | None = None
        with entered(self.gate.client):
            while not self.over.wait(POLL_S):
                try:
                    talk = talk or self._connect()
                    self.polls += 1
                    self.lost += not self._poll(talk)
                except OSError as error:
                    self.broken.append(str(error))
                    if talk is not None:
                        talk.close()
                    talk = None
        if talk is not None:
            talk.close()

    def end(self) -> None:
        """Stop polling."""
        self.over.set()
        self.join(10)

    def _connect(self) -> socket.socket:
        talk = socket.create_connection((SERVER, 502), 20)
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk.settimeout(AGAIN)
        self.connections += 1
        return talk

    def _poll(self, talk: socket.socket) -> bool:
        number = (self.polls & 0xFFFF).to_bytes(2, "big")
        for _ in range(TRIES):
            talk.sendall(number + READ)
            end = time.monotonic() + AGAIN
            while time.monotonic() < end:
                try:
                    answer = talk.recv(4096)
                except TimeoutError:
                    break
                if not answer:
                    raise ConnectionResetError("closed by the server")
                if number + READ[:2] in answer:  # answers to what was asked twice come twice
                    return True
            self.again += 1
        return False

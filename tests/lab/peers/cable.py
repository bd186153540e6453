"""A cable that can go bad: forwards frames between w0 and w1 and, when asked, loses or doubles some of them."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from tests.lab.peers.control import Control, Spec, plain_ethernet, run_peer

if TYPE_CHECKING:
    import random

PACKET_OUTGOING, ETH_P_ALL = 4, 3


class Cable:
    """Two raw sockets and a pair of dice."""

    def __init__(self, dice: random.Random) -> None:
        """Open both ends; a new cable is perfect."""
        self.dice, self.loss, self.double = dice, 0.0, 0.0
        self.lost = self.doubled = 0
        self.ends = [self._open(name) for name in ("w0", "w1")]

    def _open(self, name: str) -> socket.socket:
        plain_ethernet(name)
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.bind((name, 0))
        sock.setblocking(False)
        return sock

    def carry(self, end: int) -> None:
        """Take what waits at one end to the other."""
        while True:
            try:
                frame, where = self.ends[end].recvfrom(65535)
            except (BlockingIOError, OSError):
                return
            if where[2] == PACKET_OUTGOING:
                continue
            if self.dice.random() < self.loss:
                self.lost += 1
                continue
            self.ends[1 - end].send(frame)
            if self.dice.random() < self.double:
                self.doubled += 1
                self.ends[1 - end].send(frame)

    async def impair(self, order: Spec) -> object:
        """Order: `loss` and `double`, probabilities per frame; returns how many frames each has hit so far."""
        self.loss, self.double = float(order["loss"]), float(order["double"])
        return {"lost": self.lost, "doubled": self.doubled}


async def setup(_: Spec, control: Control, dice: random.Random) -> None:
    """Forward from the start."""
    cable = Cable(dice)
    loop = asyncio.get_running_loop()
    for end in (0, 1):
        loop.add_reader(cable.ends[end].fileno(), cable.carry, end)
    control.on("impair", cable.impair)


if __name__ == "__main__":
    run_peer(setup)

"""A cable that can go bad: forwards frames between w0 and w1 and, when asked, loses or doubles some of them."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from tests.lab.peers.control import Control, Spec, plain_ethernet, run_peer

if TYPE_CHECKING:
    import random

PACKET_OUTGOING, ETH_P_ALL = 4, 3


class Cable:
    """Two raw sockets and a pair of dice."""

    def __init__(self, dice: random.Random) -> None:
        """Open both ends; a new cable is perfect."""
        self.dice, self.loss, self.double, self.share = dice, 0.0, 0.0, 0.0
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
            if end == 0 and self.dice.random() < self.share:
                frame = spoiled(frame, self.dice)
            self.ends[1 - end].send(frame)
            if self.dice.random() < self.double:
                self.doubled += 1
                self.ends[1 - end].send(frame)

    async def impair(self, order: Spec) -> object:
        """Order: `loss` and `double`, probabilities per frame; returns how many frames each has hit so far."""
        self.loss, self.double = float(order["loss"]), float(order["double"])
        return {"lost": self.lost, "doubled": self.doubled}

    async def spoil(self, order: Spec) -> object:
        """Order: `share` of the frames with a payload that leave the device with one wrong byte, under a right checksum."""
        self.share = float(order["share"])
        return self.share


def spoiled(frame: bytes, dice: random.Random) -> bytes:
    """The frame with one byte of its TCP or UDP payload changed, as a device with failing memory sends it."""
    if frame[12:14] != b"\x08\0" or frame[23] not in (6, 17):
        return frame
    transport, end = 14 + (frame[14] & 15) * 4, 14 + int.from_bytes(frame[16:18], "big")
    first = transport + ((frame[transport + 12] >> 4) * 4 if frame[23] == 6 else 8)
    if end - first < 12:
        return frame
    place = dice.randrange(first + 6, end)
    out = bytearray(frame[:end])
    out[place] = dice.randrange(256)
    field = transport + (16 if frame[23] == 6 else 6)
    out[field : field + 2] = b"\0\0"
    pseudo = bytes(out[26:34]) + struct.pack(">BBH", 0, frame[23], end - transport)
    out[field : field + 2] = struct.pack(">H", checksum(pseudo + bytes(out[transport:])))
    return bytes(out) + frame[end:]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f">{len(data) // 2 + len(data) % 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF or 0xFFFF


async def setup(_: Spec, control: Control, dice: random.Random) -> None:
    """Forward from the start."""
    cable = Cable(dice)
    loop = asyncio.get_running_loop()
    for end in (0, 1):
        loop.add_reader(cable.ends[end].fileno(), cable.carry, end)
    control.on("impair", cable.impair)
    control.on("spoil", cable.spoil)


if __name__ == "__main__":
    run_peer(setup)

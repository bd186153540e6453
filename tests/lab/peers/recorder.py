"""Writes what crosses a device to a pcap (microseconds, Ethernet), stamped by the kernel. Runs in the bridge's namespace."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, BinaryIO

from tests.lab.peers.control import Control, Spec, run_peer

if TYPE_CHECKING:
    import random

ETH_P_ALL, SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 3, 263, 1, 1
PACKET_STATISTICS, PACKET_IGNORE_OUTGOING, SO_TIMESTAMPNS = 6, 23, 35
SNAP = 65535


class Recorder:
    """One socket, one file at a time."""

    def __init__(self, device: str) -> None:
        """Open the device; frames that arrive while no file is open are dropped."""
        self.file: BinaryIO | None = None
        self.frames = 0
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.bind((device, 0))
        membership = struct.pack("IHH8s", socket.if_nametoindex(device), PACKET_MR_PROMISC, 0, b"")
        self.sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
        self.sock.setblocking(False)

    def drain(self) -> None:
        """Write every frame that waits."""
        while True:
            try:
                frame, extra, _, _ = self.sock.recvmsg(SNAP, 128)
            except BlockingIOError:
                return
            if self.file is None:
                continue
            seconds, nanos = struct.unpack("qq", extra[0][2][:16])
            self.file.write(struct.pack("<IIII", seconds, nanos // 1000, len(frame), len(frame)) + frame)
            self.frames += 1

    async def start(self, order: Spec) -> object:
        """Open `file`; an open one is closed in the same instant, so no frame falls between."""
        self.drain()
        before = self._close()
        self.file = open(order["file"], "wb")  # noqa: PTH123, SIM115 - stays open until the next order
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP, 1))
        return before

    async def stop(self, _: Spec) -> object:
        """Close the file; returns its frames and what the kernel dropped."""
        self.drain()
        return self._close()

    def _close(self) -> dict[str, int]:
        if self.file is not None:
            self.file.close()
        _, dropped = struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        report = {"frames": self.frames, "dropped": dropped}
        self.file, self.frames = None, 0
        return report


async def setup(spec: Spec, control: Control, _: random.Random) -> None:
    """Spec: `device`."""
    recorder = Recorder(spec["device"])
    asyncio.get_running_loop().add_reader(recorder.sock.fileno(), recorder.drain)
    control.on("start", recorder.start)
    control.on("stop", recorder.stop)


if __name__ == "__main__":
    run_peer(setup)

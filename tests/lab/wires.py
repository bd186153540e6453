"""A cable for tests of live capture: two namespaces joined by one veth pair, and raw frames sent at one end."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.net import PREFIX, ip_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NEWNET = 0x40000000


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """Take this thread into another network namespace: sockets opened there stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open("rb") as own, Path(f"/run/netns/{namespace}").open("rb") as other:
        if libc.setns(other.fileno(), _NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(own.fileno(), _NEWNET)


class Wire:
    """`near` is watched, at `far` frames are sent; both ends are called `w0` in namespaces of their own."""

    def __init__(self, tag: str) -> None:
        self.near, self.far = f"{PREFIX}{os.getpid()}-{tag}-near", f"{PREFIX}{os.getpid()}-{tag}-far"

    def __enter__(self) -> Wire:
        ip_batch([f"netns add {self.near}", f"netns add {self.far}"])
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=30)

    def plug(self) -> None:
        """Make the pair; nothing but the tests speaks on it."""
        ip_batch([f"link add w0 type veth peer name w0 netns {self.far}"], self.near)
        for name in (self.near, self.far):
            ip_batch(["link set w0 addrgenmode none", "link set w0 up"], name)

    def unplug(self) -> None:
        """Remove the pair."""
        ip_batch(["link del w0"], self.near)

    def send(self, *frames: bytes) -> None:
        """Send raw frames from the far end."""
        with self.sending() as send:
            for frame in frames:
                send(frame)

    @contextmanager
    def sending(self) -> Iterator[Callable[[bytes], int]]:
        """What sends one raw frame from the far end."""
        with entered(self.far):
            out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            out.bind(("w0", 0))
        with out:
            yield out.send

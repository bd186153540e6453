"""What every peer shares: steering by JSON lines, a plain Ethernet card, and the clock service real hosts use."""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import json
import logging
import random
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
NTP_EPOCH = 2_208_988_800

Spec = dict[str, Any]
Handler = Callable[[Spec], Awaitable[object]]
Background = Coroutine[Any, Any, None]


def plain_ethernet(device: str) -> None:
    """Switch off checksum offload, so that frames on the bridge carry the checksums a wire would carry."""
    value = array.array("B", struct.pack("II", ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock.fileno(), SIOCETHTOOL, request)


def say(**record: object) -> None:
    """Send one line to the stage."""
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


class Control:
    """Reads `{"do": NAME, ...}` lines and answers `{"done": NAME, "start": s, "end": s, "result": ...}`."""

    def __init__(self) -> None:
        """Start with no handlers."""
        self._handlers: dict[str, Handler] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def on(self, name: str, handler: Handler) -> None:
        """Say who carries out NAME."""
        self._handlers[name] = handler

    def background(self, work: Background) -> None:
        """Run for as long as the peer lives; a crash ends the peer, loudly."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            say(crash=repr(task.exception()))
            asyncio.get_running_loop().stop()

    async def serve(self) -> None:
        """Answer commands until stdin ends, which also happens when the stage dies."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        say(ready=True)
        while line := await reader.readline():
            order = json.loads(line)
            start = time.time()
            try:
                result = await self._handlers[order["do"]](order)
            except (TimeoutError, OSError, ValueError, KeyError) as problem:
                result = f"failed: {problem!r}"
            say(done=order["do"], start=start, end=time.time(), result=result)


async def ntp_client(server: str, every: float, dice: random.Random) -> None:
    """Ask `server` for the time now and then, as embedded hosts do (RFC 5905, mode 3)."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((server, 123))
        await asyncio.sleep(dice.uniform(0, every))
        while True:
            stamp = struct.pack("!II", int(time.time()) + NTP_EPOCH, dice.getrandbits(32))
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await loop.sock_sendall(sock, b"\x23\x00\x06\xe9" + bytes(36) + stamp)
                await asyncio.wait_for(loop.sock_recv(sock, 128), 1)
            await asyncio.sleep(every * dice.uniform(0.9, 1.1))


def run_peer(setup: Callable[[Spec, Control, random.Random], Awaitable[None]]) -> None:
    """Run one peer: argv[1] is its spec as JSON with `seed`, optionally `ntp` (server address) and `device`."""
    spec: Spec = json.loads(sys.argv[1])
    logging.getLogger().setLevel(logging.CRITICAL)
    with contextlib.suppress(OSError):
        plain_ethernet(spec.get("device", "eth0"))

    async def body() -> None:
        control, dice = Control(), random.Random(spec["seed"])
        await setup(spec, control, dice)
        if "ntp" in spec:
            control.background(ntp_client(spec["ntp"], spec.get("ntp_every", 16.0), random.Random(spec["seed"] + "ntp")))
        await control.serve()

    with contextlib.suppress(RuntimeError, KeyboardInterrupt):
        asyncio.run(body())

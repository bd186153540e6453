"""The children's signs of life, as systemd would take them (sd_notify): ready, and that their loops go round.

The supervisor gives every child this socket as NOTIFY_SOCKET. Who sends is told by the kernel (SCM_CREDENTIALS); nothing of
a message is used but its first words.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from struct import Struct
from typing import TYPE_CHECKING

from appliance.errors import LiveError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "notify.sock"  # in the runtime directory
WATCHDOG_S = 60.0  # a child whose loop gives no sign for so long is killed and started again
_CREDENTIALS = Struct("=iII")  # ucred
_AT_ONCE = 256


class Pings:
    """Listens; `hear` takes what came, `silent` says who was not heard for long."""

    def __init__(self, runtime: Path) -> None:
        self.path = runtime / NAME
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            self.path.unlink(missing_ok=True)
            self.socket.bind(str(self.path))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        except OSError as error:
            self.socket.close()
            raise LiveError(
                f"{self.path}: cannot be made: {error}; give a shorter [state] runtime that can be written"
            ) from error
        finally:
            os.umask(before)
        self.ready: set[int] = set()
        self._heard: dict[int, float] = {}

    def environment(self) -> dict[str, str]:
        """What a child is to find in its own."""
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}

    def hear(self) -> None:
        """Take what came."""
        for _ in range(_AT_ONCE):
            try:
                said, more, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                return
            for level, kind, data in more:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) >= _CREDENTIALS.size:
                    self._take(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0], said.split(b"\n"))

    def _take(self, pid: int, said: list[bytes]) -> None:
        if b"READY=1" in said:
            self.ready.add(pid)
        if b"WATCHDOG=1" in said:
            self._heard[pid] = time.monotonic()

    def silent(self, pid: int) -> bool:
        """Whether a process that once gave signs of life has given none for too long."""
        return time.monotonic() - self._heard.get(pid, time.monotonic()) > WATCHDOG_S

    def forget(self, pid: int) -> None:
        """It died."""
        self.ready.discard(pid)
        self._heard.pop(pid, None)

    def close(self) -> None:
        """No more."""
        self.socket.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

"""Giving up capabilities for good (capabilities(7), prctl(2)), and who asks over a Unix socket (SO_PEERCRED, unix(7)).

What is given up here cannot be taken back, also not by exec.
"""

from __future__ import annotations

import ctypes
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

NET_ADMIN, NET_RAW = 12, 13
_VERSION_3 = 0x20080522
_LAST = 63
_NO_NEW_PRIVS, _CAPBSET_DROP, _CAPBSET_READ = 38, 24, 23
_PEER = Struct("=iII")  # ucred
_DATA = Struct("=IIIIII")  # effective, permitted, inheritable of capabilities 0-31, then of 32-63


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a Unix socket, as the kernel noted it when the two were connected."""

    pid: int
    uid: int
    gid: int


def peer_of(channel: socket.socket) -> Peer:
    """Who is at the other end; where nobody is, or it is no Unix socket, a uid that nobody has (2**32 - 1)."""
    return Peer(*_PEER.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)))


def keep_only(kept: AbstractSet[int]) -> None:
    """Keep these capabilities, as far as they are held, and never gain another. Raises OSError where the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    held = effective()
    if held:  # without CAP_SETPCAP the bounding set stays; no_new_privs closes that door
        for number in range(_LAST + 1):
            if number not in kept and libc.prctl(_CAPBSET_READ, number, 0, 0, 0) == 1:
                libc.prctl(_CAPBSET_DROP, number, 0, 0, 0)
    _check(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    mask = held & sum(1 << number for number in kept)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = ctypes.create_string_buffer(Struct("=Ii").pack(_VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(_DATA.pack(low, low, 0, high, high, 0), _DATA.size)
    _check(libc.capset(header, data))


def effective() -> int:
    """The capabilities that this thread may use, as a mask."""
    lines = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

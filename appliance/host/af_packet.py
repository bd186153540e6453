"""Opening packet sockets with a receive ring (packet(7), Documentation/networking/packet_mmap.rst).

Opening needs CAP_NET_RAW, reading does not: `open_ring` runs in the opener, `MappedRing` in the sensor.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import socket
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from appliance.errors import LiveError
from appliance.packets.ring import RingReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.packets.filters import Instruction
    from appliance.packets.ringshape import RingShape

SOL_PACKET = 263
ETH_P_ALL = 0x0003
SO_ATTACH_FILTER, SO_LOCK_FILTER = 26, 44
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 1, 5, 6, 10, 23
_V3 = 2
_PROMISCUOUS = 1
_FRAME = 2048  # the kernel wants a frame size that divides blocks; V3 packs frames of any size
_REQUEST = Struct("=IIIIIII")  # tpacket_req3
_MEMBER = Struct("=iHH8s")  # packet_mreq
_COUNTS = Struct("=III")  # tpacket_stats_v3
LINKS = {1: 1, 772: 1, 65534: 101}  # ARPHRD -> LINKTYPE: Ethernet, loopback (frames as on Ethernet), bare IP (tun)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the kernel counted since the last question: frames that passed the filter, of these lost, times the ring was full."""

    frames: int = 0
    dropped: int = 0
    full: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.frames + other.frames, self.dropped + other.dropped, self.full + other.full)


def open_ring(
    name: str, index: int, shape: RingShape, program: Sequence[Instruction] = (), *, promiscuous: bool = True
) -> socket.socket:
    """A packet socket on interface `index` with a ring, ready to be passed on. Raises LiveError.

    program   classic BPF; frames it refuses never reach the ring. It is locked: who holds the descriptor cannot change it
    """
    opened = None
    try:
        # Protocol 0: nothing arrives before the filter stands and the socket is bound.
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        opened.setsockopt(SOL_PACKET, _VERSION, _V3)
        _ignore_outgoing(opened)
        if program:
            _attach(opened, program)
        opened.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
        frames = shape.size // _FRAME
        opened.setsockopt(SOL_PACKET, _RX_RING, _REQUEST.pack(shape.block, shape.blocks, _FRAME, frames, shape.hold_ms, 0, 0))
        if promiscuous:
            opened.setsockopt(SOL_PACKET, _ADD_MEMBERSHIP, _MEMBER.pack(index, _PROMISCUOUS, 0, bytes(8)))
        opened.bind((socket.if_indextoname(index), ETH_P_ALL))
        return opened
    except OSError as error:
        if opened is not None:
            opened.close()
        raise LiveError(f"{name}: cannot be watched: {error.strerror or error}; {_next_step(error)}") from error


def _ignore_outgoing(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):  # before Linux 4.20; the reader leaves them out as well, only later
        opened.setsockopt(SOL_PACKET, _IGNORE_OUTGOING, 1)


def _next_step(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "start as root, or with CAP_NET_RAW"
    if isinstance(error, MemoryError) or error.errno == 12:
        return "there is no memory for a ring of that size; make [capture] ring_mib smaller"
    return "see `ip link` for the interfaces that are here"


def _attach(opened: socket.socket, program: Sequence[Instruction]) -> None:
    """SO_ATTACH_FILTER takes a sock_fprog: a length and a pointer."""
    code = b"".join(Struct("=HBBI").pack(*instruction) for instruction in program)
    room = ctypes.create_string_buffer(code, len(code))
    opened.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, Struct("@HP").pack(len(program), ctypes.addressof(room)))


class MappedRing:
    """A ring that was opened elsewhere, mapped into this process. Close it when its interface is gone and it is read empty."""

    def __init__(self, opened: socket.socket, shape: RingShape, link: int, interface: int) -> None:
        """Map the ring. Raises LiveError."""
        self.socket = opened
        self.shape = shape
        self.counts = Counts()
        try:
            self._memory = mmap.mmap(opened.fileno(), shape.size)
        except (OSError, ValueError) as error:
            raise LiveError(
                f"a ring of {shape.size >> 20} MiB cannot be mapped: {error}; make [capture] ring_mib smaller"
            ) from error
        self.reader = RingReader(np.frombuffer(self._memory, np.uint8), shape, link, interface)

    def count(self) -> Counts:
        """Ask the kernel for its counts; returns all since the ring was mapped."""
        raw = self.socket.getsockopt(SOL_PACKET, _STATISTICS, _COUNTS.size)
        self.counts = self.counts + Counts(*_COUNTS.unpack(raw))
        return self.counts

    def close(self) -> None:
        """Unmap and close."""
        self.reader = None  # type: ignore[assignment]  # the last view of the memory must go first
        self._memory.close()
        self.socket.close()

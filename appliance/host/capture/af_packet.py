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

from appliance.errors import LiveError
from appliance.packets.filters import KEEP, Instruction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.packets.batch import PacketBatch
    from appliance.packets.ringshape import RingShape

SOL_PACKET = 263
ETH_P_ALL = 0x0003
SO_ATTACH_FILTER, SO_LOCK_FILTER = 26, 44
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _FANOUT, _FANOUT_DATA, _IGNORE_OUTGOING = 1, 5, 6, 10, 18, 22, 23
_BY_PROGRAM = 6 | 0x4000  # PACKET_FANOUT_CBPF, PACKET_FANOUT_FLAG_IGNORE_OUTGOING
_UNIQUE = 0x2000  # PACKET_FANOUT_FLAG_UNIQUEID: the kernel chooses a number that no other group has
_REFUSE_ALL = (Instruction(0x06, 0, 0, 0),)
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
    return open_rings(name, index, shape, program, promiscuous=promiscuous)[0]


def open_rings(
    name: str,
    index: int,
    shape: RingShape,
    program: Sequence[Instruction] = (),
    *,
    promiscuous: bool = True,
    shares: int = 1,
    spread: Sequence[Instruction] = (),
) -> list[socket.socket]:
    """As `open_ring`; with `shares` so many, each of which gets the frames that `spread` gives its number (packet(7), fanout).

    Frames come once all of them have joined, so that none is seen twice; the division is locked as the filter is.
    """
    opened: list[socket.socket] = []
    try:
        for _ in range(shares):
            # Protocol 0: nothing arrives before the filter stands and the socket is bound.
            ring = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            opened.append(ring)
            _prepare(ring, shape, program if shares == 1 else _REFUSE_ALL)
            if promiscuous:
                ring.setsockopt(SOL_PACKET, _ADD_MEMBERSHIP, _MEMBER.pack(index, _PROMISCUOUS, 0, bytes(8)))
            if shares == 1:
                ring.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
            ring.bind((socket.if_indextoname(index), ETH_P_ALL))
        if shares > 1:
            _join(opened, program or (Instruction(0x06, 0, 0, KEEP),), spread)
        return opened
    except OSError as error:
        for ring in opened:
            ring.close()
        raise LiveError(f"{name}: cannot be watched: {error.strerror or error}; {_next_step(error, shares)}") from error


def _prepare(opened: socket.socket, shape: RingShape, program: Sequence[Instruction]) -> None:
    opened.setsockopt(SOL_PACKET, _VERSION, _V3)
    _ignore_outgoing(opened)
    if program:
        _attach(opened, program)
    frames = shape.size // _FRAME
    opened.setsockopt(SOL_PACKET, _RX_RING, _REQUEST.pack(shape.block, shape.blocks, _FRAME, frames, shape.hold_ms, 0, 0))


def _join(rings: list[socket.socket], program: Sequence[Instruction], spread: Sequence[Instruction]) -> None:
    """One fanout group: the place of a ring in it is its number. Only then does the filter let frames through."""
    group = (_BY_PROGRAM | _UNIQUE) << 16
    for ring in rings:
        ring.setsockopt(SOL_PACKET, _FANOUT, group)
        if ring is rings[0]:
            group = _BY_PROGRAM << 16 | ring.getsockopt(SOL_PACKET, _FANOUT) & 0xFFFF
            _program(ring, SOL_PACKET, _FANOUT_DATA, spread)
    for ring in rings:
        _attach(ring, program)
        ring.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)


def _ignore_outgoing(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):  # before Linux 4.20; the reader leaves them out as well, only later
        opened.setsockopt(SOL_PACKET, _IGNORE_OUTGOING, 1)


def _next_step(error: OSError, shares: int) -> str:
    if shares > 1 and error.errno in (22, 100):  # EINVAL, ENETDOWN
        return "rings are joined (cores above 1) once it is up"
    if isinstance(error, PermissionError):
        return "start as root, or with CAP_NET_RAW"
    if isinstance(error, MemoryError) or error.errno == 12:
        return "there is no memory for a ring of that size; make [capture] ring_mib smaller"
    return "see `ip link` for the interfaces that are here"


def _attach(opened: socket.socket, program: Sequence[Instruction]) -> None:
    _program(opened, socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def _program(opened: socket.socket, level: int, option: int, program: Sequence[Instruction]) -> None:
    """Hand a program to the kernel as a sock_fprog: a length and a pointer."""
    code = b"".join(Struct("=HBBI").pack(*instruction) for instruction in program)
    room = ctypes.create_string_buffer(code, len(code))
    opened.setsockopt(level, option, Struct("@HP").pack(len(program), ctypes.addressof(room)))


class HeldRing:
    """A ring that was opened elsewhere, held open and counted; who reads it is somebody else."""

    def __init__(self, opened: socket.socket, shape: RingShape, link: int) -> None:
        self.socket, self.shape, self.link = opened, shape, link
        self.counts = Counts()

    def count(self) -> Counts:
        """All since the ring was held; one process asks, as the kernel begins anew at each question."""
        raw = self.socket.getsockopt(SOL_PACKET, _STATISTICS, _COUNTS.size)
        self.counts = self.counts + Counts(*_COUNTS.unpack(raw))
        return self.counts

    def close(self) -> None:
        """Let go of it."""
        self.socket.close()


class MappedRing(HeldRing):
    """A ring that was opened elsewhere, mapped into this process. Close it when it gets no more and is read empty."""

    def __init__(self, opened: socket.socket, shape: RingShape, link: int, interface: int) -> None:
        """Map the ring. Raises LiveError."""
        import numpy as np  # here: the opener, who opens rings and never reads one, does without arrays

        from appliance.packets.ring import RingReader

        super().__init__(opened, shape, link)
        self._until: int | None = None
        self._over = False
        try:
            self._memory = mmap.mmap(opened.fileno(), shape.size)
        except (OSError, ValueError) as error:
            raise LiveError(
                f"a ring of {shape.size >> 20} MiB cannot be mapped: {error}; make [capture] ring_mib smaller"
            ) from error
        self.reader = RingReader(np.frombuffer(self._memory, np.uint8), shape, link, interface)

    def retire(self, now: int) -> None:
        """Another one has its frames from `now` (ns since the epoch) on, or nobody has."""
        self._until = now

    def take(self, first: int) -> PacketBatch | None:
        """The next frames, see `RingReader.take`."""
        batch = self.reader.take(first)
        if batch is None or self._until is None or int(batch.time.max()) <= self._until:
            return batch
        self._over = True
        return batch.up_to(self._until)

    @property
    def done(self) -> bool:
        """Whether it was read as far as it is to be."""
        return self._over or not self.reader.waiting()

    def close(self) -> None:
        """Unmap and close."""
        self.reader = None  # type: ignore[assignment]  # the last view of the memory must go first
        self._memory.close()
        self.socket.close()

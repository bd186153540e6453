"""Frames that wait on disk to be learned: blocks as they came out of the rings, in chunks.

A chunk is a header of 24 bytes (mark, bytes, kind, link, interface, horizon) and its blocks. It costs one write and no work
per frame, and is read back by the code that reads the ring, so what is learned is what would have been watched. A file that
ends inside a chunk, because the machine lost power, is read as far as it goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Protocol

import numpy as np

from appliance.packets.join import Joiner
from appliance.packets.ring import ALIGN, HEAD, MAX_WINDOW, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.packets.batch import PacketBatch

_CHUNK = Struct("=4sIHHIq")
_MARK = b"SKB1"
_LENGTH = Struct("=I")
_BLOCK_LENGTH = 20  # where a block's descriptor says its bytes
MAX_INTERFACES = 64


class Kind(IntEnum):
    """What a chunk is."""

    ALONE = 1  # blocks of the only ring: a batch
    TOGETHER = 2  # blocks of one of several rings, to be put in order of time
    CUT = 3  # all that is older than its horizon is a batch


class Reader(Protocol):
    """What is read from: a binary file."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the head of `buffer`; 0 at the end."""
        ...


def chunk_head(kind: Kind, size: int = 0, link: int = 0, interface: int = 0, horizon: int = 0) -> bytes:
    """The header of a chunk of `size` bytes; `horizon` in ns since the epoch."""
    return _CHUNK.pack(_MARK, size, kind, link, interface, horizon)


@dataclass(slots=True)
class SpoolReader:
    """Reads chunks, file after file.

    frames   numbered so far
    damaged  True once something stood there that is no chunk: that file is not read on
    joiner   holds back what is younger than the last horizon
    """

    frames: int = 0
    damaged: bool = False
    joiner: Joiner = field(default_factory=Joiner)
    _windows: dict[int, Window] = field(default_factory=dict)
    _room: bytearray = field(default_factory=lambda: bytearray(MAX_WINDOW))

    def batches(self, file: Reader) -> Iterator[PacketBatch]:
        """Batches of one file; each is valid until the next one is asked for."""
        head = memoryview(bytearray(_CHUNK.size))
        while _fill(file, head):
            mark, size, kind, link, interface, horizon = _CHUNK.unpack(head)
            known = kind in (Kind.ALONE, Kind.TOGETHER, Kind.CUT)
            if mark != _MARK or not known or size > MAX_WINDOW or size % ALIGN or interface >= MAX_INTERFACES:
                self.damaged = True
                return
            if kind == Kind.CUT:
                batch = self.joiner.cut(horizon, self.frames + 1)
            else:
                room = memoryview(self._room)[:size]
                if not _fill(file, room):
                    return
                batch = self._blocks(room, link, interface)
                if batch is not None and kind == Kind.TOGETHER:
                    self.joiner.add(batch)
                    batch = None
            if batch is not None:
                self.frames += len(batch)
                yield batch

    def _blocks(self, room: memoryview, link: int, interface: int) -> PacketBatch | None:
        window = self._windows.setdefault(interface, Window())
        window.clear()
        at = 0
        while at + HEAD <= len(room):
            size = _LENGTH.unpack_from(room, at + _BLOCK_LENGTH)[0]
            if not HEAD <= size <= len(room) - at:
                self.damaged = True
                break
            window.put(np.frombuffer(room, np.uint8, size, at))
            at += -(-size // ALIGN) * ALIGN
        return window.batch(self.frames + 1, link, interface)


def _fill(file: Reader, buffer: memoryview) -> bool:
    """Fill all of `buffer`; False where the file ends before."""
    at = 0
    while at < len(buffer):
        got = file.readinto(buffer[at:])
        if not got:
            return False
        at += got
    return True

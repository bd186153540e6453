"""A batch of packets: frozen columns over one shared byte buffer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

ARENA_BYTES = 2 << 20  # room for reassembled payloads behind the capture bytes: half of it for heads that wait for their rest
SLACK_BYTES = 256  # header gathers may read this far past a frame; what they read there is masked out


class Arena:
    """The part of the batch buffer behind the capture bytes, for payloads that decode puts together."""

    __slots__ = ("_data", "_next", "_stop")

    def __init__(self, data: U8, start: int) -> None:
        """Hand out `data[start:]`, less the slack that header gathers need."""
        self._data = data
        self._next = start
        self._stop = int(data.size) - SLACK_BYTES

    def put(self, payload: bytes) -> int:
        """Copy `payload` in and return its offset in the buffer, or -1 when it does not fit any more."""
        begin, end = self._next, self._next + len(payload)
        if end > self._stop:
            return -1
        self._data[begin:end] = np.frombuffer(payload, np.uint8)
        self._next = end
        return begin


@dataclass(frozen=True, slots=True, eq=False)
class PacketBatch:
    """Columns of n packets as described by `schema.COLUMNS`, and the buffer that they point into.

    data    uint8, the buffer; valid until the next batch is asked for; at least ARENA_BYTES follow `used`
    used    bytes of `data` that hold capture bytes
    arena   hands out the rest of `data`
    """

    time: I64
    frame: I64
    offset: I64
    captured: I32
    wire: I32
    link: U16
    interface: U16
    data: U8
    used: int
    arena: Arena

    def __len__(self) -> int:
        """Return the number of packets."""
        return int(self.time.size)

    def up_to(self, time: int) -> Self | None:
        """The packets up to that time (ns since the epoch), numbered on from the first; None where there is none."""
        rows = self.time <= time
        if not rows.any():
            return None
        frame = np.arange(int(self.frame[0]), int(self.frame[0]) + int(rows.sum()), dtype=np.int64)
        names = ("time", "offset", "captured", "wire", "link", "interface")
        return replace(self, frame=frame, **{name: getattr(self, name)[rows] for name in names})

    def bytes_of(self, row: int) -> bytes:
        """Return the captured bytes of one row."""
        start = int(self.offset[row])
        return self.data[start : start + int(self.captured[row])].tobytes()


def batch_of(frames: list[tuple[int, bytes]], link: int = 1, numbers: Iterator[int] | None = None) -> PacketBatch:
    """Build a batch from (time in ns, frame bytes) pairs: for sources that are not captures, and for tests."""
    sizes = np.array([len(raw) for _, raw in frames], np.int32)
    used = int(sizes.sum())
    data = np.zeros(used + ARENA_BYTES + SLACK_BYTES, np.uint8)
    data[:used] = np.frombuffer(b"".join(raw for _, raw in frames), np.uint8)
    numbers = count(1) if numbers is None else numbers
    total = len(frames)
    return PacketBatch(
        time=np.array([when for when, _ in frames], np.int64),
        frame=np.array([next(numbers) for _ in frames], np.int64),
        offset=np.cumsum(sizes, dtype=np.int64) - sizes,
        captured=sizes,
        wire=sizes.copy(),
        link=np.full(total, link, np.uint16),
        interface=np.zeros(total, np.uint16),
        data=data,
        used=used,
        arena=Arena(data, used),
    )

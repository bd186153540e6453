"""Frames picked out of a stream, with bytes of their own: what an excerpt is made of, and its form as a capture."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Self

import numpy as np

from appliance.packets.batch import I32, I64, U8, U16
from appliance.packets.pcap import HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.packets.batch import PacketBatch

_FILE_HEAD = Struct("<IHHiIII")
_NANOSECONDS = 0xA1B23C4D  # magic of a pcap whose records count nanoseconds (draft-ietf-opsawg-pcap, 4)
_SNAPLEN = 262144
FILE_HEAD = _FILE_HEAD.size


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """n frames.

    number, time   int64, running number in the stream, ns since the epoch
    wire           int32, bytes on the wire
    captured       int32, bytes that are here
    link           uint16, LINKTYPE
    data           uint8, the captured bytes, one frame behind the other
    """

    number: I64
    time: I64
    captured: I32
    wire: I32
    link: U16
    data: U8

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self.number.size)

    @property
    def size(self) -> int:
        """Bytes that the records take in a capture."""
        return int(self.data.size) + HEADER * len(self)

    @classmethod
    def none(cls) -> Self:
        """No frames."""
        long, short = np.zeros(0, np.int64), np.zeros(0, np.int32)
        return cls(long, long, short, short, np.zeros(0, np.uint16), np.zeros(0, np.uint8))

    @classmethod
    def of(cls, batch: PacketBatch) -> Self:
        """All frames of a batch, copied."""
        columns = (batch.frame.copy(), batch.time.copy(), batch.captured.copy(), batch.wire.copy(), batch.link.copy())
        return cls(*columns, packed(batch.data, batch.offset, batch.captured))

    @classmethod
    def chain(cls, parts: Sequence[Frames]) -> Self:
        """All of them, as they come."""
        names = ("number", "time", "captured", "wire", "link", "data")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names)) if parts else cls.none()

    def rows(self, rows: I64) -> Frames:
        """Those rows, in that order."""
        start = np.cumsum(self.captured, dtype=np.int64) - self.captured
        data = packed(self.data, start[rows], self.captured[rows])
        return Frames(self.number[rows], self.time[rows], self.captured[rows], self.wire[rows], self.link[rows], data)

    def joined(self, other: Frames) -> Frames:
        """Both, in the order of their numbers, each number once."""
        whole = Frames.chain([self, other])
        _, first = np.unique(whole.number, return_index=True)
        return whole.rows(first)

    def within(self, frames: int, size: int) -> Frames:
        """The first of them that are at most so many and take at most `size` bytes in a capture."""
        fit = np.cumsum(self.captured.astype(np.int64) + HEADER) <= size
        return self if fit.all() and len(self) <= frames else self.rows(np.flatnonzero(fit)[:frames])

    def pcap(self) -> bytes:
        """A capture in nanoseconds; all frames must be of the link type of the first."""
        size = self.captured.astype(np.int64)
        at = FILE_HEAD + np.cumsum(size + HEADER) - size  # where each frame's bytes begin
        whole = np.zeros(FILE_HEAD + self.size, np.uint8)
        link = int(self.link[0]) if len(self) else 1
        whole[:FILE_HEAD] = np.frombuffer(_FILE_HEAD.pack(_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, link), np.uint8)
        seconds, part = np.divmod(self.time, 1_000_000_000)
        heads = np.stack([seconds, part, size, self.wire.astype(np.int64)], axis=1).astype("<u4")
        whole[(at - HEADER)[:, None] + np.arange(HEADER)] = heads.view(np.uint8).reshape(-1, HEADER)
        whole[np.repeat(at - (np.cumsum(size) - size), size) + np.arange(self.data.size)] = self.data
        return whole.tobytes()


def packed(data: U8, offset: I64, captured: I32) -> U8:
    """The bytes at `offset`, `captured` of each, one behind the other."""
    size = captured.astype(np.int64)
    total = int(size.sum())
    return data[np.repeat(offset - (np.cumsum(size) - size), size) + np.arange(total)]

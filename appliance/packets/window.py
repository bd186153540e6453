"""The one buffer that an input passes through: fixed size, reused, never mapped."""

from __future__ import annotations

import numpy as np

from appliance.packets.batch import ARENA_BYTES, SLACK_BYTES, U8
from appliance.packets.source import BrokenInputError, CaptureSource

LEAST_BLOCK = 1 << 19  # the largest record that is believed (see pcap.MAX_CAPTURED) and its options always fit
MOST_BLOCK = 1 << 24


class Window:
    """Bytes `start:stop` of `data` are read and not yet walked; `ended` says that no more will come."""

    __slots__ = ("_block", "_memory", "_source", "data", "ended", "start", "stop")

    def __init__(self, source: CaptureSource, block: int) -> None:
        """Allocate `block` bytes (put within LEAST_BLOCK..MOST_BLOCK) and the arena; put the source's head in front."""
        self._block = min(max(block, LEAST_BLOCK), MOST_BLOCK)
        self.data: U8 = np.zeros(self._block + ARENA_BYTES + SLACK_BYTES, np.uint8)
        self._memory = self.data.data
        self._source = source
        self.start = 0
        self.stop = len(source.head)
        self.data[: self.stop] = np.frombuffer(source.head, np.uint8)
        self.ended = False

    @property
    def memory(self) -> memoryview:
        """Return the buffer for the struct module."""
        return self._memory

    def low(self) -> bool:
        """Tell whether less than half a block is left to walk, so that batches stay large."""
        return not self.ended and self.stop - self.start < self._block // 2

    def fill(self) -> bool:
        """Move the unwalked rest to the front and read behind it; returns whether anything was read."""
        if self.start > self.stop:
            self._skip(self.start - self.stop)
        rest = self.stop - self.start
        if self.start:
            self.data[:rest] = self.data[self.start : self.stop].copy()
            self.start, self.stop = 0, rest
        return self._read() > 0

    def _skip(self, count: int) -> None:
        """Read and forget `count` bytes that a walker stepped over beyond the end of the window."""
        self.start = self.stop = 0
        while count > 0 and not self.ended:
            wanted = min(count, self._block)
            got = self._read(wanted)
            count -= got
            self.stop = 0
        if count > 0:
            self._source.cut("the input ends inside a block")

    def _read(self, most: int | None = None) -> int:
        if self.ended:
            return 0
        limit = self._block if most is None else min(self._block, self.stop + most)
        before = self.stop
        try:
            while self.stop < limit:
                got = self._source.reader.readinto(self._memory[self.stop : limit])
                if got <= 0:
                    self.ended = True
                    break
                self.stop += got
        except BrokenInputError as error:  # what came before it in this call is good
            self._source.cut(str(error))
            self.ended = True
        return self.stop - before

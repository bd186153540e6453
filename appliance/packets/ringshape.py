"""The size and shape of a receive ring: what the configuration says of one, without what reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RingShape:
    """How a ring is laid out.

    block    bytes of a block, a power of two from 64 KiB to 4 MiB
    blocks   number of blocks
    hold_ms  after so long a block is handed over though it is not full
    """

    block: int = 1 << 16
    blocks: int = 1024
    hold_ms: int = 50

    @property
    def size(self) -> int:
        """Bytes of the ring."""
        return self.block * self.blocks

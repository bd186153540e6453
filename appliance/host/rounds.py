"""Reading the rings of a process: batch after batch, in the order of their times where there are several rings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from appliance.packets.join import Joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appliance.host.af_packet import MappedRing
    from appliance.packets.batch import PacketBatch

ROUNDS = 16  # batches of each ring between two looks at everything else
FRESH = 64  # a ring that holds less than such a part was read empty
BUSY = 4  # a ring that holds more than a quarter is read again at once
ALL = 1 << 62  # a horizon (ns) that is later than any frame


def read_empty(rings: Sequence[MappedRing]) -> bool:
    """Whether nothing old waits in a ring: only then does the clock say that something did not come."""
    return all(ring.reader.waiting() <= ring.shape.blocks // FRESH for ring in rings)


def busy(rings: Sequence[MappedRing]) -> bool:
    """Whether a ring holds so much that it is to be read again at once."""
    return any(ring.reader.waiting() > ring.shape.blocks // BUSY for ring in rings)


class Read(NamedTuple):
    """Frames learned or judged, their bytes on the wire, those with damage; resident bytes of who did."""

    frames: int
    size: int
    damaged: int
    memory: int


@dataclass(slots=True)
class Rounds:
    """`batches` for every round; `size`: bytes on the wire of all frames read."""

    size: int = 0
    _joiner: Joiner = field(default_factory=Joiner)
    _several: bool = False  # frames of several rings may be held back

    def batches(self, rings: Sequence[MappedRing], horizon: int | None, first: Callable[[], int]) -> Iterator[PacketBatch]:
        """One batch of every ring, or one that joins them; each is valid until the next.

        horizon   ns since the epoch up to which every ring had handed over what it got before they are read: meanwhile more
                  comes into those read first; None: nothing waits, the clock was just set
        first     number of the next frame
        """
        several, before = len(rings) > 1, [] if horizon is None else [horizon]
        for ring in rings:
            batch = ring.take(first())
            if horizon is not None and (unread := ring.reader.unread()) is not None:
                before.append(unread)
            if batch is None:
                continue
            self.size += int(batch.wire.sum())
            if several:
                self._joiner.add(batch)
            else:
                yield batch
        if several or self._several:
            self._several = several
            joined = self._joiner.cut(min(before, default=ALL) if several else ALL, first())
            if joined is not None:
                yield joined

    def take_over(self, joiner: Joiner) -> None:
        """Go on with what another one holds back."""
        self._joiner, self._several = joiner, True

    def rest(self, first: int) -> PacketBatch | None:
        """What was held back, at the end."""
        return self._joiner.cut(ALL, first)

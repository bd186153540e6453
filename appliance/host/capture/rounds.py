"""Reading the rings of a process: batch after batch, in the order of their times where there are several rings."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from appliance.host.capture.af_packet import MappedRing
from appliance.packets.join import ALL, Joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appliance.packets.batch import PacketBatch
    from appliance.packets.ringshape import RingShape

QUIET_NS = 1_000_000_000  # how far the clock of silence stays behind: frames of this time may still be on their way
ROUNDS = 16  # batches of each ring between two looks at everything else
FRESH = 64  # a ring that holds less than such a part was read empty
BUSY = 4  # a ring that holds more than a quarter is read again at once


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


def handed_over(shape: RingShape) -> int:
    """Ns after which a ring has surely handed over what it got, by the kernel's clock of blocks."""
    return 2 * shape.hold_ms * 1_000_000


def let_hand_over(rings: Sequence[MappedRing], shape: RingShape) -> int:
    """Wait until each of several rings has handed over what it has got by now (ns since the epoch), which is returned."""
    now = time.time_ns()
    if len(rings) > 1:
        time.sleep(handed_over(shape) * 1e-9)
    return now


@dataclass(slots=True)
class Lives:
    """The ring of an interface (None: not here), and those of its former lives that are still being read, the oldest first."""

    ring: MappedRing | None = None
    old: list[MappedRing] = field(default_factory=list)

    def all(self) -> list[MappedRing]:
        """Those to read, the oldest first."""
        return [*self.old, *([self.ring] if self.ring is not None else [])]

    def retire(self, now: int) -> None:
        """From `now` (ns since the epoch) on the ring gets no frames, or another one does."""
        if self.ring is not None:
            self.ring.retire(now)
            self.old.append(self.ring)
        self.ring = None

    def read_out(self) -> list[MappedRing]:
        """Former ones that were read as far as they are to be, handed out once: to be closed."""
        done = [ring for ring in self.old if ring.done]
        self.old = [ring for ring in self.old if ring not in done]
        return done


@dataclass(slots=True)
class Turns:
    """Takes a batch of every ring; `until` then says up to which time the frames of several rings can be put in order."""

    several: bool = False  # the rings of this round
    _before: bool = False  # frames of several rings of an earlier round may be held back
    _complete: list[int] = field(default_factory=list)

    def taken(
        self, rings: Sequence[MappedRing], horizon: int | None, first: Callable[[], int]
    ) -> Iterator[tuple[MappedRing, PacketBatch]]:
        """Each ring that has frames, with the next of them; see `Rounds.batches`."""
        self.several, self._complete = len(rings) > 1, [] if horizon is None else [horizon]
        for ring in rings:
            batch = ring.take(first())
            if horizon is not None and (unread := ring.reader.unread()) is not None:
                self._complete.append(unread)
            if batch is not None:
                yield ring, batch

    def until(self) -> int | None:
        """Ns since the epoch, ALL where nothing more is to be waited for; None where nothing was held back either."""
        if not (self.several or self._before):
            return None
        self._before = self.several
        return min(self._complete, default=ALL) if self.several else ALL

    def begin_behind(self) -> None:
        """Frames of several rings are held back already."""
        self._before = True


@dataclass(slots=True)
class Rounds:
    """`batches` for every round; `size`: bytes on the wire of all frames read."""

    size: int = 0
    _joiner: Joiner = field(default_factory=Joiner)
    _turns: Turns = field(default_factory=Turns)

    def batches(self, rings: Sequence[MappedRing], horizon: int | None, first: Callable[[], int]) -> Iterator[PacketBatch]:
        """One batch of every ring, or one that joins them; each is valid until the next.

        horizon   ns since the epoch up to which every ring had handed over what it got before they are read: meanwhile more
                  comes into those read first; None: nothing waits, the clock was just set
        first     number of the next frame
        """
        for _, batch in self._turns.taken(rings, horizon, first):
            self.size += int(batch.wire.sum())
            if self._turns.several:
                self._joiner.add(batch)
            else:
                yield batch
        if (until := self._turns.until()) is not None and (joined := self._joiner.cut(until, first())) is not None:
            yield joined

    def take_over(self, joiner: Joiner) -> None:
        """Go on with what another one holds back."""
        self._joiner = joiner
        self._turns.begin_behind()

    def rest(self, until: int, first: int) -> PacketBatch | None:
        """What was held back up to this time (ns), at the end: of what is later the other direction may not have been read."""
        return self._joiner.cut(ALL if self._joiner.unsettled else until, first)

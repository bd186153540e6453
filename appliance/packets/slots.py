"""Keys that keep coming, found and added by whole columns: a hash table that grows (double hashing; Knuth, TAOCP 3, 6.4).

`ordering.Table` is for keys that do not change; here a sorted column would have to be copied for every few keys that are new.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Places = npt.NDArray[np.intp]

LEAST = 64  # keys that there is room for from the beginning
PROBES = 64  # slots that are tried; only keys made to collide need more, and those are not found again
_FIRST, _STEP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class Slots:
    """Each key has a number, in the order in which keys were added."""

    __slots__ = ("_bits", "_count", "_keys", "_slot")

    def __init__(self) -> None:
        """Start with no key."""
        self._keys: U64 = np.zeros(LEAST, np.uint64)
        self._count = 0
        self._bits = 0
        self._slot = np.zeros(0, np.int32)  # number of a key + 1, 0 where the slot is free
        self._spread(LEAST)

    def __len__(self) -> int:
        """How many keys were added."""
        return self._count

    @property
    def keys(self) -> U64:
        """The keys by their numbers; uint64 [len(self)]."""
        return self._keys[: self._count]

    def find(self, keys: U64) -> Places:
        """The number of each key, -1 where it is not there; intp [n]."""
        number = np.full(len(keys), -1, np.intp)
        place, step = self._way(keys)
        left = np.arange(len(keys))
        for _ in range(PROBES):
            here = self._slot.take(place)
            same = self._keys.take(here - 1, mode="wrap") == keys
            number[left] = np.where((here > 0) & same, here - 1, -1)
            on = np.flatnonzero((here > 0) & ~same)
            if not len(on):
                break
            left, keys, step = left.take(on), keys.take(on), step.take(on)
            place = (place.take(on) + step) & (len(self._slot) - 1)
        return number

    def add(self, keys: U64) -> None:
        """Add keys that are not there, each once; they are numbered on."""
        before, self._count = self._count, self._count + len(keys)
        if self._count > len(self._keys):
            self._keys = np.concatenate([self.keys[:before], np.zeros(self._count, np.uint64)])
        self._keys[before : self._count] = keys
        if 2 * self._count > len(self._slot):
            self._spread(2 * self._count)
        else:
            self._put(before)

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Forget all keys but these; bool [len(self)]. The others are numbered anew, in their order."""
        self._keys = self.keys[kept]
        self._count = len(self._keys)
        self._spread(max(LEAST, self._count))

    def _spread(self, room: int) -> None:
        """Make slots for so many keys, and put there what is there."""
        self._bits = (2 * room - 1).bit_length()
        self._slot = np.zeros(1 << self._bits, np.int32)
        self._put(0)

    def _put(self, first: int) -> None:
        """Give slots to the keys from number `first` on; of several that meet at a free one, one gets it and the others go on."""
        number = np.arange(first, self._count)
        place, step = self._way(self._keys[first : self._count])
        for _ in range(PROBES):
            if not len(number):
                return
            free = np.flatnonzero(self._slot.take(place) == 0)
            self._slot[place.take(free)] = number.take(free) + 1
            on = np.flatnonzero(self._slot.take(place) != number + 1)
            number, step = number.take(on), step.take(on)
            place = (place.take(on) + step) & (len(self._slot) - 1)

    def _way(self, keys: U64) -> tuple[Places, Places]:
        """The first slot of each key and the odd step to the next."""
        shift = np.uint64(64 - self._bits)
        return (keys * _FIRST >> shift).astype(np.intp), (keys * _STEP >> shift).astype(np.intp) | 1

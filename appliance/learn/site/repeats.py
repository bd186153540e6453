"""Which side of a flow repeats what the other says: who answers takes over the number of the request, who asks brings a new one.

Of each side it is counted, byte by byte, how often what it says differs from what it said before, and how often it is then what
the other side has just said at the same place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

HEAD = 32  # bytes of a payload looked at
MAX_FLOWS = 4096  # flows followed
MIN_CHANGES = 8  # changes of a byte, from which on their share says something
REPEATS, BRINGS = 0.9, 0.5  # share of changes that the other side said before: of who answers at least, of who asks at most

Heads = npt.NDArray[np.uint8]
_Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Repeats:
    """Counts of flows, batch by batch.

    counts   flow -> int32 [side (1: `up`), changes or repeats, HEAD]
    """

    counts: dict[int, npt.NDArray[np.int32]] = field(default_factory=dict)
    _said: dict[tuple[int, bool], bytes] = field(default_factory=dict)  # the last head of each side
    _last: dict[int, bool] = field(default_factory=dict)  # which side spoke last

    def add(self, flow: npt.NDArray[np.uint64], up: _Flags, heads: Heads) -> None:
        """Take in payloads, flow by flow, in the order of time within; heads uint8 [n, HEAD], zero beyond the payload's end."""
        if not len(flow):
            return
        begin = np.flatnonzero(np.r_[True, flow[1:] != flow[:-1]])
        for key, a, b in zip(flow[begin].tolist(), begin.tolist(), np.r_[begin[1:], len(flow)].tolist(), strict=True):
            if key in self.counts or len(self.counts) < MAX_FLOWS:
                self._add(key, up[a:b], heads[a:b])

    def _add(self, key: int, up: _Flags, heads: Heads) -> None:
        """Payloads of one flow, behind what it said before."""
        spoke = self._last.get(key, False)
        sides = [side for side in (not spoke, spoke) if (key, side) in self._said]
        old = len(sides)
        up = np.r_[np.array(sides, bool), up]
        heads = np.concatenate([*(np.frombuffer(self._said[key, side], np.uint8)[None] for side in sides), heads])
        counts = self.counts.setdefault(key, np.zeros((2, 2, HEAD), np.int32))
        turn = np.r_[False, up[1:] != up[:-1]]
        turn[:old] = False
        for side in (False, True):
            mine = np.flatnonzero(up == side)
            if not len(mine):
                continue
            later, before = mine[1:], mine[:-1]
            use = turn[later]
            changed = heads[later[use]] != heads[before[use]]
            counts[int(side), 0] += changed.sum(axis=0, dtype=np.int32)
            counts[int(side), 1] += (changed & (heads[later[use]] == heads[later[use] - 1])).sum(axis=0, dtype=np.int32)
            self._said[key, side] = heads[mine[-1]].tobytes()
        self._last[key] = bool(up[-1])

    def answering(self, key: int) -> bool | None:
        """The side that answers (True: `up`), None where nothing shows it."""
        if key not in self.counts:
            return None
        changes, repeats = self.counts[key][:, 0], self.counts[key][:, 1]
        share = np.where(changes >= MIN_CHANGES, repeats / np.maximum(changes, 1), 0.0).max(axis=1)
        for side in (False, True):
            if share[int(side)] >= REPEATS and share[int(not side)] <= BRINGS:
                return side
        return None

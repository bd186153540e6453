"""Requests that come without the one they always followed: out of turn in their own list, whatever came in between.

See `learn.timing.leads`. Told is only the first visit without its leader: where two timers part slowly, or an operator took
one request out of a list, one finding says it all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.learn.timing.pace import Pace

_Bools = npt.NDArray[np.bool_]
_I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class Alone:
    """Follows the requests of one service."""

    pace: Pace
    _seen: _I64 = field(init=False)  # per row: ns of its last visit, -1 for none
    _alone: _Bools = field(init=False)  # per row: its last visit was without its leader

    def __post_init__(self) -> None:
        self._seen = np.full(len(self.pace.rows), -1, np.int64)
        self._alone = np.zeros(len(self.pace.rows), bool)

    def judge(self, place: npt.NDArray[np.intp], known: _Bools, time: _I64, odd: _I64) -> _I64:
        """By how many ns a visit is further from its leader than ever, 0 where it is not or its row was before; int64 [n].

        place   intp [n]: of each visit's row; known bool [n]: it is judged; time int64 [n], ns
        odd     int64 [n], ns at which something odd came last in the conversation: as soon before as the leader
                may come, it may have taken its place, and is told by its bytes
        """
        alone, mine, n = np.zeros(len(place), bool), np.flatnonzero(known), len(place)
        beyond = np.zeros(n, np.int64)
        leader = self.pace.leader[place[mine]]
        follows = np.flatnonzero(leader >= 0)
        if len(follows):
            visits = np.sort(place[mine] * n + mine)  # row by row
            i, leader = mine[follows], leader[follows]
            at = np.searchsorted(visits, leader * n + i) - 1
            here = (at >= 0) & (visits[at] // n == leader)
            last = np.where(here, time[visits[at] % n], self._seen[leader])
            alone[i] = (last >= 0) & (time[i] - last > self.pace.apart[place[i]])
            beyond[i] = time[i] - last - self.pace.reach[place[i]]
            off = np.flatnonzero(alone)
            at = np.searchsorted(visits, place[off] * n + off) - 1
            here = (at >= 0) & (visits[at] // n == place[off])
            before = np.where(here, alone[visits[at] % n], self._alone[place[off]])
            self._alone[place[i]] = alone[i]
            alone[off] = ~before
        self._seen[place[mine]] = time[mine]
        replaced = (odd >= 0) & (time - odd <= self.pace.apart[place])
        return np.where(alone & ~replaced, beyond, 0)

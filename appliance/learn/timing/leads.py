"""Which request comes before which: requests of one list, however many lists run side by side in a conversation.

Timers that run freely mix their requests anew each time, so that what came just before a request says nothing. Within a list the
order holds all the same: a request that always came soon after another one of its conversation *follows* it, whatever came in
between. Counted are pairs: how often a request had another one among the last TRAIL, and how long before at most. Those that
hold for every visit are derived in `derive_leads`; one visit without its leader is what `detect.rhythm` tells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import SECOND
from appliance.learn.counting.sparse import FULL, Pairs, counted
from appliance.packets.ordering import grouped

if TYPE_CHECKING:
    from appliance.learn.timing.visits import Visits

TRAIL = 4  # requests of the conversation before one, among which its leader is looked for
MAX_LEADS = 48  # different requests among those; a request with more follows none
ALL = np.uint64(0)  # stands beside the leaders of a request for all its visits that were looked at
MIN_FOLLOWED = 20  # visits, from which on it is no chance that each had its leader
SOON, SOON_NS = 0.1, 2 * SECOND  # of a period, and ns: what is further away is no item of the same list, but another timer
OFTEN = 2.5  # times as often as its follower: what is asked all the time leads nothing

_U64 = npt.NDArray[np.uint64]
_I64 = npt.NDArray[np.int64]
_Places = npt.NDArray[np.intp]


@dataclass(slots=True)
class Trails:
    """Counts, batch by batch, which requests of a conversation came before which."""

    _row: _U64 = field(default_factory=lambda: np.zeros(0, np.uint64))  # the last TRAIL requests of every conversation
    _stream: _U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    _time: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _epoch: _I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def follow(self, v: Visits, epoch: _I64) -> Pairs:
        """(row, row before it, visits, minus the longest time between the two in ns) of a batch.

        epoch   int64 [visits], breaks of the clock before each
        """
        earlier = len(self._row)
        row, stream = np.concatenate([self._row, v.row]), np.concatenate([self._stream, v.stream])
        time, epoch = np.concatenate([self._time, v.time]), np.concatenate([self._epoch, epoch])
        groups = grouped(stream)
        order, size = groups.order, np.diff(groups.start, append=len(stream))
        rank = np.arange(len(order)) - np.repeat(groups.start, size)
        left = np.repeat(size, size) - rank
        kept = np.sort(order[left <= TRAIL])
        self._row, self._stream, self._time, self._epoch = row[kept], stream[kept], time[kept], epoch[kept]
        at = np.flatnonzero((rank >= TRAIL) & (order >= earlier) & (row[order] != 0))
        at = at[epoch[order[at]] == epoch[order[at - TRAIL]]]
        here = order[at]
        found: list[tuple[_U64, _U64, _I64]] = [(row[here], np.full(len(here), ALL), np.zeros(len(here), np.int64))]
        nearer: list[_U64] = []
        for back in range(1, TRAIL + 1):
            before = order[at - back]
            new = (row[before] != 0) & (row[before] != row[here])
            for other in nearer:
                new &= row[before] != other
            nearer.append(row[before])
            found.append((row[here[new]], row[before[new]], time[before[new]] - time[here[new]]))
        a, b, lag = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return counted(a, b, lag, MAX_LEADS)


def derive_leads(leads: Pairs, rows: _U64, middle: _I64) -> tuple[_Places, _I64]:
    """Per row the place of its leader, -1 for none, and the longest time between the two, ns.

    rows   uint64 [k] sorted; middle int64 [k]: median gap, ns, 0 where it has no period
    """
    leader, reach = np.full(len(rows), -1, np.intp), np.zeros(len(rows), np.int64)
    visits, begin = np.zeros(len(rows), np.int64), leads.groups()[0]
    at = np.minimum(np.searchsorted(rows, leads.a[begin]), len(rows) - 1)
    there = rows[at] == leads.a[begin]
    full = leads.b[begin] == FULL  # then what is left is the sum of all its pairs
    visits[at[there]] = np.where(full, leads.count[begin] // (1 + TRAIL), leads.count[begin])[there]
    for a, b in zip(*leads.groups(), strict=True):
        place = int(np.searchsorted(rows, leads.a[a]))
        seen = int(leads.count[a])
        if leads.b[b - 1] == FULL or leads.b[a] != ALL or seen < MIN_FOLLOWED:
            continue
        if place == len(rows) or rows[place] != leads.a[a] or not middle[place]:
            continue
        always = a + np.flatnonzero((leads.count[a:b] == seen) & (leads.b[a:b] != ALL))
        other = np.minimum(np.searchsorted(rows, leads.b[always]), len(rows) - 1)
        lag = -leads.first[always]
        fits = (rows[other] == leads.b[always]) & (visits[other] <= OFTEN * visits[place])
        fits &= lag <= min(SOON * middle[place], SOON_NS)
        if fits.any():
            nearest = int(np.flatnonzero(fits)[np.argmin(lag[fits])])
            leader[place], reach[place] = other[nearest], lag[nearest]
    return leader, reach

"""Session handles and connection ids: what a connection has shown as its own and then changes in the middle.

Such bytes differ from connection to connection, so no set of values says what is normal; the connection itself does. A value is
a connection's own after OWN messages in a row. Another one is told, once for as long as it stays, and becomes the connection's
own if it stays OWN messages. The first messages of a connection, which carry no handle yet, are so no deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.meaning.model import Ranges, ServiceModel, runs

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified

OWN = 3  # messages in a row
LEAST = 3  # neighbouring bytes, from which on they are a handle and not a byte that happened to differ
MAX_FLOWS = 20_000


@dataclass(frozen=True, slots=True)
class Break:
    """Message `index` has other bytes at `ranges` than its connection's own, which are `normal`."""

    index: int
    ranges: Ranges
    normal: bytes


@dataclass(slots=True)
class _Flow:
    """A connection's own value (None: none yet), the value of its last message, and how many in a row had it."""

    own: bytes | None = None
    last: bytes = b""
    count: int = 0

    def take(self, value: bytes, times: int) -> bool:
        """Take `times` messages in a row with one value; True where the first of them breaks with the connection's own."""
        fresh = value != self.last
        self.count = times if fresh else self.count + times
        self.last = value
        broken = fresh and self.own is not None and value != self.own
        if self.count >= OWN:
            self.own = value
        return broken


@dataclass(slots=True)
class IdentityDetector:
    """Watches the identities of one service under one structure."""

    service: ServiceModel
    _flows: dict[tuple[int, bool], _Flow] = field(default_factory=dict)

    def judge(self, c: Classified, watched: npt.NDArray[np.bool_]) -> list[Break]:
        """Breaks among the messages of a batch; `watched` bool [n]: those of conversations in the baseline."""
        s, found = self.service.structure, list[Break]()
        for answers, identity in ((False, s.identity), (True, s.answer_identity)):
            places = [o for first, end in runs(np.flatnonzero(identity)) if end - first >= LEAST for o in range(first, end)]
            if places:
                side = watched & (c.messages.request != answers) & ~c.messages.broken & (c.messages.length > places[-1])
                found += self._side(c, np.flatnonzero(side), np.array(places, np.intp), answers)
        return sorted(found, key=lambda one: one.index)

    def _side(self, c: Classified, rows: npt.NDArray[np.intp], places: npt.NDArray[np.intp], answers: bool) -> list[Break]:
        """The same of one direction; Python looks at runs of equal values, not at messages."""
        rows = rows[np.argsort(c.messages.flow[rows], kind="stable")]
        if not len(rows):
            return []
        values, flow = c.heads[rows][:, places], c.messages.flow[rows]
        begin = np.ones(len(rows), bool)
        begin[1:] = (flow[1:] != flow[:-1]) | (values[1:] != values[:-1]).any(axis=1)
        starts = np.flatnonzero(begin)
        found: list[Break] = []
        for at, times in zip(starts.tolist(), np.diff(starts, append=len(rows)).tolist(), strict=True):
            known = self._flow((int(flow[at]), answers))
            own = known.own
            if known.take(values[at].tobytes(), times) and own is not None:
                differs = places[values[at] != np.frombuffer(own, np.uint8)]
                normal = bytes(own[int(np.searchsorted(places, o))] for o in differs)
                found.append(Break(int(rows[at]), runs(differs), normal))
        return found

    def _flow(self, key: tuple[int, bool]) -> _Flow:
        known = self._flows.get(key)
        if known is None:
            if len(self._flows) >= MAX_FLOWS:
                self._flows.pop(next(iter(self._flows)))  # the oldest connection
            known = self._flows[key] = _Flow()
        return known

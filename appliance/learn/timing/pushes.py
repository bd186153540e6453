"""What a server sends by itself to whoever subscribed once: values, changes, with a pace and an order of their own.

A *push* is what no request calls for: neither the first answer to one, nor sent so soon after a request or an answer of its
connection that it may be the rest of it. Pushes are followed as requests are (`timing.visits`), apart from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import SECOND
from appliance.learn.messages.rowhash import whole_hash
from appliance.learn.timing.retries import Asked
from appliance.learn.timing.visits import Follower, Memory, Visits
from appliance.packets.ordering import grouped

if TYPE_CHECKING:
    from appliance.learn.messages.classify import Classified
    from appliance.learn.timing.replies import Answered
    from appliance.learn.timing.visits import Clock

LATER = SECOND // 4  # after a request or its answer: what comes then is no part of that any more


@dataclass(slots=True)
class Pushes:
    """Follows the pushes of one service from batch to batch."""

    _follower: Follower = field(default_factory=Follower)
    _active: Memory = field(default_factory=lambda: Memory(1))  # connection -> ns of its last request or answer

    def follow(self, c: Classified, replies: Answered, stream_keys: npt.NDArray[np.uint64], clock: Clock) -> Visits:
        """The pushes of a batch as visits.

        replies   what the batch says of requests and answers; stream_keys uint64 [conversations]; clock has seen its frames
        """
        m = c.messages
        asks = m.request.copy()
        asks[replies.answers[replies.first]] = True  # an answer is as good as a request: what comes soon belongs to it
        flow = m.flow.view(np.uint64)
        groups = grouped(flow)
        before, known = self._active.recall(flow.take(groups.first))
        last = groups.latest(asks)
        since = np.where(last >= 0, m.time.take(last), groups.spread(np.where(known, before[:, 0], 0)))
        spoken = np.flatnonzero(last[groups.last] >= 0)
        ends = groups.last[spoken]
        self._active.keep(flow[ends], since[ends, None], grouped(flow[ends]))
        mine = np.flatnonzero(~asks & ~m.broken & (c.template >= 0) & (m.time - since > LATER))
        nothing = np.full(len(mine), -1, np.int64)
        alike = np.zeros(len(mine), bool)
        asked = Asked(mine, whole_hash(c.heads, m.length, mine), alike, nothing, nothing)
        return self._follower.follow(c, asked, stream_keys, clock)

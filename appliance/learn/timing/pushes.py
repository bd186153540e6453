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
        unasked = np.flatnonzero(~asks & ~m.broken & (c.template >= 0))
        mine = unasked[m.time[unasked] - self._before(m.flow.view(np.uint64), m.time, asks, unasked) > LATER]
        nothing = np.full(len(mine), -1, np.int64)
        alike = np.zeros(len(mine), bool)
        asked = Asked(mine, whole_hash(c.heads, m.length, mine), alike, nothing, nothing)
        return self._follower.follow(c, asked, stream_keys, clock)

    def _before(
        self,
        flow: npt.NDArray[np.uint64],
        time: npt.NDArray[np.int64],
        asks: npt.NDArray[np.bool_],
        unasked: npt.NDArray[np.intp],
    ) -> npt.NDArray[np.int64]:
        """When each of a few messages' connection last asked or answered before it, ns, 0 for never; takes in the batch.

        flow, time, asks   [n] of all messages: connection, ns, whether it is a request or its answer; unasked intp [k], rising
        """
        groups, n = grouped(flow), len(flow)
        keys = flow.take(groups.first)
        earlier, known = self._active.recall(keys)
        ordered = asks.take(groups.order)
        spoken = np.repeat(np.arange(len(keys)), groups.size)[ordered] * n + groups.order[ordered]  # by connection, then by row
        of = np.searchsorted(keys, flow.take(unasked))
        at = np.searchsorted(spoken, of * n + unasked) - 1
        since = np.where(known, earlier[:, 0], 0)[of]
        here = np.flatnonzero(at >= 0)
        here = here[spoken[at[here]] // n == of[here]]
        since[here] = time[spoken[at[here]] % n]
        ends = np.flatnonzero(np.diff(spoken // n, append=-1))
        last = spoken[ends] % n
        self._active.keep(flow[last], time[last, None], grouped(flow[last]))
        return since

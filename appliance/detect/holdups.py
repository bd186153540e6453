"""What held a client up: requests that are late, early or out of turn for a reason that can be seen, and is no attack.

Two reasons are visible on the wire. A client that *waits* for an answer, or asks again because none came, sends what follows late
by as much. A client whose task *stalls* is late with the same round at all its servers, while one that somebody keeps from a
server is late there only. Minutes of learning hardly show either (rule of three: what never came in T may come once in T / 3), so
such deviations are not told by themselves; a client that is held up RUN times running is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.timing.pace import Pace

if TYPE_CHECKING:
    from appliance.learn.timing.visits import Visits

RUN = 4  # hold-ups of a client in as many periods that are one change
LIKE = 0.6  # share of a delay that its reason, and others with the same reason, have at least
PEERS = 0.5  # share of a round's other requests that are late with it where the client stalled
SAME_ROUND = 1.1  # periods of requests of one task differ by less
AFTER = 1.5  # periods after a hold-up in which its client finds back to its times
WHOLE = 0.1  # of a period: a gap this close to two periods or more lacks a cycle
MAX_HELD, MAX_CLIENTS = 4096, 65_536  # waits and clients that are remembered

_I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class _Run:
    """Hold-ups of a client one after the other: how many, when the last was seen, the period it fell into and by how much."""

    count: int
    since: int
    period: int
    by: int


@dataclass(slots=True)
class HoldUps:
    """Follows the requests of one service and tells which of their deviations have a visible reason."""

    pace: Pace
    _seen: _I64 = field(init=False)  # per row: ns of its last visit, and by how much it was late
    _late: _I64 = field(init=False)
    _client: _I64 = field(init=False)  # per conversation of `pace`: its client, -1 while it was not met
    _held: _I64 = field(default_factory=lambda: np.zeros((0, 3), np.int64))  # client, from when to when it waited
    _runs: dict[int, _Run] = field(default_factory=dict)
    _excused: dict[int, tuple[int, int]] = field(default_factory=dict)  # row -> last visit that had a reason, how many running
    _next: int = 0  # visits of the batch that were taken in

    def __post_init__(self) -> None:
        self._seen = np.full(len(self.pace.rows), -1, np.int64)
        self._late = np.zeros(len(self.pace.rows), np.int64)
        self._client = np.full(len(self.pace.streams), -1, np.int64)

    def begin(self, v: Visits, stream: npt.NDArray[np.intp], client: _I64, held: _I64) -> None:
        """A batch begins.

        stream, client   per visit: place of its conversation in `pace`, its client
        held             int64 [h, 3]: waits that ended in this batch, their client in front
        """
        self._next, self._client[stream] = 0, client
        self._held = np.concatenate([self._held[-MAX_HELD:], held])

    def explain(
        self, v: Visits, place: npt.NDArray[np.intp], known: npt.NDArray[np.bool_], i: int, stream: int, late: bool, early: bool
    ) -> bool:
        """Whether visit i, which is late, early or out of turn, is the consequence of a hold-up; visits in their order."""
        self.take(v, place, known, i)
        client, now, period = int(self._client[stream]), int(v.time[i]), int(self.pace.middle[place[i]])
        off = abs(int(v.gap[i]) - period) if self.pace.steady[place[i]] and v.gap[i] >= 0 else 0
        run = self._runs.get(client)
        since = now - run.since if run is not None else -1
        if run is not None and since >= 0 and self._goes_on(run, since, now, client, off, period, late):
            run.by = max(run.by, off)
            return run.count < RUN
        if not late:  # who was late makes up for it
            made_up = bool(early and self._late[place[i]] >= LIKE * off > 0) or self._waited(client, now, off, period)
            return made_up and self._once(int(v.number[i]), int(v.last[i]), int(place[i]))
        if not off or not self._held_up(client, now, off, period, int(place[i])):
            return False
        if len(self._runs) >= MAX_CLIENTS:
            self._runs.clear()
        count = run.count + 1 if run is not None and 0 <= since <= AFTER * (period + off) else 1
        self._runs[client] = _Run(count, now, period, off)
        return count < RUN

    def _once(self, number: int, last: int, place: int) -> bool:
        """Whether a row was not early or out of turn RUN times running: whose answers always take long is not held up by them."""
        before, times = self._excused.get(place, (-1, 0))
        times = times + 1 if before == last else 1
        self._excused[place] = (number, times)
        return times < RUN

    def parted(
        self, v: Visits, place: npt.NDArray[np.intp], known: npt.NDArray[np.bool_], i: int, stream: int, beyond: int
    ) -> bool:
        """Whether a hold-up came between visit i and the one it follows, which it is `beyond` ns further away from than ever."""
        self.take(v, place, known, i)
        return self._held_up(int(self._client[stream]), int(v.time[i]), beyond, int(self.pace.middle[place[i]]), int(place[i]))

    def _goes_on(self, run: _Run, since: int, now: int, client: int, off: int, period: int, late: bool) -> bool:
        """Whether a deviation belongs to the hold-up that began `since` ns ago."""
        rest = off - run.by
        if LIKE * off > run.by and not (late and self._overlap(client, now, rest)):  # it may wait after it stalled
            return False
        shortest = min(period, run.period)  # what is polled faster is not held up for longer by what is polled slowly
        if late:
            return since <= shortest // 2 + max(0, rest) and max(period, run.period) <= SAME_ROUND * shortest
        return since <= run.by + AFTER * shortest

    def take(self, v: Visits, place: npt.NDArray[np.intp], known: npt.NDArray[np.bool_], until: int) -> None:
        """Take in the visits of the batch before `until`."""
        mine = slice(self._next, until)
        at, gap = place[mine][known[mine]], v.gap[mine][known[mine]]
        self._seen[at] = v.time[mine][known[mine]]
        self._late[at] = np.where(gap >= 0, gap - self.pace.middle[at], 0)
        self._next = until

    def _held_up(self, client: int, now: int, late: int, period: int, place: int) -> bool:
        """Whether a client waited or stalled where a request of it is late."""
        if self._overlap(client, now, late):
            return True
        p = self.pace
        like = (p.middle <= SAME_ROUND * period) & (p.middle * SAME_ROUND >= period)
        peers = p.steady & like & (self._client[p.of] == client) & (p.of != p.of[place]) & (self._seen >= 0)
        if not peers.any():  # who has one server only stalled where he asked nothing at all, unless he left out a whole cycle
            quiet = self._seen[self._client[p.of] == client].max(initial=-1) <= now - late
            return bool(quiet) and (
                late < (1 - WHOLE) * period or abs((late + period // 2) % period - period // 2) > WHOLE * period
            )
        overdue = now - self._seen[peers] - p.middle[peers]
        recent = self._seen[peers] >= now - period // 2
        behind = np.maximum(overdue, np.where(recent, self._late[peers], 0)) >= LIKE * late
        return bool(behind.mean() >= PEERS)

    def _overlap(self, client: int, now: int, late: int) -> bool:
        """Whether a client waited for an answer in most of the time by which a request is late."""
        held = self._over(client, now)
        waited = held[held[:, 2] > now - late, 1:]
        covered, reached = 0, now - late
        for begin, end in sorted(waited.tolist()):
            covered += max(0, min(end, now) - max(begin, reached))
            reached = max(reached, end)
        return covered >= LIKE * late

    def _waited(self, client: int, now: int, off: int, period: int) -> bool:
        """Whether a client waited for an answer lately, for so long that a request is early or out of turn for it."""
        waited = self._over(client, now)
        long = waited[:, 2] - waited[:, 1]
        until = waited[:, 2] + long + (AFTER * period if off else 0)
        return bool(((now <= until) & (long >= LIKE * off)).any())

    def _over(self, client: int, now: int) -> _I64:
        """Waits of a client that were over by then: what the rest of the batch tells of longer ones is not known yet."""
        over: _I64 = self._held[(self._held[:, 0] == client) & (self._held[:, 2] <= now)]
        return over

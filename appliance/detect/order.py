"""Order and time inside known conversations, as findings: pace, order, replay, bursts, answers missing or unasked.

What deviates is decided by `detect.rhythm` (requests) and `learn.timing.replies` (answers) on columns; here the few that do
are told.
Where a service was learned under several structures, a conversation is judged by the one that saw most of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Address, Conversation
from appliance.decode.names import address_text
from appliance.detect.absence import MISSING
from appliance.detect.content import ARP, MIN_CHATTER
from appliance.detect.finding import Finding, Kind
from appliance.detect.rhythm import Deviant, RhythmDetector
from appliance.detect.view import View
from appliance.learn.counting.counts import NEVER, SECOND
from appliance.learn.meaning.model import ServiceModel
from appliance.learn.messages.sample import WIDTH
from appliance.learn.timing.pushes import Pushes
from appliance.learn.timing.replies import WAIT, Replies
from appliance.learn.timing.visits import Follower
from appliance.packets.ordering import grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.decode.columns import DecodedBatch
    from appliance.learn.messages.classify import Classified
    from appliance.learn.timing.replies import Answered
    from appliance.learn.timing.visits import Clock

UNASKED_PER = 4  # unasked answers told per conversation and second
LOST_PER = 10 * SECOND  # one missing answer told per conversation and so long
MAX_STRAYS = 64  # answers of a conversation that are remembered though no request calls for them
MAX_TRACKED = 65_536
LEAST_STRAY_PUSHES = 2  # out of turn: what happens in a plant needs no clock, and what is due comes all the same
MAX_STRAY_PUSHES = 3  # deviations that learning brought together, and one: where there are more, what is pushed has no pace
SCORE = 0.01
_ANSWER, _LOST, _ANEW = range(3)


Suspect = tuple[int, int, int, int]  # how many, number of the last, ns and frame of the first


class Placed(NamedTuple):
    """A finding and the frame at which it was noticed: one without a frame has its place among the others, too."""

    frame: int
    finding: Finding


@dataclass(slots=True)
class OrderDetector:
    """One service under one structure (`services[which]`), batch after batch.

    silence   ns from which on a pause of a conversation is told as a silence, None for never
    view      of all services: what of the traffic is seen
    """

    silence: Callable[[Conversation], int | None]
    services: list[ServiceModel]
    which: int
    view: View = field(default_factory=View)
    _rhythm: RhythmDetector = field(init=False)
    _pushing: RhythmDetector = field(init=False)
    _pushes: Pushes = field(default_factory=Pushes)
    _follower: Follower = field(default_factory=Follower)
    _replies: Replies = field(init=False)
    _mine: list[bool] = field(default_factory=list)  # per conversation: this structure judges it
    _silence: list[int] = field(default_factory=list)  # per conversation: ns from which on it is silent
    _client: list[int] = field(default_factory=list)  # per conversation: who asks
    _server: list[int] = field(default_factory=list)  # per conversation: who is asked
    _clients: dict[Address, int] = field(default_factory=dict)
    _answered: dict[int, int] = field(default_factory=dict)  # conversation -> highest number of a request that was answered
    _suspects: dict[int, Suspect] = field(default_factory=dict)  # conversation -> requests lost in a row, nothing answered since
    _strays: dict[int, list[int]] = field(default_factory=dict)  # conversation -> frames of answers that belong to no request
    _last_lost: dict[int, int] = field(default_factory=dict)  # conversation -> number of its last request without an answer
    _spent: dict[tuple[int, int], int] = field(default_factory=dict)  # (conversation, second) -> unasked answers told
    _lost: dict[int, int] = field(default_factory=dict)  # conversation -> ns of the last missing answer told

    def __post_init__(self) -> None:
        self._rhythm = RhythmDetector(self.services[self.which].pace)
        self._pushing = RhythmDetector(self.services[self.which].pushed, LEAST_STRAY_PUSHES)
        self._replies = Replies(self.services[self.which].structure)

    def judge(
        self,
        batch: DecodedBatch,
        c: Classified,
        conversations: list[Conversation],
        keys: npt.NDArray[np.uint64],
        watched: npt.NDArray[np.bool_],
        clock: Clock,
        refused: Mapping[int, list[int]],
    ) -> list[Placed]:
        """Findings of one batch.

        c        the messages of this service; keys uint64 [conversations]; watched bool [conversations]: in the baseline
        clock    has seen the frames of the batch; refused: conversation -> ns at which connections of it failed
        """
        judged = watched & self._judges(conversations, keys)
        replies = self._replies.follow(c, clock)
        v = self._follower.follow(c, replies.asked, keys, clock)
        conversation = c.messages.conversation[v.index]
        silence = np.array(self._silence or [NEVER], np.int64)[conversation]
        client, held = np.array(self._client or [-1], np.int64), replies.held.copy()
        held[:, 0] = client[held[:, 0]]
        told = [
            self._deviant(batch, c, int(v.index[d.visit]), conversations, d)
            for d in self._rhythm.judge(v, judged[conversation], silence, client[conversation], held)
        ]
        told += self._pushed(batch, c, replies, conversations, keys, judged, clock)
        told += self._unasked(batch, c, replies, conversations, keys, judged)
        return told + self._missing(c, replies, conversations, keys, judged, refused)

    def _pushed(
        self,
        batch: DecodedBatch,
        c: Classified,
        replies: Answered,
        conversations: list[Conversation],
        keys: npt.NDArray[np.uint64],
        judged: npt.NDArray[np.bool_],
        clock: Clock,
    ) -> list[Placed]:
        """What servers send by themselves, at another pace or in another order; who sends is the one that may be held up."""
        if not len(self._pushing.pace.rows) or self._pushing.pace.needed > MAX_STRAY_PUSHES:
            return []
        v = self._pushes.follow(c, replies, keys, clock)
        conversation = c.messages.conversation[v.index]
        silence, server = np.array(self._silence, np.int64)[conversation], np.array(self._server, np.int64)[conversation]
        deviants = self._pushing.judge(v, judged[conversation], silence, server, np.zeros((0, 3), np.int64))
        return [self._deviant(batch, c, int(v.index[d.visit]), conversations, d) for d in deviants]

    def _judges(self, conversations: list[Conversation], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Bool [conversations]: this structure saw most requests of it, the first of equals."""
        for i in range(len(self._mine), len(conversations)):
            seen = [s.messages.get((int(keys[i]), False), 0) for s in self.services]
            self._client.append(self._clients.setdefault(conversations[i].client, len(self._clients)))
            self._server.append(self._clients.setdefault(conversations[i].server, len(self._clients)))
            self._silence.append(self.silence(conversations[i]) or NEVER)
            port = conversations[i].port  # whom ARP asks for is told by `hardware`, when it asks depends on everything else
            least = MIN_CHATTER if port[0] < 0 else 1
            enough = seen[self.which] >= least and not conversations[i].group and port != ARP
            self._mine.append(enough and seen.index(max(seen)) == self.which)
        return np.array(self._mine or [False], bool)

    def _deviant(self, batch: DecodedBatch, c: Classified, i: int, conversations: list[Conversation], deviant: Deviant) -> Placed:
        finding = _finding(batch, c, i, conversations, deviant.kind, deviant.times, absent=deviant.absent)
        return Placed(int(c.messages.frame[i]), finding)

    def _unasked(
        self,
        batch: DecodedBatch,
        c: Classified,
        replies: Answered,
        conversations: list[Conversation],
        keys: npt.NDArray[np.uint64],
        judged: npt.NDArray[np.bool_],
    ) -> list[Placed]:
        """Answers to nothing, and second answers, in conversations where every answer had been asked for once."""
        pace, m, told = self._rhythm.pace, c.messages, []
        if not len(pace.streams):
            return []
        rows, service = replies.answers[replies.unasked], self.services[self.which]
        rows = rows[judged[m.conversation[rows]] & self.view.would_show_requests(m.time[rows])]
        stream, known = pace.stream(keys[m.conversation[rows]])
        rows = rows[known & pace.asked[stream]]
        if service.accepted:
            rows = rows[~service.accepted.known(c, service.structure, keys)[rows]]
        for i in rows.tolist():
            key = (int(m.conversation[i]), int(m.time[i]) // SECOND)
            if len(self._spent) > MAX_TRACKED:
                self._spent.clear()
            self._spent[key] = self._spent.get(key, 0) + 1
            if self._spent[key] <= UNASKED_PER:
                told.append(Placed(int(m.frame[i]), _finding(batch, c, i, conversations, Kind.UNASKED_ANSWER, 1)))
        return told

    def _missing(
        self,
        c: Classified,
        replies: Answered,
        conversations: list[Conversation],
        keys: npt.NDArray[np.uint64],
        judged: npt.NDArray[np.bool_],
        refused: Mapping[int, list[int]],
    ) -> list[Placed]:
        """Requests without their answer though later ones were answered; a device that answers nothing is told by `absence`."""
        pace, m, lost = self._rhythm.pace, c.messages, replies.lost
        conversation = m.conversation[replies.answers]
        told: list[Placed] = []
        if not len(pace.rows):
            return []
        strange = np.flatnonzero(~m.request & (m.broken | (c.number < 0)) & judged[m.conversation])
        of, there = pace.stream(keys[m.conversation[strange]])
        for i in strange[there & pace.answered[of]].tolist():
            kept = self._strays.get(int(m.conversation[i]), [])[-MAX_STRAYS:]
            self._strays[int(m.conversation[i])] = [*kept, int(m.frame[i])]
        if len(lost) or self._suspects:
            stream, known = pace.stream(lost.stream(keys))
            mine = known & pace.answered[stream] & judged[lost.column("conversation")]
            mine &= self.view.would_show_answers(lost.column("time"))
            place, learned = pace.place(lost.column("row").view(np.uint64))
            mine &= learned & ~pace.loses[place]  # one that learning did not know is told by its bytes
            events = [(int(lost.ended[k]), _LOST, *lost.table[k, :5].tolist()) for k in np.flatnonzero(mine).tolist()]
            doubted = np.array(sorted({e[3] for e in events} | self._suspects.keys()), np.int64)
            asked = replies.asked
            for k in np.flatnonzero(asked.first >= 0).tolist():
                i = int(asked.index[k])
                events.append((int(m.frame[i]), _ANEW, int(asked.first[k]), int(m.conversation[i]), -1, int(m.time[i]), 0))
            for k in np.flatnonzero(np.isin(conversation, doubted)).tolist():
                i = int(replies.answers[k])
                events.append((int(m.frame[i]), _ANSWER, int(replies.number[k]), int(conversation[k]), -1, int(m.time[i]), 0))
            told = [placed for event in sorted(events) for placed in self._follow(event, conversations, refused)]
        groups = grouped(conversation)
        numbers = replies.number[groups.order]
        highest = np.maximum.reduceat(numbers, groups.start) if len(numbers) else numbers
        for one, number in zip(conversation[groups.first].tolist(), highest.tolist(), strict=True):
            self._answered[one] = max(number, self._answered.get(one, -1))
        return told

    def _follow(
        self, event: tuple[int, ...], conversations: list[Conversation], refused: Mapping[int, list[int]]
    ) -> list[Placed]:
        """One step of a conversation: an answer came, a request was lost or is asked anew; the numbers as in `Waiting.table`."""
        place, what, number, conversation, before, time, frame = event
        suspect = self._suspects.get(conversation)
        if what == _ANEW:
            if suspect is not None and number == suspect[1]:  # it is not known yet whether it stays without its answer
                del self._suspects[conversation]
            return []
        if what == _ANSWER:
            self._answered[conversation] = max(number, self._answered.get(conversation, -1))
            if suspect is None or number <= suspect[1]:
                return []
            del self._suspects[conversation]
            # where a connection was lost it is not the answer that is missing
            broken = any(suspect[2] <= failed <= time for failed in refused.get(conversation, ()))
            return [] if broken or suspect[0] > MISSING else self._tell_lost(place, conversation, suspect, conversations)
        goes_on = before >= 0 and self._last_lost.get(conversation, -1) == before
        self._last_lost[conversation] = number
        if goes_on:
            if suspect is not None:
                self._suspects[conversation] = (suspect[0] + 1, number, *suspect[2:])
            return []
        suspect = (1, number, time, frame)
        if self._answered.get(conversation, -1) > number:
            broken = any(time <= failed <= time + WAIT for failed in refused.get(conversation, ()))
            return [] if broken else self._tell_lost(place, conversation, suspect, conversations)
        self._suspects[conversation] = suspect
        return []

    def _tell_lost(self, place: int, conversation: int, suspect: Suspect, conversations: list[Conversation]) -> list[Placed]:
        count, _, time, frame = suspect
        if any(frame < stray <= place for stray in self._strays.get(conversation, ())):
            return []  # something was answered, and that is told by its bytes
        if abs(time - self._lost.get(conversation, -LOST_PER)) < LOST_PER:
            return []
        self._lost[conversation] = time
        to = conversations[conversation]
        client, server = address_text(*to.client), address_text(*to.server)
        kind = Kind.MISSING_ANSWER
        return [Placed(place, Finding(frame, time, client, server, client, to.service, kind, score=SCORE, count=count))]


def _finding(
    batch: DecodedBatch,
    c: Classified,
    i: int,
    conversations: list[Conversation],
    kind: Kind,
    count: int,
    *,
    absent: bool = False,
) -> Finding:
    """A finding about message i: all its bytes deviate by being there, or, where `absent`, no frame does."""
    m = c.messages
    to = conversations[m.conversation[i]]
    client, server = address_text(*to.client), address_text(*to.server)
    src, dst = (client, server) if m.request[i] else (server, client)
    at, first, length = int(m.at[i]), int(m.first[i]), min(int(m.split[i]), WIDTH)
    body = batch.data[at : at + length].tobytes()
    return Finding(
        frame=None if absent else int(m.frame[i]),
        time_ns=int(m.time[i]),
        src=src,
        dst=dst,
        client=client,
        service=to.service,
        kind=kind,
        ranges=() if absent else ((first, first + length),),
        seen=b"" if absent else body,
        score=SCORE,
        payload=b"" if absent or first else body,
        count=count,
    )

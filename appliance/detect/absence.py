"""What does not happen: conversations that fall silent, connections that fail, requests without an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import ACK, RST, Assigned, Conversation
from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counting.counts import SECOND
from appliance.learn.meaning.model import Model
from appliance.packets.ordering import grouped, stable_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.decode.columns import DecodedBatch
    from appliance.decode.messages import Messages
    from appliance.learn.timing.visits import Clock

MIN_FRAMES = 20  # a conversation must have shown so many frames for its silence to mean something
LONGEST_GAPS = 10
SLACK = 10 * SECOND
MISSING = 3  # requests in a row without an answer, where while learning every one was answered ...
MISSING_TIME = 2 * SECOND  # ... and for so long
LOSS = 0.02  # share of the busiest ten seconds' frames that may be repeats without a fault
REPEATS = 3  # segments repeated by a conversation within ten seconds, where that is unusual
UNHEARD_EVERY = 10 * SECOND  # between looks for conversations that were never heard, where nothing else comes
MAX_REFUSALS = 4096  # of a conversation that are remembered
REFUSALS_PER = 10 * SECOND  # one finding per conversation and so long


@dataclass(slots=True)
class AbsenceDetector:
    """Follows when conversations were heard and how their connections and requests fare.

    mine   tells of a learned conversation whether its frames come here; None: all do
    """

    model: Model
    mine: Callable[[Conversation], bool] | None = None
    _heard: dict[int, int] = field(default_factory=dict)  # conversation -> ns of its last frame
    _first: int = -1
    _now: int = -1
    _looked: int = -1
    _shift: int = 0  # ns by which the clock was set so far; the times kept here are without
    _open: dict[int, tuple[int, int, bool]] = field(default_factory=dict)  # conversation -> unanswered requests, since when, told
    _refused: dict[int, int] = field(default_factory=dict)  # conversation -> ns of the last refusal told
    _refusals: dict[int, list[int]] = field(default_factory=dict)
    _repeats: dict[int, tuple[int, int]] = field(default_factory=dict)  # conversation -> block of ten seconds, repeats in it
    _silent: set[int] = field(default_factory=set)
    _unheard: set[Conversation] = field(default_factory=set)
    _sought: int = -1

    def judge(
        self,
        batch: DecodedBatch,
        assigned: Assigned,
        conversations: list[Conversation],
        messages: Messages,
        watched: npt.NDArray[np.bool_],
        clock: Clock,
    ) -> list[Finding]:
        """Findings of one batch; where `clock`, which has seen its frames, was set, no time has passed."""
        if not len(batch):
            return []
        shift = clock.shift(batch.frame)
        if int(shift[-1]) != self._shift:  # what time it is counts anew
            self._now = self._looked = self._sought = -1
        steady, self._shift = batch.time - shift, int(shift[-1])
        if self._first < 0:
            self._first = int(steady[0])
        findings = self._gaps(steady, shift, assigned, conversations, watched)
        findings += self._failures(batch, assigned, conversations, watched)
        findings += self._repeated(batch, assigned, conversations, watched)
        findings += self._unanswered(messages, conversations, watched)
        self._now = max(self._now, int(steady.max()))
        return findings + self._lasting(conversations)

    @property
    def refused(self) -> Mapping[int, list[int]]:
        """Conversation -> ns at which connections of it failed lately, as far as that was told."""
        return self._refusals

    def limit(self, conversation: Conversation) -> int | None:
        """Longest silence that is normal, ns; None where too little is known."""
        baseline = self.model.baseline
        if conversation.group or conversation.port[0] < 0 or conversation not in baseline.conversations:
            return None
        if self.model.open.admits(conversation):
            return None
        if baseline.number(conversation, "frames") < MIN_FRAMES or baseline.number(conversation, "answers") == 0:
            return None
        gap = baseline.number(conversation, "gap_max")
        span = baseline.number(conversation, "last") - baseline.number(conversation, "first")
        if gap < 0 or span < 4 * gap:
            return None
        limit = max(LONGEST_GAPS * gap, gap + SLACK)
        return limit if baseline.last - baseline.number(conversation, "last") <= limit else None  # it had ended before

    def _gaps(
        self,
        steady: npt.NDArray[np.int64],
        shift: npt.NDArray[np.int64],
        assigned: Assigned,
        conversations: list[Conversation],
        watched: npt.NDArray[np.bool_],
    ) -> list[Finding]:
        """Silence that ended in this batch, or that lasts."""
        rows = np.flatnonzero(assigned.conversation >= 0)
        rows = rows[watched[assigned.conversation[rows]]]
        if not len(rows):
            return []
        order = rows[stable_order(assigned.conversation[rows])]
        number, time = assigned.conversation[order], steady[order]
        start = np.r_[True, number[1:] != number[:-1]]
        previous = np.r_[0, np.maximum.accumulate(time)[:-1]]
        previous[1:] = time[:-1]
        for at in np.flatnonzero(start).tolist():
            previous[at] = self._heard.get(int(number[at]), int(time[at]))
        findings: list[Finding] = []
        for at in np.flatnonzero(time - previous > SLACK).tolist():
            limit = self.limit(conversations[number[at]])
            told = bool(start[at]) and int(number[at]) in self._silent
            if limit is not None and int(time[at] - previous[at]) > limit and not told:
                findings.append(self._silence(conversations[number[at]], int(previous[at]) + limit + int(shift[order[at]])))
        ends = np.flatnonzero(np.r_[start[1:], True])
        for at in ends.tolist():
            self._heard[int(number[at])] = max(int(time[at]), self._heard.get(int(number[at]), -1))
            self._silent.discard(int(number[at]))
        return findings

    def _lasting(self, conversations: list[Conversation]) -> list[Finding]:
        """Conversations that are silent now, each told once; looked for every second."""
        if self._now - self._looked < SECOND:
            return []
        self._looked = self._now
        findings: list[Finding] = []
        for number, when in self._heard.items():
            if self._now - when <= SLACK or number in self._silent:
                continue
            limit = self.limit(conversations[number])
            if limit is not None and self._now - when > limit:
                self._silent.add(number)
                findings.append(self._silence(conversations[number], when + limit + self._shift))
        return findings

    @staticmethod
    def _silence(conversation: Conversation, when: int) -> Finding:
        client, server = address_text(*conversation.client), address_text(*conversation.server)
        return Finding(None, when, server, client, client, conversation.service, Kind.SILENCE, score=0.001)

    def _failures(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], watched: npt.NDArray[np.bool_]
    ) -> list[Finding]:
        """Connections of known conversations that the server refuses."""
        refused = np.flatnonzero(
            (batch.proto == 6)
            & (batch.tcp_flags & (RST | ACK) == RST | ACK)
            & ~assigned.request
            & (batch.tcp_seq == 0)
            & (assigned.conversation >= 0)
        )
        findings: list[Finding] = []
        for row in refused.tolist():
            number, when = int(assigned.conversation[row]), int(batch.time[row])
            if not watched[number] or abs(when - self._refused.get(number, -REFUSALS_PER)) < REFUSALS_PER:
                continue
            self._refused[number] = when
            self._refusals[number] = [*self._refusals.get(number, [])[-MAX_REFUSALS:], when]
            c = conversations[number]
            if self.model.baseline.number(c, "refused") > 0.02 * max(1, self.model.baseline.number(c, "opened")):
                continue
            client, server = address_text(*c.client), address_text(*c.server)
            frame = int(batch.frame[row])
            findings.append(Finding(frame, when, server, client, client, c.service, Kind.CONNECTION_FAILURE, score=0.01))
        return findings

    def _repeated(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], watched: npt.NDArray[np.bool_]
    ) -> list[Finding]:
        """Segments sent again and again because nobody acknowledges them: more in ten seconds than learning makes likely."""
        rows = np.flatnonzero(batch.repeat & (assigned.conversation >= 0))
        findings: list[Finding] = []
        for row in rows.tolist():
            number, when = int(assigned.conversation[row]), int(batch.time[row])
            if not watched[number]:
                continue
            block, count = self._repeats.get(number, (-1, 0))
            count = count + 1 if block == when // REFUSALS_PER else 1
            self._repeats[number] = (when // REFUSALS_PER, count)
            if count == self._usual_repeats(conversations[number]):
                client, server = address_text(*conversations[number].client), address_text(*conversations[number].server)
                src, dst = (client, server) if assigned.request[row] else (server, client)
                service, frame = conversations[number].service, int(batch.frame[row])
                findings.append(Finding(frame, when, src, dst, client, service, Kind.MISSING_ANSWER, score=0.01, count=count))
        return findings

    def _usual_repeats(self, conversation: Conversation) -> int:
        """Repeats in ten seconds that are worth a finding: well beyond the learned rate, and more than a busy line loses."""
        b = self.model.baseline
        rate = b.number(conversation, "repeats") / max(1, b.number(conversation, "blocks"))
        return max(REPEATS, int(10 * rate) + 1, int(LOSS * b.number(conversation, "rate_max")))

    def _unanswered(self, messages: Messages, conversations: list[Conversation], watched: npt.NDArray[np.bool_]) -> list[Finding]:
        """Requests in a row that nobody answers for a while, in conversations where all were answered."""
        if not len(messages):
            return []
        groups = grouped(messages.conversation)
        order, first = groups.order, messages.conversation[groups.first].tolist()
        request, time = messages.request[order], messages.time[order]
        findings: list[Finding] = []
        for which, begin, size in zip(first, groups.start.tolist(), groups.size.tolist(), strict=True):
            end = begin + size
            if not watched[which] or not self._dialogue(conversations[which]):
                continue
            pending, since, told = self._open.get(which, (0, int(time[begin]), False))
            asks = request[begin:end]
            if not (pending and asks[0]) and not (asks[1:] & asks[:-1]).any():  # they take turns
                pending, since, told = int(asks[-1]), int(time[end - 1]), False
                self._open[which] = (pending, since, told)
                continue
            for at in range(begin, end):
                if not request[at]:
                    pending, told = 0, False
                    continue
                since = int(time[at]) if pending == 0 else since
                pending += 1
                if pending > MISSING and not told and int(time[at]) - since >= MISSING_TIME:
                    told = True
                    findings.append(_missing(messages, int(order[at]), conversations[which], pending))
            self._open[which] = (pending, since, told)
        return findings

    def _dialogue(self, conversation: Conversation) -> bool:
        """True where while learning requests and answers came one to one."""
        b = self.model.baseline
        requests, answers = b.number(conversation, "requests"), b.number(conversation, "answers")
        return not conversation.group and requests >= MIN_FRAMES and 0.95 <= answers / requests <= 1.05

    def tick(self, now: int, conversations: list[Conversation]) -> list[Finding]:
        """Conversations that are silent at `now` (ns), also those that were never heard; each told once."""
        now -= self._shift
        if self._first < 0:
            self._first = self._sought = now
        self._now = max(self._now, now)
        findings = self._lasting(conversations)
        if self._now - self._sought >= UNHEARD_EVERY:
            self._sought = self._now
            absent = self._absent(conversations)
            findings += [self._silence(conversation, when) for conversation, when in absent]
            self._unheard.update(conversation for conversation, _ in absent)
        return findings

    def finish(self, conversations: list[Conversation]) -> list[Finding]:
        """Conversations that were silent when the input ended, or were not heard at all."""
        return [self._silence(conversation, when) for conversation, when in self._absent(conversations)]

    def _absent(self, conversations: list[Conversation]) -> list[tuple[Conversation, int]]:
        """Conversations that are silent and were not told yet, with the time from which that was certain."""
        if self._now < 0:
            return []
        heard = {conversations[i]: when for i, when in self._heard.items()}
        told = {conversations[i] for i in self._silent} | (self._unheard - heard.keys())
        found: list[tuple[Conversation, int]] = []
        for conversation in sorted(self.model.baseline.conversations):
            if self.mine is not None and not self.mine(conversation):
                continue
            limit = self.limit(conversation)
            since = heard.get(conversation, self._first)
            if limit is not None and self._now - since > limit and conversation not in told:
                found.append((conversation, since + limit + self._shift))
        return found


def _missing(messages: Messages, i: int, conversation: Conversation, count: int) -> Finding:
    client, server = address_text(*conversation.client), address_text(*conversation.server)
    frame, when = int(messages.frame[i]), int(messages.time[i])
    return Finding(frame, when, client, server, client, conversation.service, Kind.MISSING_ANSWER, score=0.01, count=count)

"""What does not happen: conversations that fall silent, connections that fail, requests without an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import ACK, RST, SYN, Assigned, Conversation
from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.counts import SECOND
from appliance.learn.model import Model

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.messages import Messages

MIN_FRAMES = 20  # a conversation must have shown so many frames for its silence to mean something
LONGEST_GAPS = 10
SLACK = 10 * SECOND
MISSING = 3  # requests in a row without an answer, where while learning every one was answered


@dataclass(slots=True)
class AbsenceDetector:
    """Follows when conversations were heard and how their connections and requests fare."""

    model: Model
    _heard: dict[int, int] = field(default_factory=dict)  # conversation -> ns of its last frame
    _first: int = -1
    _now: int = -1
    _open: dict[int, int] = field(default_factory=dict)  # conversation -> requests since the last answer
    _silent: set[int] = field(default_factory=set)

    def judge(
        self,
        batch: DecodedBatch,
        assigned: Assigned,
        conversations: list[Conversation],
        messages: Messages,
        watched: npt.NDArray[np.bool_],
    ) -> list[Finding]:
        """Findings of one batch."""
        if not len(batch):
            return []
        if self._first < 0:
            self._first = int(batch.time[0])
        findings = self._gaps(batch, assigned, conversations, watched)
        findings += self._failures(batch, assigned, conversations, watched)
        findings += self._unanswered(messages, conversations, watched)
        self._now = max(self._now, int(batch.time.max()))
        return findings

    def _limit(self, conversation: Conversation) -> int | None:
        """Longest silence that is normal, ns; None where too little is known."""
        baseline = self.model.baseline
        if conversation.group or conversation.port[0] < 0 or conversation not in baseline.conversations:
            return None
        if baseline.number(conversation, "frames") < MIN_FRAMES or baseline.number(conversation, "answers") == 0:
            return None
        gap = baseline.number(conversation, "gap_max")
        span = baseline.number(conversation, "last") - baseline.number(conversation, "first")
        if gap < 0 or span < 4 * gap:
            return None
        return max(LONGEST_GAPS * gap, gap + SLACK)

    def _gaps(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], watched: npt.NDArray[np.bool_]
    ) -> list[Finding]:
        """Silence that ended in this batch, or that lasts."""
        rows = np.flatnonzero(assigned.conversation >= 0)
        rows = rows[watched[assigned.conversation[rows]]]
        if not len(rows):
            return []
        order = rows[np.argsort(assigned.conversation[rows], kind="stable")]
        number, time = assigned.conversation[order], batch.time[order]
        start = np.r_[True, number[1:] != number[:-1]]
        previous = np.r_[0, np.maximum.accumulate(time)[:-1]]
        previous[1:] = time[:-1]
        for at in np.flatnonzero(start).tolist():
            previous[at] = self._heard.get(int(number[at]), int(time[at]))
        findings: list[Finding] = []
        for at in np.flatnonzero(time - previous > SLACK).tolist():
            limit = self._limit(conversations[number[at]])
            if limit is not None and int(time[at] - previous[at]) > limit and int(number[at]) not in self._silent:
                findings.append(self._silence(conversations[number[at]], int(previous[at]) + limit))
        ends = np.flatnonzero(np.r_[start[1:], True])
        for at in ends.tolist():
            self._heard[int(number[at])] = max(int(time[at]), self._heard.get(int(number[at]), -1))
            self._silent.discard(int(number[at]))
        return findings

    @staticmethod
    def _silence(conversation: Conversation, when: int) -> Finding:
        client, server = address_text(*conversation.client), address_text(*conversation.server)
        return Finding(None, when, server, client, client, conversation.service, Kind.SILENCE, score=0.001)

    def _failures(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], watched: npt.NDArray[np.bool_]
    ) -> list[Finding]:
        """Connections of known conversations that the server refuses."""
        tcp = batch.proto == 6
        syn = tcp & (batch.tcp_flags & (SYN | ACK | RST) == SYN)
        refused = np.flatnonzero(
            tcp
            & (batch.tcp_flags & (RST | ACK) == RST | ACK)
            & ~assigned.request
            & (batch.tcp_seq == 0)
            & (assigned.conversation >= 0)
        )
        findings: list[Finding] = []
        del syn
        for row in refused.tolist():
            number = int(assigned.conversation[row])
            if not watched[number]:
                continue
            c = conversations[number]
            if self.model.baseline.number(c, "refused") > 0.02 * max(1, self.model.baseline.number(c, "opened")):
                continue
            client, server = address_text(*c.client), address_text(*c.server)
            when, frame = int(batch.time[row]), int(batch.frame[row])
            findings.append(Finding(frame, when, server, client, client, c.service, Kind.CONNECTION_FAILURE, score=0.01))
        return findings

    def _unanswered(self, messages: Messages, conversations: list[Conversation], watched: npt.NDArray[np.bool_]) -> list[Finding]:
        """Requests in a row that nobody answers, in conversations where all were answered."""
        if not len(messages):
            return []
        order = np.argsort(messages.conversation, kind="stable")
        number, request = messages.conversation[order], messages.request[order]
        start = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
        findings: list[Finding] = []
        for begin, end in zip(start.tolist(), np.r_[start[1:], len(order)].tolist(), strict=True):
            which = int(number[begin])
            asks = request[begin:end]
            index = np.arange(len(asks))
            last_answer = np.maximum.accumulate(np.where(~asks, index, -1))
            pending = np.where(last_answer >= 0, index - last_answer, index + 1 + self._open.get(which, 0))
            self._open[which] = int(pending[-1]) if asks[-1] else 0
            if not watched[which] or not self._dialogue(conversations[which]):
                continue
            findings += [
                _missing(messages, int(order[begin + at]), conversations[which])
                for at in np.flatnonzero(asks & (pending == MISSING + 1))
            ]
        return findings

    def _dialogue(self, conversation: Conversation) -> bool:
        """True where while learning requests and answers came one to one."""
        b = self.model.baseline
        requests, answers = b.number(conversation, "requests"), b.number(conversation, "answers")
        return not conversation.group and requests >= MIN_FRAMES and 0.95 <= answers / requests <= 1.05

    def finish(self, conversations: list[Conversation]) -> list[Finding]:
        """Conversations that were silent when the input ended, or were not heard at all."""
        findings: list[Finding] = []
        heard = {conversations[i]: when for i, when in self._heard.items()}
        if self._now < 0:
            return findings
        for conversation in sorted(self.model.baseline.conversations):
            limit = self._limit(conversation)
            since = heard.get(conversation, self._first)
            if limit is not None and self._now - since > limit:
                findings.append(self._silence(conversation, since + limit))
        return findings


def _missing(messages: Messages, i: int, conversation: Conversation) -> Finding:
    client, server = address_text(*conversation.client), address_text(*conversation.server)
    frame, when = int(messages.frame[i]), int(messages.time[i])
    return Finding(frame, when, client, server, client, conversation.service, Kind.MISSING_ANSWER, score=0.01)

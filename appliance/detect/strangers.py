"""What requests say in conversations that learning never saw, one finding for every kind of content.

A conversation that is new is told by who talks (`detect.newcomers`), a few frames a second. Here every *different* request in
it is told once, so that an act between a thousand reads is not lost, and so that an accepted conversation is accepted with what
it carried and no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.names import address_text
from appliance.detect.finding import Finding, Kind
from appliance.learn.meaning.accepted import Accepted, exact_hash, talk
from appliance.learn.meaning.model import ServiceModel
from appliance.learn.meaning.openness import Openness
from appliance.learn.messages.templates import UNKNOWN

if TYPE_CHECKING:
    import numpy.typing as npt

    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Conversation
    from appliance.learn.messages.classify import Classified

MAX_KINDS = 64  # different requests told of one conversation
MAX_TRACKED = 65_536
PAYLOAD_KEPT = 1500
_NEW = frozenset({Kind.NEW_ASSET, Kind.NEW_CONVERSATION, Kind.SCAN, Kind.SIMILAR_ASSET, Kind.ROLE_CHANGE, Kind.DARK_ADDRESS})


@dataclass(slots=True)
class Strangers:
    """Requests of one service under one structure, in conversations that are not in the baseline."""

    service: ServiceModel
    accepted: Accepted
    open: Openness = field(default_factory=Openness)
    _told: dict[int, set[int]] = field(default_factory=dict)  # conversation -> content told
    _full: set[int] = field(default_factory=set)  # conversations of which no more is told
    _total: int = 0

    def judge(
        self,
        batch: DecodedBatch,
        c: Classified,
        conversations: list[Conversation],
        keys: npt.NDArray[np.uint64],
        watched: npt.NDArray[np.bool_],
    ) -> list[tuple[Finding, int]]:
        """Findings of a batch, each with the number of its conversation."""
        m = c.messages
        rows = np.flatnonzero(m.request & ~m.broken & ~watched[m.conversation])
        if len(rows) and self._full:
            rows = rows[~np.isin(m.conversation[rows], list(self._full))]
        if not len(rows) or self._total >= MAX_TRACKED:
            return []
        content = c.row[rows].copy()
        strange = c.template[rows] == UNKNOWN
        if strange.any():
            content[strange] = exact_hash(c, self.service.structure, keys, rows[strange])
        ok = self.service.accepted.known(c, self.service.structure, keys)[rows]
        _, first = np.unique(content, return_index=True)
        findings: list[tuple[Finding, int]] = []
        for at in np.sort(first).tolist():
            number = int(m.conversation[rows[at]])
            if not ok[at] and self._is_news(number, int(content[at]), conversations[number]):
                findings.append((self._finding(batch, c, int(rows[at]), conversations[number], keys), number))
        return findings

    def _is_news(self, number: int, content: int, conversation: Conversation) -> bool:
        told = self._told.setdefault(number, set())
        if content in told or number in self._full or self._total >= MAX_TRACKED:
            return False
        name = talk(conversation)
        if conversation.group or conversation.port[0] not in (6, 17) or self.open.admits(conversation):
            self._full.add(number)
            return False
        if name in self.accepted.talks and name not in self.service.accepted.talks:
            self._full.add(number)  # accepted as a whole, or with what another structure saw
            return False
        told.add(content)
        self._total += 1
        if len(told) >= MAX_KINDS:
            self._full.add(number)
        return True

    def _finding(
        self, batch: DecodedBatch, c: Classified, i: int, conversation: Conversation, keys: npt.NDArray[np.uint64]
    ) -> Finding:
        m = c.messages
        client, server = address_text(*conversation.client), address_text(*conversation.server)
        known = talk(conversation) in self.accepted.talks
        at = int(m.at[i])
        return Finding(
            frame=int(m.frame[i]),
            time_ns=int(m.time[i]),
            src=client,
            dst=server,
            client=client,
            service=conversation.service,
            kind=Kind.UNKNOWN_COMMAND if known else Kind.NEW_CONVERSATION,
            score=0.001,
            payload=batch.data[at : at + min(int(c.wire.length[i]), PAYLOAD_KEPT)].tobytes(),
            match=self.service.accepted.match(c, self.service.structure, keys, i),
        )


@dataclass(slots=True)
class Joiner:
    """Puts what strangers ask to what was told of them: the same kind, and no frame told twice."""

    _kinds: dict[tuple[str, str, str], tuple[Kind, float]] = field(default_factory=dict)  # client, server, service -> told last

    def join(self, newcomers: list[Finding], contents: list[Finding]) -> list[Finding]:
        """One list; a newcomer's finding takes over what the request in its frame would be accepted by."""
        asked = {f.frame: f for f in contents if f.kind is Kind.NEW_CONVERSATION and f.match}
        out: list[Finding] = []
        told: set[int | None] = set()
        for f in sorted([*newcomers, *asked.values()], key=lambda f: (f.frame or 0, bool(f.match))):
            server = f.dst if f.src == f.client else f.src
            if f.match:
                if f.frame not in told:
                    kind, score = self._kinds.get((f.client, server, f.service), (f.kind, f.score))
                    out.append(replace(f, kind=kind, score=score))
                continue
            twin = asked.get(f.frame) if f.kind in _NEW and f.frame not in told else None
            if twin is not None and (twin.src, twin.dst, twin.service) == (f.src, f.dst, f.service):
                told.add(f.frame)
                f = replace(f, match=twin.match)
            if f.kind in _NEW and f.src == f.client and len(self._kinds) < MAX_TRACKED:
                self._kinds[f.client, server, f.service] = f.kind, f.score
            out.append(f)
        return out + [f for f in contents if asked.get(f.frame) is not f]

"""New partners that do what their kind does here: one more device polled like the others, one more client of the same make.

Nothing is excused by an address or a port alone. A new server is *alike* while a master that polls two or more others over
the same service asks it only what it asks them, up to the bytes that name a device. A new client is alike while it is of the
same make as one that asks this server already, and asks only what those ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.meaning.model import Model, ServiceModel
from appliance.learn.meaning.standing import TRANSPORTS, Standing
from appliance.learn.messages.classify import laid_out
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side
from appliance.learn.messages.templates import walk
from appliance.learn.site.topology import stream_key
from appliance.packets.ordering import distinct

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.conversation import Address, Assigned, Conversation
    from appliance.decode.messages import Messages

MIN_SIBLINGS = 2  # servers that a master polls alike, before one more is nothing special
MAX_KIN = 4096  # conversations followed
_LOCAL = 0x02_0000  # bit of a maker's number that says that there is no maker


@dataclass(slots=True)
class _Like:
    """What the siblings of a conversation ask: keys of known requests, and the bytes that name a device, per structure."""

    keys: list[tuple[ServiceModel, npt.NDArray[np.bool_], frozenset[bytes]]]


@dataclass(slots=True)
class Kin:
    """Follows the conversations of newcomers that may be like others."""

    model: Model
    standing: Standing
    _like: dict[int, _Like | None] = field(default_factory=dict)  # conversation -> what it is compared with
    _strayed: dict[int, int] = field(default_factory=dict)  # conversation -> frame from which on it is not alike any more

    def look(
        self,
        batch: DecodedBatch,
        assigned: Assigned,
        conversations: list[Conversation],
        messages: Messages,
        known: npt.NDArray[np.bool_],
    ) -> None:
        """Compare what newcomers ask in this batch."""
        self._meet(batch, assigned, conversations, known)
        followed = np.zeros(len(conversations), bool)
        followed[[c for c, like in self._like.items() if like is not None and c not in self._strayed]] = True
        if not followed.any() or not len(messages):
            return
        asks = np.flatnonzero(followed[messages.conversation] & messages.request)
        for c in distinct(messages.conversation[asks]).tolist():
            like = self._like[c]
            mine = asks[messages.conversation[asks] == c]
            strange = ~_known(batch, messages, mine, like) if like is not None else np.ones(len(mine), bool)
            if strange.any():
                self._strayed[c] = int(messages.last_frame[mine[strange]].min())

    def alike(self, number: int, conversation: Conversation, frame: int) -> bool:
        """True while the conversation shows nothing up to this frame that its kind does not do here."""
        return self._like.get(number) is not None and self._strayed.get(number, frame + 1) > frame

    def _meet(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], known: npt.NDArray[np.bool_]
    ) -> None:
        """Find the siblings of conversations seen for the first time."""
        rows = np.flatnonzero((assigned.conversation >= 0) & assigned.request & ~known[np.maximum(assigned.conversation, 0)])
        number, first = np.unique(assigned.conversation[rows], return_index=True)
        for c, row in zip(number.tolist(), rows[first].tolist(), strict=True):
            if c not in self._like and len(self._like) < MAX_KIN:
                self._like[c] = self._compared_with(conversations[c], int(batch.src_mac[row]))

    def _compared_with(self, c: Conversation, mac: int) -> _Like | None:
        if c.group or c.port[0] not in TRANSPORTS or c.port not in self.model.services:
            return None
        streams: list[int] = []
        if c.server not in self.model.endpoints and c.client in self.model.endpoints:
            siblings = self.standing.servers.get((c.client, c.port), set())
            if len(siblings) >= MIN_SIBLINGS:
                streams = [self._key(c, c.client, server) for server in siblings]
        elif c.client not in self.model.endpoints:
            fellows = self.standing.clients.get((c.server, c.port), set())
            streams = [self._key(c, fellow, c.server) for fellow in fellows if self._same_make(mac, fellow)]
        if not streams:
            return None
        keys = [_keys(service, streams, c.client in self.model.endpoints) for service in self.model.services[c.port]]
        return _Like(keys) if any(key[2] for key in keys) else None

    @staticmethod
    def _key(c: Conversation, client: Address, server: Address) -> int:
        return stream_key(type(c)(client, server, c.port))

    def _same_make(self, mac: int, fellow: Address) -> bool:
        """True where both bear a number of the same maker; made-up hardware addresses say nothing."""
        maker, asset = mac >> 24, self.model.baseline.assets.get(fellow)
        return bool(maker) and not maker & _LOCAL and asset is not None and any(m >> 24 == maker for m in asset.macs)


def _keys(
    service: ServiceModel, streams: list[int], naming: bool
) -> tuple[ServiceModel, npt.NDArray[np.bool_], frozenset[bytes]]:
    """Keys of the requests of streams; `naming`: leave out the bytes that are one value for each stream and no two alike."""
    t = service.table
    groups = [service.by_stream[s, False] for s in streams if (s, False) in service.by_stream]
    compared = np.ones(WIDTH, bool)
    if not groups:
        return service, compared, frozenset()
    if naming and len(groups) >= MIN_SIBLINGS:
        low, high = (np.stack([f(t.bytes[g], axis=0) for g in groups]) for f in (np.min, np.max))
        single = (low == high).all(axis=0)
        own = np.array([len(distinct(low[:, i])) == len(groups) for i in range(WIDTH)])
        compared = ~(single & own)
    rows = np.concatenate(groups)
    rows = rows[(service.sides[t.template[rows]] == Side.REQUEST) & ~service.opaque[t.template[rows]]]
    known = zip(t.template[rows].tolist(), t.length[rows].tolist(), t.bytes[rows] * compared, strict=True)
    return service, compared, frozenset(_key_of(template, length, head) for template, length, head in known)


def _key_of(template: int, length: int, head: npt.NDArray[np.uint8]) -> bytes:
    return b"%d %d " % (template, length) + head.tobytes()


def _known(batch: DecodedBatch, messages: Messages, rows: npt.NDArray[np.intp], like: _Like) -> npt.NDArray[np.bool_]:
    """Bool [len(rows)]: requests that the siblings' structure and rows explain."""
    explained, asked = np.zeros(len(rows), bool), messages.take(rows)
    for service, compared, keys in like.keys:
        s = service.structure
        heads, laid = laid_out(s, batch.data, asked)
        template = walk(s.request_tree, heads, laid.length, free=s.free)
        masked = heads * (s.closed()[template] & compared)
        free = np.array([t.any_length for t in s.templates] + [True])[template]
        length = np.where(free, 0, laid.length)
        for i in np.flatnonzero(template >= 0).tolist():
            explained[i] |= _key_of(int(template[i]), int(length[i]), masked[i]) in keys
    return explained & ~asked.broken

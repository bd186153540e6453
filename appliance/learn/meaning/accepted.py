"""What the acceptances of a baseline mean for detection.

Content is matched by what makes a message's row: kind, closed bytes and length within its conversation, under the structure
that judged it. Counters, connection ids and process data are no part of that, so a later frame with other ones is normal too,
and the same bytes in another command, conversation or direction are not. A message of a kind that no structure knows has no
row of its own; it is matched by all its bytes but counters, connection ids and echoes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.names import address_text
from appliance.learn.baselines.ledger import Allowed, Ledger
from appliance.learn.messages.dynamics import counted_bytes
from appliance.learn.messages.rowhash import mix, row_hash
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side, Structure, Template
from appliance.learn.messages.templates import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appliance.decode.conversation import Conversation
    from appliance.learn.messages.classify import Classified

NEWCOMERS = frozenset({"new-asset", "new-conversation", "scan", "similar-asset", "role-change", "dark-address"})
HARDWARE = frozenset({"address-change", "duplicate-address", "readdressed"})
ROWS, EXACT = "row", "exact"
Talk = tuple[str, str, str]  # client, server, service, as findings write them
_NONE = np.zeros(0, np.uint64)


def talk(conversation: Conversation) -> Talk:
    """A conversation as findings write it."""
    return address_text(*conversation.client), address_text(*conversation.server), conversation.service


@dataclass(slots=True)
class AcceptedRows:
    """Accepted content under one structure: sorted hashes of rows, and of whole messages of unknown kinds."""

    digest: str = ""
    rows: npt.NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    exact: npt.NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    talks: frozenset[Talk] = frozenset()

    def __bool__(self) -> bool:
        return bool(len(self.rows) or len(self.exact))

    def known(self, c: Classified, s: Structure, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Bool [n]: messages that were accepted; `keys` uint64 [conversations]."""
        found: npt.NDArray[np.bool_] = np.isin(c.row, self.rows) & (c.template != UNKNOWN)
        strange = np.flatnonzero(c.template == UNKNOWN) if len(self.exact) else np.zeros(0, np.intp)
        if len(strange):
            found[strange] = np.isin(exact_hash(c, s, keys, strange), self.exact)
        return found

    def item_match(
        self,
        heads: npt.NDArray[np.uint8],
        length: npt.NDArray[np.int32],
        template: npt.NDArray[np.int32],
        row: npt.NDArray[np.uint64],
        stream: npt.NDArray[np.uint64],
        s: Structure,
    ) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """Items of one list: bool [n] those that were accepted, and what each would be accepted by."""
        unknown = template == UNKNOWN
        exact = exact_of(heads, length, np.ones(len(heads), bool), stream, s)
        found = np.where(unknown, np.isin(exact, self.exact), np.isin(row, self.rows))
        hashes = np.where(unknown, exact, row).tolist()
        return found, [f"{self.digest}:{EXACT if u else ROWS}:{h:016x}" for u, h in zip(unknown, hashes, strict=True)]

    def match(self, c: Classified, s: Structure, keys: npt.NDArray[np.uint64], i: int) -> str:
        """What message `i` would be accepted by."""
        if c.template[i] != UNKNOWN:
            return f"{self.digest}:{ROWS}:{int(c.row[i]):016x}"
        return f"{self.digest}:{EXACT}:{int(exact_hash(c, s, keys, np.array([i]))[0]):016x}"


def exact_hash(c: Classified, s: Structure, keys: npt.NDArray[np.uint64], which: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """uint64 [which]: `exact_of` messages of a batch."""
    m = c.messages
    return exact_of(c.heads[which], m.length[which], m.request[which], keys[m.conversation[which]], s)


def exact_of(
    heads: npt.NDArray[np.uint8],
    length: npt.NDArray[np.int32],
    request: npt.NDArray[np.bool_],
    stream: npt.NDArray[np.uint64],
    s: Structure,
) -> npt.NDArray[np.uint64]:
    """uint64 [n]: hash of conversation, direction, length and all bytes that neither count, nor identify, nor echo."""
    asks, tells = ~(s.identity | counted_bytes(s.counters)), ~(s.answer_identity | s.identity)
    for echo in s.echoes:
        tells[echo.answer] = False
    whole = Structure(templates=[Template(Side.REQUEST, asks), Template(Side.PUSH, tells)])
    direction = np.where(request, 0, 1).astype(np.int32)
    return row_hash(heads, length, direction, whole.masks(), mix(stream, np.full(len(stream), WIDTH, np.uint64)))


@dataclass(slots=True)
class Accepted:
    """All acceptances in force.

    talks      conversations that were accepted as such: they are not new any more
    assets     addresses that were accepted
    scanners   (client, service) whose bare probes were accepted
    """

    talks: set[Talk] = field(default_factory=set)
    assets: set[str] = field(default_factory=set)
    scanners: set[tuple[str, str]] = field(default_factory=set)
    _rows: dict[str, list[Allowed]] = field(default_factory=dict)
    _rules: dict[tuple[str, ...], list[Allowed]] = field(default_factory=dict)
    _busy: dict[Talk, int] = field(default_factory=dict)
    _known: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, ledger: Ledger) -> Accepted:
        """What a ledger allows."""
        accepted = cls()
        for acceptance in ledger.in_force():
            for allowed in acceptance.allowed:
                accepted._add(allowed)
        return accepted

    def _add(self, a: Allowed) -> None:
        where = (a.client, a.server, a.service)
        if a.kind in NEWCOMERS:
            self.talks.add(where)
            if a.kind == "scan":
                self.scanners.add((a.client, a.service))
            elif a.kind in ("new-asset", "similar-asset"):
                self.assets.update((a.client, a.server))
        if a.kind == "flood":
            self._busy[where] = max(self._busy.get(where, 0), a.count)
        elif a.match:
            for one in a.match.split(","):
                self._rows.setdefault(one.partition(":")[0], []).append(replace(a, match=one))
        elif a.kind not in NEWCOMERS:
            self._rules.setdefault(_place(a), []).append(a)

    def __bool__(self) -> bool:
        return bool(self.talks or self._rows or self._rules or self._busy)

    def rows(self, digest: str) -> AcceptedRows:
        """Accepted content under the structure of this digest."""
        mine = self._rows.get(digest, [])
        hashes: dict[str, set[int]] = {ROWS: set(), EXACT: set()}
        for a in mine:
            _, how, value = a.match.split(":")
            hashes[how].add(int(value, 16))
        rows, exact = (np.array(sorted(hashes[how]), np.uint64) for how in (ROWS, EXACT))
        return AcceptedRows(digest, rows, exact, frozenset((a.client, a.server, a.service) for a in mine))

    def among(self, conversations: Sequence[Conversation], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Bool [conversations]: which are known or accepted; `conversations` is a list that only grows."""
        if not self.talks:
            return known
        self._known.extend(talk(c) in self.talks for c in conversations[len(self._known) :])
        found: npt.NDArray[np.bool_] = known | np.array(self._known[: len(known)] or [False], bool)
        return found

    def busiest(self, conversation: Conversation) -> int:
        """Frames in ten seconds that were accepted for a conversation; 0 where nothing was."""
        return self._busy.get(talk(conversation), 0) if self._busy else 0

    def allows(self, a: Allowed) -> bool:
        """True where a finding, written as what would allow it, deviates in a way that was accepted."""
        if a.kind in NEWCOMERS:
            bare_probe = not a.match and (a.client, a.service) in self.scanners
            told = (a.client, a.server, a.service) in self.talks
            return bare_probe or told or (self._chatter(a) and a.client in self.assets)
        return any(_within(a, rule) for rule in self._rules.get(_place(a), ()))

    @staticmethod
    def _chatter(a: Allowed) -> bool:
        """What every device sends on its link: frames that are not IP, and groups of receivers."""
        if a.service.startswith(("eth/", "llc/")) or ":" in a.server:
            return a.service.startswith(("eth/", "llc/")) or a.server.startswith("ff")
        first = a.server.partition(".")[0]
        return a.server == "255.255.255.255" or (first.isdigit() and 224 <= int(first) <= 239)


def _place(a: Allowed) -> tuple[str, ...]:
    if a.kind in HARDWARE:
        return a.kind, a.client
    if a.kind == "identity-change":  # whoever it told it to
        return a.kind, a.client if a.request else a.server
    if a.kind == "new-service":
        return a.kind, a.service
    return a.kind, a.client, a.server, a.service, str(a.request)


def _within(a: Allowed, rule: Allowed) -> bool:
    """Whether a deviation at the right place is the one that was accepted."""
    if a.kind in HARDWARE or a.kind == "identity-change":
        return a.seen == rule.seen
    if a.kind == "unknown-value":
        return a.ranges == rule.ranges and _between(a.seen, (rule.seen, *rule.normal))
    if a.kind in ("wrong-identity", "wrong-echo", "process-contradiction"):
        return a.ranges == rule.ranges
    # content that selects what a message does is accepted by its row only
    return a.kind not in ("unknown-command", "unknown-combination", "wrong-length")


def _between(seen: bytes, known: Iterable[bytes]) -> bool:
    """True where a number lies among the known ones, in the byte order in which those lie closer together."""
    known = [k for k in known if len(k) == len(seen)]
    if not known:
        return False
    spans = []
    for order in ("big", "little"):
        numbers = [int.from_bytes(k, "big" if order == "big" else "little") for k in known]
        value = int.from_bytes(seen, "big" if order == "big" else "little")
        spans.append((max(numbers) - min(numbers), min(numbers) <= value <= max(numbers)))
    return min(spans, key=lambda span: span[0])[1]

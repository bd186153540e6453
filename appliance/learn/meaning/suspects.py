"""What looks hostile in the time that was learned, for a person to look at before it is trusted.

Learning takes whatever it sees for normal. An attacker who was there is in the baseline, and detection will not tell him; but
what he did leaves marks in the counts: conversations that came once, connections nobody accepted, commands never repeated,
programs moved. Nothing here changes detection. **An allowlist must leave out what stands here unconfirmed** (`left_out`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.names import address_text
from appliance.learn.baselines.ledger import Signed, named
from appliance.learn.baselines.living import living
from appliance.learn.counting.counts import BLOCK
from appliance.learn.meaning.accepted import ROWS, Talk, talk
from appliance.learn.messages.structure import Side
from appliance.learn.site.topology import stream_key

if TYPE_CHECKING:
    from appliance.decode.conversation import Conversation
    from appliance.learn.baselines.baseline import Baseline, Learned
    from appliance.learn.messages.structure import Structure

Say = Callable[[bytes, bool], tuple[str, str] | None]  # message, request? -> what it wants (an intent), and a line

ONCE, LONE, REFUSED, UNANSWERED, SCAN, DARK = "once", "lone", "refused", "unanswered", "scan", "dark"
PROGRAM, CONTROL, WRITE, REQUEST, ERRORS = "program", "control", "write", "request", "errors"
ACTS = frozenset({PROGRAM, CONTROL, WRITE})
KINDS = (SCAN, PROGRAM, CONTROL, WRITE, LONE, REFUSED, UNANSWERED, DARK, ONCE, REQUEST, ERRORS)  # the gravest first

LONG = 6 * BLOCK  # time watched, from which on it means something that a thing came once
MANY = 8  # targets of one client that came once or never answered, from which on it is a scan
MANY_ERRORS, ERROR_SHARE = 20, 0.05  # negative answers of one kind, and their share of a conversation's answers
MOST_OF_ONE = 8  # single requests of one conversation that are listed one by one
ASKED = 4096  # messages for which words are asked, at most
MAX_ITEMS = 4096
_HARMLESS = frozenset({"read", "identify", "session", "diagnose", "answer", "error"})


@dataclass(frozen=True, slots=True)
class Suspect:
    """One thing to look at.

    id        stable: the same for the same thing in every baseline that knows it
    kind      one of KINDS
    client, server, service   as findings write them; "" where it is not one
    count     how often, or how many
    first, last   ns since the epoch
    content   closed bytes of the message, zero elsewhere; b"" where it is about a conversation
    match     "STRUCTURE:row:HASH", as acceptances write it; "" likewise
    words     what the message says, "" where no decoder knows
    confirmed by whom, when and why it was found right; None while nobody has
    """

    id: str
    kind: str
    client: str
    server: str
    service: str
    count: int
    first: int
    last: int
    content: bytes = b""
    match: str = ""
    words: str = ""
    confirmed: Signed | None = None


def suspects(baseline: Baseline, say: Say | None = None) -> list[Suspect]:
    """What looks hostile, the gravest first. `say` gives words; without it acts are known by their rarity only."""
    b = living(baseline)
    found = [*_talks(b), *_dark(b), *_messages(b, say or (lambda message, request: None))]
    found.sort(key=lambda s: (KINDS.index(s.kind), s.client, s.server, s.service, s.match, s.id))
    return [replace(s, confirmed=baseline.ledger.confirmed.get(s.id)) for s in found[:MAX_ITEMS]]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What an allowlist must not admit: conversations as a whole, clients as a whole, and content by its match."""

    talks: frozenset[Talk]
    clients: frozenset[str]
    matches: frozenset[str]


def left_out(found: Iterable[Suspect]) -> LeftOut:
    """What is listed and not confirmed."""
    open_ones = [s for s in found if s.confirmed is None]
    by_talk = (ONCE, REFUSED, UNANSWERED)
    return LeftOut(
        frozenset((s.client, s.server, s.service) for s in open_ones if s.kind in by_talk or (s.kind == REQUEST and not s.match)),
        frozenset(s.client for s in open_ones if s.kind in (SCAN, LONE)),
        frozenset(s.match for s in open_ones if s.match),
    )


def _item(kind: str, where: Talk, b: Baseline, c: Conversation | None, count: int) -> Suspect:
    first, last = (b.number(c, "first"), b.number(c, "last")) if c is not None else (b.first, b.last)
    return Suspect(named("r", [kind, *where]), kind, *where, count, first, last)


def _talks(b: Baseline) -> list[Suspect]:
    """Conversations that came once, that nobody served, and clients that did nothing else."""
    odd: dict[str, list[tuple[str, Conversation]]] = defaultdict(list)
    all_of: Counter[str] = Counter()
    for c in b.conversations:
        if c.group or c.port[0] not in (6, 17):
            continue
        client = address_text(*c.client)
        all_of[client] += 1
        kind = _kind(b, c)
        if kind:
            odd[client].append((kind, c))
    out: list[Suspect] = []
    for client, mine in odd.items():
        services = {c.service for _, c in mine}
        service = services.pop() if len(services) == 1 else ""
        if len(mine) >= MANY:
            out.append(_item(SCAN, (client, "", service), b, None, len(mine)))
        elif len(mine) == all_of[client] and all(kind == ONCE for kind, _ in mine):
            out.append(_item(LONE, (client, "", ""), b, mine[0][1], len(mine)))
        else:
            out += [_item(kind, talk(c), b, c, b.number(c, "frames")) for kind, c in mine]
    return out


def _kind(b: Baseline, c: Conversation) -> str:
    opened, answers = b.number(c, "opened"), b.number(c, "answers")
    if c.port[0] == 6 and opened and not answers:
        return REFUSED if b.number(c, "refused") else UNANSWERED
    return ONCE if b.watched >= LONG and b.number(c, "blocks") <= 1 else ""


def _dark(b: Baseline) -> list[Suspect]:
    """Addresses that somebody looked for and that never spoke."""
    present = {lo & 0xFFFF_FFFF for hi, lo in b.assets if hi == 0}
    dark = b.arp_targets - present
    return [_item(DARK, ("", "", "eth/0x0806"), b, None, len(dark))] if len(dark) >= MANY else []


def _messages(b: Baseline, say: Say) -> list[Suspect]:
    out: list[Suspect] = []
    left = ASKED
    streams = {stream_key(c): c for c in b.conversations if not c.group and c.port[0] in (6, 17)}
    for _, structures in sorted(b.services.items()):
        for digest, learned in sorted(structures.items()):
            found, left = _service(b, digest, learned, streams, say, left)
            out += found
    return out


def _service(
    b: Baseline, digest: str, learned: Learned, streams: dict[int, Conversation], say: Say, left: int
) -> tuple[list[Suspect], int]:
    """Acts, single requests and storms of errors under one structure; and how many words may still be asked for."""
    t = learned.table
    sides = np.array([int(x.side) for x in learned.structure.templates] or [0])
    asks = sides[t.template] == Side.REQUEST if len(t) else np.zeros(0, bool)
    once = (t.numbers["blocks"] + t.numbers["held"] <= 1) & (b.watched >= LONG)
    # what looks like an answer may be an act as well: who serves is learned, and may be learned wrongly
    looked = asks | once | (t.numbers["count"] >= MANY_ERRORS)
    # rare ones first: if words run out, they run out for what came most often
    order = np.lexsort((t.row, t.numbers["count"]))
    out: list[Suspect] = []
    single: dict[int, list[Suspect]] = defaultdict(list)
    answers: Counter[int] = Counter()
    np.add.at(counts := np.zeros(len(t), np.int64), np.flatnonzero(~asks), t.numbers["count"][~asks])
    for stream, count in zip(t.stream.tolist(), counts.tolist(), strict=True):
        answers[stream] += count
    for i in order[looked[order]].tolist():
        c = streams.get(int(t.stream[i]))
        if c is None or left <= 0:
            continue
        content = _content(t.bytes[i], int(t.length[i]))
        left -= 1
        said = say(_filled(content, learned.structure, int(t.template[i])), bool(asks[i]))
        intent, words = said if said is not None else ("", "")
        kind = _act(intent, bool(asks[i]), bool(once[i]), int(t.numbers["count"][i]), answers[int(t.stream[i])])
        if not kind:
            continue
        client, server, service = talk(c)
        where = (server, client, service) if kind in ACTS and not asks[i] else (client, server, service)
        match = f"{digest}:{ROWS}:{int(t.row[i]):016x}"
        item = Suspect(
            named("r", [kind, *where, match]), kind, *where, int(t.numbers["count"][i]),
            int(t.numbers["first"][i]), int(t.numbers["last"][i]), content, match, words,
        )  # fmt: skip
        if kind == REQUEST:
            single[int(t.stream[i])].append(item)
        else:
            out.append(item)
    for stream, items in single.items():
        c = streams[stream]
        out += items if len(items) <= MOST_OF_ONE else [_item(REQUEST, talk(c), b, c, len(items))]
    return out, left


def _act(intent: str, asks: bool, once: bool, count: int, answers: int) -> str:
    if intent in (PROGRAM, CONTROL) or (intent == WRITE and once):
        return intent
    if not asks:
        storm = intent == "error" and count >= max(MANY_ERRORS, ERROR_SHARE * answers)
        return ERRORS if storm else ""
    return REQUEST if once and intent not in _HARMLESS and intent != WRITE else ""


def _filled(content: bytes, s: Structure, template: int) -> bytes:
    """The message with something in its open bytes: zeros there would make it look like other protocols."""
    closed = s.closed()[template, : len(content)].tolist()
    return bytes(byte if known else 1 for byte, known in zip(content, closed, strict=True))


def _content(data: np.ndarray[tuple[int], np.dtype[np.uint8]], length: int) -> bytes:
    if length:
        return data[:length].tobytes()
    used = np.flatnonzero(data)
    return data[: int(used[-1]) + 1].tobytes() if len(used) else b""

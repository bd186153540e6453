"""Learned conversations as candidates for an allowlist: what each asks for, and how exactly a kernel could check it.

The kernel compares 32 bits at one offset per service. For known protocols that place is given (`decide.functions`); for
others it is where the kinds of requests learned differ most: the bytes at which the template tree splits, then the most
different values. Bytes that count, name a connection, or were learned to change are open: at the end of the window they
make an interval, before it they are written out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

from appliance.decide.functions import BACNET, ENIP, FRAMINGS, MODBUS, OFFSETS, function_of, is_carrier, merged
from appliance.decide.rules import Exactness, Network, Pattern, Service
from appliance.decode.columns import L2_TAG
from appliance.decode.conversation import Conversation
from appliance.decode.framing import WHOLE, Coding, Framing
from appliance.decode.names import address_text
from appliance.learn.meaning.accepted import ROWS
from appliance.learn.messages.structure import Side
from appliance.learn.site.topology import stream_key
from appliance.protocols import Intent
from appliance.protocols.modbus_tables import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.decode.conversation import Address
    from appliance.learn.meaning.model import Model, ServiceModel

WINDOW = 4  # bytes the kernel compares
HEAD = 96  # bytes of a request that are looked at
MAX_OFFSET = 60
MAX_PATTERNS = 4096  # of one conversation: a set of intervals far larger costs seconds to load
MAX_SIZES = 256
_TCP, _UDP = 6, 17
_TRANSPORTS = {_TCP: "tcp", _UDP: "udp"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request of one conversation.

    head    its first bytes; closed: 1 where they are always these, 0 where anything may stand
    size    payload length, 0 where it is open
    count   messages learned
    match   its row, as the review list names it (`learn.meaning.suspects`)
    """

    head: bytes
    closed: bytes
    size: int
    count: int
    intent: Intent
    function: str
    match: str = ""

    def window(self, offset: int) -> list[Pattern] | None:
        """Values of the window at `offset`; None where there are too many, or the request may end before it does."""
        if self.size and self.size < offset + WINDOW:
            return None
        if not self.size and not all(self.closed[offset : offset + WINDOW]):
            return None
        closed, head = self.closed[offset : offset + WINDOW], self.head[offset : offset + WINDOW]
        last = max((i for i in range(WINDOW) if closed[i]), default=-1)
        if sum(not c for c in closed[: last + 1]) > 1:
            return None
        span = (1 << 8 * (WINDOW - 1 - last)) - 1
        values = [0]
        for i in range(last + 1):
            values = [v << 8 | b for v in values for b in ((head[i],) if closed[i] else range(256))]
        return [Pattern(v * (span + 1), v * (span + 1) + span) for v in values]


@dataclass(frozen=True, slots=True)
class Talk:
    """One learned conversation; see the module's text.

    service    None where there is no transport the kernel's table knows (link layer, ICMP)
    answered   it was answered, or calls for no answer (datagrams): what nobody answered over TCP is a probe
    whole      every request came in a segment of its own
    opaque     a reason why its content cannot be told apart, "" where it can
    framing    the length field of its messages, WHOLE where none is known
    opened     connections whose beginning was seen
    """

    conversation: Conversation
    client: Network | None
    server: Network | None
    service: Service | None
    protocol: str
    asks: tuple[Ask, ...]
    whole: bool
    answered: bool
    opaque: str = ""
    framing: Framing = WHOLE
    opened: int = 0

    @property
    def pair(self) -> tuple[Network, Network, Service] | None:
        """Client, server and service where the kernel's table knows all three."""
        if self.client is None or self.server is None or self.service is None:
            return None
        return self.client, self.server, self.service

    def text(self) -> str:
        """Read as "10.0.0.1 -> 10.0.0.2 tcp/502"."""
        return self.conversation.text()


def network_of(address: Address) -> Network | None:
    """An address of the columns as a network of one; None for a hardware address."""
    return None if address[0] == L2_TAG else ip_network(address_text(*address))


def talks_of(model: Model) -> list[Talk]:
    """All learned conversations, in their order."""
    talks: list[Talk] = []
    for c in sorted(model.baseline.conversations):
        services = model.services.get(c.port, [])
        asks, opaque = _asks(c, services, sorted(model.baseline.services.get(c.port, {})))
        transport = _TRANSPORTS.get(c.port[0])
        client, server = network_of(c.client), network_of(c.server)
        service = Service(transport, c.port[1]) if transport and client and server else None
        requests = model.baseline.number(c, "requests")
        protocol = _protocol(asks)
        asks = [_worded(a, protocol) for a in asks]
        whole = sum(a.count for a in asks) == requests
        answered = c.group or c.port[0] != _TCP or model.baseline.number(c, "answers") > 0
        framing, opened = _framing(protocol, services), model.baseline.number(c, "opened")
        talks.append(Talk(c, client, server, service, protocol, tuple(asks), whole, answered, opaque, framing, opened))
    return [_doubted(t, [o for o in talks if o.conversation.port == t.conversation.port]) for t in talks]


def _doubted(talk: Talk, everyone: Sequence[Talk]) -> Talk:
    """A conversation of one connection only: bytes that may be that connection's name are open.

    They are those that never changed in it and are not the same in all others: the next connection may bring another value,
    and the kernel would refuse the whole conversation.
    """
    if talk.protocol or talk.opened > 1 or not talk.asks or talk.conversation.port[0] != _TCP:
        return talk
    closed = bytearray(talk.asks[0].closed)
    for at in range(HEAD):
        here = {a.head[at] for a in talk.asks if not a.size or a.size > at}
        there = {a.head[at] for t in everyone for a in t.asks if t is not talk and (not a.size or a.size > at)}
        closed[at] = len(here) > 1 or here == there
    both = [bytes(a & b for a, b in zip(ask.closed, closed, strict=True)) for ask in talk.asks]
    return replace(talk, asks=tuple(replace(a, closed=c) for a, c in zip(talk.asks, both, strict=True)))


def _framing(protocol: str, services: list[ServiceModel]) -> Framing:
    found = {one.structure.framing for one in services}
    one = found.pop() if len(found) == 1 else WHOLE
    return FRAMINGS.get(protocol) or (one if one.coding is Coding.FIXED else WHOLE)  # a kernel compares bytes at fixed places


def _asks(c: Conversation, services: list[ServiceModel], digests: list[str]) -> tuple[list[Ask], str]:
    key, asks, opaque = stream_key(c), [], ""
    for digest, one in zip(digests, services, strict=True):
        s, t = one.structure, one.table
        for row in one.by_stream.get((key, False), ()):
            kind = int(t.template[row])
            if one.opaque[kind]:
                opaque = "its content keeps changing, or is encrypted"
            template = s.templates[kind]
            assert template.side == Side.REQUEST  # noqa: S101  # what by_stream says
            closed = template.closed & ~one.calibration.quiet[kind] & ~s.identity
            size = 0 if template.any_length else int(t.length[row])
            head = t.bytes[row][:HEAD].tobytes()
            match = f"{digest}:{ROWS}:{int(t.row[row]):016x}"
            asks.append(Ask(head, closed[:HEAD].tobytes(), size, int(t.numbers["count"][row]), Intent.UNKNOWN, "", match))
    if not services:
        opaque = "its content was not learned"
    return asks, opaque


def _worded(a: Ask, protocol: str) -> Ask:
    f = function_of(protocol, a.head) if protocol else None
    if f is None or is_carrier(protocol, a.head):
        return replace(a, function=f.name if f else _hex(a))
    return replace(a, intent=f.intent, function=f.name)


def _hex(a: Ask) -> str:
    """The first bytes of a request as text, open ones as dots."""
    shown = min(16, a.size or 16)
    return " ".join(f"{b:02x}" if c else ".." for b, c in zip(a.head[:shown], a.closed[:shown], strict=True))


def _protocol(asks: Sequence[Ask]) -> str:
    """The protocol that all requests of a conversation agree with, without a port; "" for none."""
    for name, fits in ((MODBUS, _is_modbus), (BACNET, _is_bacnet), (ENIP, _is_enip)):
        if asks and all(fits(a) for a in asks):
            return name
    return ""


def _is_modbus(a: Ask) -> bool:
    length_fits = a.size == 0 or not all(a.closed[4:6]) or int.from_bytes(a.head[4:6], "big") + 6 == a.size
    return a.head[2:4] == b"\0\0" and all(a.closed[2:4]) and bool(a.closed[7]) and a.head[7] in FUNCTIONS and length_fits


def _is_bacnet(a: Ask) -> bool:
    length_fits = a.size == 0 or int.from_bytes(a.head[2:4], "big") == a.size
    return a.head[0] == 0x81 and a.head[4] == 1 and bool(a.closed[0]) and length_fits


def _is_enip(a: Ask) -> bool:
    length_fits = a.size == 0 or int.from_bytes(a.head[2:4], "little") + 24 == a.size
    return all(a.closed[:2]) and function_of(ENIP, a.head) is not None and length_fits and a.size != 12


def offset_for(talks: Sequence[Talk]) -> int:
    """Where the kernel looks in requests of one service: the protocol's place, or where kinds differ most."""
    known = Counter(t.protocol for t in talks if t.protocol)
    if known:
        return OFFSETS[max(sorted(known), key=known.__getitem__)]
    asks = [a for t in talks for a in t.asks]
    sizes = [a.size for a in asks if a.size]
    most = min([*sizes, WINDOW]) - WINDOW if len(sizes) < len(asks) else min(sizes, default=WINDOW) - WINDOW
    best, offset = (-1, -1), 0
    for at in range(max(0, min(most, MAX_OFFSET)) + 1):
        windows = [a.window(at) for a in asks]
        if any(w is None for w in windows):
            continue
        distinct = len({tuple(w) for w in windows if w is not None})
        narrow = -max((len(w) for w in windows if w is not None), default=0)
        if (distinct, narrow) > best:
            best, offset = (distinct, narrow), at
    return offset


def exactness_of(talk: Talk, offset: int, everyone: Sequence[Talk]) -> tuple[Exactness, str]:
    """How exact a kernel can be about a conversation, and why not more exact.

    everyone   all learned conversations of the service: what they differ in is what an operand is
    """
    if talk.service is None:
        return Exactness.NONE, "not IP with a port: the kernel's table never sees it"
    if talk.opaque or not talk.asks:
        return Exactness.L4, talk.opaque or "it never asked anything"
    if talk.protocol and offset != OFFSETS[talk.protocol]:
        return Exactness.L4, f"others speak another protocol over {talk.service}, and the kernel looks at one place"
    if not patterns_for(talk.asks, offset):
        return Exactness.L4, "requests end before, or are open at, the 32 bits the kernel compares"
    if talk.protocol == ENIP:
        return Exactness.L4, "CIP inside the command is not seen"
    if talk.service.transport == "tcp" and not talk.framing.width:
        return Exactness.L4, "where a request ends is not known: one begun in a segment hides the next"
    if not sizes_for(talk):
        return Exactness.L4, "requests share segments or are of any length: a second one behind the first is not seen"
    if talk.protocol == MODBUS:
        if all(all(a.closed[offset : offset + WINDOW]) for a in talk.asks):
            return Exactness.FUNCTION, ""
        return Exactness.COMMAND, "its registers keep changing, so all of them are allowed"
    if talk.protocol:
        return Exactness.COMMAND, "the object asked for is not seen"
    selects = next(iter(_differing([a for t in everyone for a in t.asks])), offset)
    if not offset <= selects < offset + WINDOW:
        return Exactness.L4, f"requests differ at byte {selects}, which is not among those the kernel compares"
    return Exactness.COMMAND, "an unknown protocol: four bytes are compared, what else a request says is not seen"


def _differing(asks: Sequence[Ask]) -> list[int]:
    """Bytes in which requests of equal length differ (numbers that follow from the length aside)."""
    by_size: dict[int, list[Ask]] = {}
    for a in asks:
        by_size.setdefault(a.size, []).append(a)
    found: set[int] = set()
    for same in by_size.values():
        for at in range(min(HEAD, same[0].size or HEAD)):
            if len({a.head[at] for a in same if a.closed[at]}) > 1:
                found.add(at)
    return sorted(found)


def sizes_for(talk: Talk) -> tuple[int, ...]:
    """Payload lengths of its requests; empty where they are open, too many, or several shared a segment."""
    sizes = {a.size for a in talk.asks}
    if 0 in sizes or not talk.whole or len(sizes) > MAX_SIZES:
        return ()
    return tuple(sorted(sizes))


def patterns_for(asks: Sequence[Ask], offset: int) -> tuple[Pattern, ...]:
    """Values of the window that these requests have; empty where one of them cannot be told by it."""
    windows = [a.window(offset) for a in asks]
    if any(w is None for w in windows):
        return ()
    found = merged([p for w in windows for p in w or ()])
    return found if len(found) <= MAX_PATTERNS else ()

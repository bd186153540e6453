"""What this site has shown to be open: hosts that come and go, and partners that keep changing.

An office on the wire brings new hosts, new outside addresses and new ports as long as it is watched; each was new once while
learning, so each new one says nothing. What is open is read off the times at which conversations began: a partner is *late*
when it came after the first third of the time watched, and LATE of them show that the next will come too. From least to most:

    gateway      a hardware address that stands for MANY addresses or more; what is behind it, in no network that is here, is
                 outside
    guests       networks (/24, IPv6 /64) in which LATE assets or more came late
    movers       late assets of these networks, and hosts that met MANY outside servers or more
    public       services of an asset (or a group) that LATE movers or more began to use late
    dynamic      assets at which movers began to use LATE new ports or more: ports from there on
    outside      ports on which movers met LATE new outside servers or more; protocols in which they met as many new ports
    among        ports on which movers met each other late

A conversation is open when a mover, or a new host in a network of guests, does one of these. Never open: what any other asset
does, and what is done to an asset that is here and does not itself serve movers in this way. So a plant stays as closed as it was
learned, and a guest that turns to a controller is told. Under SETTLE of time watched nothing is open.

Derived from first times (minimum) and addresses (union): merged baselines say the same in any order.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from appliance.decode.columns import L2_TAG
from appliance.decode.conversation import Address, Conversation, Port
from appliance.learn.counting.counts import ADEQUACY_BLOCKS
from appliance.learn.site.topology import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from appliance.learn.baselines.baseline import Baseline

LATE = 3
MANY = 8
SETTLE = ADEQUACY_BLOCKS[1]  # ns
Network = tuple[int, int]
K = TypeVar("K", bound="Hashable")
V = TypeVar("V", bound="Hashable")


@dataclass(slots=True)
class Openness:
    """See the module's text. Empty: nothing is open."""

    inside: set[Network] = field(default_factory=set)  # networks of assets that are here, or that others than movers talk to
    guests: set[Network] = field(default_factory=set)
    known: set[Address] = field(default_factory=set)
    movers: set[Address] = field(default_factory=set)
    public: set[tuple[Address, Port]] = field(default_factory=set)
    dynamic: dict[tuple[Address, int], int] = field(default_factory=dict)  # asset, protocol -> lowest port
    outside: set[Port] = field(default_factory=set)
    anywhere: set[int] = field(default_factory=set)  # protocols in which movers meet any outside port
    inbound: set[int] = field(default_factory=set)  # protocols in which outside addresses speak to movers first
    among: set[Port] = field(default_factory=set)
    groups: set[Port] = field(default_factory=set)  # services of groups that are used here

    def moves(self, address: Address) -> bool:
        """Whether this is a host that comes and goes."""
        if address in self.known:
            return address in self.movers
        return network(address) in self.guests

    def is_outside(self, address: Address) -> bool:
        """Whether this is an address behind a gateway, in no network that is here."""
        return network(address) not in self.inside and address[0] != L2_TAG

    def admits(self, c: Conversation) -> bool:
        """Whether the like of a conversation keeps coming here."""
        if not self.guests and not self.movers:
            return False
        if not self.moves(c.client):
            return self._answers(c)
        if c.group:
            return c.port in self.groups
        if (c.server, c.port) in self.public or self.dynamic.get((c.server, c.port[0]), 1 << 16) <= c.port[1]:
            return True
        if self.is_outside(c.server):
            return c.port in self.outside or c.port[0] in self.anywhere
        return c.port in self.among and self.moves(c.server)

    def _answers(self, c: Conversation) -> bool:
        """An outside address that speaks first, or whose partner's opening was not seen."""
        return c.port[0] in self.inbound and not c.group and self.is_outside(c.client) and self.moves(c.server)


def network(address: Address) -> Network:
    """The /24 of an IPv4 address, the /64 of an IPv6 address, the vendor's part of a hardware address."""
    hi, lo = address
    if hi == L2_TAG:
        return hi, lo >> 24
    return (0, lo >> 8) if hi == 0 and lo >> 32 == 0xFFFF else (hi, 0)


def openness(baseline: Baseline) -> Openness:
    """What a baseline has shown to be open."""
    found = Openness()
    if baseline.watched < SETTLE:
        return found
    edge = baseline.first + (baseline.last - baseline.first) // 3
    at = NUMBERS.index("first")
    talks = [(c, bool(numbers[at] > edge)) for c, numbers in sorted(baseline.conversations.items()) if c.port[0] >= 0]
    gateways = _gateways(baseline)
    here = {a for a, asset in baseline.assets.items() if a[0] != L2_TAG and (not asset.macs or asset.macs - gateways)}
    found.inside = {network(a) for a in here}
    found.known = set(baseline.assets)
    late = [a for a in here if baseline.assets[a].first > edge]
    found.guests = _often((network(a), a) for a in late)
    if gateways:
        met = _often(((c.client, c.server) for c, _ in talks if c.client in here and found.is_outside(c.server)), MANY)
        fresh = {c.client for c, is_late in talks if is_late and c.client in met and found.is_outside(c.server)}
        found.movers = met if len(fresh) else set()
    found.movers |= {a for a in late if network(a) in found.guests}
    if found.movers:
        _close_in(baseline, found, talks)
        _open_up(found, [c for c, is_late in talks if is_late], talks)
    return found


def _gateways(baseline: Baseline) -> set[int]:
    """Hardware addresses behind which many addresses were seen."""
    behind: dict[int, set[Address]] = defaultdict(set)
    for address, asset in baseline.assets.items():
        if address[0] != L2_TAG:
            for mac in asset.macs:
                behind[mac].add(address)
    return {mac for mac, addresses in behind.items() if len(addresses) >= MANY}


def _close_in(baseline: Baseline, found: Openness, talks: list[tuple[Conversation, bool]]) -> None:
    """Networks that others than movers talk to are as closed as those that are here."""
    for c, _ in talks:
        if c.group or found.moves(c.client) or (found.is_outside(c.client) and found.moves(c.server)):
            continue
        # a guest that left before it showed that it is one has been to places as guests have
        lasts = baseline.number(c, "last") - baseline.number(c, "first") >= baseline.watched // 2
        if lasts or network(c.client) not in found.guests:
            found.inside |= {network(c.client), network(c.server)}


def _open_up(found: Openness, late: list[Conversation], talks: list[tuple[Conversation, bool]]) -> None:
    """What movers began to do late."""
    mine = [c for c in late if found.moves(c.client)]
    here = [c for c in mine if c.group or not found.is_outside(c.server)]
    away = [c for c in mine if not c.group and found.is_outside(c.server)]
    before = {(c.server, c.port) for c, is_late in talks if not is_late}
    found.public = _often(((c.server, c.port), c.client) for c in here)
    found.groups = {c.port for c, _ in talks if c.group}
    new_ports = [c for c in here if not c.group and (c.server, c.port) not in before | found.public]
    for key in _often(((c.server, c.port[0]), c.port) for c in new_ports):
        found.dynamic[key] = min(c.port[1] for c in new_ports if (c.server, c.port[0]) == key) & ~0xFFF
    found.outside = _often((c.port, c.server) for c in away)
    found.anywhere = _often((c.port[0], c.port) for c in away if c.port not in found.outside)
    found.inbound = _often((c.port[0], c.client) for c in late if found.is_outside(c.client) and found.moves(c.server))
    found.among = _often((c.port, (c.client, c.server)) for c in here if found.moves(c.server))


def _often(pairs: Iterable[tuple[K, V]], least: int = LATE) -> set[K]:
    """Keys with so many different values."""
    values: dict[K, set[V]] = defaultdict(set)
    for key, value in pairs:
        values[key].add(value)
    return {key for key, seen in values.items() if len(seen) >= least}

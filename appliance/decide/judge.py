"""What a generation says to one request: the kernel's rules evaluated in plain Python, in the kernel's order.

Tests, `policy test`, `policy explain` and the choice of a step ask here; live traffic is judged by the kernel itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from appliance.decide.rules import Allow, Lease, Mode, Step

if TYPE_CHECKING:
    from appliance.decide.rules import Generation, Network, Protected, Service
    from appliance.decode.framing import Framing

Host = IPv4Address | IPv6Address
WINDOW = 4
JOINED = range(2, 17)  # so many requests of one size may be sent again as one segment; a rule of nftables holds no more
FARTHEST = 255  # byte of a payload that the kernel can look at
MAX_JOINED = 4  # sizes for which that is looked at


class Outcome(StrEnum):
    """What happens to a request."""

    NEVER = "never refused"  # on the never-block list
    ALLOWED = "allowed"
    UNGUARDED = "not guarded"  # nothing is said about this server and service
    COUNTED = "counted"  # shadow: it passes, and would have been refused
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, and the rule or lease it comes from (None: no rule allows it, or none is needed)."""

    outcome: Outcome
    rule: Allow | None = None
    lease: Lease | None = None

    @property
    def passes(self) -> bool:
        """Whether the request reaches the server."""
        return self.outcome is not Outcome.REFUSED


def judge(g: Generation, client: Host, server: Host, service: Service, payload: bytes, now: int = 0) -> Verdict:
    """Judge one segment or datagram of a client; `payload` is all it carries (b"": connection set-up and bare ACKs).

    now   ns since the epoch, for leases
    """
    if within(client, g.never) or within(server, g.never):
        return Verdict(Outcome.NEVER)
    for lease in g.leases:
        if now < lease.until and _meets(lease, client, server, service, payload):
            return Verdict(Outcome.REFUSED, lease=lease)
    guard = guarding(g, server, service)
    if guard is None:
        return Verdict(Outcome.UNGUARDED)
    for rule in g.allowed:
        if service == rule.service and client in rule.client and server in rule.server and matches(rule, payload):
            return Verdict(Outcome.ALLOWED, rule)
    return Verdict(Outcome.REFUSED if guard.mode is Mode.ENFORCE else Outcome.COUNTED)


def within(host: Host, networks: tuple[Network, ...]) -> bool:
    """Whether a host is in one of the networks."""
    return any(host in network for network in networks)


def guarding(g: Generation, server: Host, service: Service) -> Protected | None:
    """The guard over a service of a server, the strictest where several are; None where none is or it only observes."""
    found = [p for p in g.protected if p.service == service and server in p.server and p.mode is not Mode.OBSERVE]
    return next((p for p in found if p.mode is Mode.ENFORCE), found[0] if found else None)


def matches(rule: Allow, payload: bytes) -> bool:
    """Whether a payload is one that the rule allows between its pair; one that carries nothing always is."""
    if not payload:
        return True
    if not rule.sizes:
        return _said(rule, payload)
    if len(payload) in rule.sizes and is_whole(rule.framing, payload):
        return _said(rule, payload)
    for size in joinable(rule.sizes) if rule.framing.width and rule.service.transport == "tcp" else ():
        parts = [payload[at : at + size] for at in range(0, len(payload), size)]
        if len(parts) in times(size) and all(len(p) == size and is_whole(rule.framing, p) and _said(rule, p) for p in parts):
            return True
    return False


def joinable(sizes: tuple[int, ...]) -> list[int]:
    """Sizes of requests of which several in one segment can be looked at one by one: a few, the smallest."""
    return [size for size in sorted(set(sizes)) if size * JOINED[0] <= FARTHEST][:MAX_JOINED]


def times(size: int) -> range:
    """How many requests of a size can be looked at in one segment."""
    return range(JOINED[0], min(JOINED[-1], FARTHEST // size) + 1)


def _said(rule: Allow, payload: bytes) -> bool:
    value = window(payload, rule.offset)
    return not rule.patterns or (value is not None and any(p.first <= value <= p.last for p in rule.patterns))


def is_whole(framing: Framing, payload: bytes) -> bool:
    """Whether a payload is one whole message, by the length it states."""
    if not framing.width:
        return True
    number = int.from_bytes(payload[framing.offset : framing.end], "big" if framing.big else "little")
    return len(payload) >= framing.end and number + framing.constant == len(payload)


def window(payload: bytes, offset: int) -> int | None:
    """The 32 bits at an offset as a number; None where the payload ends before."""
    part = payload[offset : offset + WINDOW]
    return int.from_bytes(part, "big") if len(part) == WINDOW else None


def _meets(lease: Lease, client: Host, server: Host, service: Service, payload: bytes) -> bool:
    if lease.step is Step.LOG:
        return False
    if lease.target is None:
        return client in lease.source or server in lease.source
    if client not in lease.source or server not in lease.target or lease.service not in (None, service):
        return False
    if lease.pattern is None:
        return True
    value = window(payload, lease.offset)
    return value is not None and lease.pattern.first <= value <= lease.pattern.last

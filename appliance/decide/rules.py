"""Rules: what a policy, a baseline and the leases in force come to, as plain data. `enforce` turns them into kernel text.

A *generation* is one complete, immutable set of rules. Everything that is told to the kernel is derived from a generation
and the time; nothing is ever patched by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from appliance.decode.framing import WHOLE, Framing

Network = IPv4Network | IPv6Network


class Mode(StrEnum):
    """What happens to traffic of a protected asset that no rule allows."""

    OBSERVE = "observe"  # nothing, and nothing is counted in the kernel
    SHADOW = "shadow"  # it passes and is counted: what would have been refused
    ENFORCE = "enforce"  # it is refused


class Exactness(StrEnum):
    """How much of a conversation's rule the kernel can check."""

    FUNCTION = "function-exact"  # function and operands (e.g. unit, function, register)
    COMMAND = "command-only"  # the kind of command, not what it is about
    L4 = "L4-only"  # who talks to whom over which service
    NONE = "not enforceable"  # the kernel never sees it, or cannot tell it from other traffic


class Step(StrEnum):
    """Answers to an incident, mildest first."""

    LOG = "log"
    FUNCTION = "block function"
    PAIR = "quarantine pair"
    ISOLATE = "isolate"


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """Transport and port: ("tcp", 502)."""

    transport: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}/{self.port}"


@dataclass(frozen=True, slots=True, order=True)
class Pattern:
    """What the 32 bits at the service's match offset may be: first <= value <= last (big-endian numbers)."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Allow:
    """One conversation that is allowed; without patterns all that it says is.

    offset   byte of the transport payload at which the 32 bits of the patterns begin; equal for all rules of a service
    sizes    payload lengths a request may have, empty: any (with sizes, one whole message per segment is required)
    framing  the length field that says how long a message is (with sizes, it must say the payload's own length: otherwise a
             message begun in one segment hides the next one's function); WHOLE where there is none
    exactness  how exact the kernel is here
    reason   the rule of the policy, or the learned conversation, this comes from: "rules/plant.yaml:12", "learned"
    """

    client: Network
    server: Network
    service: Service
    offset: int = 0
    patterns: tuple[Pattern, ...] = ()
    sizes: tuple[int, ...] = ()
    exactness: Exactness = Exactness.L4
    reason: str = ""
    framing: Framing = WHOLE


@dataclass(frozen=True, slots=True)
class Protected:
    """A server behind the checkpoint: what is not allowed towards its services is treated as `mode` says."""

    server: Network
    service: Service
    mode: Mode


@dataclass(frozen=True, slots=True)
class Lease:
    """A step in force for a while; the kernel keeps its time.

    id        names it in records, metrics and undo
    source, target   the pair; isolate: target is None
    service   None: all services
    offset, pattern   for a blocked function
    until     ns since the epoch
    """

    id: str
    step: Step
    source: Network
    target: Network | None
    service: Service | None
    offset: int
    pattern: Pattern | None
    until: int
    reason: str
    incident: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete set of rules.

    number    grows by one with each that is applied
    never     networks that are never refused, and always may be reached and answered
    bridge    True where the box is a bridge (drop only on many kernels), False where it routes
    """

    number: int
    never: tuple[Network, ...] = ()
    protected: tuple[Protected, ...] = ()
    allowed: tuple[Allow, ...] = ()
    leases: tuple[Lease, ...] = ()
    bridge: bool = False
    notes: tuple[str, ...] = field(default=())

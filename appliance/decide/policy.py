"""A policy as data: who may ask whom for what, when, and what may be done to those who ask otherwise.

`decide.policyfile` reads it from YAML; nothing in here knows of files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.decide.functions import Function
from appliance.decide.rules import Mode, Network, Service, Step
from appliance.explain.workplan import Window

SECOND = 1_000_000_000  # ns, as all times of rules and leases
HOUR = 3600 * SECOND
ALL = "all"
WATCHING = ("read", "diagnose", "identify", "session", "answer")  # what learning may bring in unless a policy says otherwise


@dataclass(frozen=True, slots=True)
class Rule:
    """Clients that may ask servers for something.

    place      where it stands: "plant.yaml:12"
    clients, servers   networks
    protocol, functions   empty: whatever the service says
    units, registers   Modbus: units (empty: those learned, else all), ranges of first registers (empty: any)
    when       windows of time (empty: always); until: ns since the epoch from when on it holds no more, None: for good
    why        what it is for
    """

    name: str
    place: str
    clients: tuple[Network, ...]
    servers: tuple[Network, ...]
    service: Service
    protocol: str = ""
    functions: tuple[Function, ...] = ()
    units: tuple[int, ...] = ()
    registers: tuple[tuple[int, int], ...] = ()
    when: tuple[Window, ...] = ()
    until: int | None = None
    why: str = ""

    def holds(self, now: int) -> bool:
        """Whether the rule is in force at a moment."""
        return (self.until is None or now < self.until) and (not self.when or any(w.holds(now) for w in self.when))


@dataclass(frozen=True, slots=True)
class Guarded:
    """An asset of the policy.

    learned    classes of functions that learned conversations may bring in ("read", ...), or ("all",)
    services   those that are guarded besides the learned ones and those of rules
    """

    name: str
    place: str
    network: Network
    mode: Mode
    learned: tuple[str, ...] = WATCHING
    services: tuple[Service, ...] = ()

    def admits(self, intents: set[str]) -> bool:
        """Whether learning may bring in requests that want these things."""
        return ALL in self.learned or intents <= set(self.learned)


RENEWALS = 5  # of one lease in a row: then it ends, whatever goes on


@dataclass(frozen=True, slots=True)
class Limits:
    """What a response may do at most: steps, blocks in any hour (renewals included), longest lease in ns."""

    steps: tuple[Step, ...] = (Step.LOG,)
    blocks_per_hour: int = 4
    longest_lease: int = 600 * SECOND

    @property
    def renewals_per_hour(self) -> int:
        """Of the blocks, those that may be renewals: half, so that a second attacker still finds room."""
        return self.blocks_per_hour // 2


@dataclass(frozen=True, slots=True)
class Expectation:
    """A test of the policy: whether a request is allowed (function None: a connection), at a moment where that matters."""

    place: str
    client: Network
    server: Network
    service: Service
    function: Function | None
    unit: int
    register: int
    allow: bool
    at: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it. `never` are networks that are never refused, `management` those the appliance itself is reached from."""

    name: str
    assets: tuple[Guarded, ...] = ()
    rules: tuple[Rule, ...] = ()
    never: tuple[Network, ...] = ()
    management: tuple[Network, ...] = ()
    limits: Limits = field(default_factory=Limits)
    tests: tuple[Expectation, ...] = ()
    bridge: bool = False

    @property
    def untouchable(self) -> tuple[Network, ...]:
        """Networks that are never refused: those of the list, and own management access."""
        return tuple(dict.fromkeys((*self.management, *self.never)))

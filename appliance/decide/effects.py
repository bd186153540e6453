"""What a refusal does to a plant, by topology, protocol and method. What is not in here is not known, and is not offered.

Measured with nftables 1.0.6 on kernel 6.18, routed and bridged, and real pymodbus peers (the project's design, section 6): a
dropped write kills its TCP connection, and later reads on it time out; a write answered by a TCP reset fails in 0.1 ms, the
client connects again and its reads go on; on a bridge many kernels can only drop. That a rule for one pair or one host leaves
all others alone holds by construction: their packets do not meet it. With bacpypes3 (tests/lab/test_effects.py) a dropped
WriteProperty ends by the time limit of its own client while that client's polls go on, none lost, none late. A cpppo client whose
pair was quarantined is back within 3.5 s of the end. Nobody has measured functions inside EtherNet/IP.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.decide.functions import BACNET, MODBUS
from appliance.decide.rules import Step


class Method(StrEnum):
    """How the kernel refuses."""

    RESET = "tcp reset"
    DROP = "drop"


class Harm(StrEnum):
    """What the other traffic of the plant notices, mildest first."""

    NONE = "nothing"
    RECONNECT = "the connection of the refused request is made anew, within its client's timeout"
    PAIR = "the pair stops talking; others lose nothing"
    STALL = "the connection hangs, reads on it time out"
    HOST = "the host stops talking to anybody"


@dataclass(frozen=True, slots=True)
class Effect:
    """A row: what refusing this way does here, and how that is known; `transport` and `protocol` "" stand for any."""

    bridge: bool
    transport: str
    protocol: str
    step: Step
    method: Method
    harm: Harm
    known: str


_MEASURED, _CONSTRUCTION = "measured with pymodbus", "by construction"
_BACNET = "measured with bacpypes3"
EFFECTS: tuple[Effect, ...] = (
    Effect(False, "tcp", MODBUS, Step.FUNCTION, Method.RESET, Harm.RECONNECT, _MEASURED),
    Effect(False, "tcp", MODBUS, Step.FUNCTION, Method.DROP, Harm.STALL, _MEASURED),
    Effect(True, "tcp", MODBUS, Step.FUNCTION, Method.DROP, Harm.STALL, _MEASURED),
    Effect(False, "udp", BACNET, Step.FUNCTION, Method.DROP, Harm.NONE, _BACNET),
    Effect(True, "udp", BACNET, Step.FUNCTION, Method.DROP, Harm.NONE, _BACNET),
    Effect(False, "", "", Step.PAIR, Method.DROP, Harm.PAIR, _CONSTRUCTION),
    Effect(True, "", "", Step.PAIR, Method.DROP, Harm.PAIR, _CONSTRUCTION),
    Effect(False, "", "", Step.ISOLATE, Method.DROP, Harm.HOST, _CONSTRUCTION),
    Effect(True, "", "", Step.ISOLATE, Method.DROP, Harm.HOST, _CONSTRUCTION),
)
BEARABLE = frozenset({Harm.NONE, Harm.RECONNECT})  # for somebody the plant knows
_ORDER = tuple(Harm)


def effect_of(step: Step, bridge: bool, transport: str, protocol: str) -> Effect | None:
    """The mildest measured effect of a step; None where nobody has tried."""
    here = [e for e in EFFECTS if e.step is step and e.bridge is bridge]
    rows = [e for e in here if e.transport in ("", transport) and e.protocol in ("", protocol)]
    return min(rows, key=lambda e: _ORDER.index(e.harm), default=None)

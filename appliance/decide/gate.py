"""The gate between observe, shadow and enforce: an asset goes up one step at a time, and only with all reasons met.

observe -> shadow    learning is enough
shadow -> enforce    learning is enough, N full cycles of the plant were seen in shadow, nothing that was accepted would have
                     been refused in them, and a person who is named says so
Going down is always allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.decide.rules import Generation, Mode, Network, Service

ENOUGH = "enough"  # of learn.meaning.adequacy.Readiness, which computes with arrays: the enforcer does without
_ORDER = (Mode.OBSERVE, Mode.SHADOW, Mode.ENFORCE)
CYCLES = 3  # full cycles in shadow
MIN_REQUESTS = 1000  # requests judged in shadow: fewer say nothing of rare ones


@dataclass(frozen=True, slots=True)
class Shadow:
    """What shadow has counted for a service of an asset, under a rule that did not change.

    requests    judged; refused: would have been refused, of traffic that no incident tells of as an attack
    until       ns since the epoch of the last look; since: so long before it as the kernel has counted
    """

    requests: int = 0
    refused: int = 0
    since: int = 0
    until: int = 0

    def and_then(self, more: Shadow) -> Shadow:
        """Both counts as one; time that lies between them does not count."""
        watched = self.until - self.since + max(0, more.until - more.since)  # a clock may be set back
        return Shadow(self.requests + more.requests, self.refused + more.refused, more.until - watched, more.until)


Seen = dict[tuple[Network, Service], Shadow]  # of every service of an asset in shadow


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the step up is allowed, and every reason why not."""

    allowed: bool
    reasons: tuple[str, ...]


def gate(now_in: Mode, wanted: Mode, shadow: Shadow, learned: str, cycle: int, operator: str) -> Gate:
    """Judge a change of mode.

    learned    the verdict on learning in a word (`learn.meaning.adequacy.Readiness`)
    cycle      ns of the plant's longest cycle that matters here (a shift, a day); 0: nobody has said
    operator   who asks for it, "" for nobody
    """
    if _ORDER.index(wanted) <= _ORDER.index(now_in):
        return Gate(True, ())
    reasons = []
    if _ORDER.index(wanted) - _ORDER.index(now_in) > 1:
        reasons.append("one step at a time: shadow comes before enforce")
    if learned != ENOUGH:
        reasons.append(f"learning is not enough yet ({learned})")
    if wanted is Mode.ENFORCE:
        reasons += _shadowed(shadow, cycle)
        if not operator.strip():
            reasons.append("nobody has said who answers for it; name the operator")
    return Gate(not reasons, tuple(reasons))


def held_back(current: Generation, wanted: Generation, seen: Seen, cycle: int, operator: str) -> list[str]:
    """What must not go up yet, a line each; whether learning is enough is not asked here."""
    lines = []
    for server, service, before, after in promotions(current, wanted):
        said = gate(before, after, seen.get((server, service), Shadow()), ENOUGH, cycle, operator)
        lines += [] if said.allowed else [f"{server} {service}: {before} -> {after}: {'; '.join(said.reasons)}"]
    return lines


def promotions(current: Generation, wanted: Generation) -> list[tuple[Network, Service, Mode, Mode]]:
    """Server, service, mode in force and mode wanted of everything that goes up."""
    before = {(p.server, p.service): p.mode for p in current.protected}
    rows = [(p.server, p.service, before.get((p.server, p.service), Mode.OBSERVE), p.mode) for p in wanted.protected]
    return [row for row in rows if _ORDER.index(row[3]) > _ORDER.index(row[2])]


def _shadowed(shadow: Shadow, cycle: int) -> list[str]:
    reasons = []
    if cycle <= 0:
        reasons.append("the plant's cycle is not known; say how long it is (a shift, a day)")
    elif (seen := max(0, shadow.until - shadow.since) // cycle) < CYCLES:
        reasons.append(f"{seen} of {CYCLES} full cycles were seen in shadow")
    if shadow.requests < MIN_REQUESTS:
        reasons.append(f"{shadow.requests:,} requests were judged in shadow, {MIN_REQUESTS:,} are needed")
    if shadow.refused:
        reasons.append(f"{shadow.refused:,} accepted requests would have been refused; see policy plan")
    return reasons

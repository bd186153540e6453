"""What the enforcer knows and may do, without a socket, a clock or a kernel: requests in, kernel text and records out.

A policy is applied on trial and comes into force by confirmation; what was in force before is kept for one way back. A
lease is refused for what is never blocked, above the cap of an hour and beyond the longest lease; so is its renewal, which
counts as a lease of the hour. Every act is a record.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from appliance.decide.policy import HOUR, RENEWALS, SECOND, Limits
from appliance.decide.records import generation_from, generation_json, lease_from, lease_json
from appliance.decide.rules import Generation, Lease, Step
from appliance.enforce.changes import Change, Elements, Tables
from appliance.enforce.leases import add_lease, end_lease, lease_elements, leases_table, renew_lease
from appliance.enforce.table import Trial, policy_table
from appliance.errors import RulesError

LEAST_TRIAL, MOST_TRIAL = 5, 86_400  # seconds
Json = dict[str, Any]


ENDED, UNDONE = "lease ended", "undone"  # acts after which a lease is in force no more
WIDEST = Limits(tuple(Step), 12, 3600 * SECOND)  # of an enforcer that is told nothing else


@dataclass(frozen=True, slots=True)
class Desk:
    """All that is in force.

    confirmed  the generation that is followed when no trial runs; previous: the one before, for one way back
    trial      on trial until `until` (ns since the epoch), None for none
    leases     by id; made: ns at which leases of the last hour came into force or were renewed
    renewed    ns and id of renewals: those of the last hour, and those of leases in force
    """

    confirmed: Generation
    previous: Generation | None = None
    trial: Generation | None = None
    until: int = 0
    leases: dict[str, Lease] = field(default_factory=dict)
    made: tuple[int, ...] = ()
    renewed: tuple[tuple[int, str], ...] = ()

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Those whose rules are in the kernel; traffic follows the last one."""
        return (self.confirmed,) if self.trial is None else (self.confirmed, self.trial)


@dataclass(frozen=True, slots=True)
class Act:
    """What a request comes to: the desk after it, what the kernel is told, and what is recorded."""

    desk: Desk
    change: Change
    record: Json


def whole(desk: Desk, now: int) -> Tables:
    """What lays out both tables anew."""
    left = max(1, -(-(desk.until - now) // SECOND)) if desk.trial else 0
    trial = Trial(desk.trial, left) if desk.trial else None
    current = replace(desk.confirmed, leases=tuple(desk.leases.values()), never=_never(desk))
    return Tables(policy_table(desk.confirmed, trial) + leases_table(current, now), policy=True)


def _never(desk: Desk) -> tuple[Any, ...]:
    """What is never blocked: by the confirmed policy or by the one on trial."""
    return tuple(dict.fromkeys([*desk.confirmed.never, *(desk.trial.never if desk.trial else ())]))


def apply(desk: Desk, wanted: Generation, seconds: int, by: str, now: int, force: str = "") -> Act:
    """Put a generation on trial; `force`: why the promotion gate was not asked. Raises RulesError."""
    if desk.trial is not None:
        raise RulesError(f"generation {desk.trial.number} is on trial; confirm it or roll it back first")
    if wanted.number <= desk.confirmed.number:
        raise RulesError(f"generation {wanted.number} is not newer than {desk.confirmed.number} in force; number it higher")
    if wanted.bridge != desk.confirmed.bridge and desk.confirmed.number:
        raise RulesError("a bridge's rules and a router's cannot follow each other; roll back to generation 0 first")
    if not LEAST_TRIAL <= seconds <= MOST_TRIAL:
        raise RulesError(f"a trial of {seconds} s is not possible; choose {LEAST_TRIAL} to {MOST_TRIAL}")
    base = replace(desk.confirmed, bridge=wanted.bridge)
    after = replace(desk, confirmed=base, trial=replace(wanted, leases=()), until=now + seconds * SECOND)
    return Act(
        after,
        whole(after, now),
        _record("applied", by, generation=wanted.number, seconds=seconds, **({"force": force} if force else {})),
    )


def confirm(desk: Desk, by: str, now: int) -> Act:
    """The generation on trial comes into force. Raises RulesError."""
    if desk.trial is None:
        raise RulesError("nothing is on trial; apply a policy first")
    after = replace(desk, confirmed=desk.trial, previous=desk.confirmed, trial=None, until=0)
    return Act(after, whole(after, now), _record("confirmed", by, generation=after.confirmed.number))


def rollback(desk: Desk, by: str, now: int) -> Act:
    """Back to what was: the trial ends, or the generation before is in force again. Raises RulesError."""
    if desk.trial is not None:
        after = replace(desk, trial=None, until=0)
    elif desk.previous is not None:
        after = replace(desk, confirmed=desk.previous, previous=None)
    else:
        raise RulesError("there is no generation to go back to")
    return Act(after, whole(after, now), _record("rolled back", by, generation=after.confirmed.number))


def lease(desk: Desk, wanted: Lease, limits: Limits, by: str, now: int) -> Act:
    """Put a step in force for a while. Raises RulesError."""
    if not desk.confirmed.number:
        raise RulesError("no policy is in force, so nobody is known that must never be blocked; apply one first")
    if wanted.id in desk.leases:
        raise RulesError(f"lease {wanted.id} is in force already; undo it first")
    if wanted.step not in limits.steps:
        raise RulesError(f"{wanted.step}: the limits of this appliance do not allow it; choose another step")
    made = _room(desk, wanted, limits, now)
    if wanted.step is not Step.LOG and not lease_elements(wanted, now):
        raise RulesError(
            f"{wanted.step}: not possible here (over already, or a function the kernel cannot tell); choose another step"
        )
    after = replace(desk, leases={**desk.leases, wanted.id: wanted}, made=(*made, now))
    current = replace(desk.confirmed, never=_never(desk), leases=tuple(desk.leases.values()))
    return Act(after, add_lease(current, wanted, now), _leased("leased", by, wanted))


def renew(desk: Desk, lease_id: str, until: int, limits: Limits, by: str, now: int) -> Act:
    """Let a lease end later, because what it stops goes on. Raises RulesError."""
    held = _held(desk, lease_id)
    if not now < held.until < until:
        raise RulesError(f"lease {lease_id}: over, or renewed for longer already; see `sekisho lease list`")
    longer = replace(held, until=until)
    made = _room(desk, longer, limits, now)
    if sum(name == lease_id for _, name in desk.renewed) >= RENEWALS:
        raise RulesError(f"lease {lease_id} was renewed {RENEWALS} times, no more is allowed; deal with the incident by hand")
    if sum(now - at < HOUR for at, _ in desk.renewed) >= limits.renewals_per_hour:
        raise RulesError(f"{limits.renewals_per_hour} renewals within the hour are all that is allowed; look at the incidents")
    renewed = (*(x for x in desk.renewed if now - x[0] < HOUR or x[1] in desk.leases), (now, lease_id))
    after = replace(desk, leases={**desk.leases, lease_id: longer}, made=(*made, now), renewed=renewed)
    return Act(after, renew_lease(desk.confirmed, longer, now), _leased("lease renewed", by, longer))


def _leased(what: str, by: str, x: Lease) -> Json:
    detail = {"lease": x.id, "step": str(x.step), "source": str(x.source), "target": str(x.target or "")}
    return _record(what, by, **detail, until=x.until, reason=x.reason, incident=x.incident)


def _room(desk: Desk, wanted: Lease, limits: Limits, now: int) -> tuple[int, ...]:
    """When leases of the last hour came into force, where there is room for one more that nobody's protection forbids."""
    for network in _never(desk):
        for end in (wanted.source, wanted.target):
            if end is not None and end.version == network.version and end.overlaps(network):
                raise RulesError(f"{end}: {network} is never blocked by policy; deal with the incident by hand")
    if wanted.until - now > limits.longest_lease:
        longest = limits.longest_lease // SECOND
        raise RulesError(f"a lease of {(wanted.until - now) // SECOND} s is longer than the {longest} s allowed; ask for less")
    made = tuple(t for t in desk.made if now - t < HOUR)
    if len(made) >= limits.blocks_per_hour:
        raise RulesError(f"{len(made)} leases came into force within the hour, no more are allowed; wait, or undo and look first")
    return made


def _held(desk: Desk, lease_id: str) -> Lease:
    if (held := desk.leases.get(lease_id)) is None:
        raise RulesError(f"lease {lease_id}: not in force; see `sekisho lease list`")
    return held


def undo(desk: Desk, lease_id: str, by: str) -> Act:
    """End a lease before its time. Raises RulesError."""
    held = _held(desk, lease_id)
    after = replace(desk, leases={k: v for k, v in desk.leases.items() if k != lease_id})
    return Act(after, end_lease(desk.confirmed, held), _record(UNDONE, by, lease=lease_id))


def tick(desk: Desk, now: int) -> list[Act]:
    """What time has ended: the kernel did it already, here it is recorded and the tables are tidied."""
    acts: list[Act] = []
    if desk.trial is not None and now >= desk.until:
        number = desk.trial.number
        desk = replace(desk, trial=None, until=0)
        acts.append(Act(desk, whole(desk, now), _record("trial ended unconfirmed", "", generation=number)))
    for over in [x for x in desk.leases.values() if x.until <= now]:
        desk = replace(desk, leases={k: v for k, v in desk.leases.items() if k != over.id})
        acts.append(Act(desk, Elements(), _record(ENDED, "", lease=over.id)))
    return acts


def _record(what: str, by: str, **more: object) -> Json:
    return {"what": what, "by": by, **more}


def rules_json(desk: Desk) -> Json:
    """The generations of a desk as JSON types: much, and seldom changed."""
    return {
        "confirmed": generation_json(desk.confirmed),
        "previous": generation_json(desk.previous) if desk.previous else None,
        "trial": generation_json(desk.trial) if desk.trial else None,
        "until": desk.until,
    }


def leases_json(desk: Desk) -> Json:
    """The leases of a desk as JSON types: little, and often changed."""
    return {
        "leases": [lease_json(x) for x in desk.leases.values()],
        "made": list(desk.made),
        "renewed": [list(x) for x in desk.renewed],
    }


def desk_from(rules: Json, leases: Json) -> Desk:
    """The desk from its two JSON values. Raises KeyError, TypeError, ValueError or AttributeError on anything else."""
    return Desk(
        generation_from(rules["confirmed"]),
        generation_from(rules["previous"]) if rules["previous"] else None,
        generation_from(rules["trial"]) if rules["trial"] else None,
        int(rules["until"]),
        {x.id: x for x in map(lease_from, leases["leases"])},
        tuple(int(t) for t in leases["made"]),
        tuple((int(at), str(name)) for at, name in leases.get("renewed", ())),
    )

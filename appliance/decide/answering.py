"""What is done about incidents as they are told: findings and revisions in, answers out; without a socket or a clock.

The first finding of an incident is judged at once, without waiting for words: what a request of a known protocol wants stands
in tables of our own. Where the cause is not sure enough yet, its request waits for the revision that has words. One request
is answered once, and never a finding that is older than a minute: what was told late is for people. What work plans name is
never answered. What goes on while a lease stops it has that lease renewed (`holding`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from appliance.decide.compiling import compile_policy
from appliance.decide.functions import function_of, is_carrier
from appliance.decide.holding import Holding
from appliance.decide.ladder import Decision, Scene, ladder, scene_of
from appliance.decide.learned import Talk
from appliance.decide.policy import HOUR, SECOND, WATCHING, Policy
from appliance.decide.rules import Lease, Service, Step
from appliance.detect.finding import Finding
from appliance.explain.cause import judge
from appliance.explain.workplan import Plan, planned
from appliance.incident.incident import Cause
from appliance.protocols import Intent, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES, FINDINGS, WAITING, SAID = 512, 64, 16, 16  # incidents followed; of each: findings, requests that wait, answers told
PER_INCIDENT = 4  # leases of one incident
FRESH = 60 * SECOND  # a finding older than this is not answered


_SOMETHING = Words("", "", "", Intent.SESSION)  # what every plan allows: stands for a command that may be one of its own


@dataclass(frozen=True, slots=True)
class Site:
    """What an answer rests on.

    talks      learned conversations
    offsets    where the kernel looks into the messages of a service
    protocols  what a service speaks here, as far as that was learned
    plans      work that was planned
    """

    policy: Policy
    talks: tuple[Talk, ...]
    offsets: dict[Service, int]
    protocols: dict[Service, str]
    plans: tuple[Plan, ...] = ()

    @classmethod
    def of(cls, policy: Policy, talks: Sequence[Talk], now: int, plans: Sequence[Plan] = ()) -> Site:
        """From a policy, what was learned and what is planned. Raises RulesError where the policy cannot be compiled."""
        protocols = {t.service: t.protocol for t in talks if t.service is not None and t.protocol}
        protocols |= {r.service: r.protocol for r in policy.rules if r.protocol}
        return cls(policy, tuple(talks), compile_policy(policy, talks, now).offsets, protocols, tuple(plans))

    def expects(self, finding: Finding) -> bool | None:
        """Whether a work plan names what was found, by whom, where and when; None where only its command is not known yet."""
        said = planned([finding], finding.count, self.plans, self.words)
        if said is None or said.inside:
            return said is not None
        named = planned([finding], finding.count, self.plans, lambda one: self.words(one) or _SOMETHING)
        return None if named is not None and named.inside else False

    def words(self, finding: Finding) -> Words | None:
        """What a request wants, where a table of ours says so."""
        try:
            transport, _, port = finding.service.partition("/")
            protocol = self.protocols.get(Service(transport, int(port)), "")
        except ValueError:
            return None
        known = function_of(protocol, finding.payload) if protocol and len(finding.payload) >= 10 else None
        if known is None or is_carrier(protocol, finding.payload):
            return None
        return Words(protocol, known.name, known.name, known.intent)


@dataclass(slots=True)
class Case:
    """One incident: what was found, what a revision said of its cause, what was done about it."""

    findings: list[Finding] = field(default_factory=list)
    words: list[Words | None] = field(default_factory=list)
    told: tuple[Cause, float] = (Cause.UNKNOWN, 0.0)
    waiting: list[Scene] = field(default_factory=list)
    unsure: bool = False  # a work plan may name what was found: nothing is answered before the revision says so
    made: int = 0
    said: set[tuple[str, ...]] = field(default_factory=set)

    def cause(self) -> tuple[Cause, float]:
        """Of what the revision said and what the findings say by themselves, what is graver; planned work is planned work."""
        if self.told[0] is Cause.MAINTENANCE:
            return self.told
        own = judge(self.findings, self.words)
        both = [self.told, (Cause(own.cause), own.confidence)]
        return max(both, key=lambda one: (one[0] is Cause.SECURITY, one[1]))


@dataclass(slots=True)
class Answering:
    """The state.

    cases              incidents that are followed
    holding, taken     leases in force; names of those that the enforcer has
    blocks, renewals   when blocks of the last hour were made, renewals included; the renewals among them (ns since the epoch)
    """

    site: Site | None = None
    cases: OrderedDict[str, Case] = field(default_factory=OrderedDict)
    holding: Holding = field(default_factory=Holding)
    blocks: list[int] = field(default_factory=list)
    renewals: list[int] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def found(self, incident: str, finding: Finding, now: int) -> list[Decision]:
        """A finding of an incident: what is to be done about it now."""
        case = self._case(incident)
        if self.site is None or now - finding.time_ns > FRESH or (expected := self.site.expects(finding)):
            return []
        if self.site.plans:  # what no plan names is no planned work, whatever was said of those before it
            case.unsure |= expected is None
            case.told = (Cause.UNKNOWN, 0.0) if case.told[0] is Cause.MAINTENANCE else case.told
        if len(case.findings) < FINDINGS:
            case.findings.append(finding)
            case.words.append(self.site.words(finding) if finding.src == finding.client else None)
        scene = scene_of(incident, [finding], self.site.talks, self.site.offsets)
        if scene is not None:
            said = self.site.words(finding)
            scene = replace(scene, looks=said is not None and str(said.intent) in WATCHING)
        if scene is None:
            return []
        if (lease := self.holding.stopping(scene, now)) is not None:
            if case.told[0] is not Cause.MAINTENANCE:
                self.holding.asked[lease.id] = now
            return []
        if scene.payload or scene.kind not in {s.kind for s in case.waiting}:
            case.waiting = [*case.waiting, scene][-WAITING:]
        return self._decide(case, now)

    def told(self, incident: str, cause: Cause, sure: float, now: int) -> list[Decision]:
        """A revision of an incident: what waited for a cause is looked at again."""
        case = self._case(incident)
        case.told, case.unsure = (cause, sure), False
        return self._decide(case, now) if self.site is not None and case.waiting else []

    def ended(self, lease: Lease) -> None:
        """A lease is in force no more, or never was."""
        self.holding.drop(lease.id)

    def adopt(self, leases: Sequence[Lease], made: Sequence[int]) -> None:
        """What an earlier keeper put in force goes on here; `made`: when the blocks of the last hour were (ns)."""
        for lease in leases:
            self.holding.take(lease)
            self._case(lease.incident).made += 1
        self.blocks = sorted({*self.blocks, *made})

    def due(self, now: int) -> list[Lease]:
        """Leases to be renewed, each until its new end."""
        if self.site is None:
            return []
        limits = self.site.policy.limits
        self.renewals = [at for at in self.renewals if now - HOUR < at <= now]
        room = min(limits.renewals_per_hour - len(self.renewals), limits.blocks_per_hour - self.recent(now))
        return [replace(x, until=now + limits.longest_lease) for x in self.holding.due(limits, now)[: max(0, room)]]

    def renewed(self, lease: Lease, now: int) -> None:
        """A lease is in force until its new end."""
        self.holding.take(lease)
        self.blocks.append(now)
        self.renewals.append(now)

    def recent(self, now: int) -> int:
        """Blocks of the last hour, renewals included."""
        self.blocks = [at for at in self.blocks if now - HOUR < at <= now]
        return len(self.blocks)

    def _case(self, incident: str) -> Case:
        case = self.cases.setdefault(incident, Case())
        self.cases.move_to_end(incident)
        if len(self.cases) > CASES:
            self.cases.popitem(last=False)
        return case

    def _decide(self, case: Case, now: int) -> list[Decision]:
        cause, sure = case.cause()
        if cause is not Cause.SECURITY or case.unsure:
            return []  # a fault is nobody's to be answered; the request waits, should the cause become another
        self.recent(now)
        out, left = [], []
        for scene in case.waiting:
            if self.holding.stopping(scene, now) is not None:
                continue
            decision = self._one(case, scene, cause, sure, now)
            if decision.lease is not None:
                self.holding.take(decision.lease)
                case.made += 1
                self.blocks.append(now)
                out.append(decision)
            else:
                left.append(scene)
                if decision.reasons not in case.said and len(case.said) < SAID:
                    case.said.add(decision.reasons)
                    out.append(decision)
        case.waiting = left
        return out

    def _one(self, case: Case, scene: Scene, cause: Cause, sure: float, now: int) -> Decision:
        assert self.site is not None  # noqa: S101  # who calls has looked
        decision = ladder(scene, cause, self.site.policy, self.blocks, now, sure)
        if decision.lease is None:
            return decision
        if case.made >= PER_INCIDENT:
            return Decision(Step.LOG, None, None, (f"{PER_INCIDENT} leases were made for this incident; look at it",))
        first = decision.lease.id
        used = self.taken | set(self.holding.leases)
        name = next(n for n in (first, *(f"{first}-{k}" for k in range(2, len(used) + 3))) if n not in used)
        return replace(decision, lease=replace(decision.lease, id=name))

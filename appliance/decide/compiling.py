"""Policy + learned conversations + time -> generation.

1. Every guarded asset is protected in the services it was learned to serve, those its rules name and those the policy names.
2. A learned conversation enters as far as the policy lets learning bring it in: request by request where the kernel can tell
   them apart, all or nothing where it cannot. What was never answered does not enter.
3. Rules in force at `now` enter as intervals of the service's window.
4. Rules of the same pair and service become one; it is as exact as the least exact of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from appliance.decide.functions import ALL_UNITS, BACNET, FRAMINGS, MODBUS, OFFSETS, merged, patterns_of, sizes_of
from appliance.decide.learned import Ask, Talk, exactness_of, offset_for, patterns_for, sizes_for
from appliance.decide.rules import Allow, Exactness, Generation, Mode, Network, Protected, Service
from appliance.decode.framing import WHOLE
from appliance.errors import RulesError
from appliance.learn.meaning.accepted import talk as said
from appliance.learn.meaning.suspects import LeftOut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network

    from appliance.decide.policy import Guarded, Policy, Rule

LEARNED, REVIEW = "learned", "waits to be confirmed (baseline review)"
NOTHING = LeftOut(frozenset(), frozenset(), frozenset())
MAX_ALLOWED = 100_000
_PREFIXES = ((0x00, 0x05), (0x02, 0x05), (0x02, 0x44), (0x02, 0x75))  # of BACnet clients where none was learned
_ORDER = (Exactness.NONE, Exactness.L4, Exactness.COMMAND, Exactness.FUNCTION)


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of a learned conversation: its rule (None: none), requests that did not enter, and why."""

    talk: Talk
    offset: int
    exactness: Exactness
    note: str
    allow: Allow | None
    left: tuple[Ask, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Compiled:
    """The generation, what became of every learned conversation to a guarded asset, and the window of every service.

    parts   the rules before those of one pair became one, each with the one reason it comes from
    """

    generation: Generation
    entered: tuple[Entered, ...]
    offsets: dict[Service, int]
    parts: tuple[Allow, ...] = ()


def inside(inner: Network, outer: Network) -> bool:
    """Whether a network lies in another, also of another version."""
    return inner.version == outer.version and cast("IPv4Network", inner).subnet_of(cast("IPv4Network", outer))


def compile_policy(
    policy: Policy,
    talks: Sequence[Talk],
    now: int,
    number: int = 1,
    mode: Mode | None = None,
    left_out: LeftOut = NOTHING,
) -> Compiled:
    """Compile.

    talks         learned conversations (`learned.talks_of`), none where there is no baseline
    now           ns since the epoch: which rules are in force
    mode          in place of every asset's own mode: tests ask what would be if all were enforced
    left_out      what waits on the review list for somebody to look at it (`learn.meaning.suspects.left_out`): it never enters

    Raises RulesError where a kernel would choke on it.
    """
    by_service: dict[Service, list[Talk]] = defaultdict(list)
    for talk in talks:
        if talk.service is not None:
            by_service[talk.service].append(talk)
    offsets = _offsets(policy, by_service)
    entered, allowed = [], []
    for service, here in by_service.items():
        for talk in here:
            asset = owner(policy, talk.server)
            if asset is not None:
                one = _enter(talk, asset, offsets[service], here, left_out)
                entered.append(one)
                allowed += [one.allow] if one.allow else []
    allowed += [a for rule in policy.rules if rule.holds(now) for a in _of_rule(rule, offsets[rule.service], talks)]
    if sum(len(a.patterns) for a in allowed) > MAX_ALLOWED:
        raise RulesError(
            f"{policy.name}: more than {MAX_ALLOWED:,} ranges of functions; name units and registers, or fewer functions"
        )
    guards = _guards(policy, talks, mode)
    notes = tuple(f"{r.place}: {r.name}: not in force now" for r in policy.rules if not r.holds(now))
    generation = Generation(number, policy.untouchable, guards, _one_each(allowed), (), policy.bridge, notes)
    return Compiled(generation, tuple(entered), offsets, tuple(allowed))


def owner(policy: Policy, server: Network | None) -> Guarded | None:
    """The asset of the policy a server is, the narrowest where several are."""
    found = [a for a in policy.assets if server is not None and inside(server, a.network)]
    return max(found, key=lambda a: a.network.prefixlen, default=None)


def _offsets(policy: Policy, by_service: dict[Service, list[Talk]]) -> dict[Service, int]:
    """One window per service: what rules say counts before what was learned."""
    said = {r.service: OFFSETS[r.protocol] for r in policy.rules if r.protocol}
    offsets = {service: offset_for(here) for service, here in by_service.items()} | said
    return {r.service: 0 for r in policy.rules} | offsets


def _guards(policy: Policy, talks: Sequence[Talk], mode: Mode | None) -> tuple[Protected, ...]:
    found: dict[tuple[Network, Service], Mode] = {}
    for asset in policy.assets:
        services = set(asset.services)
        services |= {t.service for t in talks if t.service and owner(policy, t.server) == asset and t.answered}
        services |= {
            r.service for r in policy.rules if any(inside(asset.network, s) or inside(s, asset.network) for s in r.servers)
        }
        for service in services:
            found[asset.network, service] = mode or asset.mode
    rows = [Protected(network, service, how) for (network, service), how in found.items() if how is not Mode.OBSERVE]
    return tuple(sorted(rows, key=lambda p: (p.server.version, p.server, p.service)))


def _enter(talk: Talk, asset: Guarded, offset: int, here: Sequence[Talk], waits: LeftOut) -> Entered:
    exactness, note = exactness_of(talk, offset, here)
    where = said(talk.conversation)
    if where in waits.talks or where[0] in waits.clients or not talk.answered:
        return Entered(talk, offset, exactness, note, None, talk.asks, REVIEW if talk.answered else "was never answered")
    admitted = [a for a in talk.asks if asset.admits({str(a.intent)}) and a.match not in waits.matches]
    left = tuple(a for a in talk.asks if a not in admitted)
    why = _why(asset, left, waits)
    if exactness is Exactness.L4 and (left or not talk.asks):
        why = f"{why or 'nothing was asked'}; the kernel cannot tell its requests apart"
        return Entered(talk, offset, exactness, note, None, talk.asks, why)
    pair = talk.pair
    if not admitted or pair is None:
        return Entered(talk, offset, exactness, note, None, left, why)
    if exactness is Exactness.L4:
        return Entered(talk, offset, exactness, note, Allow(*pair, exactness=exactness, reason=LEARNED))
    sizes = sizes_for(replace(talk, asks=tuple(admitted)))
    allow = Allow(*pair, offset, patterns_for(admitted, offset), sizes, exactness, LEARNED, talk.framing)
    return Entered(talk, offset, exactness, note, allow, left, why)


def _why(asset: Guarded, left: Sequence[Ask], waits: LeftOut) -> str:
    kinds = sorted({str(a.intent) for a in left if not asset.admits({str(a.intent)})})
    why = [f"{asset.place}: learned: does not let in {', '.join(kinds)}"] if kinds else []
    return "; ".join(why + ([REVIEW] if any(a.match in waits.matches for a in left) else []))


def _of_rule(rule: Rule, offset: int, talks: Sequence[Talk]) -> list[Allow]:
    out = []
    for client in rule.clients:
        for server in rule.servers:
            if not rule.functions:
                out.append(Allow(client, server, rule.service, exactness=Exactness.L4, reason=rule.place))
                continue
            patterns = merged(patterns_of(rule.functions, _units(rule, server, talks), rule.registers, _prefixes(rule, talks)))
            sizes = tuple(sorted(sizes_of(rule.functions)))
            exact = Exactness.FUNCTION if rule.protocol == MODBUS and sizes else Exactness.COMMAND
            out.append(Allow(client, server, rule.service, offset, patterns, sizes, exact, rule.place, FRAMINGS[rule.protocol]))
    return out


def _units(rule: Rule, server: Network, talks: Sequence[Talk]) -> tuple[int, ...]:
    if rule.units or rule.protocol != MODBUS:
        return rule.units
    mine = [t for t in talks if t.service == rule.service and t.server and inside(t.server, server) and t.protocol == MODBUS]
    return tuple(sorted({a.head[6] for t in mine for a in t.asks if a.closed[6]})) or ALL_UNITS


def _prefixes(rule: Rule, talks: Sequence[Talk]) -> tuple[tuple[int, int], ...]:
    asks = [a for t in talks if t.service == rule.service and t.protocol == BACNET for a in t.asks]
    learned = {(a.head[6], a.head[7]) for a in asks if a.head[5] & 0xA8 == 0 and a.head[6] >> 4 == 0 and all(a.closed[5:8])}
    return tuple(sorted(learned)) or _PREFIXES


def _one_each(allowed: Sequence[Allow]) -> tuple[Allow, ...]:
    """One rule per pair and service."""
    groups: dict[tuple[Network, Network, Service], list[Allow]] = defaultdict(list)
    for a in allowed:
        groups[a.client, a.server, a.service].append(a)
    out = []
    for (client, server, service), rules in groups.items():
        open_to_all = any(not r.patterns for r in rules)
        patterns = () if open_to_all else merged([p for r in rules for p in r.patterns])
        sizes = () if any(not r.sizes for r in rules) else tuple(sorted({s for r in rules for s in r.sizes}))
        exact = min((r.exactness for r in rules), key=_ORDER.index)
        reason = ", ".join(dict.fromkeys(r.reason for r in rules))
        offset = next((r.offset for r in rules if r.patterns), 0) if patterns else 0
        framings = {r.framing for r in rules if r.sizes}
        framing = framings.pop() if len(framings) == 1 else WHOLE
        out.append(Allow(client, server, service, offset, patterns, sizes, exact, reason, framing))
    return tuple(sorted(out, key=lambda a: (a.client.version, a.client, a.server.version, a.server, a.service)))

"""What a policy would do before it does it: learned requests that would be cut, what changes, tests, and why.

All of it asks `judge`, so that nothing is promised that the rules do not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from appliance.decide.compiling import NOTHING, Compiled, Entered, compile_policy, inside
from appliance.decide.functions import MODBUS, Function, covers, example, function_of
from appliance.decide.judge import Outcome, Verdict, judge, matches
from appliance.decide.learned import Ask
from appliance.decide.policy import Expectation
from appliance.decide.rules import Allow, Exactness, Generation, Mode, Network, Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.decide.learned import Talk
    from appliance.decide.policy import Policy
    from appliance.learn.meaning.suspects import LeftOut

Host = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Row:
    """One learned conversation to a guarded asset under the new rules.

    mode    of its server's guard; OBSERVE where nothing guards it
    cut     requests that the rules do not allow, of how many kinds; why
    """

    entered: Entered
    mode: Mode
    cut: tuple[Ask, ...]
    why: str

    @property
    def cuts_all(self) -> bool:
        """Whether nothing of the conversation is allowed."""
        return bool(self.cut) and len(self.cut) == len(self.entered.talk.asks)


@dataclass(frozen=True, slots=True)
class Planned:
    """Rows in the order of conversations, and rules that come and go against what is in force."""

    rows: tuple[Row, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def cut(self) -> tuple[Row, ...]:
        """Conversations of which something would be cut (or is counted, in shadow)."""
        return tuple(r for r in self.rows if r.cut)


def plan(compiled: Compiled, current: Generation | None = None) -> Planned:
    """What would be; `current` is what is in force now, if anything."""
    rows = tuple(_row(compiled, e) for e in compiled.entered)
    new, old = _lines(compiled.generation), _lines(current) if current else {}
    added = tuple(line for key, line in new.items() if old.get(key) != line)
    removed = tuple(line for key, line in old.items() if new.get(key) != line)
    return Planned(rows, added, removed)


def _row(c: Compiled, e: Entered) -> Row:
    talk, pair = e.talk, e.talk.pair
    guards = [p for p in c.generation.protected if pair and p.service == pair[2] and inside(pair[1], p.server)]
    if pair is None or not guards:
        return Row(e, Mode.OBSERVE, (), "")
    mode = Mode.ENFORCE if any(p.mode is Mode.ENFORCE for p in guards) else Mode.SHADOW
    if any(inside(pair[0], n) or inside(pair[1], n) for n in c.generation.never):
        return Row(e, mode, (), "")
    rules = [a for a in c.generation.allowed if _about(a, pair)]
    cut = tuple(a for a in talk.asks if not any(_admits(rule, a) for rule in rules))
    return Row(e, mode, cut, e.why if cut else "")


def _about(rule: Allow, pair: tuple[Network, Network, Service]) -> bool:
    return rule.service == pair[2] and inside(pair[0], rule.client) and inside(pair[1], rule.server)


def _admits(rule: Allow, ask: Ask) -> bool:
    """Whether every request of a learned kind is allowed by a rule of its pair."""
    if rule.sizes and (not ask.size or ask.size not in rule.sizes):
        return False
    if not rule.patterns:
        return True
    wanted = ask.window(rule.offset)
    return wanted is not None and covers(rule.patterns, wanted)


def _lines(g: Generation) -> dict[tuple[str, ...], str]:
    """A generation as one line per entry, by what the entry is about."""
    lines: dict[tuple[str, ...], str] = {("never", str(n)): f"never refused: {n}" for n in g.never}
    lines |= {("guard", str(p.server), str(p.service)): f"{p.mode}: {p.server} {p.service}" for p in g.protected}
    for a in g.allowed:
        what = f"{len(a.patterns)} ranges of functions" if a.patterns else "all it says"
        if a.patterns:
            what += f", {sum(p.last - p.first + 1 for p in a.patterns):,} values"
        text = f"allow: {a.client} -> {a.server} {a.service}, {what} ({a.exactness}; {a.reason})"
        lines["allow", str(a.client), str(a.server), str(a.service)] = text
    return lines


@dataclass(frozen=True, slots=True)
class Tested:
    """A test of the policy and what came out, by which rule."""

    expectation: Expectation
    verdict: Verdict
    allowed: bool
    rule: Allow | None

    @property
    def passed(self) -> bool:
        """Whether it is as expected."""
        return self.allowed == self.expectation.allow


def run_tests(policy: Policy, talks: Sequence[Talk], now: int, waits: LeftOut = NOTHING) -> list[Tested]:
    """Every test of the policy, with all assets enforced: tests are about rules, modes come later."""
    compiled: dict[int, Compiled] = {}
    out = []
    for e in policy.tests:
        at = now if e.at is None else e.at
        if at not in compiled:
            compiled[at] = compile_policy(policy, talks, at, mode=Mode.ENFORCE, left_out=waits)
        payload = request(e.function, e.unit, e.register, talks, e.service)
        pair = (e.client.network_address, e.server.network_address, e.service)
        verdict = judge(compiled[at].generation, *pair, payload, at)
        allowed = verdict.outcome in (Outcome.ALLOWED, Outcome.NEVER)
        out.append(Tested(e, verdict, allowed, _part(compiled[at], verdict, *pair, payload)))
    return out


def _part(c: Compiled, verdict: Verdict, client: Host, server: Host, service: Service, payload: bytes) -> Allow | None:
    """The one rule that allows a request, out of those that became one for the kernel."""
    if verdict.rule is None:
        return None
    return next((a for a in c.parts if not _missing(a, client, server, service, payload)), verdict.rule)


def request(function: Function | None, unit: int, register: int, talks: Sequence[Talk], service: Service) -> bytes:
    """A request as the plant would see it: with the first bytes that its clients use, where they were learned."""
    if function is None:
        return b""
    for talk in talks:
        if talk.service == service and talk.protocol == function.protocol:
            for ask in talk.asks:
                if function.protocol != MODBUS and function_of(talk.protocol, ask.head) == function and ask.size:
                    return ask.head[: ask.size].ljust(ask.size, b"\0")
    prefixes = [(a.head[6], a.head[7]) for t in talks if t.service == service for a in t.asks if a.head[6] >> 4 == 0]
    return example(function, unit, register, prefixes[0]) if prefixes else example(function, unit, register)


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a request is allowed or not: the verdict and its rule, the learned kind of request it is, and the nearest rule.

    exactness   of that rule, or of what was learned between the two; None where nothing was
    nearest, missing   where no rule allows it: the rule that comes nearest, and what it differs in
    """

    verdict: Verdict
    rule: Allow | None
    exactness: Exactness | None
    template: str
    nearest: Allow | None
    missing: tuple[str, ...]


def explain(compiled: Compiled, talks: Sequence[Talk], client: Host, server: Host, service: Service, payload: bytes) -> Explained:
    """Explain one request; see `Explained`."""
    g = compiled.generation
    verdict = judge(g, client, server, service, payload)
    mine = [t for t in talks if t.pair and t.service == service and client in t.pair[0] and server in t.pair[1]]
    offset = compiled.offsets.get(service, 0)
    template = next((a.function for t in mine for a in t.asks if payload and _is(a, payload, offset)), "")
    exact = verdict.rule.exactness if verdict.rule else next((e.exactness for e in compiled.entered if e.talk in mine), None)
    rule = _part(compiled, verdict, client, server, service, payload)
    ranked = sorted(((_missing(a, client, server, service, payload), a) for a in compiled.parts), key=lambda row: _weight(row[0]))
    if verdict.rule or not ranked or len(ranked[0][0]) > 2:
        return Explained(verdict, rule, exact, template, None, ())
    return Explained(verdict, rule, exact, template, ranked[0][1], ranked[0][0])


def _is(ask: Ask, payload: bytes, offset: int) -> bool:
    wanted = ask.window(offset)
    part = payload[offset : offset + 4]
    value = int.from_bytes(part, "big") if len(part) == 4 else -1
    return wanted is not None and any(p.first <= value <= p.last for p in wanted)


def _missing(rule: Allow, client: Host, server: Host, service: Service, payload: bytes) -> tuple[str, ...]:
    """What stands between a request and a rule."""
    found = []
    if rule.service != service:
        found.append(f"service {service} (it is for {rule.service})")
    if server not in rule.server:
        found.append(f"server {server} (it is for {rule.server})")
    if client not in rule.client:
        found.append(f"client {client} (it is for {rule.client})")
    if not matches(rule, payload):
        found.append("function (it is for others)")
    return tuple(found)


def _weight(missing: tuple[str, ...]) -> tuple[int, int]:
    """Fewer differences are nearer; of one, a function is nearer than a client, a client nearer than a server or a service."""
    order = ("function", "client", "server", "service")
    return len(missing), sum(order.index(m.split()[0]) for m in missing)

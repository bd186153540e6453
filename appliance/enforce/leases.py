"""Leases in a table of their own, before the policy's: a step is one element with a timeout, and the kernel keeps the time.

The table is laid out anew with every generation (with the leases still in force, in the same transaction) and for the first
lease that looks at a place of its own; every other lease is an element added or deleted. What is never refused leads past all
of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.decide.policy import SECOND
from appliance.decide.rules import Step
from appliance.enforce.changes import Change, Elements, Tables
from appliance.enforce.table import MATCH_BITS, elements, family, ip, look_of, never_rules, never_sets
from appliance.enforce.table import TABLE as POLICY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.decide.rules import Allow, Generation, Lease, Service

TABLE = "sekisho_leases"
SIZE = 4096  # leases of a kind
FARTHEST = 60  # byte of a payload at which the kernel looks at the latest
LONGEST = 30 * 86_400  # seconds; the kernel would take more, a lease must not


def leases_table(g: Generation, now: int) -> str:
    """Text that replaces the whole table in one transaction, with the leases of the generation that are in force at `now`."""
    f = family(g)
    windows = windows_of(g)
    body = never_sets(g.never, "")
    held = [element for lease in g.leases for element in lease_elements(lease, now)]
    for v in (4, 6):
        pair = f"typeof {ip(v)} saddr . {ip(v)} daddr"
        kinds = {f"pairs{v}": pair, f"isolated{v}": f"typeof {ip(v)} saddr"}
        for name, kind in kinds.items():
            body.append(f"set {name} {{ {kind}; flags interval,timeout; size {SIZE};{_of(held, name)} }}")
        for service, offset in windows:
            name, key = _said(service, offset, v), f"{pair} . th dport . @ih,{offset * 8},{MATCH_BITS}"
            body.append(f"set {name} {{ {key}; flags interval,timeout; size {SIZE};{_of(held, name)} }}")
    body += ["counter refused { }", *_chains(g, windows)]
    return "\n".join([f"add table {f} {TABLE}", f"delete table {f} {TABLE}", f"table {f} {TABLE} {{", *body, "}", ""])


def forget(bridge: bool) -> str:
    """Text that removes this table and the policy's: nothing is refused any more."""
    f = "bridge" if bridge else "inet"
    return "".join(f"add table {f} {name}\ndelete table {f} {name}\n" for name in (TABLE, POLICY))


def add_lease(g: Generation, lease: Lease, now: int) -> Change:
    """What puts one more lease in force, beside those of the generation."""
    grown = replace(g, leases=(*g.leases, lease))
    if windows_of(grown) != windows_of(g):
        return Tables(leases_table(grown, now))
    return Elements(_commands("add", g, lease_elements(lease, now)))


def end_lease(g: Generation, lease: Lease) -> Elements:
    """What ends a lease before its time; ending one that is over already is no mistake."""
    parts = [(name, key) for name, key, _ in lease_elements(lease, lease.until - SECOND)]
    f = family(g)
    added = "".join(f"add element {f} {TABLE} {name} {{ {key} timeout 1s }}\n" for name, key in parts)
    return Elements(added + "".join(f"delete element {f} {TABLE} {name} {{ {key} }}\n" for name, key in parts))


def renew_lease(g: Generation, longer: Lease, now: int) -> Elements:
    """What lets a lease in force end later, in one transaction: what it stops is stopped all the time."""
    return Elements(end_lease(g, longer).text + _commands("add", g, lease_elements(longer, now)))


def windows_of(g: Generation) -> list[tuple[Service, int]]:
    """Services and the bytes of their payloads at which leases may look: those of the rules, and of the leases themselves."""
    rules: dict[Service, list[Allow]] = defaultdict(list)
    for a in g.allowed:
        rules[a.service].append(a)
    places = {(service, look_of(allowed).offset) for service, allowed in rules.items()}
    places |= {(x.service, x.offset) for x in g.leases if x.service is not None and x.pattern is not None}
    return sorted((service, offset) for service, offset in places if offset is not None)


def lease_elements(lease: Lease, now: int) -> list[tuple[str, str, int]]:
    """(set, key, seconds) of a lease that is in force at `now`: nothing for one that only logs or is over."""
    seconds = min(LONGEST, -(-(lease.until - now) // SECOND))
    if seconds <= 0 or lease.step is Step.LOG:
        return []
    v = lease.source.version
    if lease.step is Step.ISOLATE:
        return [(f"isolated{v}", str(lease.source), seconds)]
    if lease.target is None or lease.target.version != v:
        return []
    pair = f"{lease.source} . {lease.target}"
    if lease.step is Step.PAIR:
        return [(f"pairs{v}", pair, seconds), (f"pairs{v}", f"{lease.target} . {lease.source}", seconds)]
    if lease.service is None or lease.pattern is None or lease.offset > FARTHEST:
        return []
    what = f"{lease.service.port} . {lease.pattern.first:#010x}-{lease.pattern.last:#010x}"
    return [(_said(lease.service, lease.offset, v), f"{pair} . {what}", seconds)]


def _said(service: Service, offset: int, version: int) -> str:
    return f"said_{service.transport}_{service.port}_{offset}_{version}"


def _of(held: list[tuple[str, str, int]], name: str) -> str:
    return elements(f"{key} timeout {seconds}s" for where, key, seconds in held if where == name)


def _commands(verb: str, g: Generation, parts: list[tuple[str, str, int]]) -> str:
    return "".join(f"{verb} element {family(g)} {TABLE} {name} {{ {key} timeout {seconds}s }}\n" for name, key, seconds in parts)


def _chains(g: Generation, windows: Sequence[tuple[Service, int]]) -> list[str]:
    reset = [] if g.bridge else ["meta l4proto tcp counter name refused reject with tcp reset"]
    lines = ["chain refuse {", *reset, "counter name refused drop", "}"]
    lines += ["chain leases {", "type filter hook forward priority filter - 5; policy accept;", *never_rules("")]
    for v in (4, 6):
        lines += [f"{ip(v)} {side} @isolated{v} goto refuse" for side in ("saddr", "daddr")]
        lines.append(f"{ip(v)} saddr . {ip(v)} daddr @pairs{v} goto refuse")
        for service, offset in windows:
            key = f"{ip(v)} saddr . {ip(v)} daddr . th dport . @ih,{offset * 8},{MATCH_BITS}"
            lines.append(f"meta l4proto {service.transport} {key} @{_said(service, offset, v)} goto refuse")
    return [*lines, "}"]

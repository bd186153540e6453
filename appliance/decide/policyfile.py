"""Policies as people write them (`rules/*.yaml`) -> `policy.Policy`. Every error names file, line, what is wrong and the fix.

What a plain scalar means depends on who reads it (`no`, `0502`, `1:30`, `1_000`): such values are refused unless quoted, besides
what `documents` refuses (keys twice, references, tags, depth, size).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo
from ipaddress import ip_network
from typing import TYPE_CHECKING

from appliance.decide.ambiguity import refuse_ambiguous
from appliance.decide.functions import CLASSES, MODBUS, OFFSETS, is_visible, named
from appliance.decide.policy import ALL, SECOND, WATCHING, Expectation, Guarded, Limits, Policy, Rule
from appliance.decide.records import service_from
from appliance.decide.rules import Mode, Network, Service, Step
from appliance.documents import Value, read_document
from appliance.explain.planfile import read_moment, read_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.decide.functions import Function

MAX_NAMES, MAX_RULES, MAX_PARTIES, MAX_TESTS, MAX_PAIRS = 4096, 1000, 256, 4096, 20_000
WIDEST = {4: 8, 6: 16}  # prefix lengths below which a network is everybody
LONGEST_LEASE = 86_400 * SECOND
LEARNED = tuple(sorted({str(i) for i in CLASSES.values()}))
MODES, STEPS = tuple(map(str, Mode)), tuple(map(str, Step))
_NAME = re.compile(r"[A-Za-z][\w.-]{0,63}")
_SPAN = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_TIME = re.compile(r"(\d{1,4})(s|m|h)")
_UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_TOP = (
    ("version", "name"),
    (*("time-zone", "topology", "mode", "learned", "zones", "assets", "management", "never-block", "rules", "limits", "tests"),),
)
Zones = Callable[[str], tzinfo]  # a time zone by its name; KeyError, ValueError or OSError where there is none
Places = dict[str, tuple[Network, ...]]


def parse_policy(name: str, data: bytes, zones: Zones) -> Policy:
    """One policy. Raises DocumentError that names file, line and fix."""
    document = read_document(name, data)
    refuse_ambiguous(name, data)
    top = document.fields(*_TOP)
    top["version"].whole(1, 1)
    zone = _zone(top, zones)
    places = _zones(top)
    assets = _assets(top, places)
    management, never = (_parties(top[k], places) if k in top else () for k in ("management", "never-block"))
    _check_reach(top, assets, management, never)
    rules = tuple(_rule(v, places, zone) for v in _items(top, "rules", MAX_RULES))
    if sum(len(r.clients) * len(r.servers) for r in rules) > MAX_PAIRS:
        raise top["rules"].wrong(f"name more than {MAX_PAIRS:,} pairs together; name networks instead of single addresses")
    _check_protocols(rules, top)
    tests = tuple(_test(v, places, rules, zone) for v in _items(top, "tests", MAX_TESTS))
    bridge = "topology" in top and top["topology"].choice(("router", "bridge")) == "bridge"
    return Policy(top["name"].text(), assets, rules, never, management, _limits(top), tests, bridge)


def _items(top: Mapping[str, Value], key: str, most: int) -> list[Value]:
    return top[key].items(most, 0) if key in top else []


def _zone(top: Mapping[str, Value], zones: Zones) -> tzinfo:
    name = top["time-zone"].text() if "time-zone" in top else "UTC"
    try:
        return zones(name)
    except (KeyError, ValueError, OSError) as error:
        raise top["time-zone"].wrong(f"{name!r} is no time zone; write one like Asia/Tokyo, Europe/Berlin or UTC") from error


def _zones(top: Mapping[str, Value]) -> Places:
    places: Places = {}
    found = top["zones"].mapping() if "zones" in top else {}
    _few(top, "zones", found)
    for name, value in found.items():
        _name(name, value)
        places[name] = _parties(value, {})
    return places


def _few(top: Mapping[str, Value], key: str, found: Mapping[str, Value]) -> None:
    if len(found) > MAX_NAMES:
        raise top[key].wrong(f"has {len(found)} entries; write at most {MAX_NAMES}")


def _name(name: str, value: Value) -> None:
    if not _NAME.fullmatch(name):
        raise value.wrong("a name is letters, digits, dots and dashes, and begins with a letter; rename it")


def _assets(top: Mapping[str, Value], places: Places) -> tuple[Guarded, ...]:
    """Assets; each becomes a place of its own."""
    mode = Mode(top["mode"].choice(MODES)) if "mode" in top else Mode.OBSERVE
    learned = _learned(top["learned"]) if "learned" in top else WATCHING
    found = top["assets"].mapping() if "assets" in top else {}
    _few(top, "assets", found)
    out: list[Guarded] = []
    for name, value in found.items():
        _name(name, value)
        if name in places:
            raise value.wrong("there is a zone of this name; rename one of them")
        fields = value.fields(("address",), ("mode", "learned", "services"))
        network = _network(fields["address"])
        twin = next((a.name for a in out if a.network == network), "")
        if twin:
            raise fields["address"].wrong(f"{network} is {twin!r} already; keep one of them")
        own = Mode(fields["mode"].choice(MODES)) if "mode" in fields else mode
        brings = _learned(fields["learned"]) if "learned" in fields else learned
        services = tuple(_service(v) for v in fields["services"].items(64)) if "services" in fields else ()
        out.append(Guarded(name, _place(value), network, own, brings, services))
        places[name] = (network,)
    return tuple(out)


def _learned(value: Value) -> tuple[str, ...]:
    if isinstance(value.content, str):
        return (ALL,) if value.choice((ALL, "none")) == ALL else ()
    return tuple(v.choice(LEARNED) for v in value.items(len(LEARNED)))


def _check_reach(
    top: Mapping[str, Value], assets: tuple[Guarded, ...], management: tuple[Network, ...], never: tuple[Network, ...]
) -> None:
    for asset in assets:
        if asset.mode is Mode.OBSERVE:
            continue
        at = top["assets"].mapping()[asset.name]
        if not management:
            raise at.wrong(f"mode {asset.mode} needs management:, the addresses this appliance is reached from; add them")
        both = next((n for n in (*management, *never) if n.version == asset.network.version and n.overlaps(asset.network)), None)
        if both is not None:
            raise at.wrong(f"mode {asset.mode}, but {both} is never blocked; take one of them out, or write mode: observe")


def _rule(value: Value, places: Places, zone: tzinfo) -> Rule:
    optional = ("protocol", "functions", "units", "registers", "when", "until", "why")
    fields = value.fields(("name", "from", "to", "service"), optional)
    protocol = fields["protocol"].choice(tuple(OFFSETS)) if "protocol" in fields else ""
    for key in ("units", "registers"):
        if key in fields and protocol != MODBUS:
            raise fields[key].wrong("is known for protocol: modbus only; leave it out")
    if ("functions" in fields) != bool(protocol):
        raise value.wrong("functions: and protocol: go together; write both, or neither for all that the service says")
    if "until" in fields and "why" not in fields:
        raise fields["until"].wrong("an exception says what it is for; add why:")
    functions = _functions(fields["functions"], protocol) if "functions" in fields else ()
    units = tuple(v.whole(0, 255) for v in fields["units"].items(256)) if "units" in fields else ()
    registers = tuple(_span(v) for v in fields["registers"].items(256)) if "registers" in fields else ()
    return Rule(
        name=fields["name"].text(80),
        place=_place(value),
        clients=_parties(fields["from"], places),
        servers=_parties(fields["to"], places),
        service=_service(fields["service"]),
        protocol=protocol,
        functions=functions,
        units=tuple(dict.fromkeys(units)),
        registers=registers,
        when=tuple(read_window(v, zone) for v in fields["when"].items(64)) if "when" in fields else (),
        until=_moment(fields["until"], zone) if "until" in fields else None,
        why=fields["why"].text() if "why" in fields else "",
    )


def _check_protocols(rules: tuple[Rule, ...], top: Mapping[str, Value]) -> None:
    """The kernel looks at one place per service, so a service has one protocol."""
    first: dict[Service, Rule] = {}
    for i, rule in enumerate(rules):
        if rule.protocol and first.setdefault(rule.service, rule).protocol != rule.protocol:
            other = first[rule.service]
            raise _items(top, "rules", MAX_RULES)[i].wrong(
                f"{rule.service} is {other.protocol} in {other.place}; a service has one protocol, correct one of them"
            )


def _functions(value: Value, protocol: str) -> tuple[Function, ...]:
    found: list[Function] = []
    for one in value.items(64):
        functions = _named(one, protocol)
        if not any(is_visible(f) for f in functions):
            raise one.wrong(
                f"requests of {functions[0].name!r} end before what the kernel compares; leave functions: out, or do without it"
            )
        found += [f for f in functions if is_visible(f)]
    return tuple(dict.fromkeys(found))


def _named(value: Value, protocol: str) -> tuple[Function, ...]:
    try:
        return named(protocol, value.text(80))
    except ValueError as error:
        raise value.wrong(str(error)) from error


def _span(value: Value) -> tuple[int, int]:
    found = _SPAN.fullmatch(value.text())
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= 0xFFFF:
        raise value.wrong(f"{value.text()!r} is no register or range of them; write it like 40 or 40-49, counted from 0")
    return first, last


def _parties(value: Value, places: Places) -> tuple[Network, ...]:
    items = [value] if isinstance(value.content, str) else value.items(MAX_PARTIES)
    found: list[Network] = []
    for item in items:
        found += places.get(item.text()) or (_network(item, places),)
    return tuple(dict.fromkeys(found))


def _network(value: Value, places: Places | None = None) -> Network:
    text = value.text()
    try:
        network = ip_network(text)
    except ValueError as error:
        hint = f", or a name ({', '.join(sorted(places)[:6])})" if places else ""
        strict = "; host bits are set" if "host bits" in str(error) else ""
        raise value.wrong(f"{text!r} is no address or network{strict}; write it like 10.0.0.5 or 10.0.0.0/24{hint}") from error
    if network.prefixlen < WIDEST[network.version]:
        raise value.wrong(f"{network} is nearly everybody; name a network of /{WIDEST[network.version]} or smaller")
    return network


def _service(value: Value) -> Service:
    try:
        return service_from(value.text())
    except ValueError as error:
        raise value.wrong(str(error)) from error


def _moment(value: Value, zone: tzinfo) -> int:
    """Ns since the epoch."""
    return round(read_moment(value, zone).timestamp()) * SECOND


def _limits(top: Mapping[str, Value]) -> Limits:
    fields = top["limits"].fields((), ("steps", "blocks-per-hour", "longest-lease")) if "limits" in top else {}
    default = Limits()
    steps = tuple(Step(v.choice(STEPS)) for v in fields["steps"].items(len(Step))) if "steps" in fields else default.steps
    blocks = fields["blocks-per-hour"].whole(0, 1000) if "blocks-per-hour" in fields else default.blocks_per_hour
    lease = default.longest_lease
    if "longest-lease" in fields:
        found = _TIME.fullmatch(fields["longest-lease"].text())
        lease = int(found[1]) * _UNITS[found[2]] if found else 0
        if not 0 < lease <= LONGEST_LEASE:
            raise fields["longest-lease"].wrong("is no time from 1s to 24h; write it like 30s, 10m or 1h")
    return Limits(tuple(dict.fromkeys(steps)), blocks, lease)


def _test(value: Value, places: Places, rules: tuple[Rule, ...], zone: tzinfo) -> Expectation:
    fields = value.fields(("from", "to", "service", "expect"), ("function", "protocol", "unit", "register", "at"))
    client, server = _parties(fields["from"], places), _parties(fields["to"], places)
    for key, parties in (("from", client), ("to", server)):
        if len(parties) != 1 or parties[0].prefixlen != parties[0].max_prefixlen:
            raise fields[key].wrong("a test names one address; write one")
    service = _service(fields["service"])
    protocol = next((r.protocol for r in rules if r.service == service and r.protocol), "")
    protocol = fields["protocol"].choice(tuple(OFFSETS)) if "protocol" in fields else protocol
    function = None
    if "function" in fields:
        if not protocol:
            raise fields["function"].wrong("no rule says which protocol this service speaks; add protocol:")
        function = _named(fields["function"], protocol)[0]
    unit = fields["unit"].whole(0, 255) if "unit" in fields else 1
    register = fields["register"].whole(0, 0xFFFF) if "register" in fields else 0
    at = _moment(fields["at"], zone) if "at" in fields else None
    allow = fields["expect"].choice(("allow", "refuse")) == "allow"
    text = " ".join(fields[k].text() for k in ("from", "to", "service", "function") if k in fields)
    return Expectation(_place(value), client[0], server[0], service, function, unit, register, allow, at, text)


def _place(value: Value) -> str:
    return f"{value.name}:{value.line}"

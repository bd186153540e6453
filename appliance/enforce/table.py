"""The policy as an nftables table: one lookup finds the protected service, sets hold what is allowed, nothing is a rule per flow.

    forward -> on trial? -> g<N> -> never refused? -> the service's chain -> allowed, or refused / counted

Facts this rests on, measured on nftables 1.0.6 (see docs/enforcement.md): sets over `@ih` need `typeof` and text; one `@ih` per
key; `@ih,0,8 >= 0` is true only where there is a payload, so handshakes and acknowledgements pass; a whole replacement is
one transaction. A generation on trial stands beside the confirmed one and is reached through an element with a timeout: when
nobody confirms it, the kernel itself goes back, with no process alive.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.decide.rules import Generation, Mode
from appliance.decode.framing import Framing
from appliance.enforce.joined import field_of, joined_rules, joined_sets, segment_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appliance.decide.rules import Allow, Network, Protected, Service

TABLE = "sekisho"
MATCH_BITS = 32  # of the patterns
UDP_HEADER = 8
MAX_SIZES = 512  # payload lengths of a service that are required; with more the size says little and is not checked
WOULD_SIZE, WOULD_TIMEOUT = 4096, "1d"
ASKED, CUT = "asked", "cut"  # what shadow counts of each service of an asset: requests, and what would have been refused
# What the kernel does not look into: a tag inside a tag and labels (bridges see them), IP in IP, GRE, ESP, AH, MPLS in IP.
OPAQUE_KINDS, OPAQUE_PROTOCOLS = "{ 8021q, 8021ad, 0x8847, 0x8848 }", "{ 4, 41, 47, 50, 51, 137 }"
FRAGMENT = {4: "ip frag-off & 0x3fff != 0", 6: "exthdr frag exists"}


@dataclass(frozen=True, slots=True)
class Trial:
    """A generation that is followed for `seconds` and then no more, unless it is confirmed."""

    generation: Generation
    seconds: int


def family(g: Generation) -> str:
    """The family of the table: a bridge sees frames, a router packets."""
    return "bridge" if g.bridge else "inet"


def policy_table(confirmed: Generation, trial: Trial | None = None) -> str:
    """Text that replaces the whole table in one transaction."""
    f = family(confirmed)
    generations = [confirmed, *([trial.generation] if trial else [])]
    body: list[str] = []
    for g in generations:
        body += _objects(g)
    body += _trial_set(trial)
    for g in generations:
        body += _chains(g)
    body += _entry(confirmed, trial)
    return "\n".join([f"add table {f} {TABLE}", f"delete table {f} {TABLE}", f"table {f} {TABLE} {{", *body, "}", ""])


def _entry(confirmed: Generation, trial: Trial | None) -> list[str]:
    lines = ["chain forward {", "type filter hook forward priority filter; policy accept;"]
    lines += [f"meta protocol @trial goto g{trial.generation.number}"] if trial else []
    return [*lines, f"jump g{confirmed.number}", "}"]


def _trial_set(trial: Trial | None) -> list[str]:
    """The element whose end is the way back."""
    if trial is None:
        return []
    keys = ", ".join(f"{name} timeout {trial.seconds}s" for name in ("ip", "ip6"))
    return ["set trial { typeof meta protocol; flags timeout; elements = { " + keys + " } }"]


def _of(networks: Iterable[Network], version: int) -> list[str]:
    """Networks of one version as text, those inside others left out (interval sets refuse overlaps)."""
    mine = sorted({n for n in networks if n.version == version}, key=lambda n: (int(n.network_address), n.prefixlen))
    kept: list[Network] = []
    for n in mine:
        if not kept or not (kept[-1].network_address <= n.network_address and n.broadcast_address <= kept[-1].broadcast_address):  # type: ignore[operator]
            kept.append(n)
    return [str(n) for n in kept]


def ip(version: int) -> str:
    """The word of nftables for a version."""
    return "ip" if version == 4 else "ip6"


def elements(values: Iterable[str]) -> str:
    """The elements part of a set, empty for none (duplicates left out, in order)."""
    text = ", ".join(dict.fromkeys(values))
    return f" elements = {{ {text} }}" if text else ""


def never_sets(never: tuple[Network, ...], prefix: str) -> list[str]:
    """Sets of what is never refused, for both versions."""
    kind = {4: "ipv4_addr", 6: "ipv6_addr"}
    return [f"set {prefix}never{v} {{ type {kind[v]}; flags interval;{elements(_of(never, v))} }}" for v in (4, 6)]


def never_rules(prefix: str) -> list[str]:
    """What leads past everything else."""
    return [f"{ip(v)} {side} @{prefix}never{v} accept" for v in (4, 6) for side in ("saddr", "daddr")]


def _by_service(g: Generation) -> dict[tuple[Service, Mode], list[Protected]]:
    """Protected servers by service and mode; what is only observed is not in the kernel."""
    out: dict[tuple[Service, Mode], list[Protected]] = defaultdict(list)
    for p in g.protected:
        if p.mode is not Mode.OBSERVE:
            out[p.service, p.mode].append(p)
    return dict(sorted(out.items(), key=lambda item: (item[0][0], item[0][1])))


def _name(g: Generation, service: Service) -> str:
    return f"g{g.number}_{service.transport}_{service.port}"


def _allowed(g: Generation, service: Service) -> list[Allow]:
    return [a for a in g.allowed if a.service == service]


@dataclass(frozen=True, slots=True)
class Look:
    """Where the kernel looks into the messages of a service.

    offset   byte of the payload at which the 32 bits begin; None where nothing is compared
    framing  the length field of its messages, None where there is none
    sized    whether one whole message per segment is required, of one of these sizes (bytes)
    """

    offset: int | None
    framing: Framing | None
    sized: bool
    sizes: tuple[int, ...]

    @property
    def window(self) -> str:
        """The place as nftables says it."""
        return f"@ih,{(self.offset or 0) * 8},{MATCH_BITS}"


def look_of(allowed: Sequence[Allow]) -> Look:
    """The place of one service's rules: it is the same for all of them."""
    said = [a for a in allowed if a.patterns]
    sized = bool(said) and all(a.sizes for a in said) and len({s for a in said for s in a.sizes}) <= MAX_SIZES
    framing = next((a.framing for a in allowed if a.framing.width), None)
    return Look(said[0].offset if said else None, framing, sized, tuple(sorted({s for a in allowed for s in a.sizes})))


def _objects(g: Generation) -> list[str]:
    """Counters, sets and maps of a generation."""
    lines = never_sets(g.never, f"g{g.number}_")
    lines += [f"counter g{g.number}_{name} {{ }}" for name in ("refused", "fragments", "opaque")]
    for v in (4, 6):
        lines.append(
            f"set g{g.number}_would{v} {{ typeof {ip(v)} saddr . {ip(v)} daddr . th dport; flags dynamic,timeout;"
            f" size {WOULD_SIZE}; timeout {WOULD_TIMEOUT}; }}"
        )
        lines += _shadow_sets(g, v)
    for service in dict.fromkeys(s for s, _ in _by_service(g)):
        lines += _service_sets(g, service)
    for v in (4, 6):
        servers = [
            f"{p.server} . {service.transport} . {service.port} : goto {_name(g, service)}_{mode.value}{v}"
            for (service, mode), protected in _by_service(g).items()
            for p in protected
            if p.server.version == v
        ]
        lines.append(
            f"map g{g.number}_protected{v} {{ typeof {ip(v)} daddr . meta l4proto . th dport : verdict; flags interval;"
            f"{elements(servers)} }}"
        )
    return lines


def _shadow_sets(g: Generation, v: int) -> list[str]:
    """Services of assets in shadow: the kernel counts at their elements as it looks them up."""
    mine = (p for p in g.protected if p.mode is Mode.SHADOW and p.server.version == v)
    held = elements(f"{p.server} . {p.service.transport} . {p.service.port}" for p in mine)
    return [
        f"set {shadow_set(g.number, what, v)} {{ typeof {_asset(v)}; flags interval; counter;{held} }}" for what in (ASKED, CUT)
    ]


def shadow_set(number: int, what: str, version: int) -> str:
    """The set whose elements count what shadow has seen (ASKED, CUT) under a generation."""
    return f"g{number}_{what}{version}"


def _asset(version: int) -> str:
    return f"{ip(version)} daddr . meta l4proto . th dport"


def _service_sets(g: Generation, service: Service) -> list[str]:
    """Who may reach a service at all, who may say anything, what the others may say and in which sizes."""
    name, allowed = _name(g, service), _allowed(g, service)
    look = look_of(allowed)
    lines: list[str] = []
    for v in (4, 6):
        mine = [a for a in allowed if a.client.version == v == a.server.version]
        pair = f"typeof {ip(v)} saddr . {ip(v)} daddr"
        reach = (f"{a.client} . {a.server}" for a in mine)
        free = (f"{a.client} . {a.server}" for a in mine if not a.patterns)
        said = (f"{a.client} . {a.server} . {p.first:#010x}-{p.last:#010x}" for a in mine for p in a.patterns)
        lines.append(f"set {name}_reach{v} {{ {pair}; flags interval;{elements(reach)} }}")
        lines.append(f"set {name}_free{v} {{ {pair}; flags interval;{elements(free)} }}")
        lines.append(f"set {name}_said{v} {{ {pair} . {look.window}; flags interval;{elements(said)} }}")
        if look.sized:
            lines += joined_sets(name, v, look.sizes) if joined_rules(name, v, service, look.sizes, 0, look.framing) else []
            tuples = (t for size in look.sizes for t in _sizes(v, service, size, look.framing))
            lines.append(f"set {name}_sizes{v} {{ typeof {size_key(v, service, look.framing)};{elements(tuples)} }}")
    return lines


def size_key(version: int, service: Service, framing: Framing | None) -> str:
    """What tells the payload's length: of the packet and its headers; with the number of the message's own length field."""
    length = {4: "ip length", 6: "ip6 length"}[version]
    key = "udp length" if service.transport == "udp" else f"{length} . tcp doff"
    return key + (f" . @ih,{framing.offset * 8},{framing.width * 8}" if framing is not None else "")


def _sizes(version: int, service: Service, size: int, framing: Framing | None) -> list[str]:
    field = ""
    if framing is not None:
        number = field_of(framing, size)
        if number is None:
            return []
        field = f" . {number:#x}"
    if service.transport == "udp":
        return [f"{size + UDP_HEADER}{field}"]
    return [f"{segment}{field}" for segment in segment_sizes(version, size)]


def _chains(g: Generation) -> list[str]:
    lines: list[str] = []
    for service, mode in _by_service(g):
        look = look_of(_allowed(g, service))
        for v in (4, 6):
            lines += _service_chain(g, service, mode, v, look)
    lines += [f"chain g{g.number} {{", *never_rules(f"g{g.number}_")]
    lines += [f"{ip(v)} daddr . meta l4proto . th dport vmap @g{g.number}_protected{v}" for v in (4, 6)]
    lines += [f"meta protocol {OPAQUE_KINDS} counter name g{g.number}_opaque"] if g.bridge else []
    return [*lines, f"meta l4proto {OPAQUE_PROTOCOLS} counter name g{g.number}_opaque", "}"]


def _service_chain(g: Generation, service: Service, mode: Mode, v: int, look: Look) -> list[str]:
    """What a service of one IP version hears: all from some, nothing from strangers, from the rest what is allowed."""
    name = _name(g, service)
    no, key = f"{name}_{mode.value}{v}_no", f"{ip(v)} saddr . {ip(v)} daddr"
    size = f"{size_key(v, service, look.framing)} @{name}_sizes{v} " if look.sized else ""
    joined = joined_rules(name, v, service, look.sizes, look.offset or 0, look.framing) if look.sized else []
    return [
        f"chain {no} {{",
        *_refusal(g, service, mode, v),
        "}",
        f"chain {name}_{mode.value}{v} {{",
        *([f"@ih,0,8 >= 0 {_asset(v)} @{shadow_set(g.number, ASKED, v)}"] if mode is Mode.SHADOW else []),
        f"{FRAGMENT[v]} {key} @{name}_free{v} accept",
        f"{FRAGMENT[v]} counter name g{g.number}_fragments goto {no}",
        f"{size}{key} . {look.window} @{name}_said{v} accept",  # first, because nearly all is this
        f"{key} @{name}_free{v} accept",
        f"{key} != @{name}_reach{v} goto {no}",
        *joined,
        f"@ih,0,8 >= 0 goto {no}",
        "accept",
        "}",
    ]


def _refusal(g: Generation, service: Service, mode: Mode, v: int) -> list[str]:
    """What happens to the rest: counted with who it was, or refused as this family can."""
    if mode is Mode.SHADOW:
        noted = f"add @g{g.number}_would{v} {{ {ip(v)} saddr . {ip(v)} daddr . th dport }}"
        return [noted, f"{_asset(v)} @{shadow_set(g.number, CUT, v)}", "accept"]
    resets = service.transport == "tcp" and not g.bridge
    return [f"counter name g{g.number}_refused " + ("reject with tcp reset" if resets else "drop")]

"""Generations as JSON and back: what is written beside the kernel's rules, sent over a socket and compared by `policy plan`.

Reading trusts nothing: types, counts and lengths are checked, and everything wrong is one RulesError.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

from appliance.decide.rules import Allow, Exactness, Generation, Lease, Mode, Network, Pattern, Protected, Service, Step
from appliance.decode.framing import Framing
from appliance.errors import RulesError

VERSION = 1
MAX_BYTES = 64 << 20
MAX_ROWS = 100_000
MAX_TEXT = 400
Json = dict[str, Any]


def generation_json(g: Generation) -> Json:
    """A generation as plain JSON types, in a canonical order."""
    return {
        "version": VERSION,
        "number": g.number,
        "bridge": g.bridge,
        "never": [str(n) for n in g.never],
        "protected": [[str(p.server), str(p.service), str(p.mode)] for p in g.protected],
        "allowed": [_allow_json(a) for a in g.allowed],
        "leases": [lease_json(x) for x in g.leases],
        "notes": list(g.notes),
    }


def generation_text(g: Generation) -> str:
    """The canonical text: equal generations give equal text."""
    return json.dumps(generation_json(g), sort_keys=True, separators=(",", ":"))


def _allow_json(a: Allow) -> Json:
    return {
        "client": str(a.client),
        "server": str(a.server),
        "service": str(a.service),
        "offset": a.offset,
        "patterns": [[p.first, p.last] for p in a.patterns],
        "sizes": list(a.sizes),
        "exactness": str(a.exactness),
        "reason": a.reason,
        "framing": {"offset": a.framing.offset, "width": a.framing.width, "big": a.framing.big, "constant": a.framing.constant},
    }


def lease_json(x: Lease) -> Json:
    """A lease as plain JSON types."""
    return {
        "id": x.id,
        "step": str(x.step),
        "source": str(x.source),
        "target": str(x.target) if x.target else None,
        "service": str(x.service) if x.service else None,
        "offset": x.offset,
        "pattern": [x.pattern.first, x.pattern.last] if x.pattern else None,
        "until": x.until,
        "reason": x.reason,
        "incident": x.incident,
    }


def read_generation(name: str, data: bytes) -> Generation:
    """Read one from its JSON text. Raises RulesError that names `name`."""
    if len(data) > MAX_BYTES:
        raise RulesError(f"{name}: {len(data):,} bytes are too many for a generation of rules; write it anew")
    try:
        return generation_from(json.loads(data))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = " ".join(str(error).split())[:120]
        raise RulesError(
            f"{name}: not a generation of rules ({what}); write it anew with: sekisho policy plan --output"
        ) from error


def generation_from(value: Json) -> Generation:
    """A generation from its JSON value. Raises KeyError, TypeError, ValueError or AttributeError on anything else."""
    if value["version"] != VERSION:
        raise ValueError(f"version {value['version']} of the format is not known here")
    rows = {key: _rows(value[key]) for key in ("never", "protected", "allowed", "leases", "notes")}
    return Generation(
        _number(value["number"], 1 << 62),
        tuple(ip_network(_text(n)) for n in rows["never"]),
        tuple(Protected(ip_network(_text(n)), service_from(s), Mode(m)) for n, s, m in rows["protected"]),
        tuple(_allow_from(a) for a in rows["allowed"]),
        tuple(lease_from(x) for x in rows["leases"]),
        value["bridge"] is True,
        tuple(_text(n) for n in rows["notes"]),
    )


def _allow_from(a: Json) -> Allow:
    f = a["framing"]
    return Allow(
        _network(a["client"]),
        _network(a["server"]),
        service_from(a["service"]),
        _number(a["offset"], 1500),
        tuple(_pattern(p) for p in _rows(a["patterns"])),
        tuple(_number(s, 65_535) for s in _rows(a["sizes"])),
        Exactness(a["exactness"]),
        _text(a["reason"]),
        Framing(_number(f["offset"], 1500), _number(f["width"], 8), f["big"] is True, _number(f["constant"], 65_535)),
    )


def lease_from(x: Json) -> Lease:
    """A lease from its JSON value. Raises KeyError, TypeError, ValueError or AttributeError on anything else."""
    return Lease(
        _text(x["id"]),
        Step(x["step"]),
        _network(x["source"]),
        None if x["target"] is None else _network(x["target"]),
        None if x["service"] is None else service_from(x["service"]),
        _number(x["offset"], 1500),
        None if x["pattern"] is None else _pattern(x["pattern"]),
        _number(x["until"], 1 << 62),
        _text(x["reason"]),
        _text(x["incident"]),
    )


def service_from(text: object) -> Service:
    """A service from "tcp/502". Raises ValueError or TypeError."""
    transport, _, port = _text(text).partition("/")
    if transport not in ("tcp", "udp") or not (port.isascii() and port.isdigit() and len(port) < 6):
        raise ValueError(f"{text!r} is no service; write it like tcp/502 or udp/47808")
    if str(int(port)) != port or not 0 < int(port) < 65_536:
        raise ValueError(f"{text!r} has no port from 1 to 65535; write it like tcp/502 or udp/47808")
    return Service(transport, int(port))


def _network(value: object) -> Network:
    return ip_network(_text(value))


def _pattern(value: object) -> Pattern:
    first, last = _rows(value)
    pattern = Pattern(_number(first, 0xFFFF_FFFF), _number(last, 0xFFFF_FFFF))
    if pattern.first > pattern.last:
        raise ValueError("a range ends before it begins")
    return pattern


def _rows(value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_ROWS:
        raise TypeError("a list is missing, or too long")
    return value


def _number(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number from 0 to {most}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TypeError("a text is missing, or too long")
    return value

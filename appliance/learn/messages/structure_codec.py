"""Structures as JSON values and back: canonical, so that equal structures have equal digests."""

from __future__ import annotations

import json
from dataclasses import astuple
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.decode.framing import Coding, Framing
from appliance.learn.messages.cells import Check
from appliance.learn.messages.checksums import POLYNOMIALS, Checksum, Way
from appliance.learn.messages.containers import Container, Follows
from appliance.learn.messages.dynamics import Counter, Scope
from appliance.learn.messages.pairing import Echo
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side, Structure, Template
from appliance.learn.messages.templates import Node
from appliance.learn.messages.text import MOST_DECIMALS, Column, Layout

NO_TEXT = (None, None)
Json = dict[str, Any]


def _bits(mask: npt.NDArray[np.bool_]) -> str:
    return np.packbits(mask).tobytes().hex()


def _mask(text: str) -> npt.NDArray[np.bool_]:
    mask = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).astype(bool)
    if len(mask) != WIDTH:
        raise ValueError("mask of a wrong size")
    return mask


def _tree(node: Node | None) -> Json | None:
    if node is None:
        return None
    if node.open is not None:
        return {"open": _bits(node.open), "template": node.template, "any_length": node.any_length}
    return {"offset": node.offset, "children": {str(k): _tree(c) for k, c in sorted(node.children.items())}}


def _node(value: Json | None, depth: int = 0) -> Node | None:
    if value is None:
        return None
    if depth > 32:
        raise ValueError("tree too deep")
    if "open" in value:
        return Node(0, open=_mask(value["open"]), template=int(value["template"]), any_length=bool(value["any_length"]))
    children = {int(k): _node(c, depth + 1) for k, c in value["children"].items()}
    return Node(int(value["offset"]), {k: c for k, c in children.items() if c is not None})


def structure_json(s: Structure) -> Json:
    """A structure as a JSON value."""
    return {
        "framing": _framing(s.framing),
        "counters": [[c.offset, c.width, c.big, int(c.scope), c.whole, *[True] * c.down] for c in s.counters],
        "echoes": [[e.request, e.answer] for e in s.echoes],
        "min_agree": list(s.min_agree),
        "identity": _bits(s.identity),
        "answer_identity": _bits(s.answer_identity),
        "data_from": s.data_from,
        "request_tree": _tree(s.request_tree),
        "push_tree": _tree(s.push_tree),
        "answer_of": [[k, n, t] for (k, n), t in sorted(s.answer_of.items())],
        "container": _container(s.container),
        "inner": None if s.inner is None else structure_json(s.inner),
        "templates": [_template(t) for t in s.templates],
        **_free("free", s.free),
        **_free("told_free", s.told_free),
        **({"layouts": [_layout(one) for one in s.layouts]} if any(s.layouts) else {}),
        **({"checksum": list(astuple(s.checksum))} if s.checksum is not None else {}),
    }


def structure_from(value: Json, depth: int = 0) -> Structure:
    """A structure from its JSON value; items of lists (depth 1) hold no further ones."""
    return Structure(
        framing=_framing_from(value["framing"]),
        counters=tuple(Counter(o, w, b, Scope(s), bool(h), bool(down)) for o, w, b, s, h, *down in value["counters"]),
        echoes=tuple(Echo(r, a) for r, a in value["echoes"]),
        min_agree=tuple(value["min_agree"]),
        identity=_mask(value["identity"]),
        answer_identity=_mask(value["answer_identity"]),
        data_from=int(value["data_from"]),
        request_tree=_node(value["request_tree"]),
        push_tree=_node(value["push_tree"]),
        answer_of={(k, n): t for k, n, t in value["answer_of"]},
        container=_container_from(value["container"]),
        inner=None if value["inner"] is None or depth else structure_from(value["inner"], 1),
        templates=[_template_from(one) for one in value["templates"]],
        free=_free_from(value.get("free", [])),
        layouts=(_layout_from(value.get("layouts", NO_TEXT)[0]), _layout_from(value.get("layouts", NO_TEXT)[1])),
        told_free=_free_from(value.get("told_free", [])),
        checksum=_checksum_from(value["checksum"]) if "checksum" in value else None,
    )


def _free(name: str, free: npt.NDArray[np.uint8]) -> Json:
    """Free bits only where there are some, so that what was learned before they were known reads and digests alike."""
    return {name: [[at, int(free[at])] for at in np.flatnonzero(free).tolist()]} if free.any() else {}


def _free_from(value: list[list[int]]) -> npt.NDArray[np.uint8]:
    free = np.zeros(WIDTH, np.uint8)
    for at, bits in value:
        free[at] = bits
    return free


def _template(t: Template) -> list[Any]:
    """Shared bytes only where there are some, likewise."""
    plain = [int(t.side), _bits(t.closed), t.any_length]
    return [*plain, _bits(t.shared)] if t.shared.any() else plain


def _template_from(value: list[Any]) -> Template:
    side, closed, free, shared = (*value, _bits(np.zeros(WIDTH, bool)))[:4]
    return Template(Side(side), _mask(closed), bool(free), _mask(shared))


def _framing(f: Framing) -> list[Any]:
    """The coding only where it is not the usual one, so that what was learned before it was known reads and digests alike."""
    plain = [f.offset, f.width, f.big, f.constant]
    return plain if f.coding is Coding.FIXED else [*plain, int(f.coding)]


def _framing_from(value: list[Any]) -> Framing:
    offset, width, big, constant, coding = (*value, Coding.FIXED)[:5]
    return Framing(offset, width, big, constant, Coding(coding))


def _layout(one: Layout | None) -> Json | None:
    if one is None:
        return None
    said: Json = {"separators": one.separators.hex(), "columns": [list(astuple(c)) for c in one.columns]}
    return said | {"check": [int(one.check), one.since, one.before], "blank": list(one.blank)}


def _layout_from(value: Json | None) -> Layout | None:
    if value is None:
        return None
    columns = tuple(Column(int(g), int(s), int(b), int(d), None if n is None else int(n)) for g, s, b, d, n in value["columns"])
    sound = all(c.gap >= 1 and c.size >= 0 and c.base in (10, 16) and 0 <= c.decimals <= MOST_DECIMALS for c in columns)
    (check, since, before), (first, end) = value["check"], value["blank"]
    layout = Layout(bytes.fromhex(value["separators"]), columns, Check(check), int(since), int(before), (int(first), int(end)))
    if not sound or layout.starts[-1] > WIDTH or since not in (0, 1) or before not in (0, 1) or not 0 <= first <= end <= WIDTH:
        raise ValueError("layout of a wrong shape")
    return layout


def _checksum_from(value: list[int]) -> Checksum:
    way, width, big, since, polynomial, reflected, full, rest = value
    found = Checksum(Way(way), int(width), bool(big), int(since), int(polynomial), bool(reflected), bool(full), int(rest))
    if width not in POLYNOMIALS or not 0 <= since < WIDTH or not 0 <= polynomial <= found.top or not 0 <= rest <= found.top:
        raise ValueError("check of a wrong shape")
    return found


def _container(c: Container | None) -> Json | None:
    if c is None:
        return None
    follows = [[f.offset, f.width, f.big, f.constant] for f in c.follows]
    return {"at": [c.count, c.width, c.big, c.start, c.stride], "marks": [list(m) for m in c.marks], "follows": follows}


def _container_from(value: Json | None) -> Container | None:
    if value is None:
        return None
    marks = tuple((int(at), int(byte)) for at, byte in value["marks"])
    count, width, big, start, stride = value["at"]
    return Container(count, width, bool(big), start, stride, marks, tuple(Follows(*f) for f in value["follows"]))


def canonical(value: Json) -> bytes:
    """One byte string per JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def structure_digest(s: Structure) -> str:
    """Names a structure by its content."""
    return sha256(canonical(structure_json(s))).hexdigest()[:16]


def format_of(s: Structure) -> int:
    """The lowest format whose readers understand it: 2 unless text is laid out, bits are free, or something counts down.

    That is 3; a check at the end of messages is 4.
    """
    if s.checksum is not None:
        return 4
    return 3 if any(s.layouts) or s.free.any() or any(counter.down for counter in s.counters) else 2

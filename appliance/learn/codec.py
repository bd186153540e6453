"""Structures and baselines as JSON values and plain arrays, and back: canonical, so that equal baselines have equal digests."""

from __future__ import annotations

import json
from dataclasses import astuple
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Conversation
from appliance.decode.framing import Coding, Framing
from appliance.errors import BaselineError
from appliance.learn.baseline import Baseline, Learned
from appliance.learn.cells import Check
from appliance.learn.containers import Container, Follows
from appliance.learn.counts import MAXS, MINS, SUMS, RowTable
from appliance.learn.dynamics import Counter, Scope
from appliance.learn.image import NO_LIMIT, Image, RowImage
from appliance.learn.ledger import Ledger, ledger_from, ledger_json
from appliance.learn.pairing import Echo
from appliance.learn.rhythm_codec import rhythm_arrays, rhythm_from
from appliance.learn.sample import WIDTH
from appliance.learn.structure import Side, Structure, Template
from appliance.learn.templates import Node
from appliance.learn.text import MOST_DECIMALS, Column, Layout
from appliance.learn.topology import NUMBERS, Asset
from appliance.learn.words import SPAN

VERSION = 3
PLAIN = 2  # likewise, where `_is_plain` holds of all structures: what read this before reads it still
NO_TEXT = (None, None)
Json = dict[str, Any]
Arrays = dict[str, npt.NDArray[Any]]


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


def baseline_json(baseline: Baseline) -> tuple[Json, Arrays]:
    """A baseline as one JSON value and named arrays, both in a canonical order."""
    b = baseline
    conversations = sorted(b.conversations)
    services: list[Json] = []
    arrays: Arrays = {
        "conversations": np.stack([b.conversations[c] for c in conversations])
        if conversations
        else np.zeros((0, len(NUMBERS)), np.int64)
    }
    for port in sorted(b.services):
        for digest, learned in sorted(b.services[port].items()):
            services.append({"port": list(port), "digest": digest, "structure": structure_json(learned.structure)})
            _table_arrays(arrays, f"s{len(services) - 1}", learned.table)
            if learned.structure.inner is not None:
                _table_arrays(arrays, f"i{len(services) - 1}", learned.items)
            rhythm_arrays(arrays, f"s{len(services) - 1}", learned.rhythm)
    structures = [learned.structure for service in b.services.values() for learned in service.values()]
    said: Json = {"ledger": ledger_json(b.ledger)} if b.ledger else {}
    if b.damaged:
        said["damaged"] = sorted(b.damaged.items())
    images = _image_arrays(arrays, b.image)
    head: Json = {
        "format": "sekisho-baseline",
        "version": PLAIN if all(map(_is_plain, structures)) else VERSION,
        "frames": b.frames,
        "sessions": b.sessions,
        "watched": b.watched,
        "first": b.first,
        "last": b.last,
        "truncated": sorted(b.truncated),
        "assets": [[*a, sorted(s.macs), s.first, s.last, s.frames] for a, s in sorted(b.assets.items())],
        "conversations": [[*c.client, *c.server, *c.port, c.group] for c in conversations],
        "arp_targets": sorted(b.arp_targets),
        "joined": sorted(b.joined),
        "said": [[*a, [[*told, *when] for told, when in sorted(texts.items())]] for a, texts in sorted(b.said.items())],
        "services": services,
        **said,
        "image": images,
        "image_limit": b.image.limit,
    }
    return head, arrays


def _image_arrays(arrays: Arrays, image: Image) -> list[Json]:
    """The rows of the process image; their samples go into `arrays`."""
    rows: list[Json] = []
    for number, ((port, digest, row), one) in enumerate(sorted(image.rows.items(), key=lambda item: item[0])):
        arrays[f"image{number}.cell"], arrays[f"image{number}.data"] = one.cell, one.data
        head = {"port": list(port), "digest": digest, "row": row, "low": one.low, "stream": one.stream}
        rows.append(head | {"request": one.request, "limit": one.limit})
    return rows


def _image_from(rows: list[Json], limit: int, arrays: Arrays) -> Image:
    image = Image(limit=limit)
    for number, r in enumerate(rows):
        cell, data = arrays[f"image{number}.cell"].astype(np.int64), arrays[f"image{number}.data"].astype(np.uint8)
        if cell.ndim != 1 or data.ndim != 2 or len(cell) != len(data) or (np.diff(cell) <= 0).any():
            raise ValueError("image of a wrong shape")
        one = RowImage(int(r["low"]), cell, data, int(r["stream"]), bool(r["request"]), int(r["limit"]))
        image.rows[(int(r["port"][0]), int(r["port"][1])), str(r["digest"]), int(r["row"])] = one
    return image


def _table_arrays(arrays: Arrays, name: str, table: RowTable) -> None:
    order = np.argsort(table.row, kind="stable")
    t = table.take(order)
    for key in ("row", "template", "length", "stream", "asked", "bytes", "limits"):
        arrays[f"{name}.{key}"] = getattr(t, key)
    arrays[f"{name}.numbers"] = np.stack([t.numbers[key] for key in SUMS + MINS + MAXS]) if len(t) else _no_numbers()
    arrays[f"{name}.truncated"] = t.truncated


def _no_numbers() -> npt.NDArray[np.int64]:
    return np.zeros((len(SUMS + MINS + MAXS), 0), np.int64)


def _is_plain(s: Structure) -> bool:
    """Whether a reader of PLAIN understands a structure: no text that is laid out, no free bits, nothing that counts down."""
    return not (any(s.layouts) or s.free.any() or any(counter.down for counter in s.counters))


def baseline_from(head: Json, arrays: Arrays) -> Baseline:
    """A baseline from what `baseline_json` made. Raises BaselineError on anything else."""
    if head.get("format") != "sekisho-baseline":
        raise BaselineError("not a baseline")
    version = head.get("version")
    if version not in (VERSION, PLAIN):
        newer = isinstance(version, int) and version > VERSION
        raise BaselineError(
            f"made by a newer version (format {version}, this program reads {VERSION}); update sekisho"
            if newer
            else f"of a format that is not read any more ({version}, this program reads {VERSION}); learn again"
        )
    try:
        return _decoded(head, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BaselineError(f"damaged ({type(error).__name__}); restore a copy, or learn again") from error


def _decoded(head: Json, arrays: Arrays) -> Baseline:
    numbers = arrays["conversations"].astype(np.int64)
    conversations = {
        Conversation((ch, cl), (sh, sl), (proto, port), group): numbers[i]
        for i, (ch, cl, sh, sl, proto, port, group) in enumerate(head["conversations"])
    }
    b = Baseline(
        assets={(hi, lo): Asset(set(macs), first, last, n) for hi, lo, macs, first, last, n in head["assets"]},
        conversations=conversations,
        arp_targets=set(head["arp_targets"]),
        frames=head["frames"],
        sessions=head["sessions"],
        watched=head["watched"],
        first=head["first"],
        last=head["last"],
        truncated=set(head["truncated"]),
        joined=set(head.get("joined", [])),
        ledger=ledger_from(head["ledger"]) if "ledger" in head else Ledger(),
        said={
            (hi, lo): {(str(s), str(a), str(t)): (first, last) for s, a, t, first, last in texts}
            for hi, lo, texts in head.get("said", [])
        },
        image=_image_from(head.get("image", []), int(head.get("image_limit", NO_LIMIT)), arrays),
        damaged={int(code): int(count) for code, count in head.get("damaged", [])},
    )
    for i, entry in enumerate(head["services"]):
        learned = Learned(structure_from(entry["structure"]), _table_from(arrays, f"s{i}"), rhythm=rhythm_from(arrays, f"s{i}"))
        if learned.structure.inner is not None:
            learned.items = _table_from(arrays, f"i{i}")
        b.services.setdefault((entry["port"][0], entry["port"][1]), {})[entry["digest"]] = learned
    return b


def _table_from(arrays: Arrays, name: str) -> RowTable:
    stack = arrays[f"{name}.numbers"].astype(np.int64)
    keys = SUMS + MINS + MAXS
    if (
        stack.shape[0] != len(keys)
        or arrays[f"{name}.bytes"].shape[1:] != (WIDTH,)
        or arrays[f"{name}.limits"].shape[1:] != (3, 2, SPAN)
    ):
        raise ValueError("columns of a wrong shape")
    return RowTable(
        arrays[f"{name}.row"].astype(np.uint64),
        arrays[f"{name}.template"].astype(np.int32),
        arrays[f"{name}.length"].astype(np.int32),
        arrays[f"{name}.stream"].astype(np.uint64),
        arrays[f"{name}.asked"].astype(np.uint64),
        arrays[f"{name}.bytes"].astype(np.uint8),
        {key: stack[i] for i, key in enumerate(keys)},
        arrays[f"{name}.limits"].astype(np.uint16),
        arrays[f"{name}.truncated"].astype(bool),
    )


def baseline_digest(head: Json, arrays: Arrays) -> str:
    """SHA-256 over the canonical bytes: the same for equal baselines, however they came about."""
    h = sha256(canonical({k: v for k, v in head.items() if k != "digest"}))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        h.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        h.update(array.tobytes())
    return h.hexdigest()

"""Baselines as JSON values and plain arrays, and back: canonical, so that equal baselines have equal digests."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Conversation
from appliance.errors import BaselineError
from appliance.learn.baselines.baseline import Baseline, Learned
from appliance.learn.baselines.ledger import Ledger, ledger_from, ledger_json
from appliance.learn.counting.counts import MAXS, MINS, SUMS, RowTable
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure_codec import Json, canonical, format_of, structure_from, structure_json
from appliance.learn.messages.words import SPAN
from appliance.learn.numbers.image import NO_LIMIT, Image, RowImage
from appliance.learn.site.topology import NUMBERS, Asset
from appliance.learn.timing.rhythm_codec import rhythm_arrays, rhythm_from

VERSION = 4
PLAIN = 2  # the lowest that is still read, and the one that is written where no structure needs more (`format_of`)
Arrays = dict[str, npt.NDArray[Any]]


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
        "version": max([PLAIN, *map(format_of, structures)]),
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


def baseline_from(head: Json, arrays: Arrays) -> Baseline:
    """A baseline from what `baseline_json` made. Raises BaselineError on anything else."""
    if head.get("format") != "sekisho-baseline":
        raise BaselineError("not a baseline")
    version = head.get("version")
    if version not in range(PLAIN, VERSION + 1):
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

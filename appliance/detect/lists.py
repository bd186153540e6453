"""A list that was never seen, item by item: what is new is the item that is new, not the list."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.detect.finding import Kind
from appliance.detect.locate import Deviation, locate
from appliance.learn.messages.containers import Container, Items, split
from appliance.learn.messages.rowhash import row_hash
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.templates import walk

if TYPE_CHECKING:
    from appliance.learn.meaning.model import ServiceModel

MAX_ITEMS = 50  # new items of one list that are named one by one
WHOLE_FROM = 0.5  # share of an item's bytes that deviate, from which on all of it is new


def inside(service: ServiceModel, message: npt.NDArray[np.uint8], stream: int, found: Deviation) -> Deviation | None:
    """What is new about a request that is a list; `found` as it is where it is none, None where all its items are known.

    message  uint8 [length], the whole request
    stream   content hash of its conversation
    found    what is abnormal about the request as a whole
    """
    container, items = service.structure.container, service.items
    if container is None or items is None or (stream, False) not in items.by_stream:
        return found
    length = np.array([len(message)], np.int32)
    if _reordered(service, container, _head(message, WIDTH), len(message), stream):
        return None
    parts = split(container, _head(message, WIDTH)[None, :], length)
    if not len(parts.message) or not _known_header(service, container, message, stream):
        return found
    deviations = _unknown(items, message, parts, stream)
    if not deviations:
        return None
    ranges = tuple(sorted(r for d in deviations for r in d.ranges))
    alone = len(deviations) == 1
    match = tuple(dict.fromkeys(d.match for d in deviations))
    said = ",".join(match) if len(match) <= MAX_ITEMS else ""  # more than that are accepted as one list
    normal = deviations[0].normal if alone else ()
    return replace(deviations[0], ranges=ranges, match=said, normal=normal, template=found.template)


def _head(data: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    head = np.zeros(width, np.uint8)
    head[: min(width, len(data))] = data[:width]
    return head


def _known_header(service: ServiceModel, container: Container, message: npt.NDArray[np.uint8], stream: int) -> bool:
    """True where a list of this conversation has the same bytes before its items, but for its count and lengths."""
    rows = service.by_stream.get((stream, False))
    if rows is None:
        return False
    end = container.header
    closed = service.structure.closed()[service.table.template[rows], :end] & ~container.free()
    same = (service.table.bytes[rows, :end] == message[:end]) | ~closed
    return bool((same.all(axis=1) & closed.any(axis=1)).any())


def _reordered(service: ServiceModel, c: Container, head: npt.NDArray[np.uint8], length: int, stream: int) -> bool:
    """True where a known list of this conversation has the same records in another order, and the same bytes behind them in any.

    The records may stand in front of data, as those that are written do; values that only change places are no new ones.
    """
    count = int(head[c.count]) if c.stride and c.count >= 0 else 0
    end = c.start + count * c.stride
    if count < 2 or end > min(length, WIDTH):
        return False
    table, rows = service.table, service.by_stream[stream, False]
    for row in rows[table.length[rows] == length]:
        closed = service.structure.closed()[table.template[row]]
        known, told = table.bytes[row], np.where(closed, head, 0)
        if (known[: c.start] == told[: c.start]).all() and sorted(known[end:]) == sorted(told[end:]):
            items = head[c.start : end].reshape(count, c.stride)
            slots, masks = (x[c.start : end].reshape(count, c.stride) for x in (known, closed))
            if (items != slots)[masks].any() and _fill(slots, masks, items):
                return True
    return False


def _fill(slots: npt.NDArray[np.uint8], masks: npt.NDArray[np.bool_], items: npt.NDArray[np.uint8]) -> bool:
    """True where each item goes into a slot of its own, up to open bytes; uint8, bool, uint8 [n, stride]."""
    left = list(range(len(slots)))
    for item in items:
        fits = next((k for k in left if (item == slots[k])[masks[k]].all()), None)
        if fits is None:
            return False
        left.remove(fits)
    return True


def _unknown(items: ServiceModel, message: npt.NDArray[np.uint8], parts: Items, stream: int) -> list[Deviation]:
    """Deviations of the items that this conversation never had, their ranges in the bytes of the request."""
    inner = items.structure
    heads = np.stack([_head(message[a:b], WIDTH) for a, b in zip(parts.first, parts.end, strict=True)])
    length = (parts.end - parts.first).astype(np.int32)
    template = walk(inner.request_tree, heads, length)
    context = np.full(len(heads), stream, np.uint64)
    row = row_hash(heads, length, template, inner.masks(), context)
    accepted, match = items.accepted.item_match(heads, length, template, row, context, inner)
    out: list[Deviation] = []
    for k in np.flatnonzero(~np.isin(row, items.known) & ~accepted).tolist():
        deviation = locate(items, heads[k], int(length[k]), stream, False, 0, int(template[k]))
        if deviation is not None:
            out.append(replace(_placed(deviation, int(parts.first[k]), int(length[k])), match=match[k]))
    return out


def _placed(deviation: Deviation, first: int, length: int) -> Deviation:
    """The deviation with its ranges in the request; an item of another length, or with most bytes new, is new as a whole."""
    ranges = tuple((first + a, first + min(b, length)) for a, b in deviation.ranges if a < length)
    new = sum(b - a for a, b in ranges)
    if deviation.kind is Kind.WRONG_LENGTH or new >= WHOLE_FROM * length:
        return replace(deviation, kind=Kind.UNKNOWN_COMMAND, ranges=((first, first + length),), normal=())
    return replace(deviation, ranges=ranges)

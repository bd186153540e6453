"""Hashes of messages under a structure: equal where closed bytes, kind, length and context are equal, on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from appliance.decode.heads import SHORT, cut
from appliance.learn.messages.sample import WIDTH

Masks = tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]  # Structure.masks: closed bytes, and where the length does not count

_MIX = np.uint64(0x9E3779B97F4A7C15)


def odd_keys(count: int) -> npt.NDArray[np.uint64]:
    """Odd multipliers by splitmix64, always the same ones: row hashes are compared across runs and machines; uint64 [count]."""
    keys = np.arange(1, count + 1, dtype=np.uint64) * _MIX
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB) | np.uint64(1)


_KEYS = odd_keys(WIDTH // 8)


def mix(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64]:
    """Combine two columns of 64-bit hashes (order matters)."""
    h = (a ^ (a >> np.uint64(29))) * _MIX + b
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return h ^ (h >> np.uint64(32))


def body_hash(
    heads: npt.NDArray[np.uint8], length: npt.NDArray[np.int32], template: npt.NDArray[np.int32], closed: Masks
) -> npt.NDArray[np.uint64]:
    """uint64 [n]: hash of closed bytes and length (where it counts).

    heads   uint8 [n, a multiple of 8 up to WIDTH], zero beyond the message's end
    """
    masks, free = closed
    return mix(_weighted(heads, length, masks, template), np.where(free[template], 0, length).astype(np.uint64))


def whole_hash(heads: npt.NDArray[np.uint8], length: npt.NDArray[np.int32], rows: npt.NDArray[np.intp]) -> npt.NDArray[np.uint64]:
    """uint64 [len(rows)]: hash of all bytes and the length of these messages; `heads` as for `body_hash`."""
    return mix(_weighted(heads, length, rows=rows), length.take(rows).astype(np.uint64))


def _weighted(
    heads: npt.NDArray[np.uint8],
    length: npt.NDArray[np.int32],
    masks: npt.NDArray[np.uint64] | None = None,
    template: npt.NDArray[np.int32] | None = None,
    rows: npt.NDArray[np.intp] | None = None,
) -> npt.NDArray[np.uint64]:
    """uint64 [n]: sum of a message's words, masked by its template's where there are masks, each times the key of its place.

    rows   the messages that are meant; None: all
    """
    width = heads.shape[1]
    total = _sum_from(0, cut(heads, 0, min(SHORT, width), rows), masks, template)
    if width > SHORT:  # of what is zero nothing comes: only long messages are read on
        long = np.flatnonzero((length if rows is None else length.take(rows)) > SHORT)
        rest = cut(heads, SHORT, width, long if rows is None else rows.take(long))
        total[long] += _sum_from(SHORT // 8, rest, masks, None if template is None else template.take(long))
    return total


def _sum_from(
    first: int,
    heads: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.uint64] | None,
    template: npt.NDArray[np.int32] | None,
) -> npt.NDArray[np.uint64]:
    """The part of the sum that comes from the words from number `first` on, which `heads` begins with."""
    words = heads.view(np.uint64)
    last = first + words.shape[1]
    if masks is not None and template is not None:
        words = words & np.ascontiguousarray(masks[:, first:last]).take(template, axis=0, mode="wrap")  # UNKNOWN is the last one
    sums: npt.NDArray[np.uint64] = (words ^ (words >> np.uint64(33))) @ _KEYS[first:last]
    return sums


def row_hash(
    heads: npt.NDArray[np.uint8],
    length: npt.NDArray[np.int32],
    template: npt.NDArray[np.int32],
    closed: Masks,
    context: npt.NDArray[np.uint64],
) -> npt.NDArray[np.uint64]:
    """uint64 [n]: hash of a message's body, its template and its context (stream, request row)."""
    return in_context(body_hash(heads, length, template, closed), template, context)


def in_context(
    body: npt.NDArray[np.uint64], template: npt.NDArray[np.int32], context: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """uint64 [n]: hash of a body, its template and its context."""
    return mix(body, mix(template.astype(np.uint64), context))

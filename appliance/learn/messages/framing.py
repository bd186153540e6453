"""Find the length field of a service without knowing the protocol.

A service that carries several messages in a segment, or one message in several segments, must say where a message
ends. We test every (offset, width, byte order) for a number that explains the payload sizes: ``size = number + constant``.
The constant is the most frequent difference; the hypothesis is scored by the share of payloads that chain exactly
(message after message until the payload is used up) and must explain sizes that differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.framing import WHOLE, Coding, Framing, chain
from appliance.decode.sizes import sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_OFFSET = 24
WIDTHS = (2, 1, 4)
LONGEST = 4  # bytes of a field of varying width
WIDE = 4  # payloads in which it must have had more than one byte
ACCEPT = 0.85  # share of payloads that must chain exactly
# where several explain the sizes equally well (high bytes that were always zero): two bytes, aligned, is what protocols use
PREFERENCE = {2: 4e-3, 1: 2e-3, 4: 0.0}


def learn_framing(heads: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64], payloads: list[bytes]) -> Framing:
    """Infer the framing of one service from a sample of its payloads, both directions together.

    heads     uint8 [n, >= 20], zero beyond the payload's end
    sizes     int64 [n], bytes of each payload
    payloads  a bounded sample of whole payloads (for chaining pipelined messages)
    Returns WHOLE where no length field explains the sizes.
    """
    if len(sizes) < 8 or len(np.unique(sizes)) < 2:
        return WHOLE
    best, best_score = WHOLE, 0.0
    for field in _fields():
        framing, share = _hypothesis(heads, sizes, field)
        if share < 0.5:
            continue
        score = _chained(payloads, framing) + PREFERENCE[field.width] - 1e-3 * (field.offset % 2) - 1e-5 * field.offset
        if score > best_score + 1e-9:
            best, best_score = framing, score
    return best if best_score >= ACCEPT else WHOLE


def _fields() -> Iterator[Framing]:
    """Places and forms of a length field, the constant not yet known."""
    for offset in range(MAX_OFFSET + 1):
        for width in WIDTHS:
            yield from (Framing(offset, width, big) for big in ((True, False) if width > 1 else (True,)))
        yield from (Framing(offset, LONGEST, coding=coding) for coding in (Coding.SEPTETS, Coding.COUNTED))


def _hypothesis(heads: npt.NDArray[np.uint8], sizes: npt.NDArray[np.int64], field: Framing) -> tuple[Framing, float]:
    """The field with the constant that explains most sizes, and the share of payloads it explains."""
    number, head = sizes_of(heads, field)
    there = (sizes >= head) & (number >= 0)
    if there.mean() < 0.9:
        return WHOLE, 0.0
    number, size = number[there], sizes[there]
    difference, counts = np.unique(size - number, return_counts=True)
    top = int(counts.argmax())
    constant = int(difference[top])
    hit = (size - number) == constant
    # a constant number explains equal sizes by chance: the sizes explained must differ, and the number with them
    if len(np.unique(number[hit])) < 2 or constant < 0 or constant > 64:
        return WHOLE, 0.0
    if field.coding is not Coding.FIXED and np.count_nonzero(head[there][hit] > field.end) < WIDE:
        return WHOLE, 0.0  # always one byte: nothing tells how it would grow
    return replace(field, constant=constant), float(counts[top] / len(sizes))


def _chained(payloads: list[bytes], framing: Framing) -> float:
    """Share of payloads that are used up exactly by one or more messages."""
    exact = sum(chain(payload, framing)[1] == len(payload) for payload in payloads)
    return exact / max(1, len(payloads))

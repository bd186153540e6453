"""What is open or closed as a whole: the words of text that is laid out (`messages.text`), or else every byte by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from appliance.learn.messages.sample import StreamOrder
    from appliance.learn.messages.text import Layout


SETTLED = 32  # n equal values bound the rate of change at 3 / n (95 %)


@dataclass(frozen=True, slots=True)
class Words:
    """Where the words of text that is laid out stand (`messages.text`): all bytes of a word are open, or none.

    spans     half-open; none: bytes are looked at one by one
    measured  those of them in which numbers have decimals: what they carry is measured, though it may rest
    """

    spans: tuple[tuple[int, int], ...] = ()
    measured: tuple[tuple[int, int], ...] = ()

    def whole(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Bool [WIDTH]: these bytes, and the rest of their words."""
        if not self.spans:
            return flags
        out = flags.copy()
        for first, end in self.spans:
            out[first:end] |= flags[first:end].any()
        return out

    def behind(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Bool [WIDTH]: these and what follows the first of them, in text without what stands between words."""
        first = int(flags.argmax()) if flags.any() else len(flags)
        tail = np.arange(len(flags)) >= first
        if self.spans:
            inside = np.zeros(len(flags), bool)
            for begin, end in self.spans:
                inside[begin:end] = True
            tail &= inside
        return tail | flags

    def resting(self, changes: npt.NDArray[np.int64], chances: int) -> npt.NDArray[np.bool_]:
        """Bool [WIDTH]: words that could have changed SETTLED times and never did: no data, wherever they stand."""
        rests = np.zeros(len(changes), bool)
        for first, end in self.spans if chances >= SETTLED else ():
            rests[first:end] = not changes[first:end].any() and (first, end) not in self.measured
        return rests

    def open(self, heads: npt.NDArray[np.uint8], order: StreamOrder) -> npt.NDArray[np.bool_]:
        """Bool [WIDTH]: words that go on bringing new values, taken as a whole."""
        opened = np.zeros(heads.shape[1], bool)
        for first, end in self.spans:
            part = heads[:, first:end]
            if (part == part[:1]).all():
                continue
            values = np.unique(np.ascontiguousarray(part).view(f"V{end - first}")[:, 0], return_inverse=True)[1].ravel()
            opened[first:end] = order.visits(values).go_on
        return opened


BYTES = Words()


def words_of(layout: Layout | None) -> Words:
    """Where the words of messages that are laid out so stand."""
    return BYTES if layout is None else Words(layout.words, layout.measured)

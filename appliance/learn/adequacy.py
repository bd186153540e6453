"""How much of what a next block of time brings would be new: what a baseline does not know yet.

Good and Turing: the chance that the next thing seen is a new one is the share of things seen exactly once. Things are
(row, block of time) and (conversation, block of time), so that a poll every 100 ms does not drown what comes once an hour.
The interval is that of a Poisson count (Byar's approximation; Rothman and Boice 1979): within 2 % of the exact one.

What comes in cycles is another matter: nothing that is seen tells of a shift that was not. A cycle longer than half of what
was seen is therefore *not knowable yet*, whatever the share says.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from appliance.learn.counts import ADEQUACY_BLOCKS
from appliance.learn.model import derive
from appliance.learn.topology import NUMBERS

if TYPE_CHECKING:
    from appliance.learn.baseline import Baseline

BLOCKS = ("minutes", "hours", "days")  # columns of the tables, units of ADEQUACY_BLOCKS
Z = 1.96  # 95 %


@dataclass(frozen=True, slots=True)
class Share:
    """Share of what comes that would be new, 0 to 1, with the ends of its interval; `once` of `all_` were seen once."""

    once: int
    all_: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Adequacy:
    """For one length of block.

    block_ns         its length
    knowable         False where less than two such blocks were watched
    messages         of the messages of a next block; None where nothing with content was seen
    conversations    of the conversations of a next block
    """

    block_ns: int
    knowable: bool
    messages: Share | None
    conversations: Share | None


def adequacy(baseline: Baseline) -> tuple[Adequacy, ...]:
    """Per length of block (1 min, 1 h, 1 day). Templates that carry noise are left out: nothing of them is learned."""
    model = derive(baseline)
    tables = [(s.table, ~s.opaque[s.table.template]) for services in model.services.values() for s in services if len(s.table)]
    numbers = np.stack(list(baseline.conversations.values())) if baseline.conversations else np.zeros((0, len(NUMBERS)), np.int64)
    results = []
    for name, unit in zip(BLOCKS, ADEQUACY_BLOCKS, strict=True):
        rows = np.concatenate([t.numbers[name][kept] for t, kept in tables]) if tables else np.zeros(0, np.int64)
        talks = numbers[:, NUMBERS.index(name)]
        results.append(Adequacy(unit, baseline.watched >= 2 * unit, good_turing(rows), good_turing(talks)))
    return tuple(results)


def good_turing(blocks: np.typing.NDArray[np.int64]) -> Share | None:
    """The share for things that were seen in so many blocks each; None where nothing was seen."""
    total = int(blocks.sum())
    if not total:
        return None
    once = int(np.count_nonzero(blocks == 1))
    low, high = poisson_interval(once)
    return Share(once, total, once / total, min(1.0, low / total), min(1.0, high / total))


def poisson_interval(count: int) -> tuple[float, float]:
    """95 % interval of a Poisson mean after `count` events (Byar)."""
    low = count * (1 - 1 / (9 * count) - Z / (3 * sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    return max(0.0, low), more * (1 - 1 / (9 * more) + Z / (3 * sqrt(more))) ** 3

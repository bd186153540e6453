"""How much of what a next block of time brings would be new: what a baseline does not know yet.

Good and Turing (Good 1953), by incidence (Chao and others 2014): of B blocks of time, Q1 things came in one block only; then a
next block like them is expected to bring Q1 / B new ones. Things are rows and conversations, counted once per block, so that a
poll every 100 ms does not drown what comes once an hour.

The interval (90 %) is that of a count of *occasions*: an operator who opens a page brings fifty new rows at once, and fifty rows
are then no better known than one. How many rows an occasion has is estimated from the times of the rows (Esty 1983, extended to
clusters; see `poisson.occasion_size`); the limits are Garwood's for so many occasions.

What comes in cycles is another matter: nothing that is seen tells of a shift that was not. A cycle longer than half of what
was seen is therefore *not knowable yet*, whatever the share says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.counting.counts import ADEQUACY_BLOCKS
from appliance.learn.meaning.model import Model, derive
from appliance.learn.meaning.poisson import lower, occasion_size, upper
from appliance.learn.site.topology import NUMBERS

if TYPE_CHECKING:
    from appliance.learn.baselines.baseline import Baseline

BLOCKS = ("minutes", "hours", "days")  # columns of the tables, units of ADEQUACY_BLOCKS
MIN_BLOCKS = 6  # blocks watched, from which on what came in two of them is rare
SIDE = 0.95  # confidence of each limit: together 90 %
SETTLE = ADEQUACY_BLOCKS[1]  # the block that must be knowable before learning can end
ENOUGH = 0.02  # upper limit of the share of a next block that is new, from which on learning is enough
Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Share:
    """What a next block brings that would be new.

    once, all_         things seen in one block only; things in all blocks, counted once per block
    share, low, high   of what the block brings, 0 to 1, with the ends of its 90 % interval
    number, number_low, number_high   the same as a number of things
    """

    once: int
    all_: int
    share: float
    low: float
    high: float
    number: float
    number_low: float
    number_high: float


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


class Readiness(StrEnum):
    """What a baseline is good for."""

    NOTHING = "nothing"  # nothing was seen that could be judged
    SHORT = "short"  # less than two hours: not even an hour can be judged
    LEARNING = "learning"  # a next block still brings too much that is new
    ENOUGH = "enough"  # watching can begin


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether learning may end.

    block_ns   the longest knowable block, which it rests on (0: none)
    new        upper limit (95 %) of the share of such a block that would be new, the worse of messages and conversations
    cycle_ns   the longest cycle that can be known yet: half of what was watched
    """

    readiness: Readiness
    block_ns: int
    new: float
    cycle_ns: int


def adequacy(baseline: Baseline) -> tuple[Adequacy, ...]:
    """Per length of block (1 min, 1 h, 1 day). Templates that carry noise are left out: nothing of them is learned."""
    return adequacy_of(derive(baseline))


def adequacy_of(model: Model) -> tuple[Adequacy, ...]:
    """The same for a model that is there already; what its budget mutes is left out as well."""
    baseline = model.baseline
    tables = [(s.table, ~s.opaque[s.table.template]) for services in model.services.values() for s in services if len(s.table)]
    talks = np.stack(list(baseline.conversations.values())) if baseline.conversations else np.zeros((0, len(NUMBERS)), np.int64)
    results = []
    for name, unit in zip(BLOCKS, ADEQUACY_BLOCKS, strict=True):
        rows = [np.concatenate([t.numbers[n][kept] for t, kept in tables] or [_NONE]) for n in (name, "first", "last")]
        pairs = [talks[:, NUMBERS.index(n)] for n in (name, "first", "last")]
        shares = [good_turing(blocks, first, last, unit, baseline.watched) for blocks, first, last in (rows, pairs)]
        results.append(Adequacy(unit, baseline.watched >= 2 * unit, *shares))
    return tuple(results)


def verdict(blocks: tuple[Adequacy, ...], watched: int) -> Verdict:
    """Whether learning may end.

    blocks   what `adequacy` says
    watched  ns of clean time
    """
    known = [b for b in blocks if b.knowable]
    shares = [s for s in (known[-1].messages, known[-1].conversations) if s is not None] if known else []
    new = max((s.high for s in shares), default=1.0)
    block_ns = known[-1].block_ns if known else 0
    if not any(b.messages or b.conversations for b in blocks):
        readiness = Readiness.NOTHING
    elif block_ns < SETTLE:
        readiness = Readiness.SHORT
    else:
        readiness = Readiness.ENOUGH if new <= ENOUGH else Readiness.LEARNING
    return Verdict(readiness, block_ns, new, watched // 2)


def earliest(found: Verdict, watched: int, goal: int = 0) -> int | None:
    """Clean time (ns) that learning still takes at the least; None where that cannot be said.

    goal   ns that were asked for; 0: until enough is known

    Where nothing new comes, what was seen once stays and what was seen at all grows with the time: the limit falls as 1 / time.
    A block counts as soon as it is begun, so that one may be won.
    """
    if goal:
        return max(goal - watched, 0)
    if found.readiness is Readiness.ENOUGH:
        return 0
    if found.readiness is Readiness.NOTHING:
        return None
    if found.block_ns < SETTLE:
        return max(2 * SETTLE - watched, 0)
    if found.new >= 1:  # cut off there: how far above it is nobody knows
        return None
    return max(round(watched * (found.new / ENOUGH - 1)) - found.block_ns, 0)


_NONE: Column = np.zeros(0, np.int64)


def good_turing(blocks: Column, first: Column, last: Column, unit: int, watched: int) -> Share | None:
    """What a next block brings, from things that were seen in so many blocks; None where nothing was seen.

    blocks       int64 [n], in how many blocks each thing came
    first, last  int64 [n], ns at which each came first and last
    unit         ns of a block
    watched      ns
    """
    total = int(blocks.sum())
    if not total:
        return None
    number = max(watched / unit, 1.0)
    once, twice = blocks == 1, blocks == 2
    count = int(np.count_nonzero(once))
    # of a few blocks, also what always comes is in two: that says nothing of what is rare
    rare = twice if number >= MIN_BLOCKS else np.zeros_like(twice)
    size = occasion_size(first[once], np.stack([first[rare], last[rare]]), watched)
    low, high = size * lower(count / size, SIDE), size * upper(count / size, SIDE)
    limits = (min(1.0, low / total), min(1.0, high / total))
    return Share(count, total, count / total, *limits, count / number, low / number, high / number)

"""What kinds of messages have in common with the others: counters that are none in some, checks at the end of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.templates import OPEN_CHANCES, Node, number_leaves, walk

if TYPE_CHECKING:
    from appliance.learn.messages.dynamics import Counter
    from appliance.learn.messages.sample import Sample

ENDS = 2  # lengths of requests that must end alike


def close_idle_counters(tree: Node, counters: tuple[Counter, ...], sample: Sample) -> None:
    """A counter of the service need not be one in every kind of message: where it never moved, its bytes are like others."""
    number_leaves(tree)
    kind = walk(tree, sample.heads, sample.length)
    stack = [tree]
    while stack:
        node = stack.pop()
        stack.extend(node.children.values())
        if node.open is None:
            continue
        mine = kind == node.template
        chances = int(np.count_nonzero(mine)) - len(np.unique(sample.stream[mine]))
        for counter in counters:
            values = sample.heads[mine, counter.span]
            if chances >= OPEN_CHANCES and (values == values[:1]).all():
                node.open[counter.span] = False


def open_ends(tree: Node, sample: Sample) -> None:
    """Kinds that hardly came end with as many open bytes as all others do, of whatever length: with a check."""
    number_leaves(tree)
    kind = walk(tree, sample.heads, sample.length)
    rare: list[tuple[npt.NDArray[np.bool_], int]] = []
    ends: dict[int, int] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        stack.extend(node.children.values())
        mine = kind == node.template
        if node.open is None or not mine.any() or (sample.length[mine] != sample.length[mine][0]).any():
            continue
        size = int(sample.length[mine][0])
        if int(np.count_nonzero(mine)) - len(np.unique(sample.stream[mine])) < OPEN_CHANCES:
            rare.append((node.open, size))
        elif size <= WIDTH:
            shut = np.flatnonzero(~node.open[:size])
            ends[size] = min(ends.get(size, size), size - 1 - int(shut.max(initial=-1)))
    if len(ends) >= ENDS:
        for opened, size in rare:
            opened[max(0, size - min(ends.values())) : size] = True


def close_ends(tree: Node, sample: Sample, width: int) -> None:
    """The last `width` bytes of all kinds are a check, which is zero where it is right, and nothing that is free."""
    number_leaves(tree)
    kind = walk(tree, sample.heads, sample.length)
    stack = [tree] if width else []
    while stack:
        node = stack.pop()
        stack.extend(node.children.values())
        sizes = np.unique(sample.length[kind == node.template])
        if node.open is not None and len(sizes) == 1:
            node.open[max(0, int(sizes[0]) - width) : int(sizes[0])] = False

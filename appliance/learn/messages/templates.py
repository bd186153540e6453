"""Kinds of messages (templates) of one service direction: a tree over bytes that say what a message does.

A node is split at the byte that makes the other bytes most predictable (minimum description length). A leaf is a template:
it knows which bytes are *open* (they carry process values, text, noise) and which are *closed* (they were always one of a
few values, and time brought no new ones). Closed bytes together are the message's *row*; known rows are what is normal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.noise import is_noise
from appliance.learn.messages.sample import OPEN_PAIRS, Sample, StreamOrder, group_order
from appliance.learn.messages.wholes import BYTES, Words
from appliance.packets.ordering import grouped

SPLIT_SEARCH = 96  # offsets at which the tree may split
MAX_BRANCH = 32  # values of a byte it may split at
MIN_GAIN_SHARE, MIN_GAIN_BITS = 0.06, 24.0
MAX_DEPTH = 8
SETTLED = 64  # changes, from which on a byte that is not open and has FEW values is no process data that has yet to show more
FEW = 8
OFTEN, ENOUGH = 4, 24  # visits of each of them, and of all, from which on FEW values are all that conversations share (3 / n)
OPEN_CHANCES = 16  # with fewer occasions to change, what the parent node knew counts
COUNTED = 1 << 16  # codes up to here are counted in an array, others are sorted
LENGTH = -1  # pseudo offset: the tree may split at the message's length
UNKNOWN = -1  # in place of a template's number


@dataclass(slots=True)
class Node:
    """A node of the tree; a leaf has no children.

    offset    byte it splits at (LENGTH: the message's length)
    open      bool [WIDTH]: bytes whose values are not closed here
    template  number of the leaf, -1 for inner nodes
    any_length  the length is open as well
    shared    bool [WIDTH]: closed bytes whose few values all conversations share, though not each has shown them all
    """

    offset: int
    children: dict[int, Node] = field(default_factory=dict)
    open: npt.NDArray[np.bool_] | None = None
    template: int = -1
    any_length: bool = False
    shared: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class _Free:
    """Bytes that are not closed at a node, bool [WIDTH] each: open ones, and those that are `Node.shared`; `both` of them."""

    open: npt.NDArray[np.bool_]
    shared: npt.NDArray[np.bool_]

    @property
    def both(self) -> npt.NDArray[np.bool_]:
        free: npt.NDArray[np.bool_] = self.open | self.shared
        return free


def learn_tree(sample: Sample, dynamic: npt.NDArray[np.bool_], answer: bool, words: Words = BYTES, end: int = 0) -> Node:
    """Grow the tree of one service direction.

    sample   messages in time order
    dynamic  bool [WIDTH]: counters and identities, not looked at
    answer   True where these messages answer requests (process data follows the first open byte)
    end      bytes at the end of every message that are its check
    """
    nothing, dynamic = np.zeros_like(dynamic), words.whole(dynamic)
    root = _free_bytes(sample, dynamic, _Free(nothing, nothing), answer, words)
    return _grow(sample, dynamic, root, _settled(sample, end) & ~root.both, answer, 0, words)


def open_bytes(sample: Sample, dynamic: npt.NDArray[np.bool_], words: Words = BYTES) -> npt.NDArray[np.bool_]:
    """Bool [WIDTH]: bytes of one direction that are not closed, whatever the kind of message; arguments as for `learn_tree`."""
    nothing = np.zeros_like(dynamic)
    return _free_bytes(sample, dynamic, _Free(nothing, nothing), answer=False, words=words).open


def _settled(sample: Sample, end: int) -> npt.NDArray[np.bool_]:
    """Bool [WIDTH]: bytes that never changed, or so often among few values that they will hardly have another one.

    The `end` bytes of a message's check are zero and say nothing of longer ones.
    """
    order = group_order(sample.stream)
    heads, stream, length = sample.heads[order], sample.stream[order], sample.length[order]
    alike = (stream[1:] == stream[:-1]) & (length[1:] == length[:-1])
    changes = ((heads[1:] != heads[:-1]) & alike[:, None]).sum(axis=0)
    sizes, times = np.unique(sample.length, return_counts=True)
    usual = sizes[times >= SETTLED]  # one odd message says nothing about the others
    parts = [(sample.heads[sample.length == size], int(size) - end) for size in usual]
    longest = int(sample.length.max(initial=0))
    parts, place = parts or [(sample.heads, longest - end)], np.arange(sample.heads.shape[1])
    inside = np.array([(place < size) | (place >= longest) for _, size in parts])
    steady = np.array([(part == part[:1]).all(axis=0) for part, _ in parts])
    few = np.array([len(np.unique(column)) <= FEW for column in sample.heads.T])
    settled: npt.NDArray[np.bool_] = inside.any(axis=0) & (steady | ~inside).all(axis=0) | (few & (changes >= SETTLED))
    return settled


def _grow(
    sample: Sample,
    dynamic: npt.NDArray[np.bool_],
    parent: _Free,
    settled: npt.NDArray[np.bool_],
    answer: bool,
    depth: int,
    words: Words,
) -> Node:
    free = _free_bytes(sample, dynamic, parent, answer, words)
    mask = free.open & ~dynamic
    if answer and mask.any():
        free = _Free(free.open | (words.behind(mask) & ~settled), free.shared)
    if depth < MAX_DEPTH and len(sample) >= 8:
        at = _best_split(sample, dynamic | free.both)
        if at is not None:
            keys = _keys(sample, at)
            node = Node(at)
            for key in np.unique(keys):
                part = sample.take(keys == key)
                above = _free_alike(sample, part, dynamic, parent, free, answer, words)
                node.children[int(key)] = _grow(part, dynamic, above, settled, answer, depth + 1, words)
            return node
    return Node(0, open=free.open | dynamic, any_length=_length_open(sample), shared=free.shared & ~free.open)


def _free_alike(
    sample: Sample, part: Sample, dynamic: npt.NDArray[np.bool_], parent: _Free, free: _Free, answer: bool, words: Words
) -> _Free:
    """What a part too small to tell takes over: from messages of its own length, where others lie in the node besides.

    free   of the node; parent: of the one above it
    """
    size = int(part.length[0])
    alike = sample.length == size
    if _chances(part) >= OPEN_CHANCES or alike.all() or (part.length != size).any():
        return free
    return _free_bytes(sample.take(alike), dynamic, parent, answer, words)


def _chances(sample: Sample) -> int:
    """How often a message could have differed from the one before in its stream."""
    return len(sample) - len(np.unique(sample.stream))


def _length_open(sample: Sample) -> bool:
    if len(sample) < 8:
        return False
    return StreamOrder.of(sample.stream).visits(sample.length).go_on


def _keys(sample: Sample, at: int) -> npt.NDArray[np.int64]:
    return (sample.length if at == LENGTH else sample.heads[:, at]).astype(np.int64)


def _free_bytes(sample: Sample, dynamic: npt.NDArray[np.bool_], parent: _Free, answer: bool, words: Words = BYTES) -> _Free:
    """Which bytes are not closed here: by their own visits, or by the parent's where there are too few to tell."""
    opened, shared = dynamic.copy(), np.zeros_like(dynamic)
    if not len(sample):
        return _Free(opened, shared)
    vary = np.flatnonzero(sample.heads.min(axis=0) != sample.heads.max(axis=0))
    order = StreamOrder.of(sample.stream)
    chances = len(sample) - int(np.count_nonzero(order.first))
    together = sample.heads[order.order][:, vary]
    changes = ((together[1:] != together[:-1]) & ~order.first[1:, None]).sum(axis=0)
    counters = [sample.heads[:, offset] for offset in np.flatnonzero(dynamic)]
    seen: dict[bytes, tuple[bool, bool]] = {}  # bytes of one number often vary alike
    for offset, changed in zip(vary.tolist(), changes.tolist(), strict=True):
        if dynamic[offset] or (chances < OPEN_CHANCES and parent.both[offset]):
            continue
        if 2 * changed < OPEN_PAIRS:  # a change makes at most two new pairs
            continue
        column = sample.heads[:, offset].tobytes()
        if column not in seen:
            values = sample.heads[:, offset]
            free = order.visits(values).go_on or is_noise(values, counters, order)
            seen[column] = (free, free and not answer and _is_common(values, order))
        free, common = seen[column]
        opened[offset], shared[offset] = free and not common, common
    if words.spans:
        opened = words.whole(opened | words.open(sample.heads, order) & ~shared)
        shared = words.whole(shared)
    if chances < OPEN_CHANCES:
        opened, shared = opened | parent.open, shared | parent.shared
    return _Free(opened, shared & ~opened)


def _is_common(values: npt.NDArray[np.uint8], order: StreamOrder) -> bool:
    """True for few values that all conversations draw from: together each was visited often, and none came late.

    Conversations that only ever had one do not draw.
    """
    starts = order.starts(values)
    varies = np.bincount(order.index[starts]) > 1
    starts = starts[varies[order.index[starts]]]
    counts = np.bincount(values[order.order][starts], minlength=256)
    late = np.setdiff1d(values[2 * len(values) // 3 :], values[: 2 * len(values) // 3])
    often = counts[counts > 0].min(initial=len(starts)) >= OFTEN and len(starts) >= ENOUGH
    return bool(np.count_nonzero(counts) <= FEW and often and not len(late))


def _best_split(sample: Sample, closed_out: npt.NDArray[np.bool_]) -> int | None:
    """The leftmost offset whose split shortens the description of the others enough; None: no split pays.

    The stream is taken as known (bytes that merely tell conversations apart split nothing), and leftmost wins, because
    in every protocol what selects comes before what is selected.
    """
    heads = sample.heads[:, :SPLIT_SEARCH]
    stream = np.unique(sample.stream, return_inverse=True)[1].astype(np.int64)
    columns: dict[int, npt.NDArray[np.int64]] = {}
    weight: dict[int, int] = {}
    seen: dict[bytes, int] = {}
    for offset in [int(o) for o in np.flatnonzero(heads.min(axis=0) != heads.max(axis=0))] + [LENGTH]:
        value = (sample.length if offset == LENGTH else heads[:, offset]).astype(np.int64)
        code = _joint(stream, value)
        twin = seen.setdefault(code.tobytes(), offset)
        weight[twin] = weight.get(twin, 0) + 1
        if twin == offset:
            columns[offset] = code
    known = _entropy(stream)
    costs = {o: (_entropy(c) - known) * weight[o] for o, c in columns.items()}
    total = sum(costs.values())
    for offset, code in columns.items():
        distinct = len(np.unique(heads[:, offset])) if offset != LENGTH else len(np.unique(sample.length))
        if costs[offset] <= 0 or distinct > MAX_BRANCH or (offset != LENGTH and closed_out[offset]):
            continue
        gain = -_branch_penalty(len(sample), distinct)
        wanted = max(MIN_GAIN_BITS, MIN_GAIN_SHARE * total)
        if gain + total - costs[offset] < wanted:  # not even if it explained everything
            continue
        own = _entropy(code)
        for other, column in columns.items():
            if other != offset and costs[other] > 0:
                gain += costs[other] - (_joint_entropy(code, column) - own) * weight[other]
        if gain >= wanted:
            return offset
    return None


def _branch_penalty(n: int, branches: int) -> float:
    """Bits that a split costs: a description of one more branch each."""
    return 8.0 * float(np.log2(max(2, n))) * (branches - 1) / 2


def _joint(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Dense code of the pair (a, b)."""
    code: npt.NDArray[np.int64] = np.unique(a * (int(b.max()) + 1) + b, return_inverse=True)[1].astype(np.int64)
    return code


def _joint_entropy(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> float:
    """Bits to name every pair (a, b) of two dense codes."""
    pairs = a * (int(b.max()) + 1) + b
    if int(pairs.max()) < COUNTED:
        return _entropy(pairs)
    return _bits(np.unique(pairs, return_counts=True)[1])


def _entropy(code: npt.NDArray[np.int64]) -> float:
    """Bits to name every value of a code given the frequencies."""
    counts = np.bincount(code)
    return _bits(counts[counts > 0])


def _bits(counts: npt.NDArray[np.intp]) -> float:
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def number_leaves(node: Node, start: int = 0) -> int:
    """Number the leaves from `start` in a fixed order; returns the next free number."""
    if node.open is not None:
        node.template = start
        return start + 1
    for key in sorted(node.children):
        start = number_leaves(node.children[key], start)
    return start


def walk(
    tree: Node | None,
    heads: npt.NDArray[np.uint8],
    length: npt.NDArray[np.int32],
    rows: npt.NDArray[np.intp] | None = None,
    free: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.int32]:
    """Template of every message (of `rows` only) by the tree, UNKNOWN where a branch has no such value; int32 [n].

    free   uint8 [WIDTH]: bits that say nothing (`messages.flags`)
    """
    rows = np.arange(len(length)) if rows is None else rows
    out = np.full(len(rows), UNKNOWN, np.int32)
    if tree is None or not len(rows):
        return out
    stack: list[tuple[Node, npt.NDArray[np.intp]]] = [(tree, np.arange(len(rows)))]
    while stack:
        node, mine = stack.pop()
        if node.open is not None:
            out[mine] = node.template
            continue
        keys = length[rows[mine]] if node.offset == LENGTH else heads[rows[mine], node.offset]
        if free is not None and node.offset != LENGTH and free[node.offset]:
            keys = keys & ~free[node.offset]
        groups = grouped(keys)
        ends = np.append(groups.start[1:], len(mine)).tolist()
        for key, begin, end in zip(keys[groups.first].tolist(), groups.start.tolist(), ends, strict=True):
            child = node.children.get(key)
            if child is not None:
                stack.append((child, mine[groups.order[begin:end]]))
    return out

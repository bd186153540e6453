"""Bytes that do not say what a message does: counters and identities.

A *counter* follows one of the last values of its scope by a small step; it interleaves (several requests are under way),
resets and wraps. It may count in strides (a client that takes every 4099th number): divided by its stride it counts by one.
An *identity* is constant within a connection and differs between connections of one conversation.
Both are masked before kinds of messages are looked for, and are checked by rules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.sample import WIDTH, Sample, group_order

if TYPE_CHECKING:
    from collections.abc import Iterable

LAGS = 16  # a counter follows any of so many last values ...
STEP = 8  # ... by at most so much
MIN_TURNS = 3  # jumps back from one value to one other, from which on a counter is a list that is gone through
SEARCH = 96  # offsets looked at
WRAPS = 2  # times that a counter must come round for it to be known where it ends
ROUNDS = 4  # times that a stride must go past the end of two bytes or four and on, where a list would begin anew ...
TOURS = 2  # ... and times that it must have gone through all values of one byte, which may be the low part of a list
SHORT = 0.1  # share of messages that may be too short to carry the counter of the others
USUAL = 0.2  # share of steps that are of the stride itself; others overtake or are lost
LEAST_ORDER = 64  # values of a stride, below which they are learned one by one soon enough


class Scope(IntEnum):
    """Who owns the counter."""

    FLOW = 0
    STREAM = 1
    CLIENT = 2


@dataclass(frozen=True, slots=True, order=True)
class Counter:
    """A counter at [offset, offset + width); `whole`: it wrapped while learning, and no byte beside it went on then.

    down   it counts towards zero
    """

    offset: int
    width: int
    big: bool
    scope: Scope
    whole: bool = field(default=False, compare=False)
    down: bool = field(default=False, compare=False)

    @property
    def span(self) -> slice:
        """Its bytes."""
        return slice(self.offset, self.offset + self.width)


def counted_bytes(counters: Iterable[Counter]) -> npt.NDArray[np.bool_]:
    """Bool [WIDTH]: bytes of any of the counters."""
    counted = np.zeros(WIDTH, bool)
    for counter in counters:
        counted[counter.span] = True
    return counted


def scope_of(sample: Sample, scope: Scope) -> npt.NDArray[np.integer]:
    """The column that tells the scope's instances apart."""
    return (sample.flow, sample.stream, sample.client)[scope]


@dataclass(frozen=True, slots=True)
class _Following:
    eligible: int
    follows: int
    advances: int
    distance: int
    visits: int
    visits_allowed: float
    cycles: bool


def _following(values: npt.NDArray[np.int64], group: npt.NDArray[np.integer], modulus: int) -> _Following:
    order = group_order(group)
    v, g = values[order], group[order]
    n = len(v)
    eligible, near, same = (np.zeros(n, bool) for _ in range(3))
    step = np.full(n, STEP + 1, np.int64)
    for lag in range(1, min(LAGS, n - 1) + 1):
        together = g[lag:] == g[:-lag]
        delta = (v[lag:] - v[:-lag]) % modulus
        eligible[lag:] |= together
        near[lag:] |= together & (delta <= STEP)
        same[lag:] |= together & (delta == 0)
        step[lag:] = np.where(together & (delta > 0), np.minimum(step[lag:], delta), step[lag:])
    advance = near & ~same & (step <= STEP)
    start = np.r_[True, (g[1:] != g[:-1]) | (v[1:] != v[:-1])]
    instance = np.cumsum(np.r_[True, g[1:] != g[:-1]]) - 1
    pairs = np.bincount(np.unique(np.stack([instance[start], v[start]]), axis=1)[0])
    wraps = np.bincount(instance[advance], step[advance], len(pairs)) / modulus
    fresh = int(np.count_nonzero(start & ~same))
    jumps = np.flatnonzero(eligible & ~near & start)
    turns = np.unique(v[jumps - 1] * modulus + v[jumps], return_counts=True)[1] if len(jumps) else np.zeros(0, np.int64)
    return _Following(
        int(np.count_nonzero(eligible)),
        int(np.count_nonzero(near & eligible)),
        int(np.count_nonzero(advance)),
        int(step[advance].sum()),
        fresh,
        float((pairs * (2 + 1.5 * wraps)).sum()),
        len(jumps) >= MIN_TURNS and turns.max() >= 0.6 * len(jumps),
    )


def _is_counter(f: _Following, distinct: int) -> bool:
    return (
        f.eligible >= 24
        and distinct >= 24
        and f.follows >= 0.95 * f.eligible
        and f.advances >= 0.3 * f.eligible
        and f.visits <= f.visits_allowed  # a cycle of addresses comes back too soon ...
        and not f.cycles  # ... and always from the same end to the same beginning
    )


def find_counters(sample: Sample) -> tuple[Counter, ...]:
    """Counters of one service direction. A counter is wider than a byte only where a carry was seen, or a stride.

    sample   messages in time order, without gaps in time
    """
    shortest = int(np.quantile(sample.length, SHORT, method="lower")) if len(sample) else 0
    sample = sample.take(sample.length >= shortest)
    reach = min(SEARCH, shortest)
    up = _counters(sample, list(range(reach)), shortest)
    falling = [at for at in _falling(sample, reach) if not any(c.offset <= at < c.offset + c.width for c in up)]
    if falling:  # with all bits turned, what counts down counts up
        turned = replace(sample, heads=~sample.heads)
        up += [replace(c, down=True) for c in _counters(turned, falling, shortest)]
    return tuple(sorted(_without_overlaps(up)))


def _falling(sample: Sample, reach: int) -> list[int]:
    """Bytes that most often go on by a small step downwards from message to message of a connection."""
    order = group_order(sample.flow)
    heads, flow = sample.heads[order][:, :reach], sample.flow[order]
    down = (heads[:-1] - heads[1:])[flow[1:] == flow[:-1]]  # modulo 256
    falls, rises = (np.count_nonzero((one >= 1) & (one <= STEP), axis=0) for one in (down, -down))
    falling: list[int] = np.flatnonzero((falls > USUAL * len(down)) & (falls > rises)).tolist()
    return falling


def _counters(sample: Sample, offsets: list[int], shortest: int) -> list[Counter]:
    """Counters that rise, at the offsets and beside them."""
    found: list[Counter] = []
    for offset in offsets:
        values = sample.heads[:, offset].astype(np.int64)
        distinct = len(np.unique(values))
        if distinct < 24 or any(c.offset <= offset < c.offset + c.width for c in found):
            continue
        for scope in Scope:
            group = scope_of(sample, scope)
            if _is_counter(_following(values, group, 256), distinct):
                found.append(_widen(sample, offset, scope, shortest))
                break
            strided = _strided(sample, offset, scope, shortest)
            if strided is not None:
                found.append(strided)
                break
    return [replace(c, whole=_is_whole(sample, c)) for c in found]


def _is_whole(sample: Sample, counter: Counter) -> bool:
    """True where a counter came round WRAPS times or more and the next higher byte did not rise by one in most of them."""
    order = group_order(scope_of(sample, counter.scope))
    group, heads = scope_of(sample, counter.scope)[order], sample.heads[order]
    weights = 256 ** (np.arange(counter.width)[::-1] if counter.big else np.arange(counter.width))
    values = heads[:, counter.span].astype(np.int64) @ weights
    top = 256**counter.width
    wraps = np.flatnonzero((group[1:] == group[:-1]) & (values[:-1] >= top * 3 // 4) & (values[1:] < top // 4))
    if len(wraps) < WRAPS:
        return False
    higher = [counter.offset - 1] * counter.big + [counter.offset + counter.width] * (not counter.big or counter.width == 1)
    rose = [((heads[wraps + 1, at] - heads[wraps, at]) == 1).mean() for at in higher if 0 <= at < heads.shape[1]]
    return all(share < 0.5 for share in rose)


def _widen(sample: Sample, offset: int, scope: Scope, shortest: int) -> Counter:
    """Take in the neighbour that carries, as long as one does."""
    best = Counter(offset, 1, True, scope)
    group = scope_of(sample, scope)
    for width in (2, 4):
        for big, first in ((True, offset - width + 1), (False, offset)):
            if first < 0 or first + width > shortest:
                continue
            high = sample.heads[:, first + (0 if big else width // 2) : first + (width // 2 if big else width)].max(axis=1)
            if len(np.unique(high)) < 2:
                continue
            span = sample.heads[:, first : first + width].astype(np.int64)
            weights = 256 ** (np.arange(width)[::-1] if big else np.arange(width))
            values = span @ weights
            if not _carries(values, group, 256 ** (width // 2)):
                continue
            f = _following(values, group, 256**width)
            if _is_counter(f, len(np.unique(values))):
                best = Counter(first, width, big, scope)
    return _strided(sample, offset, scope, shortest, least=2 * best.width, upper=best) or best


def _strided(
    sample: Sample, offset: int, scope: Scope, shortest: int, least: int = 1, upper: Counter | None = None
) -> Counter | None:
    """The widest counter in strides that holds a byte, of `least` bytes or more; of one byte only where it is whole.

    upper   what counts already: a stride into which it carries need not show that it goes past its end
    """
    group = scope_of(sample, scope)
    for width in (w for w in (4, 2, 1) if w >= least):
        for first in range(max(0, offset - width + 1), min(offset, shortest - width) + 1):
            span = sample.heads[:, first : first + width].astype(np.int64)
            weights = 256 ** np.arange(width)
            tried = [(*_strides(span @ (weights[::-1] if big else weights), group, 256**width), big) for big in (False, True)]
            follows, enough, big = max(tried, key=lambda t: (t[0], t[2]))
            found = Counter(first, width, big, scope)
            enough = enough or (upper is not None and upper.width > 1 and _is_upper(upper, found))
            if follows and enough and (width > 1 or _is_whole(sample, found)):
                return found
    return None


def _is_upper(part: Counter, whole: Counter) -> bool:
    """True for the upper bytes of a wider counter."""
    first, last = whole.offset, whole.offset + whole.width
    inside = first <= part.offset and part.offset + part.width <= last
    return inside and part.big == whole.big and (part.offset + part.width < last if whole.big else first < part.offset)


def _strides(values: npt.NDArray[np.int64], group: npt.NDArray[np.integer], modulus: int) -> tuple[int, bool]:
    """How often a number goes on by one stride (0: it is no counter), and whether it did so long enough to be none of a list.

    A list of addresses in equal steps begins anew where it began; a counter goes past its end and on beside its old values.
    """
    order = group_order(group)
    v, together = values[order], group[order][1:] == group[order][:-1]
    steps = ((v[1:] - v[:-1]) % modulus)[together]
    often, times = np.unique(steps[steps != 0], return_counts=True)
    if not len(often) or times.max() < USUAL * times.sum():
        return 0, False
    stride = int(often[times.argmax()])
    reach = min(stride, modulus - stride)  # it may count down
    twos = stride & -stride
    distinct, period = len(np.unique(values)), modulus // twos
    if reach <= STEP or twos >= 256 or period < LEAST_ORDER:
        return 0, False
    inverse = np.uint64(pow(stride // twos, -1, period))
    counted = ((values // twos).astype(np.uint64) * inverse & np.uint64(period - 1)).astype(np.int64)  # overflow: modulo 2**64
    f = _following(counted, group, period)
    far = f.distance >= TOURS * period if modulus == 256 else f.distance * reach >= ROUNDS * modulus
    return f.follows * _is_counter(f, distinct), far and 2 * distinct * reach > 3 * modulus


def _carries(values: npt.NDArray[np.int64], group: npt.NDArray[np.integer], low: int) -> bool:
    """True where a small step was seen that crosses a multiple of `low`: the high part is part of the counter."""
    order = group_order(group)
    v, g = values[order], group[order]
    for lag in range(1, min(LAGS, len(v) - 1) + 1):
        step = v[lag:] - v[:-lag]
        if ((g[lag:] == g[:-lag]) & (step >= 1) & (step <= STEP) & (v[lag:] // low != v[:-lag] // low)).any():
            return True
    return False


def _without_overlaps(found: list[Counter]) -> list[Counter]:
    kept: list[Counter] = []
    for counter in sorted(found, key=lambda c: (-c.width, c.offset)):
        if all(counter.offset + counter.width <= k.offset or k.offset + k.width <= counter.offset for k in kept):
            kept.append(counter)
    return kept


def find_identities(sample: Sample) -> npt.NDArray[np.bool_]:
    """Bool [WIDTH]: bytes constant within connections (of four messages or more), different between those of a conversation.

    The first message of a connection does not count.
    """
    identity = np.zeros(sample.heads.shape[1], bool)
    order = group_order(sample.flow)
    flow = sample.flow[order]
    first = np.flatnonzero(np.r_[True, flow[1:] != flow[:-1]])
    size = np.diff(np.r_[first, len(flow)])
    use = size >= 4
    if np.count_nonzero(use) < 2:
        return identity
    shortest = int(sample.length.min())
    heads = sample.heads[order][:, : min(SEARCH, shortest)]
    begins = first.copy()
    begins[size >= 4] += 1  # the message that opens a session cannot carry its handle yet
    spans = np.stack([begins, np.r_[first[1:], len(flow)]], axis=1).ravel()[: 2 * len(first) - 1]
    low = np.minimum.reduceat(heads, spans)[::2][use]
    high = np.maximum.reduceat(heads, spans)[::2][use]
    steady = (low == high).mean(axis=0) >= 0.98
    stream = sample.stream[order][first][use]
    by_stream = np.argsort(stream, kind="stable")
    pair = stream[by_stream][1:] == stream[by_stream][:-1]
    if not pair.any():
        return identity
    values = low[by_stream]
    differs = (values[1:][pair] != values[:-1][pair]).mean(axis=0) >= 0.5
    identity[: heads.shape[1]] = steady & differs
    return identity

"""What to make of TCP segments that come behind: repetition, overlap with other bytes, or a hole filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.identity import mix
from appliance.packets.gather import equal_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.decode.history import History
    from appliance.decode.segments import Segments
    from appliance.decode.work import Work
    from appliance.packets.batch import I64

MOST_LOOKED_AT = 1024  # late segments of one batch compared byte by byte; later ones are delivered with a gap
LOOK_BACK = 256  # earlier segments of the direction that are looked at


def settle(work: Work, segments: Segments, late: I64, history: History) -> None:
    """Decide for each of the `late` segments (indices, ascending) and mark the columns of `work`.

    Equal bytes: `repeat`, and the payload becomes what was new at its end, or empty. Other bytes: `overlap`, payload kept.
    Bytes never seen: `gap`, payload kept. What can no longer be compared is delivered with `gap`, never hidden.
    """
    late = _without_probes(work, segments, late)
    if not late.size:
        return
    for index in _without_twins(work, segments, late)[:MOST_LOOKED_AT].tolist():
        _compare(work, segments, index, history)
    rest = late[~(work.repeat[segments.row[late]] | work.overlap[segments.row[late]])]
    work.gap[segments.row[rest]] = True


def _without_probes(work: Work, segments: Segments, late: I64) -> I64:
    """Take out keep-alive probes: one byte that was acknowledged before, of no meaning, in practice 0 (RFC 9293 3.8.4)."""
    row = segments.row[late]
    probe = (segments.size[late] == 1) & (segments.place[late] == segments.before[late] - 1) & (work.data[work.payload[row]] == 0)
    work.repeat[row[probe]] = True
    work.payload_len[row[probe]] = 0
    others: I64 = late[~probe]
    return others


def _without_twins(work: Work, segments: Segments, late: I64) -> I64:
    """Settle those that have the place and size of an earlier segment of this batch, all at once; returns the others."""
    involved = np.flatnonzero(np.isin(segments.epoch, segments.epoch[late]) & (segments.size > 0))
    epoch, place, size = (column[involved].astype(np.uint64) for column in (segments.epoch, segments.place, segments.size))
    keys = mix(mix(mix(epoch) ^ place) ^ size)
    order = np.argsort(keys, kind="stable")
    change = np.concatenate(([True], keys[order][1:] != keys[order][:-1]))
    first = np.empty_like(order)
    first[order] = order[np.flatnonzero(change)][np.cumsum(change) - 1]
    twin = np.arange(segments.row.size)
    twin[involved] = involved[first]
    second = late[twin[late] != late]
    one, two = segments.row[twin[second]], segments.row[second]
    same = equal_bytes(work.data, work.payload[one] - work.payload_base[one], work.payload[two], segments.size[second])
    work.repeat[two[same]] = True
    work.payload_len[two[same]] = 0
    work.overlap[two[~same]] = True
    others: I64 = late[twin[late] == late]
    return others


def _compare(work: Work, segments: Segments, index: int, history: History) -> None:
    """Compare one segment with every earlier one it touches, in this batch and in the history."""
    row, size = int(segments.row[index]), int(segments.size[index])
    start = int(work.payload[row])
    mine = work.data[start : start + size]
    covered = np.zeros(size, np.bool_)
    differs = False
    for position, kept in _earlier(work, segments, index, history):
        low, high = max(position, 0), min(position + len(kept), size)
        theirs = np.frombuffer(kept, np.uint8)[low - position : high - position]
        unseen = ~covered[low:high]
        differs = differs or bool((theirs != mine[low:high])[unseen].any())
        covered[low:high] = True
        if differs or covered.all():
            break
    if differs:
        work.overlap[row] = True
    elif covered.any():
        _cut(work, row, size if covered.all() else int(np.argmin(covered)))


def _earlier(work: Work, segments: Segments, index: int, history: History) -> Iterator[tuple[int, bytes]]:
    """Yield (position relative to this segment, bytes) of earlier segments that touch it, oldest first."""
    size, place = int(segments.size[index]), int(segments.place[index])
    if not segments.synced[index]:
        row = int(segments.row[index])
        syn = int(work.tcp_flags[row]) >> 1 & 1
        yield from history.pieces(int(segments.key[index]), int(segments.seq[index]) + syn, size)
    low = max(int(segments.head[index]), index - LOOK_BACK)
    near = slice(low, index)
    touching = (segments.place[near] < place + size) & (segments.place[near] + segments.size[near] > place)
    for other in (low + np.flatnonzero(touching)).tolist():
        row = int(segments.row[other])
        start = int(work.payload[row]) - int(work.payload_base[row])
        raw = work.data[start : start + int(segments.size[other])].tobytes()
        yield int(segments.place[other]) - place, raw


def _cut(work: Work, row: int, known: int) -> None:
    """Leave out the first `known` bytes; nothing known at the front means a hole was filled in part: keep it all."""
    if known:
        work.repeat[row] = True
        work.payload[row] += known
        work.payload_base[row] = known
        work.payload_len[row] -= known

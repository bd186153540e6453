"""What of a baseline still counts: assets that are to be learned anew lose what was not seen since.

Nothing is deleted. A baseline holds sums, and sums cannot be taken apart by time; were old and new statistics dropped when two
baselines meet, the order of merging would decide what is left. So a mark (`Ledger.forgotten`) says from when on an asset counts,
and what was last seen before it is left out *when the baseline is read*. "Last seen" merges by maximum: any order and any
grouping leaves the same. What the new device does as the old one did counts on with its history.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.names import address_text
from appliance.learn.site.topology import NUMBERS, stream_key

if TYPE_CHECKING:
    from appliance.decode.conversation import Conversation
    from appliance.learn.baselines.baseline import Baseline
    from appliance.learn.counting.counts import RowTable

_LAST = NUMBERS.index("last")


def living(baseline: Baseline) -> Baseline:
    """The baseline without what was forgotten and not seen since; the same object where nothing was."""
    since = {name: signed.when for name, signed in baseline.ledger.forgotten.items()}
    if not since:
        return baseline

    def from_when(c: Conversation) -> int:
        return max(since.get(address_text(*c.client), -1), since.get(address_text(*c.server), -1))

    limits = {stream_key(c): when for c in baseline.conversations if (when := from_when(c)) >= 0}
    return replace(
        baseline,
        assets={a: x for a, x in baseline.assets.items() if x.last >= since.get(address_text(*a), -1)},
        conversations={c: n for c, n in baseline.conversations.items() if int(n[_LAST]) >= from_when(c)},
        services={
            port: {
                digest: replace(learned, table=_since(learned.table, limits), items=_since(learned.items, limits))
                for digest, learned in kinds.items()
            }
            for port, kinds in baseline.services.items()
        },
    )


def _since(table: RowTable, limits: dict[int, int]) -> RowTable:
    streams = np.array(sorted(limits), np.uint64)
    if not len(streams) or not len(table):
        return table
    at = np.minimum(np.searchsorted(streams, table.stream), len(streams) - 1)
    limit = np.where(streams[at] == table.stream, np.array([limits[int(s)] for s in streams], np.int64)[at], -1)
    return table.take(table.numbers["last"] >= limit)

"""How a plant is divided among several sensors: a pair of addresses is never torn apart, nor what its process ties together.

Every detector but those of `incident.whole` follows pairs, so whoever has a pair whole judges it as one sensor would. Relations
of the process join the numbers of several pairs: these are pinned to one share.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from appliance.packets.fanout import MAX_PINS, Partition, ip_word, pair_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appliance.decode.conversation import Conversation
    from appliance.learn.meaning.model import Model


def partition_of(model: Model, shares: int) -> Partition:
    """Divide what a model watches; the same model gives the same division."""
    pins: dict[int, int] = {}
    load = Counter(dict.fromkeys(range(shares), 0))
    if shares > 1:
        for group in sorted(_groups(_tied(model)), key=lambda g: (-len(g), g)):
            if len(pins) + len(group) > MAX_PINS:
                continue  # its relations are judged as far as one share sees them
            share = min(load, key=lambda one: (load[one], one))
            pins |= dict.fromkeys(group, share)
            load[share] += len(group)
    return Partition(shares, pins)


def owner(partition: Partition, conversation: Conversation) -> int:
    """The share that sees a conversation over IP."""
    return partition.share_of(conversation.client, conversation.server)


def _tied(model: Model) -> Iterator[set[int]]:
    """For each relation of the process the hashes of the pairs whose numbers it joins, where these are several."""
    places: dict[int, int] = {}
    for column, series in enumerate(model.process.series):
        port, digest, row = series.key
        learned = model.baseline.services.get(port, {}).get(digest)
        table = None if learned is None else learned.table
        where = [] if table is None else (table.row == row).nonzero()[0].tolist()
        conversation = model.streams.get(int(table.stream[where[0]])) if table is not None and where else None
        if conversation is not None and conversation.port[0] >= 0:
            places[column] = pair_hash(ip_word(*conversation.client), ip_word(*conversation.server))
    for relation in model.process.relations:
        columns = {relation.target, *(c for term in relation.terms for c in term.columns())}
        pairs = {places[c] for c in columns if c in places}
        if len(pairs) > 1:
            yield pairs


def _groups(ties: Iterable[set[int]]) -> list[list[int]]:
    """What hangs together by any chain of ties."""
    groups: list[set[int]] = []
    for tie in ties:
        joined = set(tie)
        apart = []
        for group in groups:
            if group & joined:
                joined |= group
            else:
                apart.append(group)
        groups = [*apart, joined]
    return [sorted(group) for group in groups]

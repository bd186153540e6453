"""A baseline: all that was learned at a site, as sufficient statistics whose merge is a sum or a join.

Nothing in here is a threshold, a domain or a decision: those are derived from the merged statistics (`meaning.model`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Address, Conversation, Port
from appliance.learn.baselines.ledger import Ledger, merge_ledgers
from appliance.learn.counting.counts import NEVER, RowTable, merge_tables
from appliance.learn.messages.structure import Structure
from appliance.learn.numbers.image import Image, bounded_image, merge_images
from appliance.learn.numbers.prepared import Prepared
from appliance.learn.site.selfsaid import MAX_SPEAKERS, Texts, merge_said
from appliance.learn.site.topology import (
    MAX_ASSETS,
    MAX_CONVERSATIONS,
    MAX_DARK,
    MAX_JOINED,
    MAXS,
    MINS,
    NUMBERS,
    SUMS,
    Asset,
    stream_key,
)
from appliance.learn.timing.rhythm import Rhythm, merge_rhythms

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Learned:
    """What was counted of one service under one structure: messages, and the items of those that are lists."""

    structure: Structure
    table: RowTable
    items: RowTable = field(default_factory=RowTable)
    rhythm: Rhythm = field(default_factory=Rhythm)


@dataclass(slots=True)
class Baseline:
    """Statistics of one or many sessions.

    assets         by address
    conversations  by conversation: the numbers of `topology.NUMBERS`, in that order, int64
    services       by port and by the digest of the structure they were counted under
    arp_targets    IPv4 addresses that were asked for
    frames, sessions, watched   frames read, sessions, ns of capture (sums)
    first, last    ns since the epoch
    truncated      names of tables that reached their cap (absorbing)
    joined         IPv4 groups that somebody joined
    damaged        frames by sort of damage (`decode.columns.Damage`)
    ledger         what people have said: changes accepted, doubts confirmed, assets to be learned anew
    said           what addresses said of themselves: (source, attribute, text) -> ns first and last
    image          what numbers are found in, see `numbers.image`
    prepared       what was found in it ahead; none of the statistics: neither merged nor part of the digest
    """

    assets: dict[Address, Asset] = field(default_factory=dict)
    conversations: dict[Conversation, npt.NDArray[np.int64]] = field(default_factory=dict)
    services: dict[Port, dict[str, Learned]] = field(default_factory=dict)
    arp_targets: set[int] = field(default_factory=set)
    frames: int = 0
    sessions: int = 0
    watched: int = 0
    first: int = NEVER
    last: int = -1
    truncated: set[str] = field(default_factory=set)
    joined: set[int] = field(default_factory=set)
    ledger: Ledger = field(default_factory=Ledger)
    said: dict[Address, Texts] = field(default_factory=dict)
    image: Image = field(default_factory=Image)
    damaged: dict[int, int] = field(default_factory=dict)
    prepared: Prepared | None = None

    def number(self, conversation: Conversation, name: str) -> int:
        """One number of a conversation."""
        return int(self.conversations[conversation][NUMBERS.index(name)])


def merge(a: Baseline, b: Baseline) -> Baseline:
    """Both together. Associative and commutative: any order and any grouping gives an equal baseline."""
    merged = Baseline(
        assets=_join(a.assets, b.assets, Asset.merged),
        conversations=_join(a.conversations, b.conversations, _add_numbers),
        services={
            port: _join(a.services.get(port, {}), b.services.get(port, {}), _add_learned)
            for port in sorted(a.services.keys() | b.services.keys())
        },
        arp_targets=a.arp_targets | b.arp_targets,
        frames=a.frames + b.frames,
        sessions=a.sessions + b.sessions,
        watched=a.watched + b.watched,
        first=min(a.first, b.first),
        last=max(a.last, b.last),
        truncated=a.truncated | b.truncated,
        joined=a.joined | b.joined,
        ledger=merge_ledgers(a.ledger, b.ledger),
        said=merge_said(a.said, b.said),
        image=merge_images(a.image, b.image),
        damaged=_join(a.damaged, b.damaged, int.__add__),
    )
    return bounded(merged)


def bounded(baseline: Baseline) -> Baseline:
    """Keep every table within its cap: the entries with the smallest content hashes stay, and it is noted."""
    b = baseline
    if len(b.assets) > MAX_ASSETS:
        b.truncated.add("assets")
        kept = sorted(b.assets, key=lambda address: (_scatter(address[0] ^ address[1]), address))[:MAX_ASSETS]
        b.assets = {address: b.assets[address] for address in kept}
    if len(b.conversations) > MAX_CONVERSATIONS:
        b.truncated.add("conversations")
        kept_c = sorted(b.conversations, key=lambda c: (stream_key(c), c))[:MAX_CONVERSATIONS]
        b.conversations = {c: b.conversations[c] for c in kept_c}
    if len(b.arp_targets) > MAX_DARK:
        b.truncated.add("arp_targets")
        b.arp_targets = set(sorted(b.arp_targets, key=lambda t: (_scatter(t), t))[:MAX_DARK])
    if len(b.said) > MAX_SPEAKERS:
        b.truncated.add("said")
        speakers = sorted(b.said, key=lambda address: (_scatter(address[0] ^ address[1]), address))[:MAX_SPEAKERS]
        b.said = {address: b.said[address] for address in speakers}
    if len(b.joined) > MAX_JOINED:
        b.truncated.add("joined")
        b.joined = set(sorted(b.joined, key=lambda t: (_scatter(t), t))[:MAX_JOINED])
    b.image = bounded_image(b.image)
    if b.image.cut():
        b.truncated.add("image")
    return b


def _scatter(value: int) -> int:
    return (value * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF_FFFF


def _join(a: dict[K, V], b: dict[K, V], add: Callable[[V, V], V]) -> dict[K, V]:
    out = dict(a)
    for key, value in b.items():
        out[key] = add(out[key], value) if key in out else value
    return out


def _add_numbers(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    out = a + b
    for i, name in enumerate(NUMBERS):
        if name in MINS:
            out[i] = min(a[i], b[i])
        elif name in MAXS:
            out[i] = max(a[i], b[i])
        else:
            assert name in SUMS  # noqa: S101  # the three groups are all there is
    return out


def _add_learned(a: Learned, b: Learned) -> Learned:
    table = merge_tables(a.table, b.table)
    items, rhythm = merge_tables(a.items, b.items), merge_rhythms(a.rhythm, b.rhythm)
    return Learned(a.structure, table, items, rhythm.only(table.row))

"""From packets to columns: the layers in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode import identity, link, network, transport
from appliance.decode.columns import Damage, DecodedBatch
from appliance.decode.duplicates import RecentFrames
from appliance.decode.fragments import FragmentTable
from appliance.decode.tcp import StreamTable
from appliance.decode.work import Work

if TYPE_CHECKING:
    from appliance.packets.batch import PacketBatch

DEFAULT_KEY = 0x53656B6973686F


@dataclass(slots=True)
class DecodeState:
    """What decoding carries from batch to batch; everything in it is bounded.

    key   mixed into the flow hash: fixed, so that a replay is the same every time; a live sensor may pass a secret
    """

    key: int = DEFAULT_KEY
    fragments: FragmentTable = field(default_factory=FragmentTable)
    recent: RecentFrames = field(default_factory=RecentFrames)
    streams: StreamTable = field(default_factory=StreamTable)


_HEADLESS = (
    Damage.UNKNOWN_LINK, Damage.TRUNCATED_LINK, Damage.TRUNCATED_NETWORK, Damage.TRUNCATED_TRANSPORT,
    Damage.BAD_TRANSPORT_HEADER,
)  # fmt: skip


def decode(batch: PacketBatch, state: DecodeState) -> DecodedBatch:
    """Decode all frames of a batch; damage is a column, nothing is raised.

    Reassembled datagrams are put into the batch's arena, so a batch is decoded once. `state` is changed.
    """
    work = Work(batch)
    link.parse(work)
    fragments = network.parse(work)
    state.fragments.reassemble(work, fragments)
    transport.parse(work)
    work.payload = work.at
    work.payload_len = np.maximum(work.end - work.at, 0).astype(np.int32)
    if work.hurt:
        work.payload_len[np.isin(work.damage, _HEADLESS)] = 0
    work.payload_len[work.fragment] = 0
    identity.identify(work, state.key)
    state.recent.mark(work)
    state.streams.follow(work)
    return work.freeze()

"""Frames without what they carry: headers stay, every byte behind them becomes zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.decode import link, network, transport
from appliance.decode.work import Work

if TYPE_CHECKING:
    from appliance.packets.batch import I64, PacketBatch


def header_ends(batch: PacketBatch) -> I64:
    """Where in `data` the headers of each frame end; its end where it is all header (ARP).

    Ethernet, tags, LLC, IP, TCP and UDP are headers; ICMP, fragments behind their IP header and whatever is not decoded are not.
    """
    work = Work(batch)
    link.parse(work)
    network.parse(work)
    transport.parse(work)
    end = batch.offset + batch.captured
    return np.where(work.ethertype == link.ARP, end, np.minimum(work.at, end))


def strip(batch: PacketBatch) -> None:
    """Write zeros over what the frames of a batch carry, in its own buffer; lengths and checksums stay as they were."""
    first = header_ends(batch)
    size = batch.offset + batch.captured - first
    batch.data[np.repeat(first - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))] = 0

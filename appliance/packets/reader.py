"""From a source to batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.packets.batch import Arena, PacketBatch
from appliance.packets.pcap import PcapWalker
from appliance.packets.pcapng import PcapngWalker
from appliance.packets.source import CaptureSource, Format
from appliance.packets.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.packets.records import Records, Walker

MAX_FRAMES = 65536  # at half as many, what is done once a batch whatever its size costs a seventh more on many services
BLOCK = 8 << 20


def batches(source: CaptureSource, max_frames: int = MAX_FRAMES, block: int = BLOCK) -> Iterator[PacketBatch]:
    """Yield the packets of `source` in batches of at most `max_frames`, none of them empty.

    `block` is the size of the reused buffer in bytes (put within 512 KiB..16 MiB); a batch and everything that points into
    its `data` are valid until the next one is asked for. A source that ends or breaks inside a record is not an error: what
    was complete is delivered and `source.truncated` and `source.reason` say what happened.
    """
    window = Window(source, block)
    walker: Walker
    if source.kind is Format.PCAP:
        walker = PcapWalker(source.head)
        window.start = len(source.head)
    else:
        walker = PcapngWalker()
    while True:
        if window.low():
            window.fill()
        records = walker.walk(window.data, window.memory, window.start, window.stop, max_frames)
        moved = records.after != window.start
        window.start = records.after
        if records.time.size:
            yield _batch(records, window, source)
        if records.damage:
            source.cut(f"damaged after frame {source.frames}: {records.damage}")
            return
        if records.time.size or (moved and window.start <= window.stop):
            continue
        if not window.fill():
            _end(window, source)
            return


def _batch(records: Records, window: Window, source: CaptureSource) -> PacketBatch:
    size = records.time.size
    first = source.frames + 1
    source.frames += size
    return PacketBatch(
        time=records.time,
        frame=np.arange(first, first + size, dtype=np.int64),
        offset=records.offset,
        captured=records.captured,
        wire=records.wire,
        link=records.link,
        interface=records.interface,
        data=window.data,
        used=window.stop,
        arena=Arena(window.data, window.stop),
    )


def _end(window: Window, source: CaptureSource) -> None:
    """Say so when bytes are left that are no whole record."""
    rest = window.stop - window.start
    if rest > 0 and window.ended:
        source.cut(f"the input ends inside a record after frame {source.frames} ({rest} bytes are left over)")
    elif rest > 0:
        source.cut(f"damaged after frame {source.frames}: a record does not end within {rest} bytes")

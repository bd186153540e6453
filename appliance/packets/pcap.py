"""The classic capture format (draft-ietf-opsawg-pcap): a 24-byte file header, then records with 16-byte headers."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from appliance.packets.chain import Runs, follow
from appliance.packets.gather import gather, layout
from appliance.packets.records import MAX_CAPTURED, Records, no_records

if TYPE_CHECKING:
    from appliance.packets.batch import I64, U8

_ORDERS = {  # magic: byte order, ns per unit of the records' fraction
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
HEADER = 16
STRETCH = 1 << 19  # bytes


class PcapWalker:
    """Walks the records of one classic capture, whatever its byte order and time unit."""

    def __init__(self, head: bytes) -> None:
        """Read the file header: `head` holds its 24 bytes and starts with a known magic."""
        self.order, self.unit = _ORDERS[head[:4]]
        _, minor, _, _, _, network = Struct(self.order + "HHiIII").unpack(head[4:24])
        self.link = network & 0xFFFF
        # Bit 26 says that bits 28-31 give the length of the frame check sequence in 16-bit words.
        self.trailer = 2 * (network >> 28) if network & 0x04000000 else 0
        self.swapped_lengths = minor < 3  # before 2.3 the two lengths stood in the other order
        self._length = Struct(self.order + ("12xI" if self.swapped_lengths else "8xI"))
        self._shape = layout(
            HEADER,
            self.order,
            seconds=("u4", 0),
            part=("u4", 4),
            captured=("u4", 12 if self.swapped_lengths else 8),
            wire=("u4", 8 if self.swapped_lengths else 12),
        )

    def walk(self, data: U8, memory: memoryview, start: int, stop: int, limit: int) -> Records:
        """Return the complete records in the window (see `records.Walker`)."""
        at = self._chain(data, memory, start, stop, limit)
        if not at.size:
            return no_records(start)
        raw = gather(data, at, self._shape)
        captured = raw["captured"].astype(np.int64)
        good = int(at.size)
        damage = ""
        impossible = np.flatnonzero(captured > MAX_CAPTURED)
        if impossible.size:
            good = int(impossible[0])
            damage = f"a record claims {int(captured[good])} captured bytes, more than any frame has"
        elif int(at[-1]) + HEADER + int(captured[-1]) > stop:
            good -= 1
        after = int(at[good]) if good < at.size else int(at[-1]) + HEADER + int(captured[-1])
        return self._records(raw[:good], at[:good], captured[:good], after, damage)

    def _chain(self, data: U8, memory: memoryview, start: int, stop: int, limit: int) -> I64:
        """Offsets of the records, found stretch by stretch: what compares the bytes of one stays near the processor."""
        parts: list[I64] = []
        at, found = start, 0
        while found < limit and at + HEADER <= stop:
            end = min(at + STRETCH, stop)
            part = follow(memory, at, end, limit - found, self._length, HEADER, self._likely(data, at, end))
            parts.append(part)
            found += part.size
            at = int(part[-1]) + HEADER + self._length.unpack_from(memory, int(part[-1]))[0]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _likely(self, data: U8, start: int, stop: int) -> Runs:
        """Find what looks like records: the upper half of the seconds, which changes every 18 hours, as in the first one."""
        mark = start + (2 if self.order == "<" else 0)
        count = stop - HEADER - start + 1
        if count <= 0:
            return Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))
        seen = data[mark : mark + count] == data[mark]
        seen &= data[mark + 1 : mark + 1 + count] == data[mark + 1]
        at = np.flatnonzero(seen)
        if at.size > count // HEADER:  # a mark that is everywhere (time 0) says nothing
            at = at[:0]
        at += start
        raw = gather(data, at, self._shape)
        captured = raw["captured"].astype(np.int64)
        after = at + HEADER + captured
        good = (captured <= raw["wire"]) & (after <= stop)
        return Runs(at, after) if good.all() else Runs(at[good], after[good])

    def _records(self, raw: npt.NDArray[Any], at: I64, captured: I64, after: int, damage: str) -> Records:
        size = at.size
        time = raw["seconds"].astype(np.int64) * 1_000_000_000 + raw["part"].astype(np.int64) * self.unit
        wire = np.minimum(raw["wire"], np.uint32(0x7FFFFFFF)).astype(np.int32)
        kept = captured.astype(np.int32)
        if self.trailer:
            whole = kept >= wire
            kept = np.where(whole, np.maximum(kept - self.trailer, 0), kept).astype(np.int32)
            wire = np.maximum(wire - self.trailer, 0).astype(np.int32)
        return Records(
            time, at + HEADER, kept, wire, np.full(size, self.link, np.uint16), np.zeros(size, np.uint16), after, damage
        )

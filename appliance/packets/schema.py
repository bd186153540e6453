"""The columns of a batch of packets: one table, so that code, tests and documents cannot disagree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column: attribute name, NumPy dtype, unit, meaning."""

    name: str
    dtype: str
    unit: str
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column("time", "int64", "ns since the epoch", "capture time; not monotonic; 0 where the input carries none"),
    Column("frame", "int64", "-", "1-based running number over the whole input, as Wireshark counts"),
    Column("offset", "int64", "byte in data", "first captured byte of the frame"),
    Column("captured", "int32", "bytes", "captured bytes, without a frame check sequence"),
    Column("wire", "int32", "bytes", "length on the wire; larger than captured where the capture cut the frame"),
    Column("link", "uint16", "LINKTYPE", "as registered at tcpdump.org; 65535 where the record names no known interface"),
    Column("interface", "uint16", "-", "running number of the capture interface in the input, from 0"),
)

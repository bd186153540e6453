"""Grows a small capture of a plant into a large one, the same bytes for the same arguments.

usage: capture.py SOURCE.pcap OUT.pcap --frames N [--first-copy K] [--random-payload]

The source is repeated, each copy later than the one before by the source's duration. In each copy every TCP connection
and every UDP client gets a port of its own, as a client that reconnects would; equal ports on both sides (BACnet) stay.
Checksums are updated by difference (RFC 1624), so that one that was right stays right and an offloaded one stays wrong.
With --random-payload all bytes of every TCP and UDP payload are random: nothing the plant ever said.
"""

import argparse
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

Ints: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]

FIRST_PORT, PORTS = 10_000, 50_000  # copies take their client ports from here, in steps of a prime
STEP = 131
FILE_HEADER, RECORD_HEADER = 24, 16


@dataclass(frozen=True, slots=True)
class Source:
    """A capture as one array, with the places that a copy changes (byte offsets in `body`, one per frame concerned).

    body      uint8, records as in the file, without the file header
    times     nanoseconds since the epoch per frame; stamps are at `records`
    ports     offset of the client's port; `port` its value; `sums` offset of the checksum, -1 where there is none
    first, last   half-open range of the payload
    """

    head: bytes
    unit_ns: int
    body: Bytes
    records: Ints
    times: Ints
    ports: Ints
    port: Ints
    sums: Ints
    first: Ints
    last: Ints


def load(path: Path) -> Source:
    """A classic little-endian pcap of Ethernet frames; ValueError for anything else."""
    raw = path.read_bytes()
    magic, *_, link = struct.unpack_from("<IHHiIII", raw)
    if magic not in (0xA1B2C3D4, 0xA1B23C4D) or link != 1:
        raise ValueError(f"{path}: the benchmark grows classic little-endian pcap files of Ethernet only")
    unit_ns = 1 if magic == 0xA1B23C4D else 1000
    body = raw[FILE_HEADER:]
    records, times, places = [], [], []
    at = 0
    while at + RECORD_HEADER <= len(body):
        sec, sub, size = struct.unpack_from("<III", body, at)
        if at + RECORD_HEADER + size > len(body):
            break
        records.append(at)
        times.append(sec * 1_000_000_000 + sub * unit_ns)
        place = transport(body, at + RECORD_HEADER, at + RECORD_HEADER + size)
        if place:
            places.append(place)
        at += RECORD_HEADER + size
    columns = np.array(places, dtype=np.int64).reshape(-1, 5).T
    return Source(
        raw[:FILE_HEADER],
        unit_ns,
        np.frombuffer(body[:at], dtype=np.uint8),
        np.array(records, dtype=np.int64),
        np.array(times, dtype=np.int64),
        *columns,
    )


def transport(body: bytes, start: int, end: int) -> tuple[int, int, int, int, int] | None:
    """(offset of the client's port, the port, offset of the checksum or -1, payload range) of an unfragmented IPv4 frame."""
    l3 = start + 14
    if end < l3 + 28 or body[start + 12 : l3] != b"\x08\x00" or struct.unpack_from(">H", body, l3 + 6)[0] & 0x3FFF:
        return None
    l4, last = l3 + (body[l3] & 15) * 4, l3 + struct.unpack_from(">H", body, l3 + 2)[0]
    protocol = body[l3 + 9]
    if last > end or protocol not in (6, 17) or last < l4 + (20 if protocol == 6 else 8):
        return None
    check, first = (l4 + 16, l4 + (body[l4 + 12] >> 4) * 4) if protocol == 6 else (l4 + 6, l4 + 8)
    if protocol == 17 and body[check : check + 2] == b"\0\0":
        check = -1  # UDP without a checksum
    source, target = struct.unpack_from(">HH", body, l4)
    place = l4 if source > target else l4 + 2
    return place, max(source, target) if source != target else 0, check, min(first, last), last


def word(body: Bytes, at: Ints) -> Ints:
    """Big-endian 16-bit numbers at the offsets."""
    return body[at].astype(np.int64) << 8 | body[at + 1]


def put(body: Bytes, at: Ints, value: Ints) -> None:
    """Writes 16-bit big-endian numbers at the offsets."""
    body[at], body[at + 1] = value >> 8, value & 255


def sums(body: Bytes, first: Ints, last: Ints) -> Ints:
    """Sum of the 16-bit words of each range, counted from its own start, an odd last byte as the high one."""
    pairs = np.zeros((2, len(body) + 1), dtype=np.int64)
    for parity in (0, 1):
        weights = np.where(np.arange(len(body)) % 2 == parity, 256, 1)
        np.cumsum(body * weights, out=pairs[parity, 1:])
    own = first % 2
    total: Ints = pairs[own, last] - pairs[own, first]
    return total


def update(body: Bytes, at: Ints, delta: Ints) -> None:
    """RFC 1624, eqn. 3: HC' = ~(~HC + delta), where delta = sum of new words minus sum of old ones."""
    total = (0xFFFF - word(body, at)) + delta % 0xFFFF
    total = (total & 0xFFFF) + (total >> 16)
    put(body, at, 0xFFFF - ((total & 0xFFFF) + (total >> 16)))


def copy(source: Source, number: int, rng: np.random.Generator | None) -> Bytes:
    """The records of the source as the copy of that number; payloads are random where a generator is given."""
    body = source.body.copy()
    span = int(source.times.max() - source.times.min()) + 1_000_000
    times = source.times + number * span
    stamps = np.stack([times // 1_000_000_000, times % 1_000_000_000 // source.unit_ns], axis=1).astype("<u4")
    body[source.records[:, None] + np.arange(8)] = stamps.view(np.uint8).reshape(-1, 8)

    moved = (source.port > 0) & (number > 0)
    new = FIRST_PORT + (source.port + number * STEP) % PORTS
    delta = np.where(moved, new - source.port, 0)
    put(body, source.ports[moved], new[moved])
    if rng is not None:
        before = sums(body, source.first, source.last)
        lengths = source.last - source.first
        inside = np.repeat(source.first - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        body[inside] = rng.integers(0, 256, len(inside), dtype=np.uint8)
        delta = delta + sums(body, source.first, source.last) - before
    summed = source.sums >= 0
    update(body, source.sums[summed], delta[summed])
    return body


def grow(source: Source, out: Path, frames: int, first_copy: int, random_payload: bool) -> int:
    """Writes whole copies until there are at least that many frames; returns how many were written."""
    rng = np.random.default_rng(20261121) if random_payload else None
    copies = -(-frames // len(source.records))
    with out.open("wb") as file:
        file.write(source.head)
        for number in range(first_copy, first_copy + copies):
            file.write(copy(source, number, rng).tobytes())
    return copies * len(source.records)


def main() -> None:
    """Prints one line: frames written and frames with payload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--first-copy", type=int, default=0)
    parser.add_argument("--random-payload", action="store_true")
    wanted = parser.parse_args()
    source = load(wanted.source)
    written = grow(source, wanted.out, wanted.frames, wanted.first_copy, wanted.random_payload)
    carrying = int((source.last > source.first).sum()) * written // len(source.records)
    print(written, carrying)


if __name__ == "__main__":
    main()

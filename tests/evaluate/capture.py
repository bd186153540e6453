"""Captures as frames in memory: read, split by time, change bytes so that checksums say what they said before."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

from appliance.decode.columns import DecodedBatch
from appliance.decode.headers import DecodeState, decode
from appliance.host.files import open_capture
from appliance.packets.batch import batch_of
from appliance.packets.reader import batches

BATCH = 16_384  # frames handed over at once
ETHERNET, COOKED = 1, 113
BARE_IP = {0: 4, 12: 0, 101: 0, 108: 4, COOKED: 16}  # link types that carry IP behind so many bytes of their own header
IPV4, IPV6, TAG, TCP, UDP = 0x0800, 0x86DD, 0x8100, 6, 17

Frame = tuple[int, bytes]  # time in ns, bytes from the destination address on


@dataclass(frozen=True, slots=True)
class Capture:
    """Frames of Ethernet in the order of the file; frame n of a finding is frames[n - 1]."""

    frames: list[Frame]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seconds(self) -> float:
        """From the first to the last time."""
        times = [when for when, _ in self.frames]
        return (max(times) - min(times)) * 1e-9 if times else 0.0

    def decoded(self) -> Iterator[DecodedBatch]:
        """The frames as decoded batches, from the start, as a reader of a file would give them."""
        state, numbers = DecodeState(), count(1)
        for at in range(0, len(self.frames), BATCH):
            yield decode(batch_of(self.frames[at : at + BATCH], ETHERNET, numbers), state)

    def split(self, share: float) -> "tuple[Capture, Capture]":
        """The first `share` of the frames, and the rest."""
        at = int(len(self.frames) * share)
        return Capture(self.frames[:at]), Capture(self.frames[at:])

    def with_changes(self, changes: dict[int, bytes]) -> "Capture":
        """The same with other bytes in some frames; keys are indices."""
        frames = list(self.frames)
        for index, raw in changes.items():
            frames[index] = frames[index][0], raw
        return Capture(frames)


def load(path: Path) -> Capture:
    """Frames of a pcap or pcapng file; those of loopback and cooked links get an Ethernet header.

    ValueError where it has another link type; CaptureError where it is no capture.
    """
    frames: list[Frame] = []
    with open_capture(path) as source:
        for batch in batches(source):
            links = set(batch.link.tolist())
            if links - {ETHERNET, *BARE_IP}:
                raise ValueError(f"{path.name}: link types {sorted(links)}")
            frames.extend(
                (int(batch.time[row]), _ethernet(int(batch.link[row]), batch.bytes_of(row))) for row in range(len(batch))
            )
    return Capture(frames)


def _ethernet(link: int, raw: bytes) -> bytes:
    if link == ETHERNET or len(raw) <= BARE_IP[link]:
        return raw
    packet = raw[BARE_IP[link] :]
    kind = raw[14:16] if link == COOKED else b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    source, target = (packet[12:16], packet[16:20]) if kind == b"\x08\x00" and len(packet) >= 20 else (bytes(4), b"\0\0\0\1")
    return b"\x02\0" + target + b"\x02\0" + source + kind + packet


class Place(NamedTuple):
    """Where a frame carries its payload, and between whom: addresses as bytes, ports 0 where there are none."""

    offset: int
    size: int
    src: bytes
    dst: bytes
    proto: int  # IP protocol, or the ethertype
    sport: int
    dport: int


def place(raw: bytes) -> Place | None:
    """The payload of TCP or UDP over IP, or of any other ethertype; None where there is none or it is not whole."""
    if len(raw) < 34:
        return None
    at, kind = 14, struct.unpack_from("!H", raw, 12)[0]
    if kind == TAG:
        at, kind = 18, struct.unpack_from("!H", raw, 16)[0]
    if kind not in (IPV4, IPV6):
        return Place(at, len(raw) - at, raw[6:12], raw[0:6], kind, 0, 0) if kind >= 0x0600 else None
    l4, end, proto, src, dst = _ipv4(raw, at) if kind == IPV4 else _ipv6(raw, at)
    if proto not in (TCP, UDP) or end > len(raw) or end < l4 + (20 if proto == TCP else 8):
        return None
    offset = l4 + ((raw[l4 + 12] >> 4) * 4 if proto == TCP else 8)
    if end <= offset:
        return None
    return Place(offset, end - offset, src, dst, proto, *struct.unpack_from("!HH", raw, l4))


def _ipv4(raw: bytes, at: int) -> tuple[int, int, int, bytes, bytes]:
    """Where the transport header begins, where the packet ends, the protocol (0 for a fragment), both addresses."""
    fragment = struct.unpack_from("!H", raw, at + 6)[0] & 0x3FFF
    end = at + struct.unpack_from("!H", raw, at + 2)[0]
    return at + (raw[at] & 15) * 4, end, 0 if fragment else raw[at + 9], raw[at + 12 : at + 16], raw[at + 16 : at + 20]


def _ipv6(raw: bytes, at: int) -> tuple[int, int, int, bytes, bytes]:
    """The same; extension headers are not followed."""
    end = at + 40 + struct.unpack_from("!H", raw, at + 4)[0]
    return at + 40, end, raw[at + 6], raw[at + 8 : at + 24], raw[at + 24 : at + 40]


def changed(raw: bytes, where: Place, first: int, value: bytes) -> bytes:
    """The frame with `value` at payload offset `first`. A right checksum is made right again, a wrong one (offloading) stays."""
    out = bytearray(raw)
    at = where.offset + first
    if where.proto not in (TCP, UDP) or not where.sport:
        out[at : at + len(value)] = value
        return bytes(out)
    right = _checksum(out, where) == _stored(out, where)
    out[at : at + len(value)] = value
    if right:
        struct.pack_into("!H", out, _checksum_at(out, where), _checksum(out, where))
    return bytes(out)


def _transport_at(where: Place, raw: bytes | bytearray) -> int:
    ip = 18 if raw[12:14] == b"\x81\x00" else 14
    return ip + (40 if len(where.src) == 16 else (raw[ip] & 15) * 4)


def _checksum_at(raw: bytes | bytearray, where: Place) -> int:
    return _transport_at(where, raw) + (16 if where.proto == TCP else 6)


def _stored(raw: bytes | bytearray, where: Place) -> int:
    return int(struct.unpack_from("!H", raw, _checksum_at(raw, where))[0])


def _checksum(raw: bytes | bytearray, where: Place) -> int:
    """What the TCP or UDP checksum ought to be (RFC 9293, RFC 768, RFC 8200)."""
    l4, at = _transport_at(where, raw), _checksum_at(raw, where)
    segment = bytearray(raw[l4 : where.offset + where.size])
    segment[at - l4 : at - l4 + 2] = b"\0\0"
    return internet_checksum(where.src + where.dst + struct.pack("!BBH", 0, where.proto, len(segment)) + segment) or 0xFFFF


def internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)

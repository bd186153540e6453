"""From what the script did to one label a frame: who sent it, when, and what it asks. The product has no say here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Frame:
    """What labelling needs of a frame.

    time      seconds since the epoch
    src, dst  IPv4 addresses, also of ARP; "" for anything else
    ports     source and destination port, (0, 0) where there are none
    payload   bytes above TCP or UDP
    """

    time: float
    src: str
    dst: str
    ports: tuple[int, int]
    payload: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One rule the script wrote down; the first that fits a frame decides.

    label     1 = not normal, part of the episode; 2 = true but not scored
    episode   number of the episode the step belongs to (kept for label 2 too, where the scoring tool does not use it)
    start, end  seconds since the epoch
    src, dst  addresses of the sender and receiver, "" for any
    host      address that is either of them, "" for any
    port      port on either side, 0 for any
    payload   (offset, bytes) pairs that the payload has to carry; a frame without payload then does not fit
    """

    label: int
    episode: int
    name: str
    start: float
    end: float
    src: str = ""
    dst: str = ""
    host: str = ""
    port: int = 0
    payload: tuple[tuple[int, bytes], ...] = ()

    def fits(self, frame: Frame) -> bool:
        """Say whether the rule covers the frame."""
        return (
            self.start <= frame.time <= self.end
            and self.src in ("", frame.src)
            and self.dst in ("", frame.dst)
            and (not self.host or self.host in (frame.src, frame.dst))
            and (not self.port or self.port in frame.ports)
            and all(frame.payload[at : at + len(want)] == want for at, want in self.payload)
        )


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a little-endian microsecond Ethernet pcap, as the lab's recorder writes it."""
    raw = path.read_bytes()
    at = 24
    while at + 16 <= len(raw):
        seconds, micros, size, _ = struct.unpack_from("<IIII", raw, at)
        yield dissect(seconds + micros / 1e6, raw[at + 16 : at + 16 + size])
        at += 16 + size


def dotted(raw: bytes) -> str:
    """Return an IPv4 address as text."""
    return ".".join(map(str, raw))


def dissect(when: float, raw: bytes) -> Frame:
    """Take a frame apart as far as labelling needs it."""
    kind = raw[12:14]
    if kind == b"\x08\x06":
        return Frame(when, dotted(raw[28:32]), dotted(raw[38:42]), (0, 0), b"")
    if kind != b"\x08\x00" or len(raw) < 34:
        return Frame(when, "", "", (0, 0), b"")
    header = 14 + (raw[14] & 15) * 4
    end = 14 + int.from_bytes(raw[16:18], "big")
    src, dst, proto = dotted(raw[26:30]), dotted(raw[30:34]), raw[23]
    if proto not in (6, 17):
        return Frame(when, src, dst, (0, 0), b"")
    ports = struct.unpack_from("!HH", raw, header)
    head = (raw[header + 12] >> 4) * 4 if proto == 6 else 8
    return Frame(when, src, dst, (ports[0], ports[1]), raw[header + head : end])


def label(frames: Sequence[Frame], steps: Sequence[Step]) -> list[Step | None]:
    """Return for each frame the first step that fits, None for normal frames."""
    return [next((s for s in steps if s.fits(f)), None) for f in frames]


def rows(decided: Sequence[Step | None]) -> str:
    """Return labels.csv: `frame;label;episode;name`, one row a frame, frame 1-based."""
    lines = [f"{n};{s.label};{s.episode};{s.name}" if s else f"{n};0;;" for n, s in enumerate(decided, 1)]
    return "\n".join(lines) + "\n"

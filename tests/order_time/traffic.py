"""A clean capture as exchanges (request and answer) that can be moved, left out and repeated, and frames made of them again.

TCP numbers are made anew, so a moved request is a sound segment; bare acknowledgements are left out. What is no exchange (ARP,
chatter) keeps its frame and its time.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import dpkt

from tests.unit.frames import SECOND, ethernet, ipv4, tcp, udp

if TYPE_CHECKING:
    from pathlib import Path

Frames = list[tuple[int, bytes]]
Flow = tuple[int, str, int, str, int]  # IP protocol, client, its port, server, its port
LATER = SECOND // 4  # after an answer, what comes is no part of it any more
SERVED = (502, 7001, 4410, 44818, 47808)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and the payloads that answer it; times in ns. `opens`: it has a connection of its own."""

    flow: Flow
    at: int
    asks: bytes
    answers: tuple[tuple[int, bytes], ...]
    opens: bool = False

    def moved(self, to: int) -> Exchange:
        """The same at another time."""
        shift = to - self.at
        return replace(self, at=to, answers=tuple((t + shift, body) for t, body in self.answers))

    @property
    def conversation(self) -> tuple[str, str, int]:
        """Client, server, port of the server."""
        return self.flow[1], self.flow[3], self.flow[4]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Exchanges in the order of time, and frames that are none."""

    exchanges: list[Exchange]
    others: Frames

    def of(self, conversation: tuple[str, str, int]) -> list[Exchange]:
        """The exchanges of one conversation."""
        return [e for e in self.exchanges if e.conversation == conversation]

    def with_(self, removed: set[Exchange], added: list[Exchange]) -> Traffic:
        """Without some exchanges and with others."""
        kept = [e for e in self.exchanges if e not in removed] + added
        return Traffic(sorted(kept, key=lambda e: e.at), self.others)


def read(path: Path) -> Frames:
    """The frames of a pcap file; times in ns."""
    with path.open("rb") as file:
        return [(round(when * 1_000_000) * 1000, bytes(raw)) for when, raw in dpkt.pcap.Reader(file)]


def _address(raw: bytes) -> str:
    return ".".join(map(str, raw))


def _parsed(raw: bytes) -> tuple[Flow, bytes] | None:
    """Direction (proto, source, port, destination, port) and payload of an IPv4 frame over TCP or UDP."""
    if raw[12:14] != b"\x08\x00" or raw[14] != 0x45 or raw[23] not in (6, 17):
        return None
    total, proto = struct.unpack(">H", raw[16:18])[0], raw[23]
    sport, dport = struct.unpack(">HH", raw[34:38])
    head = 20 + (8 if proto == 17 else (raw[46] >> 4) * 4)
    return (proto, _address(raw[26:30]), sport, _address(raw[30:34]), dport), raw[14 + head : 14 + total]


def exchanges(frames: Frames) -> Traffic:
    """Take a clean capture apart. A side serves whose port is served; with equal ports, the one with fewer partners."""
    parsed = [(at, raw, _parsed(raw)) for at, raw in frames]
    partners: dict[str, set[str]] = defaultdict(set)
    for _, _, got in parsed:
        if got is not None:
            partners[got[0][1]].add(got[0][3])
    waiting: dict[Flow, list[int]] = defaultdict(list)
    latest: dict[Flow, int] = {}
    spoken: dict[Flow, int] = {}  # when the other side last answered
    found: list[tuple[Flow, int, bytes, list[tuple[int, bytes]]]] = []
    others: Frames = []
    for at, raw, got in parsed:
        if got is None or (got[0][2] not in SERVED and got[0][4] not in SERVED) or got[0][3].endswith(".255"):
            others.append((at, raw))
            continue
        (proto, src, sport, dst, dport), body = got
        if not body:
            continue
        asks = len(partners[src]) >= len(partners[dst]) if sport == dport else dport in SERVED
        flow = (proto, src, sport, dst, dport) if asks else (proto, dst, dport, src, sport)
        if asks:
            waiting[flow].append(len(found))
            found.append((flow, at, body, []))
        elif not waiting[flow] and at - spoken.get(flow, at) > LATER:  # nobody asked: it is sent by itself
            found.append(((proto, src, sport, dst, dport), at, body, []))
        elif waiting[flow] or flow in latest:
            spoken[flow] = at
            latest[flow] = waiting[flow].pop(0) if waiting[flow] else latest[flow]
            found[latest[flow]][3].append((at, body))
    per_flow: dict[Flow, int] = defaultdict(int)
    for flow, *_ in found:
        per_flow[flow] += 1
    one_each = sum(n == 1 for n in per_flow.values()) > len(per_flow) / 2
    return Traffic([Exchange(f, at, body, tuple(told), one_each and f[0] == 6) for f, at, body, told in found], others)


def frames_of(traffic: Traffic) -> Frames:
    """Frames of the exchanges, in the order of time."""
    events: list[tuple[int, int, Flow, bytes, int]] = []  # time, order, direction, payload, TCP flags
    number = count()
    for e in traffic.exchanges:
        back: Flow = (e.flow[0], e.flow[3], e.flow[4], e.flow[1], e.flow[2])
        if e.opens:
            events += [(e.at - 300_000, next(number), e.flow, b"", 0x02), (e.at - 200_000, next(number), back, b"", 0x12)]
        events.append((e.at, next(number), e.flow, e.asks, 0x18))
        events += [(at, next(number), back, body, 0x18) for at, body in e.answers]
        if e.opens:
            end = max([e.at, *(at for at, _ in e.answers)])
            events += [(end + 200_000, next(number), e.flow, b"", 0x11), (end + 300_000, next(number), back, b"", 0x11)]
    return sorted(_framed(sorted(events)) + traffic.others, key=lambda frame: frame[0])


def _framed(events: list[tuple[int, int, Flow, bytes, int]]) -> Frames:
    sequence: dict[Flow, int] = {}
    frames: Frames = []
    for n, (at, _, (proto, src, sport, dst, dport), body, flags) in enumerate(events):
        direction: Flow = (proto, src, sport, dst, dport)
        if flags == 0x02:
            sequence[direction] = sequence[proto, dst, dport, src, sport] = 1000 + n
        seq = sequence.setdefault(direction, 1000)
        segment = tcp(seq, body, sport, dport, flags) if proto == 6 else udp(body, sport, dport)
        sequence[direction] = seq + len(body) + (flags & 0x03 != 0)
        macs = [b"\x02\x00" + bytes(map(int, address.split("."))) for address in (src, dst)]
        packet = ipv4(proto, segment, src, dst, ipid=1 + n % 65535)
        frames.append((at, ethernet(0x0800, packet, src=macs[0], dst=macs[1])))
    return frames


__all__ = ["SECOND", "Exchange", "Flow", "Frames", "Traffic", "exchanges", "frames_of", "read"]

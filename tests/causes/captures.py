"""Captures of others, bent: clean traffic of real plants into which a fault, a work or an attack is put frame by frame.

Nothing of them is kept in this repository, and the shipped model is never trained on them: they are the generator that
nobody here wrote.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.causes.incidents import incidents, learned
from tests.causes.recorded import frames
from tests.causes.scenario import SCENARIOS
from tests.causes.simulate import Sample, labelled, mark
from tests.causes.wire import SECOND, SYN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Frame = tuple[int, bytes]
CLEAN = {"modbus-clean": "modbus", "enip-clean": "enip", "bacnet-clean": "bacnet"}
TRUSTED = ("modbus-fake-command", "modbus-plant-a2", "enip-ctf")  # others whose learning part is clean


@dataclass
class Scene:
    """A clean test part, when something shall happen in it, and who its busiest client and server are."""

    frames: list[Frame]
    begin: int
    dice: random.Random
    client: bytes
    server: bytes
    port: int


def ends(raw: bytes) -> tuple[bytes, bytes] | None:
    """Source and destination IPv4 address."""
    return (raw[26:30], raw[30:34]) if raw[12:14] == b"\x08\x00" and len(raw) >= 34 else None


def transport(raw: bytes) -> tuple[int, int, int, bytes] | None:
    """Protocol, ports and payload of TCP or UDP."""
    if ends(raw) is None or raw[23] not in (6, 17):
        return None
    at = 14 + (raw[14] & 15) * 4
    sport, dport = struct.unpack_from(">HH", raw, at)
    head = (raw[at + 12] >> 4) * 4 if raw[23] == 6 else 8
    return raw[23], sport, dport, raw[at + head : 14 + int.from_bytes(raw[16:18], "big")]


def scene(test: list[Frame], dice: random.Random) -> Scene | None:
    """Choose a pair that talks much; the side with the lower port serves."""
    talk: dict[tuple[bytes, bytes, int], int] = {}
    for _, raw in test:
        pair, t = ends(raw), transport(raw)
        if pair is not None and t is not None and t[3] and pair[1][0] < 224 and t[2] <= t[1]:
            talk[(*pair, t[2])] = talk.get((*pair, t[2]), 0) + 1
    if not talk:
        return None
    best = sorted(talk, key=lambda k: (-talk[k], k))[:6]
    client, server, port = dice.choice(best)
    begin = test[0][0] + int((test[-1][0] - test[0][0]) * dice.uniform(0.3, 0.45))
    return Scene(test, begin, dice, client, server, port)


def _without(s: Scene, seconds: float, gone: Callable[[bytes], bool]) -> list[Frame]:
    until = s.begin + int(seconds * SECOND)
    return [f for f in s.frames if not (s.begin <= f[0] < until and gone(f[1]))]


def cable_lost(s: Scene) -> list[Frame]:
    """Nothing from or to the server; its client repeats a SYN."""
    kept = _without(s, s.dice.uniform(25, 90), lambda raw: (e := ends(raw)) is not None and s.server in e)
    return kept + [(s.begin + n * 3 * SECOND, build(s, s.client, s.server, 50_000 + n, SYN)) for n in range(6)]


def device_hangs(s: Scene) -> list[Frame]:
    """The server's answers are missing, its clients ask on."""
    return _without(s, s.dice.uniform(15, 60), lambda raw: (e := ends(raw)) is not None and e[0] == s.server and _loaded(raw))


def _loaded(raw: bytes) -> bool:
    t = transport(raw)
    return t is not None and bool(t[3])


def cable_loses(s: Scene) -> list[Frame]:
    """Segments of the server come twice, a quarter of a second apart."""
    until, out = s.begin + 40 * SECOND, list(s.frames)
    for at, raw in s.frames:
        e = ends(raw)
        if s.begin <= at < until and e is not None and s.server in e and _loaded(raw) and raw[23] == 6 and s.dice.random() < 0.3:
            out.append((at + 230_000_000, raw))
    return out


def device_exchanged(s: Scene) -> list[Frame]:
    """The server is dark, then back with other hardware of the same maker."""
    away, mac = int(s.dice.uniform(25, 60)) * SECOND, s.dice.randbytes(3)
    out = []
    for at, raw in s.frames:
        e = ends(raw)
        if e is None or s.server not in e or at < s.begin:
            out.append((at, raw))
        elif at >= s.begin + away:
            new = raw[:6] + raw[6:9] + mac + raw[12:] if e[0] == s.server else raw[:3] + mac + raw[6:]
            out.append((at, new))
    return out


def listens_between(s: Scene) -> list[Frame]:
    """Frames of client and server come from one stranger's hardware for a while."""
    mac, until = b"\x00\x0c\x29" + s.dice.randbytes(3), s.begin + 40 * SECOND
    pair = {s.client, s.server}
    return [
        (at, raw[:6] + mac + raw[12:]) if s.begin <= at < until and (e := ends(raw)) is not None and set(e) == pair else (at, raw)
        for at, raw in s.frames
    ]


def build(s: Scene, src: bytes, dst: bytes, sport: int, flags: int, body: bytes = b"", seq: int = 1) -> bytes:
    """One TCP segment (or datagram where the service is UDP) to the served port."""
    kinds = {t[0] for _, raw in s.frames[:400] if (t := transport(raw)) is not None and t[2] == s.port}
    udp = 17 in kinds
    if udp:
        inner = struct.pack(">HHHH", sport, s.port, 8 + len(body), 0) + body
    else:
        inner = struct.pack(">HHIIBBHHH", sport, s.port, seq, 1, 0x50, flags, 8192, 0, 0) + body
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(inner), seq & 0xFFFF, 0, 64, 17 if udp else 6, 0) + src + dst
    raw = _hardware(s, dst) + _hardware(s, src) + b"\x08\0" + head + inner
    return raw + bytes(max(0, 60 - len(raw)))


def _hardware(s: Scene, address: bytes) -> bytes:
    """The hardware address that sends for an address in the capture; a made-up one for a stranger."""
    own = next((raw[6:12] for _, raw in s.frames if (e := ends(raw)) is not None and e[0] == address), None)
    return own or b"\x02\0" + address


def stranger_replays(s: Scene) -> list[Frame]:
    """A stranger sends the client's requests again, fast."""
    who = s.server[:3] + bytes([s.dice.randrange(200, 250)])
    asks = [t[3] for _, raw in s.frames if ends(raw) == (s.client, s.server) and (t := transport(raw)) and t[3]][:12]
    return s.frames + _visit(s, who, asks, 0.3)


def _visit(s: Scene, who: bytes, asks: list[bytes], gap: float) -> list[Frame]:
    out, seq = [(s.begin, build(s, who, s.server, 51_000, SYN))], 2
    for n, ask in enumerate(asks):
        out.append((s.begin + int((0.1 + n * gap) * SECOND), build(s, who, s.server, 51_000, 0x18, ask, seq)))
        seq += len(ask)
    return out


def stranger_scans(s: Scene) -> list[Frame]:
    """A stranger tries addresses."""
    who = s.server[:3] + bytes([s.dice.randrange(200, 250)])
    probes = [
        (s.begin + n * 40_000_000, build(s, who, s.server[:3] + bytes([last]), 52_000 + n, SYN))
        for n, last in enumerate(s.dice.sample(range(1, 199), 50))
    ]
    return s.frames + probes


def stranger_floods(s: Scene) -> list[Frame]:
    """A stranger sends one request a thousand times."""
    who = s.server[:3] + bytes([s.dice.randrange(200, 250)])
    asks = [t[3] for _, raw in s.frames if ends(raw) == (s.client, s.server) and (t := transport(raw)) and t[3]][:1]
    return s.frames + _visit(s, who, asks * 1000, 0.003)


def clock_jumps(s: Scene) -> list[Frame]:
    """The recorder's clock is set."""
    return [(at + (600 * SECOND if at >= s.begin else 0), raw) for at, raw in s.frames]


PLAYS = (
    *(cable_lost, device_hangs, cable_loses, clock_jumps, device_exchanged),
    *(listens_between, stranger_replays, stranger_scans, stranger_floods),
)


def captured(shared: Path) -> Iterator[Sample]:
    """Samples of all clean captures, each scene three times."""
    for name in (*CLEAN, *TRUSTED):
        case = shared / "pcaps" / "cases" / name
        train = frames(case / "train.pcap")
        test = frames(case / "test.pcap") if name in CLEAN else train[len(train) * 6 // 10 :]
        known = learned(train if name in CLEAN else train[: len(train) * 6 // 10])
        usual = frozenset(mark(f) for i in incidents(known, test) for f in i.findings)
        for play in PLAYS:
            for n in range(3):
                found = scene(test, random.Random(f"{name}/{play.__name__}/{n}"))
                if found is None:
                    continue
                what = play.__name__.replace("_", "-")
                bent = sorted(play(found), key=lambda f: f[0])
                place = ("captures", name.split("-")[0], name, f"captures/{name}/{what}/{n}")
                yield from labelled(known, bent, found.begin, SCENARIOS[what], place, usual)

"""Four more made-up protocols, each with traits that plants have and detection must not need to be told: what `strangers` lacks.

**Tele** (telecontrol, TCP 9104): 68, length, send and receive number (little-endian, steps of two), type, count, cause, station,
object address (3 bytes), single-precision value and quality. The outstation speaks unasked, the centre confirms, interrogates and
commands.

**Rest** (text, TCP 8090): requests of HTTP/1.1 without a body for a few tags, answers with a number of varying length in JSON.

**Topic** (broker, TCP 9883): a byte of kind, the remaining length as a varint, a topic, a value in binary; each side publishes.

**Trace** (binary, UDP 9700): magic, version, flags, a number that rises by four, time in milliseconds (8 bytes), fields as type,
length and value (a tag, a BCD setpoint, big-endian singles), CRC-32 behind all.

Everything comes from the seed; no clock, no network.
"""

import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.evaluate.capture import TCP, UDP, Capture, Frame, internet_checksum
from tests.evaluate.grammars import Fields, Grammar
from tests.evaluate.strangers import SECOND, START, Wire

TELE_PORT, REST_PORT, TOPIC_PORT, TRACE_PORT = 9104, 8090, 9883, 9700
DEVICES = 3
Message = tuple[float, bool, bytes]  # seconds, from the client?, payload
Talk = Callable[[int, random.Random, float], Iterator[Message]]


def drift(rng: random.Random, value: float, low: float, high: float) -> float:
    """A value a little later."""
    return min(high, max(low, value + rng.uniform(-1, 1) * (high - low) * 0.01))


def _every(rng: random.Random, period: float, seconds: float, spread: float = 0.02) -> Iterator[float]:
    at = rng.uniform(0.5, 0.5 + period)
    while at < seconds:
        yield at
        at += period * rng.uniform(1 - spread, 1 + spread)


def _merged(*plans: tuple[str, Iterator[float]]) -> list[tuple[float, str]]:
    return sorted((at, name) for name, plan in plans for at in plan)


def tele(kind: int, cause: int, station: int, address: int, body: bytes, sent: int = 0, got: int = 0) -> bytes:
    """A numbered message with one object."""
    unit = struct.pack("<BBBBHHB", kind, 1, cause, 0, station, address & 0xFFFF, address >> 16) + body
    return struct.pack("<BBHH", 0x68, 4 + len(unit), sent * 2 & 0xFFFF, got * 2 & 0xFFFF) + unit


def _tele(device: int, rng: random.Random, seconds: float) -> Iterator[Message]:
    values = [rng.uniform(20, 80) for _ in range(4)]
    up = down = 0
    plans = [(f"v{k}", _every(rng, (2, 3, 5, 2)[k], seconds)) for k in range(4)]
    plans += [("s", _every(rng, 8, seconds)), ("i", _every(rng, 30, seconds)), ("c", _every(rng, 20, seconds, 0.4))]
    for at, what in _merged(*plans):
        if what[0] == "v":
            k = int(what[1])
            values[k] = drift(rng, values[k], 20, 80)
            yield at, False, tele(13, 3, device, 0x100 + k, struct.pack("<fB", values[k], 0), down, up)
            down += 1
        elif what == "s":
            yield at, True, struct.pack("<BBHH", 0x68, 4, 1, down * 2 & 0xFFFF)
        else:
            kind, address = (100, 0) if what == "i" else (45, 0x6000 + rng.randrange(2))
            body = b"\x14" if what == "i" else bytes([rng.randrange(2)])
            yield at, True, tele(kind, 6, device, address, body, up, down)
            up += 1
            yield at + rng.uniform(0.002, 0.006), False, tele(kind, 7, device, address, body, down, up)
            down += 1


def _tele_fields(pay: bytes, to_server: bool) -> Fields:
    if len(pay) < 16 or pay[0] != 0x68 or pay[1] != len(pay) - 2:
        return {}
    return {"start": (0, 1), "length": (1, 2), "type": (6, 7), "objects": (7, 8), "cause": (8, 9), "station": (10, 12),
            "address": (12, 15)} | ({"quality": (19, 20)} if pay[6] == 13 and len(pay) == 20 else {})  # fmt: skip


def _rest(device: int, rng: random.Random, seconds: float) -> Iterator[Message]:
    values = {tag: rng.uniform(5, 120) for tag in ("level", "flow", "temp")}
    plans = [(tag, _every(rng, period, seconds)) for tag, period in zip(values, (1.0, 2.0, 3.0), strict=True)]
    for at, tag in _merged(*plans):
        values[tag] = drift(rng, values[tag], 5, 120)
        host = f"10.7.0.{20 + device}"
        yield (
            at,
            True,
            f"GET /api/v1/tags/{tag}?unit={device} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode(),
        )
        body = json.dumps({"tag": tag, "value": round(values[tag], 2), "quality": "good"})
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        yield at + rng.uniform(0.002, 0.006), False, (head + body).encode()


def _rest_fields(pay: bytes, to_server: bool) -> Fields:
    if to_server:
        if not pay.startswith(b"GET /api/") or b"?unit=" not in pay:
            return {}
        tag, unit = pay.index(b"tags/") + 5, pay.index(b"?unit=") + 6
        return {"method": (0, 3), "version": (9, 11), "tag": (tag, unit - 6), "unit": (unit, unit + 1)}
    return {"status": (9, 12), "protocol": (0, 8)} if pay.startswith(b"HTTP/1.1 ") else {}


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _publish(topic: str, value: bytes, kind: int = 0x30) -> bytes:
    body = struct.pack(">H", len(topic)) + topic.encode() + value
    return bytes([kind]) + _varint(len(body)) + body


def _topic(device: int, rng: random.Random, seconds: float) -> Iterator[Message]:
    values = [rng.uniform(0, 50) for _ in range(3)]
    plans = [(f"v{k}", _every(rng, (1, 2, 2.5)[k], seconds)) for k in range(3)]
    plans += [("a", _every(rng, 10, seconds)), ("p", _every(rng, 15, seconds)), ("w", _every(rng, 12, seconds, 0.3))]
    for at, what in _merged(*plans):
        if what[0] == "v":
            k = int(what[1])
            values[k] = drift(rng, values[k], 0, 50)
            yield at, True, _publish(f"site/area{device}/pump/{('flow', 'speed', 'pressure')[k]}", struct.pack(">f", values[k]))
        elif what == "a":
            state = json.dumps({"state": rng.choice(("run", "idle")), "hours": int(1000 + at / 4), "line": "x" * 100})
            yield at, True, _publish(f"site/area{device}/report", state.encode())
        elif what == "p":
            yield at, True, b"\xc0\x00"
            yield at + 0.003, False, b"\xd0\x00"
        else:
            yield at, False, _publish(f"site/area{device}/pump/set", struct.pack(">f", rng.choice((10.0, 12.5, 15.0))))


def _topic_fields(pay: bytes, to_server: bool) -> Fields:
    if len(pay) < 12 or pay[0] != 0x30:
        return {}
    at = 2 if pay[1] < 128 else 3
    size = struct.unpack_from(">H", pay, at)[0]
    if at + 2 + size > len(pay):
        return {}
    area = pay.index(b"area") + 4
    return {"kind": (0, 1), "length": (1, at), "topic length": (at, at + 2), "area": (area, area + 1),
            "leaf": (area + 2, at + 2 + size)}  # fmt: skip


def trace(flags: int, number: int, when: int, *fields: tuple[int, bytes]) -> bytes:
    """One datagram."""
    body = b"".join(struct.pack(">BB", kind, len(value)) + value for kind, value in fields)
    return trace_mend(struct.pack(">HBBHIQ", 0xC0DE, 2, flags, 18 + len(body) + 4, number, when) + body + b"\0\0\0\0")


def trace_mend(pay: bytes) -> bytes:
    """The datagram with its CRC made right."""
    return pay[:-4] + struct.pack(">I", zlib.crc32(pay[:-4]))


def _bcd(number: int) -> bytes:
    return bytes.fromhex(f"{number:06d}")


def _trace(device: int, rng: random.Random, seconds: float) -> Iterator[Message]:
    number, setpoint = rng.randrange(1 << 20), 1500
    values = [rng.uniform(100, 300), rng.uniform(-20, 60)]
    plans = [("r", _every(rng, 1, seconds)), ("q", _every(rng, 4, seconds)), ("w", _every(rng, 10, seconds, 0.3))]
    for at, what in _merged(*plans):
        number, later = number + 4, at + rng.uniform(0.002, 0.006)
        now, then = (START // 10**6 + int(t * 1000) for t in (at, later))
        if what == "r":
            values = [drift(rng, values[0], 100, 300), drift(rng, values[1], -20, 60)]
            yield at, True, trace(0x10, number, now, (1, b"T%03d" % device))
            yield later, False, trace(0x90, number, then, (1, b"T%03d" % device), (7, struct.pack(">ff", *values)))
        elif what == "q":
            yield at, True, trace(0x10, number, now, (1, b"S%03d" % device))
            yield later, False, trace(0x90, number, then, (1, b"S%03d" % device), (9, _bcd(setpoint)))
        else:
            setpoint = rng.choice((1200, 1500, 1800))
            yield at, True, trace(0x20, number, now, (1, b"S%03d" % device), (9, _bcd(setpoint)))
            yield later, False, trace(0xA0, number, then, (1, b"S%03d" % device))


def _trace_fields(pay: bytes, to_server: bool) -> Fields:
    if len(pay) < 28 or pay[:2] != b"\xc0\xde" or struct.unpack_from(">H", pay, 4)[0] != len(pay):
        return {}
    fields = {"magic": (0, 2), "version": (2, 3), "flags": (3, 4), "length": (4, 6), "field type": (18, 19),
              "field size": (19, 20), "tag": (20, 24)}  # fmt: skip
    return fields | ({"second type": (24, 25), "second size": (25, 26)} if len(pay) > 30 else {})


TELE = Grammar("Tele (made up)", (TCP, TELE_PORT), _tele_fields, lambda p: p[6:7] + p[8:9], frozenset({"type", "cause"}))
REST = Grammar("Rest (made up)", (TCP, REST_PORT), _rest_fields, lambda p: p[:3], frozenset())
TOPIC = Grammar("Topic (made up)", (TCP, TOPIC_PORT), _topic_fields, lambda p: len(p).to_bytes(2, "big"), frozenset())
TRACE = Grammar("Trace (made up)", (UDP, TRACE_PORT), _trace_fields, lambda p: p[3:4], frozenset({"flags"}), trace_mend)


@dataclass(frozen=True)
class Foreign:
    """One protocol: how it is spoken, and its grammar."""

    talk: Talk
    grammar: Grammar


FOREIGN = {
    "Tele": Foreign(_tele, TELE),
    "Rest": Foreign(_rest, REST),
    "Topic": Foreign(_topic, TOPIC),
    "Trace": Foreign(_trace, TRACE),
}


def foreign_plant(name: str, seconds: float, seed: int) -> Capture:
    """A client that talks to three devices for so many seconds."""
    one, frames = FOREIGN[name], list[Frame]()
    proto, port = one.grammar.port
    for device in range(1, DEVICES + 1):
        rng = random.Random(f"{name}/{seed}/{device}")
        client, server, sport = bytes((10, 7, 0, 2)), bytes((10, 7, 0, 20 + device)), 40_000 + rng.randrange(9_000)
        wire = Wire(client, server, port, sport, frames)
        if proto == TCP:
            wire.open(START + device * 1_000_000)
        for at, up, payload in sorted(one.talk(device, rng, seconds), key=lambda message: message[0]):
            when = START + int(at * SECOND)
            if proto == TCP:
                wire.send(when, up, payload)
            else:
                frames.append(
                    (
                        when,
                        datagram(client, server, sport, port, payload) if up else datagram(server, client, port, sport, payload),
                    )
                )
    return Capture(sorted(frames, key=lambda frame: frame[0]))


def datagram(src: bytes, dst: bytes, sport: int, dport: int, payload: bytes) -> bytes:
    """A frame of UDP over IPv4 with right checksums."""
    size = 8 + len(payload)
    head = struct.pack("!HHHH", sport, dport, size, 0)
    check = internet_checksum(src + dst + struct.pack("!BBH", 0, UDP, size) + head + payload) or 0xFFFF
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, 64, UDP, 0) + src + dst
    ip = ip[:10] + struct.pack("!H", internet_checksum(ip)) + ip[12:]
    return b"\x02\0" + dst + b"\x02\0" + src + b"\x08\0" + ip + head[:6] + struct.pack("!H", check) + payload

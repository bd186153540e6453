"""Clean plants of other shapes: lists side by side on one connection, a serial gateway, values that are published unasked."""

from __future__ import annotations

import struct

import numpy as np

from tests.order_time.plants import MILLI, Plant, as_is, count_up
from tests.order_time.traffic import SECOND, Exchange, Flow, Frames, Traffic, frames_of
from tests.unit.dialogue import START, answer, request

LISTS = ((500, (10, 20, 30)), (1000, (40, 50, 60, 70)), (2700, (80, 90, 100, 110)))  # period in ms and registers


def _lists(seed: int, seconds: int, start: int) -> Frames:
    """Three timers share a connection; each sends its list in one go, without waiting for answers, which come in their order."""
    random, due = np.random.default_rng(seed), []
    for period, registers in LISTS:
        phase = int(random.integers(0, period * MILLI))
        for n in range(seconds * 1000 // period):
            at = start + phase + n * period * MILLI + int(random.normal(0, 3 * MILLI))
            for register in registers:
                due.append((at, register))
                at += MILLI + int(random.integers(0, MILLI))
    found, free, flow = list[Exchange](), 0, (6, "10.0.0.1", 20_000, "10.0.0.11", 7001)
    for number, (at, register) in enumerate(sorted(due)):
        free = max(free, at) + 3 * MILLI + int(random.integers(0, 2 * MILLI))
        body = answer(number, 1, 3, random.integers(0, 256, 4, np.uint8).tobytes())
        found.append(Exchange(flow, at, request(number, 1, 3, register, 2), ((free, body),)))
    return frames_of(Traffic(found, []))


def _gateway(seed: int, seconds: int, start: int) -> Frames:
    """Six units on a serial line behind one address: no numbers, one request at a time, each unit as slow as it is."""
    random, found = np.random.default_rng(seed), list[Exchange]()
    slow = random.integers(15, 60, 6)
    flow: Flow = (6, "10.0.0.1", 20_000, "10.0.0.21", 7001)
    for n in range(seconds // 2):
        at = start + n * 2 * SECOND + int(random.normal(0, 4 * MILLI))
        for unit in range(1, 7):
            for register, size in ((0, 2), (16, 1)) if unit % 2 else ((0, 2), (16, 1), (48, 3)):
                told = at + int(slow[unit - 1] + random.gamma(2.0, 3.0)) * MILLI
                asks = struct.pack(">BBHH", unit, 3, register, size) + struct.pack("<H", 0x1111 * unit ^ register)
                body = struct.pack(">BBB", unit, 3, 2 * size) + random.integers(0, 256, 2 * size + 2, np.uint8).tobytes()
                found.append(Exchange(flow, at, asks, ((told, body),)))
                at = told + 4 * MILLI + int(random.integers(0, 2 * MILLI))
    return frames_of(Traffic(found, []))


def _published(seed: int, seconds: int, start: int) -> Frames:
    """Two stations send their values to a broker by themselves, each kind at its own period; nobody answers."""
    random, found = np.random.default_rng(seed), list[Exchange]()
    for station in range(2):
        flow: Flow = (6, f"10.0.0.{41 + station}", 20_000, "10.0.0.1", 7001)
        due = []
        for topic, period in ((1, 1000), (2, 1000), (3, 5000)):
            for n in range(seconds * 1000 // period):
                at = start + station * 100 * MILLI + n * period * MILLI + topic * 30 * MILLI + int(random.normal(0, 2 * MILLI))
                due.append((at, topic))
        for number, (at, topic) in enumerate(sorted(due)):
            value = random.integers(0, 256, 4, np.uint8).tobytes()
            found.append(Exchange(flow, at, struct.pack(">HHHBB", number & 0xFFFF, 0, 6, topic, 9) + value, ()))
    return frames_of(Traffic(sorted(found, key=lambda e: e.at), []))


def _pushed(seed: int, seconds: int, start: int) -> Frames:
    """A client subscribes once at each of two servers, which send their values from then on, each kind at its own period."""
    random, found = np.random.default_rng(seed), list[Exchange]()
    for station in range(2):
        server, port = f"10.0.0.{51 + station}", 20_000 + station
        ask = request(0, 1, 8, 0, 3)
        found.append(Exchange((6, "10.0.0.1", port, server, 7001), start, ask, ((start + 2 * MILLI, ask),)))
        due = []
        for topic, period in ((1, 1000), (2, 1000), (3, 4000)):
            for n in range(1, seconds * 1000 // period):
                at = start + station * 100 * MILLI + n * period * MILLI + topic * 30 * MILLI + int(random.normal(0, 2 * MILLI))
                due.append((at, topic))
        for number, (at, topic) in enumerate(sorted(due)):
            value = struct.pack(">HHHBB", number & 0xFFFF, 0, 6, topic, 9) + random.integers(0, 256, 4, np.uint8).tobytes()
            found.append(Exchange((6, server, 7001, "10.0.0.1", port), at, value, ()))
    return frames_of(Traffic(sorted(found, key=lambda e: e.at), []))


def others(seed: int) -> list[Plant]:
    """The plants, learned for four minutes."""
    later = START + 3600 * SECOND
    plants = []
    for name, run, numbered, numbers in (
        ("lists", _lists, count_up(0, 2), ((0, 2),)),
        ("gateway", _gateway, as_is, ()),
        ("published", _published, count_up(0, 2), ((0, 2), (8, 12))),
        ("pushed", _pushed, count_up(0, 2), ((0, 2), (8, 12))),
    ):
        frames = [run(s, 240, at) for s, at in ((seed, START), (seed + 1, later))]
        plants.append(Plant(name, frames[0], frames[1], numbered, numbers))
    return plants

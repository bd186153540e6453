"""Clean captures of the suite: made-up plants of several protocols, and recorded ones where they are at hand."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.order_time.traffic import SECOND, Exchange, Frames, Traffic, exchanges, frames_of, read
from tests.unit.dialogue import START, answer, request

if TYPE_CHECKING:
    from pathlib import Path

MILLI = SECOND // 1000
CENTRE = "10.0.0.1"
SHARED = ("modbus-clean", "enip-clean", "bacnet-clean")
# sender context and sequence count of EtherNet/IP, invoke id of BACnet
NUMBERS = {"enip": ((12, 20), (44, 46)), "bacnet": ((8, 9),), "mixed": ((0, 2), (8, 9), (12, 20))}
LAB = ("modbus-normal", "mixed-normal")


@dataclass(frozen=True, slots=True)
class Plant:
    """A clean capture to learn from and one to detect in; `numbered` gives a request the next transaction number."""

    name: str
    train: Frames
    test: Frames
    numbered: Callable[[Exchange], Exchange]
    numbers: tuple[tuple[int, int], ...]  # byte ranges of requests that only count


def count_up(offset: int, width: int, big: bool = True) -> Callable[[Exchange], Exchange]:
    """Count the number at an offset of request and answers up by 137: one that was not used lately."""
    order = ">" if big else "<"
    code = {1: "B", 2: "H"}[width]

    def bump(body: bytes) -> bytes:
        if len(body) < offset + width:
            return body
        value = struct.unpack_from(order + code, body, offset)[0] + 137
        return body[:offset] + struct.pack(order + code, value % 256**width) + body[offset + width :]

    def numbered(e: Exchange) -> Exchange:
        return Exchange(e.flow, e.at, bump(e.asks), tuple((t, bump(b)) for t, b in e.answers), e.opens)

    return numbered


def as_is(e: Exchange) -> Exchange:
    """Requests carry no number."""
    return e


def _poller(seed: int, cycles: int, start: int, period: int, jitter: float, devices: int, *, opens: bool) -> Frames:
    """A centre asks each device for three registers and writes a fourth every fifth cycle, one after the other (TCP)."""
    random, found = np.random.default_rng(seed), list[Exchange]()
    for d in range(devices):
        server, tick, number = f"10.0.0.{11 + d}", start + d * 7 * MILLI, 0
        for n in range(cycles):
            at = tick + int(random.normal(0, jitter * period / 2))
            tick += period
            kinds = [(3, 0, 2), (3, 100, 3), (4, 7, 1)] + ([(6, 20, 500)] if n % 5 == 4 else [])
            for function, register, value in kinds:
                flow = (6, CENTRE, 20_000 + d + (number % 30_000 if opens else 0) * 4, server, 7001)
                asks = request(number, d + 1, function, register, value)
                data = random.integers(0, 256, 4, np.uint8).tobytes() if function != 6 else struct.pack(">HH", register, value)
                told = at + 2 * MILLI + int(random.integers(0, MILLI))
                found.append(Exchange(flow, at, asks, ((told, answer(number, d + 1, function, data)),), opens))
                at, number = told + 3 * MILLI + int(random.integers(0, MILLI)), number + 1
    return frames_of(Traffic(sorted(found, key=lambda e: e.at), []))


def _datagrams(seed: int, cycles: int, start: int, period: int) -> Frames:
    """A station reads four points of each controller in turn over UDP, with a running number of one byte."""
    random, found, number = np.random.default_rng(seed), list[Exchange](), 0
    for n in range(cycles):
        for d in range(3):
            at = start + n * period + d * 40 * MILLI + int(random.integers(0, 2 * MILLI))
            for point in (3, 9, 14, 20):
                head = bytes([0x81, 0x0A, point, 1, number % 256])
                told = at + MILLI + int(random.integers(0, MILLI))
                body = head + random.integers(0, 256, 4, np.uint8).tobytes()
                flow = (17, CENTRE, 47808, f"10.0.0.{31 + d}", 47808)
                found.append(Exchange(flow, at, head + b"\x0c", ((told, body),)))
                at, number = told + 2 * MILLI, number + 1
    return frames_of(Traffic(sorted(found, key=lambda e: e.at), []))


def made(seed: int) -> list[Plant]:
    """The made-up plants."""
    later = START + 3600 * SECOND
    plants = []
    for name, period, jitter, devices, opens in (
        ("steady", SECOND, 0.005, 2, False),
        ("jittery", 2 * SECOND, 0.03, 2, False),
        ("reconnects", 5 * SECOND, 0.005, 2, True),
    ):
        frames = [_poller(s, 120, at, period, jitter, devices, opens=opens) for s, at in ((seed, START), (seed + 1, later))]
        plants.append(Plant(name, frames[0], frames[1], count_up(0, 2), ((0, 2),)))
    both = [_datagrams(s, 120, at, SECOND) for s, at in ((seed + 2, START), (seed + 3, later))]
    return [*plants, Plant("datagrams", both[0], both[1], count_up(4, 1), ((4, 5),))]


def recorded(cases: Path, names: tuple[str, ...]) -> list[Plant]:
    """Recorded clean captures, made of their exchanges anew."""
    found = []
    for name in names:
        if (cases / name / "train.pcap").is_file():
            halves = [frames_of(exchanges(read(cases / name / f"{part}.pcap"))) for part in ("train", "test")]
            kind = name.partition("-")[0]
            numbered, numbers = (count_up(0, 2), ((0, 2),)) if kind == "modbus" else (as_is, NUMBERS.get(kind, ()))
            found.append(Plant(name, halves[0], halves[1], numbered, numbers))
    return found

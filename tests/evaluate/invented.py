"""Protocols that are drawn by lot: `python -m tests.evaluate.invented --seeds 1-20`.

A seed gives a protocol and a plant that speaks it. Drawn are: binary or text, TCP or UDP, byte order, which parts the head has
and in which order (length, number, unit, operation, flags, time), how lengths are written, how messages are numbered (not at
all, by one, in strides, downwards, by a random number each), how objects are named and values are coded (integers, singles,
BCD, deltas in varints, text), flat or nested in type, length and value, what check ends a message, three to ten devices,
unasked messages, two to ten minutes learned. Nothing in the product was tuned on seeds from 120 on.

Changed are fields that say what a message does (`Grammar` in `grammars`): in answers only those in front of the first value.
"""

import argparse
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce

from tests.evaluate.capture import TCP, UDP, Capture, Frame
from tests.evaluate.detectors import Sekisho
from tests.evaluate.foreign import datagram, drift
from tests.evaluate.grammars import Fields, Grammar
from tests.evaluate.mutate import Tally, measure
from tests.evaluate.strangers import SECOND, START, Wire, crc16

READ, WRITE, STATUS, EVENT = 0x11, 0x22, 0x31, 0x42
PORT = 9950
Part = tuple[str, bytes]  # name of a field that says what a message does, "" for one that is free; its bytes
CHECKS: dict[str, tuple[int, Callable[[bytes], int]]] = {
    "none": (0, lambda _: 0),
    "sum": (1, lambda raw: sum(raw) & 0xFF),
    "xor": (1, lambda raw: reduce(lambda a, b: a ^ b, raw, 0)),
    "crc16": (2, crc16),
    "crc32": (4, zlib.crc32),
}


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    groups = [number >> shift & 127 for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([g | 128 for g in groups[:-1]] + groups[-1:])


@dataclass
class Recipe:
    """What a seed has drawn; `seen` notes where the fields of every message made lie."""

    seed: int
    seen: dict[tuple[bytes, bool], Fields] = field(default_factory=dict)
    _last: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(f"invented/{self.seed}")
        self.text, self.tcp = rng.random() < 0.25, rng.random() < 0.6
        self.big = rng.random() < 0.5
        self.magic = rng.choice((b"", b"\xa5", b"\x5a\xc3", b"GAT1", b"\x7e"))
        self.length = rng.choice(("", "one", "two", "two", "varint")) if not self.tcp else rng.choice(("two", "four", "varint"))
        self.numbering = rng.choice(("", "one", "stride", "down", "nonce"))
        self.number_width = rng.choice((1, 2, 2, 4))
        self.stride = rng.choice((2, 4, 7, 137, 1001))
        self.unit_width, self.object_width = rng.choice((0, 1, 2)), rng.choice((1, 2, 4))
        self.tags = rng.random() < 0.3
        self.flags, self.time = rng.choice((0, 0, 1, 2)), rng.choice(("", "", "seconds", "milliseconds"))
        self.nested, self.echoes_object = rng.random() < 0.4, rng.random() < 0.6
        self.check = rng.choice(tuple(CHECKS)) if not self.text else rng.choice(("none", "xor", "sum"))
        self.head = ["length", "number", "unit", "operation", "flags", "time"]
        rng.shuffle(self.head)
        self.codings = rng.sample(("int", "single", "bcd", "delta", "figures"), 2)
        self.devices, self.seconds = rng.randint(3, 10), rng.uniform(200, 1000)
        self.events, self.free_setpoints = rng.random() < 0.4, rng.random() < 0.3

    def integer(self, number: int, width: int) -> bytes:
        """A number in the protocol's byte order; in text as hex digits."""
        if self.text:
            return f"{number % 256**width:0{2 * width}X}".encode()
        return int(number % 256**width).to_bytes(width, "big" if self.big else "little")

    def object(self, number: int) -> bytes:
        """The name of an object: a number, or a tag of a length of its own."""
        if self.tags:
            tag = ("FT", "PRESS", "LEVEL", "TT")[number % 4].encode() + b"%03d" % (100 + number)
            return tag if self.text else bytes([len(tag)]) + tag
        return self.integer(0x40 * number + 7, self.object_width)

    def value(self, coding: str, key: tuple[int, int, int], now: float) -> bytes:
        """A value as it is coded; key says whose it is (deltas are taken to the last one)."""
        if self.text or coding == "figures":
            return f"{now:.2f}".encode()
        if coding == "single":
            return struct.pack(">f" if self.big else "<f", now)
        if coding == "bcd":
            return bytes.fromhex(f"{round(now * 10):06d}")
        if coding == "delta":
            step = round(now * 10) - self._last.get(key, 0)
            self._last[key] = round(now * 10)
            return varint(2 * step if step >= 0 else -2 * step - 1)
        return self.integer(round(now * 10), 2)

    def message(self, up: bool, operation: int, unit: int, number: int, at: float, body: list[Part]) -> bytes:
        """One message; its fields are noted."""
        parts = [("magic", self.magic)] + [p for name in self.head for p in self._part(name, operation, unit, number, at)] + body
        if self.text:
            parts = [p for part in parts for p in (part, ("", b","))] + [("", b"")]
        bare = [("length", b"?") if name == "length" else (name, raw) for name, raw in parts]
        width, _ = CHECKS[self.check]
        if self.text:
            width *= 2
        rest = sum(len(raw) for name, raw in bare if name != "length") + width + 2 * self.text
        done = [(name, self._length(rest) if name == "length" else raw) for name, raw in bare]
        pay = self.mend(b"".join(raw for _, raw in done) + bytes(width) + b"\r\n" * self.text)
        fields, place = Fields(), 0
        for name, raw in done:
            if name and raw:
                fields[name] = place, place + len(raw)
            if name == "value":
                break
            place += len(raw)
        fields.pop("value", None)
        self.seen[pay, up] = fields
        return pay

    def _length(self, rest: int) -> bytes:
        if self.length == "varint" and not self.text:
            return varint(rest)
        return self.integer(rest, {"one": 1, "four": 4}.get(self.length, 2))

    def _part(self, name: str, operation: int, unit: int, number: int, at: float) -> list[Part]:
        match name:
            case "length":
                return [("length", b"")] if self.length else []
            case "number":
                return [("", self.integer(number, self.number_width))] if self.numbering else []
            case "unit":
                return [("unit", self.integer(unit, self.unit_width))] if self.unit_width else []
            case "operation":
                return [("operation", self.integer(operation, 1))]
            case "flags":  # a bit that follows from the operation, one that alternates, one that is set now and then
                low = (operation & 1) | (int(at * 3) & 1) << 3 | (self.rng.random() < 0.1) << 6
                return [("", self.integer(low, self.flags))] if self.flags else []
        width = {"seconds": 4, "milliseconds": 8}.get(self.time, 0)
        return [("", self.integer(int((START // SECOND + at) * (1000 if width == 8 else 1)), width))] if width else []

    def mend(self, pay: bytes) -> bytes:
        """The message with its check made right."""
        width, check = CHECKS[self.check]
        if self.text:
            return pay[: -2 - 2 * width] + f"{check(pay[: -2 - 2 * width]):0{2 * width}X}".encode()[: 2 * width] + b"\r\n"
        return pay[: len(pay) - width] + check(pay[: len(pay) - width]).to_bytes(width, "big" if self.big else "little")

    def grammar(self) -> Grammar:
        """Where the fields of the messages made lie."""
        port = (TCP if self.tcp else UDP, PORT)
        kinds = {pay: pay[slice(*fields["operation"])] for (pay, _), fields in self.seen.items()}
        return Grammar(
            f"Invented {self.seed}", port, lambda pay, up: self.seen.get((pay, up), {}), lambda pay: kinds[pay],
            frozenset({"operation"}), self.mend,
        )  # fmt: skip

    def traits(self) -> str:
        """What was drawn, in a line."""
        form = "text" if self.text else f"{'big' if self.big else 'little'} {self.length or 'no length'} {'/'.join(self.codings)}"
        named = "tags" if self.tags else f"objects {self.object_width}"
        number = f"{self.numbering or 'no number'}{self.number_width if self.numbering else ''}"
        flags = f"{' nested' * self.nested}{' events' * self.events}{f' flags{self.flags}' * (self.flags > 0)} {self.time}"
        return f"{'tcp' if self.tcp else 'udp'} {form}, {number}, {named}, {self.check}, {self.devices} devices{flags}"


@dataclass
class _Client:
    """One client at one device: numbers its requests, knows the values."""

    recipe: Recipe
    unit: int
    rng: random.Random
    number: int = 0

    def __post_init__(self) -> None:
        r, rng = self.recipe, self.rng
        self.number = rng.randrange(1 << 20)
        self.objects = rng.sample(range(12), rng.randint(3, 7))
        self.values = {o: rng.uniform(20, 180) for o in self.objects}
        self.coding = {o: r.codings[o % 2] for o in self.objects}
        self.count = {o: rng.randint(1, 3) for o in self.objects}
        self.period = {o: rng.choice((0.5, 1.0, 2.0, 5.0)) for o in self.objects}

    def next(self) -> int:
        """The number of the next request."""
        if self.recipe.numbering == "nonce":
            return self.rng.randrange(1 << 32)
        self.number += {"stride": self.recipe.stride, "down": -1}.get(self.recipe.numbering, 1)
        return self.number

    def exchanges(self) -> Iterator[tuple[float, str, int]]:
        """What is due when: (seconds, "read", "write", "status" or "event", object)."""
        plans = [("read", o, self.period[o], 0.02) for o in self.objects]
        plans += [("write", self.objects[0], 12.0, 0.4), ("status", 0, 5.0, 0.02)]
        plans += [("event", self.objects[-1], 6.0, 0.5)] if self.recipe.events else []
        for what, thing, period, spread in plans:
            at = self.rng.uniform(0.5, 0.5 + period)
            while at < self.recipe.seconds:
                yield at, what, thing
                at += period * self.rng.uniform(1 - spread, 1 + spread)

    def data(self, o: int) -> list[Part]:
        """The object's values now."""
        self.values[o] = drift(self.rng, self.values[o], 10, 200)
        many = (self.values[o] + 7 * k for k in range(self.count[o]))
        parts = [("value", self.recipe.value(self.coding[o], (self.unit, o, k), one)) for k, one in enumerate(many)]
        return [part for one in parts for part in (*self._tagged(0x21, one[1]), one)] if self.recipe.nested else parts

    def _tagged(self, kind: int, value: bytes) -> list[Part]:
        return [] if self.recipe.text else [("type", bytes([kind])), ("size", bytes([len(value)]))]

    def said(self, at: float, what: str, o: int) -> Iterator[tuple[float, bool, bytes]]:
        """The messages of one exchange."""
        r, number, later = self.recipe, self.next(), at + self.rng.uniform(0.002, 0.006)
        named: list[Part] = [("object", r.object(o))]
        count: list[Part] = [("count", r.integer(self.count.get(o, 0), 1))]
        again = named if r.echoes_object else []
        if what == "event":
            yield at, False, r.message(False, EVENT, self.unit, number, at, named + self.data(o))
            return
        if what == "read":
            asks, tells, operation = named + count, again + count + self.data(o), READ
        elif what == "write":
            point = self.rng.uniform(20, 90) if r.free_setpoints else self.rng.choice((25.0, 40.0, 60.0))
            written = [("setpoint" if not r.free_setpoints else "value", r.integer(round(point * 10), 2))]
            asks, tells, operation = named + written, again, WRITE
        else:
            state = [("value", r.integer(0x4000 | (self.rng.random() < 0.05) << 2 | (self.unit & 1) << 9, 2))]
            asks, tells, operation = [], state, STATUS
        yield at, True, r.message(True, operation, self.unit, number, at, asks)
        yield later, False, r.message(False, operation | 0x80, self.unit, number, later, tells)


def invented_plant(recipe: Recipe) -> Capture:
    """A client that talks to the devices, as frames."""
    frames: list[Frame] = []
    for unit in range(1, recipe.devices + 1):
        rng = random.Random(f"invented/{recipe.seed}/{unit}")
        client, server, sport = bytes((10, 8, 0, 2)), bytes((10, 8, 0, 20 + unit)), 40_000 + rng.randrange(9_000)
        wire, one = Wire(client, server, PORT, sport, frames), _Client(recipe, unit, rng)
        if recipe.tcp:
            wire.open(START + unit * 1_000_000)
        said = [m for at, what, o in sorted(one.exchanges()) for m in one.said(at, what, o)]
        for at, up, pay in sorted(said, key=lambda m: m[0]):
            ends = (client, server, sport, PORT) if up else (server, client, PORT, sport)
            if recipe.tcp:
                wire.send(START + int(at * SECOND), up, pay)
            else:
                frames.append((START + int(at * SECOND), datagram(*ends, pay)))
    return Capture(sorted(frames, key=lambda frame: frame[0]))


def measured(seed: int, per_class: int) -> tuple[Recipe, Tally]:
    """Learn 60 % of a seed's plant, change the rest."""
    recipe = Recipe(seed)
    head, rest = invented_plant(recipe).split(0.6)
    return recipe, measure([Sekisho()], head, rest, recipe.grammar(), per_class, seed)[Sekisho.name]


def main() -> None:
    """A line per seed."""
    parser = argparse.ArgumentParser(prog="tests.evaluate.invented", description="Protocols drawn by lot: found, exact, false.")
    parser.add_argument("--seeds", default="1-10", help="A-B")
    parser.add_argument("--per-class", type=int, default=20)
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        recipe, t = measured(seed, options.per_class)
        worst, name = t.worst(t.found, options.per_class // 2)
        shares = f"all {t.share(t.found, False):.2f} exact {t.share(t.exact, False):.2f} swapped {t.share(t.found, True):.2f}"
        false = f"false {100 * t.false_frames / max(1, t.frames):.3f} %, clean {t.clean_incidents} ({len(t.clean)})"
        print(f"{seed:3} worst {worst:.2f} {name:20} {shares} {false}  {recipe.traits()}", flush=True)


if __name__ == "__main__":
    main()

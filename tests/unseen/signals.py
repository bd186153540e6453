"""Process values of simulated devices, by time."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.sim.wire import SECOND

Clock = Callable[[], int]


@dataclass
class Signal:
    """A value that lives.

    `kind` is "walk" (drifts between low and high), "count" (grows by `rate` a second), "bit" (turns about
    every `rate` seconds), "cycle" (goes through small whole numbers, each held for about `rate` seconds) or "hold" (what was
    written last). `forced` stands in its place while an intruder forges it.
    """

    rng: random.Random
    kind: str
    low: float = 0.0
    high: float = 100.0
    rate: float = 1.0
    value: float = 0.0
    last: int = -1
    forced: float | None = None

    def at(self, now: int) -> float:
        """The value at a time in ns; times do not go back."""
        past = 0.0 if self.last < 0 else (now - self.last) / SECOND
        self.last = max(now, self.last)
        if self.kind == "walk":
            span = self.high - self.low
            step = self.rng.gauss(0, 0.01 * span) * min(4.0, past) ** 0.5
            middle = (self.low + self.high) / 2
            self.value = min(self.high, max(self.low, self.value + step + 0.002 * min(4.0, past) * (middle - self.value)))
        elif self.kind == "count":
            self.value += self.rate * past * self.rng.uniform(0.9, 1.1)
        elif self.kind == "bit" and self.rng.random() < past / self.rate:
            self.value = 1 - self.value
        elif self.kind == "cycle" and self.rng.random() < past / self.rate:
            self.value = self.low + (self.value - self.low + 1) % (self.high - self.low + 1)
        return self.value if self.forced is None else self.forced

    @classmethod
    def drawn(cls, rng: random.Random, kind: str) -> "Signal":
        """A signal of a kind, with bounds of its own."""
        if kind == "walk":
            low = rng.choice((0.0, 10.0, 20.0, -10.0, 200.0))
            high = low + rng.choice((5.0, 30.0, 80.0, 400.0))
            return cls(rng, kind, low, high, value=rng.uniform(low, high))
        if kind == "count":
            return cls(rng, kind, rate=rng.choice((0.02, 0.5, 3.0, 40.0, 900.0)), value=rng.uniform(0, 4e6))
        if kind == "bit":
            return cls(rng, kind, rate=rng.choice((8.0, 30.0, 120.0, 1e9)), value=float(rng.random() < 0.5))
        if kind == "cycle":
            return cls(rng, kind, 0.0, float(rng.randint(2, 6)), rate=rng.choice((4.0, 15.0, 40.0)))
        return cls(rng, "hold", value=rng.choice((40.0, 55.0, 600.0, 1.0)))


# A coding of 16-bit registers: how many, and how a value becomes bytes.
CODINGS: dict[str, tuple[int, Callable[[float], bytes]]] = {
    "u16": (1, lambda v: struct.pack(">H", round(v * 10) & 0xFFFF)),
    "i16": (1, lambda v: struct.pack(">h", max(-32768, min(32767, round(v * 10))))),
    "word": (1, lambda v: struct.pack(">H", round(v) & 0xFFFF)),
    "f32": (2, lambda v: struct.pack(">f", v)),
    "f32 swapped": (2, lambda v: struct.pack(">f", v)[2:] + struct.pack(">f", v)[:2]),
    "u32": (2, lambda v: struct.pack(">I", int(v) & 0xFFFFFFFF)),
    "u32 swapped": (2, lambda v: struct.pack(">HH", int(v) & 0xFFFF, int(v) >> 16 & 0xFFFF)),
}

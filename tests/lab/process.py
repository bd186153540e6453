"""The plant as arithmetic: each model is stepped by seconds and tells its values; dice are seeded by the case."""

from __future__ import annotations

import math
import random
import struct
from dataclasses import dataclass, field


def float_words(value: float) -> list[int]:
    """Return the two 16-bit words, high first, of an IEEE 754 single."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return [high, low]


@dataclass
class Tank:
    """A tank that two pumps fill between switch points below a set-point while consumers draw from it.

    level in percent, flows in 0.1 m3/h, set-point in 0.1 percent
    """

    dice: random.Random
    level: float = 45.0
    setpoint: int = 600
    valve: bool = True
    filling: bool = True
    draw: float = 2.2
    hours: float = 1200.0
    beat: int = 0
    inflow: float = 0.0

    def step(self, dt: float) -> None:
        """Advance by `dt` seconds; a fill and drain cycle takes about 20 s so that a short capture shows several."""
        self.draw = min(3.0, max(1.4, self.draw + self.dice.gauss(0, 0.15) * math.sqrt(dt)))
        top = self.setpoint / 10
        if self.level > top:
            self.filling = False
        elif self.level < top - 22:
            self.filling = True
        self.inflow = (5.2 + self.dice.gauss(0, 0.05)) if self.filling else 0.0
        self.level = min(100.0, max(0.0, self.level + (self.inflow - self.draw * (1.0 if self.valve else 0.5)) * dt))
        self.hours += dt / 3.6 if self.filling else 0.0
        self.beat = (self.beat + 1) & 0xFFFF

    def holding(self) -> list[int]:
        """Return holding registers 0-9 (register 4 is the set-point the operator writes)."""
        return [*float_words(round(self.level, 2)), round(self.inflow * 10), round(self.draw * 10), self.setpoint,
                82 if self.filling else 0, int(self.hours) & 0xFFFF, self.beat, 1 if self.valve else 0, 2]  # fmt: skip

    def inputs(self) -> list[int]:
        """Return input registers 0-3: raw level in 1/27648, pressure in mbar, motor current in 0.01 A, state."""
        noise = self.dice.randint(-6, 6)
        current = self.dice.randint(498, 506) if self.filling else 0
        return [int(self.level * 276.48) + noise, 1013 + round(self.level * 9.81 / 2), current, 3 if self.filling else 1]

    def coils(self) -> list[bool]:
        """Return coils 0-7: pump 1, pump 2, outlet valve, automatic, four spares."""
        return [self.filling, self.filling and self.level < 50, self.valve, True, False, False, False, False]

    def discretes(self) -> list[bool]:
        """Return discrete inputs 0-7: low switch, high switch, pump feedback, door, four spares."""
        return [self.level < 35, self.level > 55, self.filling, False, False, False, True, False]


@dataclass
class Heater:
    """Four zones around a set-point: slow swing, sensor noise, a burner that is switched by the mean."""

    dice: random.Random
    setpoint: int = 720
    boost: bool = False
    clock: float = 0.0
    burning: bool = True
    mean: float = 70.0
    cycles: int = 310
    phases: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give each zone its own place in the swing."""
        self.phases = [self.dice.uniform(0, math.tau) for _ in range(4)]

    def step(self, dt: float) -> None:
        """Advance by `dt` seconds."""
        self.clock += dt
        goal = self.setpoint / 10 + (1.5 if self.burning else -1.5)
        self.mean += (goal - self.mean) * min(1.0, dt / 4)
        was = self.burning
        if abs(goal - self.mean) < 0.3:
            self.burning = not self.burning
        self.cycles += self.burning and not was

    def zones(self) -> list[int]:
        """Return the four temperatures in 0.1 degree."""
        swing = [0.8 * math.sin(math.tau * self.clock / 40 + phase) for phase in self.phases]
        return [round((self.mean + s + self.dice.gauss(0, 0.08)) * 10) for s in swing]

    def holding(self) -> list[int]:
        """Return holding registers 0-9 (register 4 is the set-point the operator writes)."""
        return [*self.zones(), self.setpoint, 100 if self.burning else 15, self.cycles & 0xFFFF, 0, int(self.boost), 1]

    def inputs(self) -> list[int]:
        """Return input registers 0-3: flue temperature, draught, flame signal, state."""
        return [1450 + self.dice.randint(-9, 9), 40 + self.dice.randint(-1, 1), 870 if self.burning else 0, int(self.burning)]

    def coils(self) -> list[bool]:
        """Return coils 0-7: burner, circulation, boost, automatic, four spares."""
        return [self.burning, True, self.boost, True, False, False, False, False]

    def discretes(self) -> list[bool]:
        """Return discrete inputs 0-7: flame, gas pressure, water flow, five spares."""
        return [self.burning, True, True, False, False, False, False, False]


@dataclass
class Meter:
    """An energy meter: counters that only grow, power that wanders."""

    dice: random.Random
    power: float = 41.0
    energy: float = 8_812_004.0
    pulses: int = 77_310

    def step(self, dt: float) -> None:
        """Advance by `dt` seconds; energy in Wh."""
        self.power = min(55.0, max(30.0, self.power + self.dice.gauss(0, 1.2) * math.sqrt(dt)))
        self.energy += self.power * 1000 * dt / 3600
        self.pulses += 1 if self.dice.random() < dt else 0

    def holding(self) -> list[int]:
        """Return holding registers 0-9: transformer ratios and limits, constant."""
        return [400, 5, 0, 230, 50, 10, 0, 0, 0, 1]

    def inputs(self) -> list[int]:
        """Return input registers 0-11: three voltages, three currents, power (float), energy and pulses (32 bit)."""
        volts = [2300 + self.dice.randint(-12, 12) for _ in range(3)]
        amps = [round(self.power * 14.5 + self.dice.gauss(0, 4)) for _ in range(3)]
        energy = int(self.energy)
        return [*volts, *amps, *float_words(round(self.power, 2)), energy >> 16, energy & 0xFFFF,
                self.pulses >> 16, self.pulses & 0xFFFF]  # fmt: skip

    def coils(self) -> list[bool]:
        """Return eight coils, all spare."""
        return [False] * 8

    def discretes(self) -> list[bool]:
        """Return eight discrete inputs: mains present, seven spares."""
        return [True, True, True, False, False, False, False, False]


Model = Tank | Heater | Meter


def build(kind: str, dice: random.Random) -> Model:
    """Return the model called `kind` ("tank", "heater", "meter"); KeyError for any other."""
    kinds: dict[str, type[Model]] = {"tank": Tank, "heater": Heater, "meter": Meter}
    return kinds[kind](dice)

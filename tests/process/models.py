"""Two processes as arithmetic: a tank with pump and valve, an air-handling unit. Time is a loop, dice are seeded.

Each step gives the *true* values; what goes over the wire is made of them in `traffic`, forged or not.
"""

import math
import random
from dataclasses import dataclass, field

Values = dict[str, float]


@dataclass
class Tank:
    """A pump fills a tank between two switch points, consumers draw through a valve that follows their demand.

    level     0..10000 (0.01 %), measured with noise; the pump starts 15 % below the set-point and stops at it
    inflow    m3/h, measured; pump: running or not, valve: 0..1000 (0.1 %)
    demand    wanders and changes with what is produced; nobody measures it
    """

    dice: random.Random
    level: float = 6000.0
    setpoint: int = 7000
    running: bool = True
    valve: float = 400.0
    wanted: float = 400.0
    demand: float = 0.0
    hours: float = 4000.0
    clock: float = 0.0
    hold: dict[str, float] = field(default_factory=lambda: {"valve": 0.0, "setpoint": 300.0})

    def step(self, dt: float) -> Values:
        """Advance by `dt` seconds."""
        self.clock += dt
        if self.clock > self.hold["valve"]:
            self.wanted = self.dice.uniform(200, 800)
            self.hold["valve"] = self.clock + self.dice.expovariate(1 / 300)
        if self.clock > self.hold["setpoint"]:
            self.setpoint = self.dice.choice([v for v in (6500, 7000, 7500, 8000) if v != self.setpoint])
            self.hold["setpoint"] = self.clock + self.dice.uniform(300, 700)
        self.valve += max(-20 * dt, min(20 * dt, self.wanted - self.valve))
        self.demand += -self.demand * dt / 200 + self.dice.gauss(0, 0.05) * math.sqrt(2 * dt / 200)
        if self.level > self.setpoint:
            self.running = False
        elif self.level < self.setpoint - 1500:
            self.running = True
        inflow = (52 + self.dice.gauss(0, 0.4)) if self.running else 0.0
        outflow = 0.05 * self.valve * math.sqrt(max(0.0, self.level) / 6000) * (1 + self.demand)
        self.level = min(10000.0, max(0.0, self.level + (inflow - outflow) * dt * 0.15))
        self.hours += dt / 3600 if self.running else 0.0
        return {
            "level": self.level + self.dice.gauss(0, 6),
            "inflow": inflow,
            "valve": self.valve,
            "pump": float(self.running),
            "setpoint": float(self.setpoint),
            "hours": self.hours,
        }


@dataclass
class AirHandler:
    """A heating coil warms outside air for a building; a controller moves the coil's valve to hold the set supply temperature.

    supply, outside, extract   degrees Celsius, measured with noise;  valve, fan   percent;  setpoint   degrees
    """

    dice: random.Random
    supply: float = 20.0
    water: float = 60.0
    outside: float = 5.0
    extract: float = 21.0
    setpoint: float = 20.0
    valve: float = 40.0
    fan: float = 60.0
    integral: float = 0.0
    clock: float = 0.0
    weather: float = 0.0
    phase: float = 0.0
    hold: dict[str, float] = field(default_factory=lambda: {"fan": 900.0, "setpoint": 1200.0})

    def __post_init__(self) -> None:
        """A day of its own."""
        self.phase = self.dice.uniform(0, math.tau)
        self.integral = self.valve

    def step(self, dt: float) -> Values:
        """Advance by `dt` seconds."""
        self.clock += dt
        if self.clock > self.hold["fan"]:
            self.fan = self.dice.choice([v for v in (50.0, 60.0, 70.0, 80.0) if v != self.fan])
            self.hold["fan"] = self.clock + self.dice.uniform(500, 1500)
        if self.clock > self.hold["setpoint"]:
            self.setpoint = self.dice.choice([v for v in (18.0, 19.0, 20.0, 21.0, 22.0) if v != self.setpoint])
            self.hold["setpoint"] = self.clock + self.dice.uniform(300, 700)
        self.weather += -self.weather * dt / 1800 + self.dice.gauss(0, 1.0) * math.sqrt(2 * dt / 1800)
        self.outside = 6 + 4 * math.sin(math.tau * self.clock / 14400 + self.phase) + self.weather
        mixed = 0.4 * self.outside + 0.6 * self.extract
        heated = mixed + 0.11 * self.valve * (60 / self.fan) ** 0.5 * (self.water - mixed) / 45
        self.supply += (heated - self.supply) * dt / 90
        self.extract += (21 + 0.2 * (self.supply - 20) - self.extract) * dt / 1800 + self.dice.gauss(0, 0.004) * math.sqrt(dt)
        self.water += (60 - self.water) * dt / 600 + self.dice.gauss(0, 0.02) * math.sqrt(dt)
        error = self.setpoint - self.supply
        self.integral = min(100.0, max(0.0, self.integral + error * dt * 0.05))
        goal = min(100.0, max(0.0, self.integral + 6 * error))
        self.valve += max(-2 * dt, min(2 * dt, goal - self.valve))
        return {
            "supply": self.supply + self.dice.gauss(0, 0.05),
            "outside": self.outside + self.dice.gauss(0, 0.05),
            "extract": self.extract + self.dice.gauss(0, 0.05),
            "valve": self.valve,
            "fan": self.fan,
            "setpoint": self.setpoint,
        }


Model = Tank | AirHandler

"""What an attacker does to values on their way, or to the process; each begins at BEGIN seconds of the watched hours."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.process.models import Model, Tank, Values
from tests.process.traffic import Forger, honest

BEGIN = 2400.0
Steer = Callable[[float, Model], None]


def leave(_: float, model: Model) -> None:
    """Let the process go on by itself."""


@dataclass(frozen=True)
class Attack:
    """A forger made anew for every run, and what it does to the process; `fields`: names of the values that are wrong."""

    name: str
    forger: Callable[[], Forger]
    steer: Steer = leave
    fields: tuple[str, ...] = ()


def offset(name: str, by: float) -> Callable[[], Forger]:
    """Show a value off by a constant, towards the middle of its range."""

    def forge(t: float, v: Values) -> Values:
        return v | {name: v[name] + by} if t >= BEGIN else v

    return lambda: forge


def ramp(name: str, by: float, seconds: float) -> Callable[[], Forger]:
    """Show a value that is led away slowly."""

    def forge(t: float, v: Values) -> Values:
        return v | {name: v[name] + by * min(1.0, (t - BEGIN) / seconds)} if t >= BEGIN else v

    return lambda: forge


@dataclass
class _Memory:
    """Shows a value as it was when the attack began, or as it went before."""

    name: str
    replay: float = 0.0
    past: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, t: float, v: Values) -> Values:
        if t < BEGIN:
            self.past.append((t, v[self.name]))
            return v
        if not self.replay:
            return v | {self.name: self.past[-1][1]}
        earlier = [x for when, x in self.past if when >= BEGIN - self.replay]
        period = self.past[-1][0] - self.past[-2][0]
        return v | {self.name: earlier[int((t - BEGIN) / period) % len(earlier)]}


def _pump_hidden(t: float, v: Values) -> Values:
    """The pump is shown running while it is off."""
    return v | {"pump": 1.0} if t >= BEGIN else v


def _set(value: float) -> Steer:
    def steer(t: float, model: Model) -> None:
        if t >= BEGIN:
            model.hold["setpoint"] = math.inf
            if isinstance(model, Tank):
                model.setpoint = int(value)
            else:
                model.setpoint = value

    return steer


TANK_ATTACKS = (
    Attack("offset", offset("level", -900), fields=("level",)),
    Attack("ramp", ramp("level", -1500, 900), fields=("level",)),
    Attack("frozen", lambda: _Memory("level"), fields=("level",)),
    Attack("replay", lambda: _Memory("level", 1800), fields=("level",)),
    Attack("pump", lambda: _pump_hidden, fields=("pump", "inflow", "level")),
    Attack("setpoint", lambda: honest, _set(9000), fields=("setpoint",)),
)
AIR_ATTACKS = (
    Attack("offset", offset("supply", 1.5), fields=("supply",)),
    Attack("ramp", ramp("supply", 2.0, 900), fields=("supply",)),
    Attack("frozen", lambda: _Memory("supply"), fields=("supply",)),
    Attack("replay", lambda: _Memory("supply", 1800), fields=("supply",)),
    Attack("setpoint", lambda: honest, _set(25.0), fields=("setpoint",)),
)


def _whole_picture(names: tuple[str, ...], seconds: float = 1800) -> Callable[[], Forger]:
    """Replay all values together, consistent with each other: nothing on the wire contradicts but the seam."""

    def make() -> Forger:
        memories = [_Memory(name, seconds) for name in names]

        def forge(t: float, v: Values) -> Values:
            shown = dict(v)
            for memory in memories:
                shown[memory.name] = memory(t, v)[memory.name]
            return shown

        return forge

    return make


ATTACKS = {"tank": TANK_ATTACKS, "tags": TANK_ATTACKS, "air": AIR_ATTACKS}
_TANK_ALL = Attack("together", _whole_picture(("level", "inflow", "valve", "pump", "setpoint", "hours")))
_AIR_ALL = Attack("together", _whole_picture(("supply", "outside", "extract", "valve", "fan", "setpoint")))
FORGED_TOGETHER = {"tank": _TANK_ALL, "tags": _TANK_ALL, "air": _AIR_ALL}

"""An EtherNet/IP controller (cpppo) whose tags follow a model of the plant."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from cpppo.server.enip import device as cip
from cpppo.server.enip.main import main as enip_main

from tests.lab import process
from tests.lab.peers.control import Control, Spec, run_peer

if TYPE_CHECKING:
    import random

STEP = 0.1
TAGS = ["Level=REAL", "Flow=REAL", "Zones=INT[4]", "Setpoint=DINT", "Cycles=DINT", "Running=SINT", "Limit_High=REAL",
        "Recipe=DINT[6]", "Watchdog=DINT"]  # fmt: skip
TAG_ATTRIBUTES: dict[str, Any] = {}


class Tag(cip.Attribute):  # type: ignore[misc] # cpppo carries no types
    """A tag that can be found by its name, so that the model can write it."""

    def __init__(self, name: str, *rest: Any, **named: Any) -> None:
        """Remember the tag."""
        super().__init__(name, *rest, **named)
        TAG_ATTRIBUTES[name] = self


async def live(dice: random.Random, forged: dict[str, float]) -> None:
    """Move the plant: take what the operator wrote, step, publish; `forged` tags say what they are told to."""
    tank, heater = process.Tank(dice), process.Heater(dice)
    tags = TAG_ATTRIBUTES
    tags["Setpoint"][0] = tank.setpoint
    tags["Limit_High"][0] = 92.5
    tags["Recipe"][0:6] = [4, 120, 35, 1, 0, 900]
    while True:
        await asyncio.sleep(STEP)
        tank.setpoint = int(tags["Setpoint"][0])
        tank.step(STEP)
        heater.step(STEP)
        tags["Level"][0] = round(tank.level, 2)
        tags["Flow"][0] = round(tank.inflow, 3)
        tags["Zones"][0:4] = heater.zones()
        tags["Cycles"][0] = heater.cycles
        tags["Running"][0] = int(tank.filling)
        tags["Watchdog"][0] = tank.beat
        for name, value in forged.items():
            tags[name][0] = value


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `address`."""
    where = spec["address"] + ":44818"
    arguments = ["--address", where, "--no-config", *TAGS]
    # cpppo's server blocks, so it has a thread of its own; it ends with the process
    server = threading.Thread(target=enip_main, args=(arguments,), kwargs={"attribute_class": Tag}, daemon=True)
    server.start()
    for _ in range(100):
        await asyncio.sleep(0.1)
        if len(TAG_ATTRIBUTES) >= len(TAGS):
            break
    else:
        raise RuntimeError(f"cpppo did not create the tags within 10 s on {where}; run it alone to see why")
    forged: dict[str, float] = {}

    async def forge(order: Spec) -> object:
        forged.clear()
        forged.update(order["registers"])
        return len(forged)

    control.background(live(dice, forged))
    control.on("forge", forge)


if __name__ == "__main__":
    run_peer(setup)

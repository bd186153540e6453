"""A BACnet/IP controller (bacpypes3) whose objects follow a model of a building."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bacpypes3.apdu import ReinitializeDeviceRequest, SimpleAckPDU
from bacpypes3.app import Application
from bacpypes3.errors import ExecutionError
from bacpypes3.local.analog import AnalogInputObject, AnalogValueObject
from bacpypes3.local.binary import BinaryOutputObject, BinaryValueObject

from tests.lab import process
from tests.lab.peers.control import Control, Spec, run_peer

if TYPE_CHECKING:
    import random

STEP = 0.2
PASSWORD = "filister"  # noqa: S105 - the example of the standard, spoken to a lab device only


class Controller(Application):  # type: ignore[misc] # bacpypes3 carries no types
    """An application that also takes ReinitializeDevice (ASHRAE 135 16.4), acknowledges it and goes on: a warm start."""

    async def do_ReinitializeDeviceRequest(self, apdu: ReinitializeDeviceRequest) -> None:  # noqa: N802 - bacpypes3's name
        """Acknowledge with the right password, refuse with any other."""
        if str(apdu.password) != PASSWORD:
            raise ExecutionError(errorClass="security", errorCode="passwordFailure")
        await self.response(SimpleAckPDU(context=apdu))


def application(spec: Spec) -> Application:
    """Return a BACnet application bound to `spec["address"]` with device instance `spec["instance"]`."""
    return Controller.from_args(
        SimpleNamespace(
            vendoridentifier=999, instance=spec["instance"], name=spec["name"], address=spec["address"] + "/24",
            network=0, foreign=None, ttl=30, bbmd=None,
        )
    )  # fmt: skip


def objects() -> dict[str, Any]:
    """Return four zone sensors, flow, set-point, a valve and a fan."""
    table: dict[str, Any] = {}
    for n in range(1, 5):
        table[f"zone{n}"] = AnalogInputObject(
            objectIdentifier=("analog-input", n), objectName=f"ZONE-{n}", presentValue=20.0, units="degrees-celsius"
        )
    table["flow"] = AnalogInputObject(
        objectIdentifier=("analog-input", 9), objectName="FLOW", presentValue=0.0, units="liters-per-second"
    )
    table["setpoint"] = AnalogValueObject(
        objectIdentifier=("analog-value", 1), objectName="SETPOINT", presentValue=72.0, units="degrees-celsius"
    )
    table["limit"] = AnalogValueObject(
        objectIdentifier=("analog-value", 2), objectName="LIMIT", presentValue=95.0, units="degrees-celsius"
    )
    table["valve"] = BinaryValueObject(objectIdentifier=("binary-value", 1), objectName="VALVE", presentValue="inactive")
    table["fan"] = BinaryOutputObject(objectIdentifier=("binary-output", 1), objectName="FAN", presentValue="active")
    return table


async def live(table: dict[str, Any], dice: random.Random, forged: dict[str, float]) -> None:
    """Move the building: take the set-point, step, publish; `forged` objects say what they are told to."""
    heater, tank = process.Heater(dice), process.Tank(dice)
    while True:
        await asyncio.sleep(STEP)
        heater.setpoint = round(float(table["setpoint"].presentValue) * 10)
        heater.step(STEP)
        tank.step(STEP)
        for n, value in enumerate(heater.zones(), 1):
            table[f"zone{n}"].presentValue = value / 10
        table["flow"].presentValue = round(tank.inflow, 2)
        table["valve"].presentValue = "active" if heater.burning else "inactive"
        for name, reading in forged.items():
            table[name].presentValue = reading


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `address`, `instance`, `name`."""
    app = application(spec)
    table = objects()
    for thing in table.values():
        app.add_object(thing)
    forged: dict[str, float] = {}

    async def forge(order: Spec) -> object:
        forged.clear()
        forged.update(order["registers"])
        return len(forged)

    control.background(live(table, dice, forged))
    control.on("forge", forge)


if __name__ == "__main__":
    run_peer(setup)

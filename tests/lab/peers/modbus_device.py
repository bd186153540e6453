"""A Modbus/TCP device (pymodbus server) whose registers follow a model of the plant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pymodbus import ModbusDeviceIdentification
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.lab import process
from tests.lab.peers.control import Control, Spec, run_peer

if TYPE_CHECKING:
    import random

STEP = 0.1
PARAMETERS = [100, 250, 900, 50, 12, 0, 3, 65535, 1000, 20]


class Device:
    """Couples the model to the registers; knows how to misbehave when the stage asks."""

    def __init__(self, spec: Spec, dice: random.Random) -> None:
        """Build the registers of `spec["model"]`."""
        self.model = process.build(spec["model"], dice)
        self.unit: int = spec.get("unit", 1)
        self.storm = False
        self.forged: dict[int, int] = {}
        self.shift = 0.0
        self.server: ModbusTcpServer | None = None
        self.spec = spec

    def layout(self) -> SimDevice:
        """Return four separate blocks; holding registers 40-49 are parameters nobody writes in normal work."""
        model = self.model
        return SimDevice(
            self.unit,
            simdata=(
                [SimData(i, values=value, datatype=DataType.BITS) for i, value in enumerate(model.coils())],
                [SimData(i, values=value, datatype=DataType.BITS) for i, value in enumerate(model.discretes())],
                [SimData(0, values=model.holding(), datatype=DataType.REGISTERS),
                 SimData(40, values=PARAMETERS, datatype=DataType.REGISTERS)],
                [SimData(0, values=model.inputs(), datatype=DataType.REGISTERS)],
            ),
            action=self.action,
        )  # fmt: skip

    async def action(self, _fc: int, _first: int, _at: int, _n: int, _now: list[int], _new: object) -> ExcCodes | None:
        """Refuse everything while the storm lasts."""
        return ExcCodes.DEVICE_FAILURE if self.storm else None

    async def live(self) -> None:
        """Move the plant: take what the operator wrote, step, publish."""
        assert self.server is not None
        put, get = self.server.async_setValues, self.server.async_getValues
        while True:
            await asyncio.sleep(STEP)
            if self.storm:
                continue
            if isinstance(self.model, process.Tank | process.Heater):
                self.model.setpoint = int((await get(self.unit, 3, 4, 1))[0])
                commanded = bool((await get(self.unit, 1, 2, 1))[0])
                if isinstance(self.model, process.Tank):
                    self.model.valve = commanded
                else:
                    self.model.boost = commanded
            self.model.step(STEP)
            holding = self.model.holding()
            if self.shift and isinstance(self.model, process.Tank):
                holding[:2] = process.float_words(round(self.model.level + self.shift, 2))
            for register, value in self.forged.items():
                holding[register] = value
            await put(self.unit, 16, 0, holding)
            await put(self.unit, 15, 0, self.model.coils())
            await self._inputs()

    async def _inputs(self) -> None:
        # input registers and discrete inputs have no write function; function codes 4 and 2 select their blocks
        assert self.server is not None
        await self.server.async_setValues(self.unit, 4, 0, self.model.inputs())
        await self.server.async_setValues(self.unit, 2, 0, self.model.discretes())

    async def set_storm(self, order: Spec) -> object:
        """Order: `on`."""
        self.storm = bool(order["on"])
        return self.storm

    async def set_forged(self, order: Spec) -> object:
        """Order: `registers`, a map of holding register to the value that is reported instead of the true one."""
        self.forged = {int(k): int(v) for k, v in order["registers"].items()}
        return len(self.forged)

    async def set_shift(self, order: Spec) -> object:
        """Order: `percent` by which the level that is reported lies off the true one (a tank's)."""
        self.shift = float(order["percent"])
        return self.shift


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `address`, `model`, `unit`, `product`."""
    device = Device(spec, dice)
    identity = ModbusDeviceIdentification(  # type: ignore[no-untyped-call] # pymodbus left this one untyped
        info_name={"VendorName": "Sekisho Lab", "ProductCode": spec["product"], "MajorMinorRevision": "2.14"}
    )
    device.server = ModbusTcpServer(device.layout(), address=(spec["address"], 502), identity=identity)
    await device.server.serve_forever(background=True)
    control.background(device.live())
    control.on("storm", device.set_storm)
    control.on("forge", device.set_forged)
    control.on("shift", device.set_shift)


if __name__ == "__main__":
    run_peer(setup)

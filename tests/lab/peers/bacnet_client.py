"""A BACnet/IP workstation (bacpypes3): ReadProperty, ReadPropertyMultiple, Who-Is, an operator's WriteProperty."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bacpypes3.apdu import ErrorRejectAbortNack, ReinitializeDeviceRequest
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import ObjectIdentifier

from tests.lab.peers.bacnet_device import application
from tests.lab.peers.control import Control, Spec, run_peer

if TYPE_CHECKING:
    import random

    from bacpypes3.app import Application


async def execute(app: Application, item: Spec, value: Any = None) -> str:
    """Carry out one item: `do` is read, read_many, write, who_is, i_am or reinitialize; an error answer is an answer too."""
    try:
        match item["do"]:
            case "who_is":
                found = await app.who_is(item.get("low"), item.get("high"), timeout=1.0)
                return f"{len(found)} answered"
            case "read":
                return str(await app.read_property(item["host"], item["object"], item.get("property", "present-value")))
            case "read_many":
                wanted: list[Any] = []
                for thing in item["objects"]:
                    wanted += [ObjectIdentifier(thing), item.get("properties", ["present-value"])]
                return str(len(await app.read_property_multiple(Address(item["host"]), wanted)))
            case "write":
                prop = item.get("property", "present-value")
                await app.write_property(item["host"], item["object"], prop, value, priority=item.get("priority"))
                return "written"
            case "reinitialize":
                request = ReinitializeDeviceRequest(
                    reinitializedStateOfDevice=item["state"], password=item["password"], destination=Address(item["host"])
                )
                return str(await app.request(request))
            case other:
                raise ValueError(f"no such item: {other}")
    except ErrorRejectAbortNack as refusal:
        return f"refused: {refusal}"


class Workstation:
    """Polls every item on its own clock; BACnet/IP has no connection to lose."""

    def __init__(self, app: Application, dice: random.Random) -> None:
        """Deal an item's `choices` like cards."""
        self.app, self.dice = app, dice

    async def poll(self, item: Spec) -> None:
        """Carry out one item for ever."""
        deck: list[Any] = []
        spread = 0.4 if "choices" in item else 0.0
        await asyncio.sleep(self.dice.uniform(0, item["period"]))
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if not deck:
                deck = list(item.get("choices", [None]))
                self.dice.shuffle(deck)
            await execute(self.app, item, deck.pop())
            due = max(
                loop.time(), due + item["period"] * self.dice.uniform(1 - spread, 1 + spread) + abs(self.dice.gauss(0, 0.004))
            )
            await asyncio.sleep(due - loop.time())


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `address`, `instance`, `name`, `items`; without items it is silent until asked."""
    app = application(spec)
    station = Workstation(app, dice)
    for item in spec.get("items", []):
        control.background(station.poll(item))

    async def one(order: Spec) -> object:
        return await asyncio.wait_for(execute(app, order["item"], order["item"].get("value")), 20)

    control.on("request", one)


if __name__ == "__main__":
    run_peer(setup)

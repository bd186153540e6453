"""A Modbus/TCP master (pymodbus client): cyclic polls, rare reads, an operator's writes, reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from tests.lab.peers.control import Control, Spec, run_peer

READS = {1: "read_coils", 2: "read_discrete_inputs", 3: "read_holding_registers", 4: "read_input_registers"}
WRITES = {5: "write_coil", 6: "write_register", 15: "write_coils", 16: "write_registers"}
RETRY = 2.0


async def execute(client: AsyncModbusTcpClient, item: Spec, value: Any = None) -> str:
    """Carry out one request; returns the answer as text."""
    code, unit = item["fc"], item.get("unit", 1)
    if code in READS:
        answer = await getattr(client, READS[code])(item["address"], count=item["count"], device_id=unit)
    elif code in WRITES:
        answer = await getattr(client, WRITES[code])(item["address"], value, device_id=unit)
    else:
        answer = await client.read_device_information(read_code=1, object_id=0, device_id=unit)
    return str(answer)


class Link:
    """One connection to one device with everything that goes over it, in turn."""

    def __init__(self, host: str, items: list[Spec], spec: Spec, dice: random.Random) -> None:
        """`items` are requests with `period` seconds; writes pick the next of their shuffled `choices`."""
        self.host, self.items, self.dice = host, items, dice
        self.reconnect: float = spec.get("reconnect", 0.0)
        self.client = AsyncModbusTcpClient(host, timeout=spec.get("timeout", 1.0), retries=0, reconnect_delay=0)
        self.lock = asyncio.Lock()
        self.decks: dict[int, list[Any]] = {}

    def next_value(self, index: int) -> Any:
        """Deal the choices like cards, so that each is seen before any returns."""
        if not self.decks.get(index):
            deck = list(self.items[index].get("choices", [None]))
            self.dice.shuffle(deck)
            self.decks[index] = deck
        return self.decks[index].pop()

    def interval(self, item: Spec) -> float:
        """Cyclic requests have the jitter of a busy PC, people have none of the discipline."""
        spread = 0.4 if item["fc"] in WRITES else 0.0
        return float(item["period"]) * self.dice.uniform(1 - spread, 1 + spread) + abs(self.dice.gauss(0, 0.004))

    async def run(self) -> None:
        """Poll for ever; on any failure close, wait, connect again."""
        loop = asyncio.get_running_loop()
        due = [loop.time() + self.dice.uniform(0, item["period"]) for item in self.items]
        fresh = loop.time() + self.reconnect if self.reconnect else float("inf")
        while True:
            index = min(range(len(due)), key=due.__getitem__)
            await asyncio.sleep(max(0.0, due[index] - loop.time()))
            item = self.items[index]
            due[index] = max(due[index] + self.interval(item), loop.time())
            if loop.time() > fresh:
                self.client.close()
                fresh = loop.time() + self.reconnect * self.dice.uniform(0.8, 1.2)
            try:
                async with self.lock:
                    await self.request(item, self.next_value(index))
            except (TimeoutError, ModbusException, OSError):
                self.client.close()
                await asyncio.sleep(RETRY * self.dice.uniform(0.9, 1.3))
                due = [max(at, loop.time() + self.dice.uniform(0, 0.2)) for at in due]

    async def request(self, item: Spec, value: Any) -> str:
        """Send one request, connecting first where needed."""
        if not self.client.connected and not await self.client.connect():
            raise OSError(f"{self.host} does not accept a connection")
        return await execute(self.client, item, value)


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `items` (fc, host, unit, address, count, period | choices), `reconnect` seconds, `timeout` seconds."""
    hosts = sorted({item["host"] for item in spec["items"]})
    links = {h: Link(h, [i for i in spec["items"] if i["host"] == h], spec, random.Random(dice.random())) for h in hosts}

    async def one(order: Spec) -> object:
        link = links[order["host"]]
        async with link.lock:
            with contextlib.suppress(ModbusException):
                return await link.request(order, order.get("value"))
        return "no answer"

    for link in links.values():
        control.background(link.run())
    control.on("request", one)


if __name__ == "__main__":
    run_peer(setup)

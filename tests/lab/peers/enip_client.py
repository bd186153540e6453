"""An EtherNet/IP originator (cpppo): cyclic tag reads, single or packed, an operator's writes, identity reads, reconnects."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from cpppo.server.enip import client as enip
from cpppo.server.enip.get_attribute import attribute_operations

from tests.lab.peers.control import Control, Spec, run_peer

RETRY = 2.0
PACKED = 400


class Session:
    """One registered session with one controller; cpppo blocks, so every request runs in a thread, one at a time."""

    def __init__(self, host: str, items: list[Spec], spec: Spec, dice: random.Random) -> None:
        """`items` are {tags | choices, period, packed}; each of `choices` is a list of operations, dealt like cards."""
        self.host, self.items, self.dice = host, items, dice
        self.reconnect: float = spec.get("reconnect", 0.0)
        self.timeout: float = spec.get("timeout", 1.5)
        self.connection: Any = None
        self.lock = asyncio.Lock()
        self.decks: dict[int, list[list[str]]] = {}

    def operations(self, index: int) -> list[str]:
        """Return what to do now for an item."""
        item = self.items[index]
        if "tags" in item:
            return list(item["tags"])
        if not self.decks.get(index):
            deck = list(item["choices"])
            self.dice.shuffle(deck)
            self.decks[index] = deck
        return self.decks[index].pop()

    def blocking(self, operations: list[str], packed: bool) -> list[str]:
        """Carry out operations in cpppo's notation ("Level", "Setpoint=(DINT)640", "@1/1/7"); OSError when there is no answer."""
        try:
            if self.connection is None:
                self.connection = enip.connector(host=self.host, port=44818, timeout=self.timeout)
            translate = attribute_operations if operations[0].startswith("@") else enip.parse_operations
            parsed = list(translate(operations))
            with self.connection:
                results = self.connection.synchronous(parsed, multiple=PACKED if packed else 0, timeout=self.timeout)
                return [f"{status}:{value}" for _, _, _, _, status, value in results]
        except (AssertionError, enip.ENIPStatusError, StopIteration, OSError, RuntimeError, ValueError) as problem:
            self.close()
            raise OSError(f"{self.host}: {problem}") from problem

    def close(self) -> None:
        """End the session by closing the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    async def request(self, operations: list[str], packed: bool = False) -> list[str]:
        """Carry out operations without stopping the other sessions."""
        async with self.lock:
            return await asyncio.to_thread(self.blocking, operations, packed)

    async def run(self) -> None:
        """Poll for ever; on any failure close, wait, connect again."""
        loop = asyncio.get_running_loop()
        due = [loop.time() + self.dice.uniform(0, item["period"]) for item in self.items]
        fresh = loop.time() + self.reconnect if self.reconnect else float("inf")
        while True:
            index = min(range(len(due)), key=due.__getitem__)
            await asyncio.sleep(max(0.0, due[index] - loop.time()))
            item = self.items[index]
            spread = 0.4 if "choices" in item else 0.0
            pause = item["period"] * self.dice.uniform(1 - spread, 1 + spread) + abs(self.dice.gauss(0, 0.004))
            due[index] = max(due[index] + pause, loop.time())
            if loop.time() > fresh:
                self.close()
                fresh = loop.time() + self.reconnect * self.dice.uniform(0.8, 1.2)
            try:
                await self.request(self.operations(index), item.get("packed", False))
            except OSError:
                await asyncio.sleep(RETRY * self.dice.uniform(0.9, 1.3))
                due = [max(at, loop.time() + self.dice.uniform(0, 0.2)) for at in due]


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `items` (host, tags | choices, period, packed), `reconnect` seconds, `timeout` seconds."""
    hosts = sorted({item["host"] for item in spec["items"]})
    sessions = {h: Session(h, [i for i in spec["items"] if i["host"] == h], spec, random.Random(dice.random())) for h in hosts}
    for session in sessions.values():
        control.background(session.run())

    async def one(order: Spec) -> object:
        return await sessions[order["host"]].request(order["operations"])

    control.on("request", one)


if __name__ == "__main__":
    run_peer(setup)

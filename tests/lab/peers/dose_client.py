"""A line controller that speaks DOSE: status and heartbeat polls, recipe reads, doses now and then."""

from __future__ import annotations

import asyncio
import random

from tests.lab import dose
from tests.lab.peers.control import Control, Spec, run_peer

RETRY, TIMEOUT = 2.0, 1.0


class Line:
    """One connection to one station; one request at a time."""

    def __init__(self, host: str, number: int, dice: random.Random) -> None:
        """Connect at the first request."""
        self.host, self.number, self.dice = host, number, dice
        self.sequence = dice.randrange(65536)
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.lock = asyncio.Lock()

    def close(self) -> None:
        """Leave the station."""
        if self.streams:
            self.streams[1].close()
        self.streams = None

    async def request(self, command: int, items: dose.Items) -> bytes:
        """Send a command and return the whole answer; OSError when there is none."""
        async with self.lock:
            try:
                if self.streams is None:
                    self.streams = await asyncio.wait_for(asyncio.open_connection(self.host, dose.PORT), TIMEOUT)
                reader, writer = self.streams
                self.sequence += 1
                writer.write(dose.message(self.sequence, command, self.number, items))
                head = await asyncio.wait_for(reader.readexactly(dose.HEAD), TIMEOUT)
                return head + await reader.readexactly(int.from_bytes(head[2:], "big"))
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as problem:
                self.close()
                raise OSError(f"{self.host}: {problem!r}") from problem

    async def run(self, item: Spec, seed: float) -> None:
        """Carry out an item for ever; `choices` of (recipe, amount) are dealt like cards."""
        dice, deck, beat = random.Random(seed), list[list[int]](), 0
        await asyncio.sleep(dice.uniform(0, item["period"]))
        while True:
            items: dose.Items = {}
            if "choices" in item:
                if not deck:
                    deck = list(item["choices"])
                    dice.shuffle(deck)
                recipe, amount = deck.pop()
                items = {5: recipe.to_bytes(2, "big"), 7: amount.to_bytes(2, "big")}
            elif item["command"] == dose.BEAT:
                beat = (beat + 1) % 256
                items = {9: bytes([beat])}
            spread = 0.4 if "choices" in item else 0.005
            try:
                await self.request(item["command"], items)
                await asyncio.sleep(item["period"] * dice.uniform(1 - spread, 1 + spread))
            except OSError:
                await asyncio.sleep(RETRY * dice.uniform(0.9, 1.3))


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `stations` (address -> number), `items` (host, command, period, choices)."""
    lines = {host: Line(host, number, dice) for host, number in spec["stations"].items()}
    for item in spec["items"]:
        control.background(lines[item["host"]].run(item, dice.random()))

    async def one(order: Spec) -> object:
        items = {int(k): bytes.fromhex(v) for k, v in order["items"].items()}
        return (await lines[order["host"]].request(order["command"], items)).hex()

    control.on("request", one)


if __name__ == "__main__":
    run_peer(setup)

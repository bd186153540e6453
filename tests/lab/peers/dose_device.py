"""A dosing station that speaks DOSE; see tests/lab/dose.py."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import TYPE_CHECKING

from tests.lab import dose
from tests.lab.peers.control import Control, Spec, run_peer

if TYPE_CHECKING:
    import random

STEP = 0.1
RECIPES = {1: b"WATER", 2: b"ACID 12%", 3: b"RINSE AID"}


class Station:
    """Flow, total and temperature; a dose runs until its amount is delivered."""

    def __init__(self, dice: random.Random, number: int) -> None:
        """Start idle."""
        self.dice, self.number = dice, number
        self.recipe, self.left, self.total, self.temperature = 1, 0.0, 40_210.0, 23.0

    async def live(self) -> None:
        """Deliver what was asked."""
        while True:
            await asyncio.sleep(STEP)
            part = min(self.left, 12.0 * STEP)
            self.left -= part
            self.total += part * 10
            self.temperature += self.dice.gauss(0, 0.02) + (23.0 - self.temperature) * 0.01

    def answer(self, command: int, items: dose.Items) -> dose.Items:
        """Carry out a command; an unknown one is answered with result 9."""
        if command == dose.STATUS:
            flow = 12.0 + self.dice.gauss(0, 0.1) if self.left > 0 else 0.0
            temperature = round(self.temperature * 100)
            return {1: struct.pack("!f", round(flow, 2)), 2: struct.pack("!I", int(self.total)),
                    3: bytes([2 if self.left > 0 else 1]), 4: struct.pack("!h", temperature)}  # fmt: skip
        if command == dose.RECIPE:
            return {5: struct.pack("!H", self.recipe), 6: RECIPES.get(self.recipe, b"?")}
        if command == dose.DOSE:
            self.recipe = int.from_bytes(items.get(5, b"\0\1"), "big")
            self.left = int.from_bytes(items.get(7, b"\0\0"), "big") / 10
            return {8: b"\0"}
        if command == dose.BEAT:
            return {9: items.get(9, b"")}
        return {8: b"\0" if command in (dose.STOP, dose.FLUSH) else b"\x09"}

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client leaves; what is no DOSE message closes the connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
            while True:
                head = await reader.readexactly(dose.HEAD)
                raw = head + await asyncio.wait_for(reader.readexactly(int.from_bytes(head[2:], "big")), 5)
                sequence, command, _, items = dose.parse(raw)
                writer.write(dose.message(sequence, command | 0x80, self.number, self.answer(command, items)))
        writer.close()


async def setup(spec: Spec, control: Control, dice: random.Random) -> None:
    """Spec: `address`, `station`."""
    station = Station(dice, spec["station"])
    await asyncio.start_server(station.connection, spec["address"], dose.PORT)
    control.background(station.live())


if __name__ == "__main__":
    run_peer(setup)

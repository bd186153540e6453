"""A client that polls the device through the box all the time, and counts what was answered and what was not."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Self

from pymodbus.exceptions import ModbusException

from tests.lab.gate import Gate

PERIOD = 0.1  # s


@dataclass
class Polling:
    """Started when entered; `answered` and `lost` grow; `longest` is the longest time without an answer, s."""

    gate: Gate
    answered: int = 0
    lost: int = 0
    longest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stop.is_set():
            with self.gate.connect() as talk:
                turn = 0
                while talk.connected and not self._stop.is_set():
                    begun, turn = time.monotonic(), turn + 1
                    try:
                        fine = not talk.read_holding_registers(turn % 4 * 8, count=4).isError()
                    except (ModbusException, OSError):
                        fine = False
                    now = time.monotonic()
                    if fine:
                        self.answered += 1
                        self.longest, last = max(self.longest, now - last), now
                    else:
                        self.lost += 1
                        break
                    self._stop.wait(max(0.0, PERIOD - (now - begun)))
            self._stop.wait(0.2)

    def mark(self) -> tuple[int, int]:
        """What was answered and lost until now; the longest gap begins anew."""
        self.longest = 0.0
        return self.answered, self.lost

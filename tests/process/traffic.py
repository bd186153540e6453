"""The values of a process as frames: a station polls a device over Modbus/TCP or BACnet/IP, or tags of a made-up protocol.

Time is simulated, so hours take seconds. A forger sits between device and station: it changes what is shown, not what is.
"""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.process.models import AirHandler, Model, Tank, Values
from tests.unit.dialogue import MILLI, START, Frames, Wire
from tests.unit.frames import SECOND

Forger = Callable[[float, Values], Values]  # seconds, true values -> shown values
STATION, DEVICE = "10.0.0.1", "10.0.0.11"


def honest(_: float, values: Values) -> Values:
    """Show what is."""
    return values


def _modbus(number: int, body: bytes) -> bytes:
    return struct.pack(">HHHB", number & 0xFFFF, 0, 1 + len(body), 1) + body


def modbus_polls(number: int, v: Values) -> list[tuple[bytes, bytes]]:
    """Requests and answers of one round: holding registers 0-7, coils 0-7."""
    registers = struct.pack(
        ">HfHHHHH",
        min(65535, max(0, round(v["level"]))),
        round(v["inflow"], 2),
        round(v["valve"]),
        round(v["setpoint"]),
        82 if v["pump"] else 0,
        int(v["hours"]) & 0xFFFF,
        number & 0xFFFF,
    )
    coils = bytes([int(v["pump"]) | 0x08])
    return [
        (
            _modbus(2 * number, struct.pack(">BHH", 3, 0, 8)),
            _modbus(2 * number, struct.pack(">BB", 3, len(registers)) + registers),
        ),
        (_modbus(2 * number + 1, struct.pack(">BHH", 1, 0, 8)), _modbus(2 * number + 1, b"\x01\x01" + coils)),
    ]


POINTS = (("supply", 0, 1), ("outside", 0, 2), ("extract", 0, 3), ("valve", 1, 1), ("fan", 1, 2), ("setpoint", 2, 1))


def bacnet_polls(number: int, v: Values) -> list[tuple[bytes, bytes]]:
    """Requests and answers of one round: ReadProperty present-value of six objects, a real each."""
    out = []
    for k, (name, kind, instance) in enumerate(POINTS):
        thing = b"\x0c" + struct.pack(">I", kind << 22 | instance) + b"\x19\x55"
        invoke = (number * len(POINTS) + k) & 0xFF
        ask = b"\x01\x04" + bytes([0x00, 0x05, invoke, 0x0C]) + thing
        tell = b"\x01\x00" + bytes([0x30, invoke, 0x0C]) + thing + b"\x3e\x44" + struct.pack(">f", round(v[name], 2)) + b"\x3f"
        out.append(tuple(b"\x81\x0a" + struct.pack(">H", 4 + len(x)) + x for x in (ask, tell)))
    return [(ask, tell) for ask, tell in out]


def tag_polls(number: int, v: Values) -> list[tuple[bytes, bytes]]:
    """Little-endian tags in the shape of EtherNet/IP: a head with length, session and context; one read of all tags."""
    head = "<HHIIQI"
    body = struct.pack(
        "<fffBxhh", *(round(v[k], 3) for k in ("level", "inflow", "valve")), int(v["pump"]), round(v["setpoint"]), 7
    )
    ask = b"\x4c\x02\x20\x6b\x24\x01"
    tell = b"\xcc\x00\x00\x00" + body
    both = [struct.pack(head, 0x6F, len(x), 0x1234, 0, number, 0) + x for x in (ask, tell)]
    return [(both[0], both[1])]


@dataclass(frozen=True)
class Plant:
    """How a process is built, shown and polled: period in seconds, the port, and whether it is TCP."""

    name: str
    model: Callable[[random.Random], Model]
    polls: Callable[[int, Values], list[tuple[bytes, bytes]]]
    period: float
    port: int
    tcp: bool = True


TANK = Plant("tank", Tank, modbus_polls, 2.0, 502)
AIR = Plant("air", AirHandler, bacnet_polls, 5.0, 47808, tcp=False)
TAGS = Plant("tags", Tank, tag_polls, 2.0, 44818)


@dataclass
class Run:
    """One simulated plant that goes on: `record` gives the next stretch of frames."""

    plant: Plant
    seed: int

    def __post_init__(self) -> None:
        """Start the process and the connection."""
        self.dice = random.Random(f"{self.plant.name}-{self.seed}")
        self.model = self.plant.model(random.Random(f"process-{self.plant.name}-{self.seed}"))
        self.number = 0
        self.seconds = 0.0
        self.opened = False

    def record(self, hours: float, forge: Forger = honest, steer: Callable[[float, Model], None] = lambda t, m: None) -> Frames:
        """The frames of the next hours.

        forge   changes what is shown at a second of this stretch; steer: changes the process itself
        """
        plant, wire, begin = self.plant, Wire(), self.seconds
        if plant.tcp and not self.opened:
            wire.open(START + int(self.seconds * SECOND), STATION, 40000, DEVICE, plant.port)
        self.opened = True
        while self.seconds - begin < hours * 3600:
            for _ in range(round(plant.period)):
                values = self.model.step(1.0)
            self.seconds += plant.period
            steer(self.seconds - begin, self.model)
            shown = forge(self.seconds - begin, dict(values))
            at = START + int(self.seconds * SECOND) + self.dice.randint(0, 40) * MILLI
            for k, (ask, tell) in enumerate(plant.polls(self.number, shown)):
                self._exchange(wire, at + k * 12 * MILLI, ask, tell)
            self.number += 1
        return wire.frames

    def _exchange(self, wire: Wire, at: int, ask: bytes, tell: bytes) -> None:
        back = at + self.dice.randint(1, 5) * MILLI
        if self.plant.tcp:
            wire.tcp(at, STATION, 40000, DEVICE, self.plant.port, ask)
            wire.tcp(back, DEVICE, self.plant.port, STATION, 40000, tell)
        else:
            wire.udp(at, STATION, self.plant.port, DEVICE, self.plant.port, ask)
            wire.udp(back, DEVICE, self.plant.port, STATION, self.plant.port, tell)

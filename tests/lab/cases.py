"""The cases: which plant, what happens, how long, with which seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.lab import plants, scripts_modbus
from tests.lab.stage import Host, Stage


@dataclass(frozen=True)
class Case:
    """One recording.

    kind         attack | command | fault | clean, as in the shared cases
    train, test  seconds of real time
    hosts        the plant
    script       what happens during the test part
    packages     distributions whose versions are written into case.toml
    """

    name: str
    kind: str
    seed: int
    train: float
    test: float
    hosts: Callable[[], list[Host]]
    script: Callable[[Stage], None]
    note: str
    packages: tuple[str, ...]


def modbus_with_intruder(net: str) -> list[Host]:
    """Return the Modbus plant, its office and a silent host."""
    return [*plants.office(net), *plants.modbus(net), Host("intruder", f"{net}.66", "intruder")]


MODBUS = (
    Case("modbus-normal", "clean", 101, 100, 90, lambda: [*plants.office("10.40.1"), *plants.modbus("10.40.1")],
         scripts_modbus.quiet, "an HMI and a historian poll three devices, the operator writes set-points", ("pymodbus",)),
    Case("modbus-attack", "attack", 102, 100, 95, lambda: modbus_with_intruder("10.40.2"), scripts_modbus.attack,
         "an unknown host writes coils, the HMI writes a parameter nobody writes, function scan, address scan, forged level",
         ("pymodbus",)),
    Case("modbus-fault", "fault", 103, 100, 95, lambda: [*plants.office("10.40.3"), *plants.modbus("10.40.3")],
         scripts_modbus.fault, "one device reboots, one hangs, one answers with exceptions only", ("pymodbus",)),
    Case("modbus-scan", "attack", 104, 80, 60, lambda: modbus_with_intruder("10.40.4"), scripts_modbus.dark_scan,
         "one host tries 239 addresses of the network on port 502, nearly all of them dark", ("pymodbus",)),
)  # fmt: skip

CASES = {case.name: case for case in MODBUS}

"""The cases: which plant, what happens, how long, with which seed. Every case has a network and a seed of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.lab import plants, scripts_enip, scripts_modbus, scripts_other
from tests.lab.stage import Host, Stage

IDLE = 86400.0  # a period that does not come: such a peer acts when the script asks
MODBUS, ENIP, BACNET = "pymodbus", "cpppo", "bacpypes3"


@dataclass(frozen=True)
class Case:
    """One recording.

    kind         attack | command | fault | clean, as in the shared cases
    train, test  seconds of real time
    hosts        the plant, devices before the masters that poll them
    script       what happens during the test part
    packages     distributions whose versions are written into case.toml
    """

    name: str
    kind: str
    seed: int
    train: float
    test: float
    hosts: list[Host]
    script: Callable[[Stage], None]
    note: str
    packages: tuple[str, ...] = ()


def intruder(net: str) -> Host:
    """Return a host that nobody knows and that is silent until the script asks."""
    return Host("intruder", f"{net}.66", "intruder")


def modbus_cases() -> list[Case]:
    """Return the cases on the Modbus plant."""
    nets = [f"10.40.{n}" for n in range(5)]
    plain = [[*plants.office(net), *plants.modbus(net)] for net in nets]
    return [
        Case("modbus-normal", "clean", 101, 100, 90, plain[1], scripts_modbus.quiet,
             "an HMI and a historian poll three devices, the operator writes set-points", (MODBUS,)),
        Case("modbus-attack", "attack", 102, 100, 95, [*plain[2], intruder(nets[2])], scripts_modbus.attack,
             "an unknown host writes coils, the HMI writes a parameter nobody writes, function scan, address scan, forged level",
             (MODBUS,)),
        Case("modbus-fault", "fault", 103, 100, 95, plain[3], scripts_modbus.fault,
             "one device reboots, one hangs, one answers with exceptions only", (MODBUS,)),
        Case("modbus-scan", "attack", 104, 80, 60, [*plain[4], intruder(nets[4])], scripts_modbus.dark_scan,
             "one host tries 239 addresses of the network on port 502, nearly all of them dark", (MODBUS,)),
        Case("modbus-process", "attack", 105, 330, 160, plants.tank("10.40.5"), scripts_modbus.process,
             "the reported level is forged inside its range: off by a constant, then led away slowly", (MODBUS,)),
    ]  # fmt: skip


def enip_cases() -> list[Case]:
    """Return the cases on the EtherNet/IP plant."""
    strange = {"items": [{"host": "10.41.1.31", "period": IDLE, "tags": ["Level"]}]}
    attacked = [
        *plants.office("10.41.1"), *plants.enip("10.41.1"), intruder("10.41.1"),
        Host("originator", "10.41.1.67", "enip_client", strange),
        Host("implant", "10.41.1.41", "intruder", inside="enip-hmi"),
    ]  # fmt: skip
    return [
        Case("enip-attack", "attack", 201, 100, 95, attacked, scripts_enip.attack,
             "an unknown host lists identities, another writes a set-point; the HMI writes a limit, then a reset", (ENIP,)),
        Case("enip-fault", "fault", 202, 100, 95, [*plants.office("10.41.2"), *plants.enip("10.41.2")], scripts_enip.fault,
             "a controller reboots, another's cable is pulled, the first hangs", (ENIP,)),
    ]  # fmt: skip


def bacnet_cases() -> list[Case]:
    """Return the cases in the building."""
    rogue = Host("rogue", "10.42.1.66", "bacnet_client", {"instance": 4001})
    return [
        Case("bacnet-attack", "attack", 301, 100, 90, [*plants.office("10.42.1"), *plants.bacnet("10.42.1"), rogue],
             scripts_other.bacnet_attack,
             "a second host asks who is there, writes a limit, reinitializes three devices; the station stops a fan", (BACNET,)),
        Case("bacnet-fault", "fault", 302, 100, 95, [*plants.office("10.42.2"), *plants.bacnet("10.42.2")],
             scripts_other.bacnet_fault, "a controller goes silent, another restarts, a third's cable is pulled", (BACNET,)),
    ]  # fmt: skip


def other_cases() -> list[Case]:
    """Return the unknown protocol, the bad network, and everything together."""
    dosing, cabled, mixed = "10.43.1", "10.44.1", "10.45.1"
    rooms = (plants.modbus, plants.enip, plants.bacnet, plants.dosing)
    everything = [host for room in rooms for host in room(mixed, slow=2.0)]
    return [
        Case("unknown-protocol-attack", "attack", 401, 100, 90,
             [*plants.office(dosing), *plants.dosing(dosing), intruder(dosing)], scripts_other.unknown_attack,
             "a protocol nobody knows: a rogue client doses, the controller sends an unused command and an amount out of range, "
             "a length field lies"),
        Case("network-fault", "fault", 402, 100, 105, [*plants.office(cabled), *plants.modbus(cabled, cable="tank")],
             scripts_other.network_fault, "a cable loses and doubles frames, a master's link flaps, the cable breaks for 8 s",
             (MODBUS,)),
        Case("mixed-normal", "clean", 403, 110, 100, [*plants.office(mixed), *everything], scripts_modbus.quiet,
             "Modbus, EtherNet/IP, BACnet, a protocol nobody knows and office chatter on one network",
             (MODBUS, ENIP, BACNET)),
    ]  # fmt: skip


CASES = {case.name: case for case in (*modbus_cases(), *enip_cases(), *bacnet_cases(), *other_cases())}

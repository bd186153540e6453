"""Causes on real peers: three plants of the lab, one event a recording. Root and some twenty minutes of real time.

    python -m tests.causes.lab --out FOLDER [--plant modbus] [--seed 1]

writes FOLDER/PLANT-SEED/{train,EVENT}.pcap and events.json (event -> when it began, in seconds since the epoch).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.errors import SekishoError
from tests.causes.speech import SPEECHES
from tests.lab import net, plants
from tests.lab.scripts_enip import REGISTER, send_rr
from tests.lab.scripts_modbus import pdu
from tests.lab.stage import Host, Stage

if TYPE_CHECKING:
    from tests.causes.speech import Act

TRAIN, BEFORE, EVENT = 100.0, 3.0, 38.0


@dataclass
class Bench:
    """One standing plant and how to act in it: devices, the master, a device's program that can be told what it is."""

    protocol: str
    stage: Stage
    devices: list[str]
    master: str
    dice: random.Random

    def device(self) -> str:
        """Any device."""
        return self.dice.choice(self.devices)

    def send(self, who: str, device: str, acts: list[Act], gap: float) -> None:
        """Acts from a host that sends plain bytes."""
        host, payloads = self.stage.address(device), [self.payload(a, n) for n, a in enumerate(acts, 1)]
        if self.protocol == "bacnet":
            self.stage.ask(who, "udp_send", host=host, port=47808, source_port=0, payloads=payloads, gap=gap)
            return
        opening = [REGISTER.hex()] if self.protocol == "enip" else []
        port = SPEECHES[self.protocol].port
        self.stage.ask(who, "tcp_send", host=host, port=port, payloads=opening + payloads, gap=gap)

    def payload(self, act: Act, number: int) -> str:
        """An act as the lab's devices take it."""
        if self.protocol == "modbus" and act[0] == "new-write":
            return pdu(number, 1, bytes([6, 0, 40 + act[1], *act[2].to_bytes(2, "big")]))
        if self.protocol == "enip" and act[0] == "new-write":
            value = (act[2] & 0xFF).to_bytes(4, "little")
            return send_rr(0, b"\x4d\x05\x91\x08Watchdog\xc4\0\1\0" + value).hex()
        return SPEECHES[self.protocol].request(act, number, 0).hex()

    def off(self, device: str, seconds: float, *, dark: bool = True) -> None:
        """A device without power for a while; not `dark`: only its program is gone."""
        if dark:
            self.stage.net.link(device, up=False)
        self.stage.kill(device)
        time.sleep(seconds)
        if dark:
            self.stage.net.link(device, up=True)
        self.stage.start(device)


def cable_lost(b: Bench) -> None:
    device = b.device()
    b.stage.net.link(device, up=False)
    time.sleep(b.dice.uniform(14, 22))
    b.stage.net.link(device, up=True)


def link_flaps(b: Bench) -> None:
    device = b.device()
    for _ in range(3):
        b.stage.net.link(device, up=False)
        time.sleep(b.dice.uniform(3, 6))
        b.stage.net.link(device, up=True)
        time.sleep(3)


def master_lost(b: Bench) -> None:
    b.stage.net.link(b.master, up=False)
    time.sleep(b.dice.uniform(16, 22))
    b.stage.net.link(b.master, up=True)


def device_reboots(b: Bench) -> None:
    b.off(b.device(), b.dice.uniform(6, 18))


def program_crashes(b: Bench) -> None:
    b.off(b.device(), b.dice.uniform(10, 18), dark=False)


def device_hangs(b: Bench) -> None:
    device = b.device()
    b.stage.freeze(device, on=True)
    time.sleep(b.dice.uniform(10, 18))
    b.stage.freeze(device, on=False)


def only_errors(b: Bench) -> None:
    b.stage.ask("meter", "storm", on=True)
    time.sleep(b.dice.uniform(6, 15))
    b.stage.ask("meter", "storm", on=False)


def cable_loses(b: Bench) -> None:
    b.stage.ask("tank-cable", "impair", loss=b.dice.uniform(0.1, 0.3), double=0.1)
    time.sleep(22)
    b.stage.ask("tank-cable", "impair", loss=0.0, double=0.0)


def engineer_looks(b: Bench) -> None:
    b.send("engineer", b.device(), [("identify",), ("read", 0), ("read", 2)], b.dice.uniform(1, 3))


def engineer_writes(b: Bench) -> None:
    acts = [("identify",), ("read", 0), ("new-write", 5, b.dice.randrange(3000)), ("read", 0)]
    b.send("engineer", b.device(), acts, b.dice.uniform(1, 3))


def engineer_restarts(b: Bench) -> None:
    device = b.device()
    b.send("engineer", device, [("identify",), ("restart",)], 1.5)
    b.off(device, b.dice.uniform(6, 14))
    b.send("engineer", device, [("identify",), ("read", 0)], 1.0)


def engineer_downloads(b: Bench) -> None:
    device = b.device()
    b.send("engineer", device, [("identify",), ("restart",), *(("program", n) for n in range(6))], 0.3)
    b.off(device, b.dice.uniform(5, 10))


def device_exchanged(b: Bench) -> None:
    device = b.device()
    b.stage.net.link(device, up=False)
    b.stage.kill(device)
    time.sleep(b.dice.uniform(12, 18))
    old = net.mac_of(b.stage.address(device))
    fresh = old[:8] + f":{b.dice.randrange(256):02x}:{b.dice.randrange(256):02x}:{b.dice.randrange(256):02x}"
    net.ip_batch([f"link set eth0 address {fresh}"], b.stage.net.namespace(device))
    b.stage.net.link(device, up=True)
    b.stage.start(device)
    time.sleep(14)
    net.ip_batch([f"link set eth0 address {old}"], b.stage.net.namespace(device))


def operator_sets(b: Bench) -> None:
    if b.protocol == "modbus":
        b.stage.ask("hmi", "request", host=b.stage.address("tank"), fc=6, address=4, value=b.dice.choice((620, 610, 590)))
    elif b.protocol == "enip":
        b.stage.ask("enip-hmi", "request", host=b.stage.address("mixer"), operations=["Setpoint=(DINT)620"])
    else:
        item = {"do": "write", "host": b.stage.address("ahu1"), "object": "analog-value,1", "value": 71.0}
        b.stage.ask("bms", "request", item=item)


def service_laptop(b: Bench) -> None:
    acts = [("identify",), ("read", 0), ("new-write", 3, b.dice.randrange(3000)), ("read", 0)]
    b.send("laptop", b.device(), acts, b.dice.uniform(2, 4))


def stranger_scans(b: Bench) -> None:
    near = b.stage.address(b.master).rsplit(".", 1)[0]
    hosts = [f"{near}.{n}" for n in b.dice.sample(range(1, 240), 60)]
    b.stage.ask("laptop", "connect_scan", hosts=hosts, ports=[SPEECHES[b.protocol].port], gap=0.05)


def stranger_writes(b: Bench) -> None:
    acts = [("new-write", k % 3, b.dice.randrange(60_000)) for k in range(3 + b.dice.randrange(9))]
    b.send("laptop", b.device(), acts, b.dice.uniform(0.1, 0.5))


def stranger_looks(b: Bench) -> None:
    for device in b.devices:
        b.send("laptop", device, [("identify",), *(("read", k) for k in range(b.dice.randrange(4)))], 0.1)


def functions_tried(b: Bench) -> None:
    who = b.dice.choice(("laptop", "implant"))
    b.send(who, b.device(), [("odd", n) for n in b.dice.sample(range(90), 12 + b.dice.randrange(10))], 0.05)


def stranger_restarts(b: Bench) -> None:
    device = b.device()
    b.send("laptop", device, [("restart",)] * 2, 0.3)
    b.off(device, b.dice.uniform(6, 14))


def stranger_downloads(b: Bench) -> None:
    b.send("laptop", b.device(), [("restart",), *(("program", n) for n in range(8))], 0.2)


def stranger_floods(b: Bench) -> None:
    b.send("laptop", b.device(), [("read", 0)] * 600, 0.0)


def master_writes(b: Bench) -> None:
    acts = [("new-write", k % 4, b.dice.randrange(60_000)) for k in range(2 + b.dice.randrange(6))]
    b.send("implant", b.device(), acts, b.dice.uniform(0.1, 0.6))


def master_restarts(b: Bench) -> None:
    device = b.device()
    b.send("implant", device, [("restart",)], 0.3)
    b.off(device, b.dice.uniform(6, 14))


def listens_between(b: Bench) -> None:
    a, c = b.stage.address(b.master), b.stage.address(b.device())
    b.stage.ask("laptop", "poison", a=a, b=c, seconds=b.dice.uniform(10, 18))


Event = Callable[[Bench], None]
ONLY_MODBUS: tuple[Event, ...] = (only_errors, cable_loses)
EVENTS: tuple[Event, ...] = (
    *(cable_lost, link_flaps, master_lost, device_reboots, program_crashes, device_hangs),
    *(engineer_looks, engineer_writes, engineer_restarts, engineer_downloads, device_exchanged),
    *(operator_sets, service_laptop, listens_between, stranger_scans, stranger_writes, stranger_looks, functions_tried),
    *(stranger_restarts, stranger_downloads, stranger_floods, master_writes, master_restarts),
)


def hosts(protocol: str, near: str) -> tuple[list[Host], list[str], str]:
    """The plant with an engineering station, an implant at the master and a laptop that stays quiet; devices, the master."""
    others = {"enip": plants.enip, "bacnet": plants.bacnet}
    plant = others[protocol](near) if protocol in others else plants.modbus(near, cable="tank")
    devices = {"modbus": ["tank", "heater"], "enip": ["mixer", "oven"], "bacnet": ["ahu1", "ahu2", "ahu3"]}[protocol]
    master = {"modbus": "hmi", "enip": "enip-hmi", "bacnet": "bms"}[protocol]
    at = next(h.address for h in plant if h.name == master)
    more = [
        Host("engineer", f"{near}.61", "intruder", {"ntp": f"{near}.2"}),
        Host("laptop", f"{near}.66", "spoofer"),
        Host("implant", at, "intruder", inside=master),
    ]
    return [*plants.office(near), *plant, *more], devices, master


def record(protocol: str, seed: int, out: Path) -> dict[str, float]:
    """Record one plant; returns when each event began."""
    folder = out / f"{protocol}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    near = f"10.{46 + seed % 40}.{('modbus', 'enip', 'bacnet').index(protocol)}"
    machines, devices, master = hosts(protocol, near)
    began: dict[str, float] = {}
    with Stage(f"k{protocol[0]}{seed}", machines, seed) as stage:
        bench = Bench(protocol, stage, devices, master, random.Random(f"{protocol}/{seed}"))
        time.sleep(6)
        stage.record(folder / "train.pcap")
        for _ in range(2):
            time.sleep(TRAIN / 4)
            bench.send("engineer", devices[0], [("identify",), ("read", 0)], 1.0)
            time.sleep(TRAIN / 4)
        events = [*EVENTS, *(ONLY_MODBUS if protocol == "modbus" else ())]
        bench.dice.shuffle(events)
        for event in events:
            name = event.__name__.replace("_", "-")
            stage.record(folder / f"{name}.pcap")
            started = time.time()
            time.sleep(BEFORE)
            began[name] = time.time()
            event(bench)
            time.sleep(max(10.0, EVENT - (time.time() - started)))
            stage.record(folder / "between.pcap")
            (folder / "events.json").write_text(json.dumps(began, indent=1) + "\n", encoding="utf-8")
            print(f"{protocol}-{seed} {name} {time.time() - began[name]:.0f} s", flush=True)
            time.sleep(12)  # until everybody has found everybody again
        stage.stop_recording()
    (folder / "between.pcap").unlink()
    return began


def main(arguments: list[str]) -> int:
    """Record the plants asked for, side by side; 0 well, 1 one failed, 2 cannot run."""
    parser = argparse.ArgumentParser(prog="python -m tests.causes.lab", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plant", nargs="+", choices=("modbus", "enip", "bacnet"), default=["modbus", "enip", "bacnet"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    reason = net.can_build()
    if reason:
        print(reason, file=sys.stderr)
        return 2

    def one(protocol: str) -> bool:
        try:
            record(protocol, options.seed, options.out)
        except SekishoError as problem:
            print(f"{protocol}: {problem}", file=sys.stderr, flush=True)
            return False
        return True

    with ThreadPoolExecutor(len(options.plant)) as pool:
        return 0 if all(list(pool.map(one, options.plant))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

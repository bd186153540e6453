"""What happens to a standing plant of real peers: faults, work and attacks, under the names that the register knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from tests.causes.bench import BROKEN, Bench
from tests.lab import net
from tests.lab.stage import Host

Event = Callable[[Bench], None]


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
    b.stage.net.link(b.about(b.master), up=False)
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
    b.ask("meter", "storm", on=True)
    time.sleep(b.dice.uniform(6, 15))
    b.ask("meter", "storm", on=False)


def cable_loses(b: Bench) -> None:
    cable = f"{b.about(b.devices[0])}-cable"
    b.ask(cable, "impair", loss=b.dice.uniform(0.1, 0.3), double=0.1)
    time.sleep(22)
    b.ask(cable, "impair", loss=0.0, double=0.0)


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
    b.exchange(b.device())
    time.sleep(14)


def master_exchanged(b: Bench) -> None:
    b.exchange(b.master)
    time.sleep(10)


def operator_sets(b: Bench) -> None:
    value = b.dice.choice((620, 610, 590))
    write = {"do": "write", "object": "analog-value,1", "value": value / 8}
    b.ask_master({"fc": 6, "address": 4, "value": value}, f"Setpoint=(DINT){value}", write)


def new_page(b: Bench) -> None:
    for _ in range(12):
        b.ask_master({"fc": 3, "address": 42, "count": 3}, "Limit_High", {"do": "read", "object": "analog-input,2"})
        time.sleep(2)


def service_laptop(b: Bench) -> None:
    acts = [("identify",), ("read", 0), ("new-write", 3, b.dice.randrange(3000)), ("read", 0)]
    b.send("laptop", b.device(), acts, b.dice.uniform(2, 4))


def stranger_scans(b: Bench) -> None:
    near = b.stage.address(b.master).rsplit(".", 1)[0]
    hosts = [f"{near}.{n}" for n in b.dice.sample(range(1, 240), 60)]
    b.ask("laptop", "connect_scan", hosts=hosts, ports=[b.port], gap=0.05)


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
    a, c = b.stage.address(b.about(b.master)), b.stage.address(b.device())
    b.ask("laptop", "poison", a=a, b=c, lasts=b.dice.uniform(10, 18))


def connections_reset(b: Bench) -> None:
    device = b.device()
    for _ in range(3 + b.dice.randrange(2)):
        b.off(device, b.dice.uniform(0.5, 3), dark=False)
        time.sleep(b.dice.uniform(2, 4))


def asks_for_a_lost_device(b: Bench) -> None:
    device = b.device()
    b.stage.net.link(device, up=False)
    b.later.append(lambda: b.stage.net.link(device, up=True))
    time.sleep(32)


def sensor_breaks(b: Bench) -> None:
    device = b.devices[0]
    b.ask(device, "forge", registers=BROKEN[b.protocol])
    b.later.append(lambda: b.ask(device, "forge", registers={}))
    time.sleep(25)


def odd_bytes(b: Bench) -> None:
    cable = f"{b.about(b.devices[0])}-cable"
    b.ask(cable, "spoil", share=b.dice.uniform(0.05, 0.3))
    time.sleep(22)
    b.ask(cable, "spoil", share=0.0)


def clock_jumps(_: Bench) -> None:
    time.sleep(1)  # the recorder's clock is set where the recording is read


def babbling_master(b: Bench) -> None:
    b.send("implant", b.devices[0], [("poll",)] * (400 + b.dice.randrange(400)), 0.0)


def new_firmware(b: Bench) -> None:
    device = b.device()
    b.send("engineer", device, [("identify",), *(("program", n) for n in range(6))], 0.4)
    b.renew(device, b.dice.uniform(6, 12))


def new_device(b: Bench) -> None:
    model = b.stage.hosts[b.devices[0]]
    near, last = model.address.rsplit(".", 1)
    fresh = replace(model, name="fresh", address=f"{near}.{int(last) + 5}", cable=False)
    if "instance" in fresh.spec:
        fresh = replace(fresh, spec={**fresh.spec, "instance": 9})
    b.stage.hosts["fresh"] = fresh
    b.stage.net.add_host("fresh", fresh.address)
    b.stage.start("fresh")
    b.send("implant", "fresh", [("poll",)] * 20, 1.0)  # the master's new program: it polls as it polls the others
    b.later.append(lambda: b.stage.kill("fresh"))


def stranger_scans_ports(b: Bench) -> None:
    ports = b.dice.sample(range(1, 2000), 40)
    b.ask("laptop", "connect_scan", hosts=[b.stage.address(b.device())], ports=ports, gap=0.03)


def master_scans(b: Bench) -> None:
    near = b.stage.address(b.master).rsplit(".", 1)[0]
    b.about(b.master)
    dark = [f"{near}.{n}" for n in b.dice.sample(range(150, 240), 40)]
    b.ask("implant", "connect_scan", hosts=dark, ports=[b.port], gap=0.05)


def stranger_replays(b: Bench) -> None:
    acts = [("usual", b.dice.choice((560, 600, 640))) for _ in range(3 + b.dice.randrange(6))]
    b.send("laptop", b.devices[0], acts, b.dice.uniform(0.05, 0.8))


def crashed_by_bytes(b: Bench) -> None:
    device = b.device()
    b.send("laptop", device, [("odd", n) for n in b.dice.sample(range(90), 2 + b.dice.randrange(4))], 0.2)
    b.off(device, b.dice.uniform(8, 16))


def opened_to_death(b: Bench) -> None:
    device = b.device()
    b.stage.freeze(device, on=True)
    b.ask("laptop", "connect_scan", hosts=[b.stage.address(device)] * 250, ports=[b.port], gap=0.01)
    time.sleep(b.dice.uniform(6, 12))
    b.stage.freeze(device, on=False)


def master_downloads(b: Bench) -> None:
    device = b.device()
    b.send("implant", device, [("restart",), *(("program", n) for n in range(8))], 0.2)
    b.off(device, b.dice.uniform(5, 10))


def master_reads_all(b: Bench) -> None:
    for device in b.devices:
        b.send("implant", device, [("read", 4 + k) for k in range(4 + b.dice.randrange(12))], 0.08)


def device_attacks(b: Bench) -> None:
    acts = [("identify",), *(("new-write", k % 3, 1000 + k) for k in range(1 + b.dice.randrange(6)))]
    b.send("worm", b.devices[0], acts, b.dice.uniform(0.1, 2))


def moves_sideways(b: Bench) -> None:
    port = b.dice.choice((22, 135, 445, 4444, 8443))
    b.ask("engineer", "tcp_serve", port=port)
    pieces = [b.dice.randbytes(20 + b.dice.randrange(900)).hex() for _ in range(4 + b.dice.randrange(30))]
    who, host = b.dice.choice(("implant", "worm")), b.stage.address("engineer")
    b.ask(who, "tcp_send", host=host, port=port, payloads=pieces, gap=b.dice.uniform(0.01, 0.4))


def takes_the_place(b: Bench) -> None:
    device, laptop = b.device(), b.stage.net.namespace("laptop")
    b.send("laptop", device, [("identify",), ("read", 0), ("read", 1)], 0.4)
    time.sleep(4)
    host = b.stage.hosts[device]
    b.stage.net.link(device, up=False)
    net.ip_batch([f"address add {host.address}/24 dev eth0"], laptop)
    b.stage.hosts["false"] = Host("false", host.address, host.runs, host.spec, inside="laptop")
    b.stage.start("false")
    time.sleep(20)
    b.stage.kill("false")
    net.ip_batch([f"address del {host.address}/24 dev eth0"], laptop)
    b.stage.net.link(device, up=True)


ONLY_MODBUS: tuple[Event, ...] = (only_errors,)
ONLY_TCP: tuple[Event, ...] = (opened_to_death, program_crashes, connections_reset)
EVENTS: tuple[Event, ...] = (
    *(cable_lost, link_flaps, master_lost, device_reboots, device_hangs, asks_for_a_lost_device),
    *(cable_loses, sensor_breaks, odd_bytes, clock_jumps, babbling_master),
    *(engineer_looks, engineer_writes, engineer_restarts, engineer_downloads, new_firmware, new_page, new_device),
    *(device_exchanged, master_exchanged, operator_sets, service_laptop),
    *(listens_between, takes_the_place, stranger_scans, stranger_scans_ports, stranger_writes, stranger_replays, stranger_looks),
    *(functions_tried, stranger_restarts, stranger_downloads, stranger_floods, crashed_by_bytes, device_attacks),
    *(master_writes, master_restarts, master_downloads, master_scans, master_reads_all, moves_sideways),
)


def events(protocol: str) -> list[Event]:
    """What can happen to a plant of this protocol."""
    only = {"modbus": (*ONLY_MODBUS, *ONLY_TCP), "enip": ONLY_TCP}
    return [*EVENTS, *only.get(protocol, ())]

"""What people do who may: engineers, operators, electricians. No work plan is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.causes.plant import Task, ask_time
from tests.causes.scenario import devices, reboot, scenario, some, stranger, visit
from tests.causes.speech import Voice
from tests.causes.wire import SECOND

if TYPE_CHECKING:
    from tests.causes.plant import Plant
    from tests.causes.wire import Host


def target(p: Plant) -> Host:
    """A device to work on."""
    return p.dice.choice(devices(p))


@scenario("maintenance", "write")
def engineer_writes(p: Plant, at: int) -> None:
    """From the engineering station: look, change one or two parameters, look again."""
    acts = [("identify",), ("read", 0), *((("new-write", n, p.dice.randrange(3000))) for n in range(1 + p.dice.randrange(2)))]
    visit(p, at, p.hosts["engineer"], target(p), [*acts, ("read", 0), ("read", 2)], p.dice.uniform(1, 5))


@scenario("maintenance", "program")
def engineer_downloads(p: Plant, at: int) -> None:
    """From the engineering station: look, stop, load, start; the device is away for a while."""
    device = target(p)
    acts = [("identify",), ("read", 0), ("restart",), *(("program", n) for n in range(4 + p.dice.randrange(20)))]
    visit(p, at, p.hosts["engineer"], device, acts, 0.5)
    if p.dice.random() < 0.6:
        reboot(p, at + 20 * SECOND, device, some(p, 5, 25))
        visit(p, at + 50 * SECOND, p.hosts["engineer"], device, [("identify",), ("read", 0)], 1.0)


@scenario("maintenance", "restart")
def engineer_restarts(p: Plant, at: int) -> None:
    """From the engineering station: look, restart the device, see that it is back."""
    device = target(p)
    visit(p, at, p.hosts["engineer"], device, [("identify",), ("restart",)], 2.0)
    reboot(p, at + 5 * SECOND, device, some(p, 6, 30))
    visit(p, at + 45 * SECOND, p.hosts["engineer"], device, [("identify",), ("read", 0)], 1.0)


@scenario("maintenance", "look")
def engineer_looks(p: Plant, at: int) -> None:
    """From the engineering station: what is this device, what are its values; one device after the other, without haste."""
    for n, device in enumerate(p.dice.sample(devices(p), 1 + p.dice.randrange(len(devices(p))))):
        acts = [("identify",), *(("read", k) for k in range(1 + p.dice.randrange(4)))]
        visit(p, at + n * some(p, 8, 15), p.hosts["engineer"], device, acts, p.dice.uniform(1, 4))


def swap(p: Plant, at: int, device: Host, vendor: bytes, identity: bytes | None) -> None:
    """Take a device off and put another one in its place."""

    def fresh() -> None:
        device.mac = vendor + p.dice.randbytes(3)
        if identity is not None:
            p.voices[device.name] = Voice(list(p.voices[device.name].values), identity, 0, p.voices[device.name].middle)

    away = some(p, 15, 70)
    p.at(at + away - SECOND, fresh)
    reboot(p, at, device, away, some(p, 0, 8))


@scenario("maintenance", "hardware")
def device_exchanged(p: Plant, at: int) -> None:
    """A broken device is exchanged: dark, then the same address behind other hardware, mostly of the same maker."""
    device = target(p)
    vendor = device.mac[:3] if p.dice.random() < 0.75 else p.dice.choice((b"\x00\x80\xf4", b"\x00\x1d\x9c"))
    swap(p, at, device, vendor, b"TK-%d v2.%d" % (p.seed % 9, p.seed % 7) if p.dice.random() < 0.6 else None)


@scenario("maintenance", "hardware")
def master_exchanged(p: Plant, at: int) -> None:
    """The HMI's PC is exchanged over a coffee."""
    hmi = p.hosts[p.dice.choice(("hmi", "historian"))]

    def fresh() -> None:
        hmi.mac = (hmi.mac[:3] if p.dice.random() < 0.5 else b"\x3c\x97\x0e") + p.dice.randbytes(3)
        for link in p.links:
            if link.client is hmi:
                link.open = False

    away = some(p, 20, 70)
    p.at(at, lambda: setattr(hmi, "link", False))
    p.at(at + away - SECOND, fresh)
    p.at(at + away, lambda: setattr(hmi, "link", True))


@scenario("maintenance", "answers")
def new_firmware(p: Plant, at: int) -> None:
    """The engineering station loads a firmware; after the restart the device says something else of itself, to everybody."""
    device = target(p)
    if p.dice.random() < 0.7:
        acts = [("identify",), *(("program", n) for n in range(6 + p.dice.randrange(12)))]
        visit(p, at, p.hosts["engineer"], device, acts, 0.4)

    def fresh() -> None:
        p.voices[device.name].identity = b"TK-%d v3.%d" % (p.seed % 9, 1 + p.seed % 5)
        p.voices[device.name].status = p.dice.choice((1, 2))

    p.at(at + 12 * SECOND, fresh)
    reboot(p, at + 9 * SECOND, device, some(p, 8, 30))


@scenario("maintenance", "stranger")
def new_device(p: Plant, at: int) -> None:
    """A device is added, of a maker that is here already; the HMI polls it from now on as it polls the others."""
    made = p.host(f"plc{len(devices(p))}", 11 + len(devices(p)), devices(p)[0].mac[:3])
    p.voices[made.name] = Voice([128 + 256 * p.dice.randrange(1, 12) for _ in range(6)])
    link = p.link(p.hosts["hmi"], made, [Task(("read", 0), 1.0), Task(("read", 1), 2.0)])
    p.at(at, lambda: p.tap.arp(p.now, made, made.raw))
    if p.dice.random() < 0.5:
        for n in range(6):
            p.at(at + n * some(p, 8, 14), lambda: ask_time(p, made, p.hosts["clock"], p.now))
    p.at(at + some(p, 3, 15), lambda: link.start(p.now))


@scenario("maintenance", "reads")
def new_page(p: Plant, at: int) -> None:
    """A new page on the HMI reads what was never read, steadily, from now on."""
    link = p.dice.choice([k for k in p.links if k.client.name == "hmi"])
    tasks = [Task(("read", 5 + n), 2.0 + n) for n in range(1 + p.dice.randrange(3))]

    def add() -> None:
        link.tasks.extend(tasks)
        link.due.extend(p.now + some(p, 0, 2) for _ in tasks)

    p.at(at, add)


@scenario("maintenance", "setpoint", tells=False)
def operator_sets(p: Plant, at: int) -> None:
    """An operator sets a value at the HMI that was never set before."""
    _new_value(p, at)


@scenario("security", "setpoint", tells=False)
def attacker_sets(p: Plant, at: int) -> None:
    """Malware at the HMI sets a value within what its program can set: the same frame as an operator's."""
    _new_value(p, at)


def _new_value(p: Plant, at: int) -> None:
    link = p.dice.choice([k for k in p.links if k.client.name == "hmi"])
    value = p.dice.choice((580, 620, 660, 700))
    for n in range(1 + p.dice.randrange(2)):
        p.at(at + n * some(p, 4, 9), lambda: link.open and link.exchange(p.now, ("write", 0, value)))


@scenario("maintenance", "laptop", tells=False)
def service_laptop(p: Plant, at: int) -> None:
    """A service technician's laptop, never seen before, looks and sets a parameter. Only the work plan can tell."""
    _laptop(p, at)


@scenario("security", "laptop", tells=False, odds=2.0)
def careful_intruder(p: Plant, at: int) -> None:
    """An intruder's laptop that does just what a technician's does."""
    _laptop(p, at)


def _laptop(p: Plant, at: int) -> None:
    acts = [("identify",), ("read", 0), ("new-write", 0, p.dice.randrange(3000)), ("read", 0)]
    visit(p, at, stranger(p), target(p), acts, p.dice.uniform(2, 5))

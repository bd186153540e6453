"""An office and a plant on one wire: false incidents an hour, and whether attacks on the plant are still found.

usage: mixed.py [--seeds N] [--learn-hours H] [--hours H] [--services]

The office is `office.Office`, with --services `services.Services` are beside it; the plant polls Modbus/TCP and BACnet/IP.
Learning sees the first hours, detection the rest, without a budget. Then the same rest with attacks of an office host on the
plant. Prints a table. Exit code: 0 at most one false incident an hour and every attack found, 1 otherwise.
"""

import argparse
import resource
import sys
from collections import Counter
from collections.abc import Callable

from appliance.detect.finding import Finding
from appliance.learn.meaning.model import Model, derive
from appliance.pipeline import learn_session
from tests.sim.office import Office
from tests.sim.plants import Bacnet, Modbus, Site
from tests.sim.services import Services
from tests.sim.thirty_days import findings, incidents, split
from tests.sim.wire import HOUR, MINUTE, MONDAY, SECOND, Frames, Host, Link, Wire, passes

MILLI = SECOND // 1000
ATTACK = 1 * HOUR + 7 * MINUTE  # after the end of learning


def segment(seed: int, length: int, net: str = "10.0.1", poll: int = 2, *, services: bool = False, office: bool = True) -> Frames:
    """Frames of a plant, an office and other services; `poll` seconds between the plant's rounds."""
    plant: Frames = []
    for tongue, pause in ((Modbus(), poll * SECOND), (Bacnet(), 3 * poll * SECOND)):
        plant += Site(tongue, seed, poll=pause, pages=0, writes=0, weekly=False).run(length / (24 * HOUR))
    frames = plant + (Office(seed, MONDAY, net).run(length) if office else [])
    frames += Services(seed, MONDAY).run(length) if services else []
    frames.sort(key=lambda frame: frame[0])
    return frames


def write(wire: Wire, at: int, host: Host) -> None:
    """An office host opens a connection to a controller and writes."""
    link = Link(wire, host, 50_123, Host.at("10.0.0.11"), 502).open(at)
    link.send(at + MILLI, True, bytes.fromhex("00010000000601060001ffff"))
    link.send(at + 3 * MILLI, False, bytes.fromhex("00010000000601060001ffff"))
    link.close(at + 5 * MILLI)


def sweep(wire: Wire, at: int, host: Host) -> None:
    """An office host tries a dozen ports of the controllers."""
    for i, port in enumerate((21, 22, 23, 80, 102, 443, 445, 502, 3389, 4840, 20000, 44818)):
        for d in (11, 12, 13):
            Link(wire, host, 51_000 + i, Host.at(f"10.0.0.{d}"), port).send(at + (40 * i + d) * MILLI, True, b"", 0x02)


def dark(wire: Wire, at: int, host: Host) -> None:
    """An office host asks for addresses of the plant that nobody has."""
    for i in range(20):
        wire.arp(at + 100 * i * MILLI, host, bytes([10, 0, 0, 30 + i]))


def known_service(wire: Wire, at: int, host: Host) -> None:
    """An office host reaches a controller over a service that the office uses all day."""
    link = Link(wire, host, 50_200, Host.at("10.0.0.12"), 443).open(at)
    link.send(at + MILLI, True, b"\x16\x03\x01\x00\x05hello")


def beacon(wire: Wire, at: int, host: Host) -> None:
    """A controller calls an outside address, as the office does."""
    outside = Host(bytes([77, 1, 2, 3]), host.mac)
    link = Link(wire, Host.at("10.0.0.13"), 50_300, outside, 443).open(at)
    link.send(at + MILLI, True, b"\x16\x03\x01\x00\x05hello")


ATTACKS: tuple[Callable[[Wire, int, Host], None], ...] = (write, sweep, dark, known_service, beacon)


def with_attack(frames: Frames, attack: Callable[[Wire, int, Host], None], at: int, host: Host) -> Frames:
    """The frames with an attack in them."""
    wire = Wire()
    attack(wire, at, host)
    return sorted([*frames, *wire.frames], key=lambda frame: frame[0])


def office_host(frames: Frames, at: int, net: str = "10.0.1") -> Host:
    """The last host of the office that spoke over IPv4 before `at`."""
    prefix = bytes(map(int, net.split(".")))
    for _, raw in reversed([f for f in frames if f[0] < at]):
        if raw[12:14] == b"\x08\x00" and raw[26:29] == prefix and raw[29] >= 100:
            return Host(raw[26:30], raw[6:12])
    raise ValueError("no host of the office has spoken")


def found_at(model: Model, frames: Frames, begin: int, end: int, baseline: set[tuple[str, str, str]]) -> list[Finding]:
    """Findings between two times that a run without the attack did not have."""
    told = [f for f in findings(model, passes(frames)) if begin <= f.time_ns <= end]
    return [f for f in told if (f.src, f.dst, f.service) not in baseline]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--learn-hours", type=float, default=2.0)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--flat", action="store_true", help="office and plant share one network prefix")
    parser.add_argument("--no-attacks", action="store_true")
    parser.add_argument("--services", action="store_true", help="telemetry, SNMP, syslog, cameras, desktops, backups beside them")
    parser.add_argument("--no-office", action="store_true", help="nobody attacks then")
    parser.add_argument("--poll", type=int, default=2, help="s between rounds of the plant")
    parser.add_argument("-v", action="store_true", help="list the incidents")
    options = parser.parse_args()
    net = "10.0.0" if options.flat else "10.0.1"
    ok = True
    for seed in range(options.first, options.first + options.seeds):
        cut = MONDAY + round(options.learn_hours * HOUR)
        length = round((options.learn_hours + options.hours) * HOUR)
        head, tail = split(segment(seed, length, net, options.poll, services=options.services, office=not options.no_office), cut)
        base = learn_session(passes(head))
        told = findings(derive(base), passes(tail))
        false = incidents(told)
        kinds = dict(Counter(f.kind.value for f in false).most_common())
        print(f"seed {seed}: {len(head):,} + {len(tail):,} frames, {len(base.conversations):,} conversations; ", end="")
        print(f"{len(false)} false incidents, {len(false) / options.hours:.2f} an hour {kinds}; ", end="")
        print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB with the frames themselves", flush=True)
        for f in false if options.v else []:
            where = f"{f.src} -> {f.dst} {f.service}"
            print(f"   {(f.time_ns - cut) / HOUR:.2f} h {f.kind.value} {where} {f.ranges} {f.seen[:8].hex()} x{f.count}")
        ok &= len(false) <= options.hours
        for attack in () if options.no_attacks or options.no_office else ATTACKS:
            at = cut + ATTACK
            host = office_host(tail, at, net)
            frames = [f for f in tail if f[0] < at + 10 * MINUTE]
            known = {(f.src, f.dst, f.service) for f in told if f.time_ns <= at + 10 * MINUTE}
            new = found_at(derive(base), with_attack(frames, attack, at, host), at, at + 5 * MINUTE, known)
            print(f"   {attack.__name__}: {'found' if new else 'MISSED'} {sorted({f.kind.value for f in new})}")
            ok &= bool(new)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

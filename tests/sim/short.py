"""Short learning: learn a clean plant for minutes, watch the next minutes of it, count every incident. All of them are false.

usage: short.py [--minutes N,...] [--watch M] [--seeds N] [--plants P,...] [-v]

A busy plant of `plants.TONGUES` has stations that go at their own pace: a centre that reads every device each second or two, a
screen with timers that run freely, a historian that opens a connection for each of its slow rounds, an engineering station that
looks every minute. Stations stall now and then, segments are repeated, datagrams and answers get lost, devices think longer at
times, clocks are asked, links are opened anew, ARP, LLDP and NTP go on beside. Prints a row per plant and time learned, of all
kinds of findings. Exit code: 0 at most one false incident in four runs that learned ten minutes or more, 1 otherwise.
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from appliance.detect.finding import Finding
from appliance.learn.meaning.model import derive
from appliance.pipeline import learn_session
from tests.sim.plants import TONGUES, Device, Tongue
from tests.sim.thirty_days import findings, incidents, split
from tests.sim.wire import HOUR, MINUTE, MONDAY, SECOND, Frames, Host, Link, Wire, group, passes

MILLI = SECOND // 1000
BEGIN = MONDAY + 9 * HOUR
LOST, REPEATED, SLOW, STALL = 0.0003, 0.0005, 0.002, 1 / 300  # shares of exchanges; stalls a second
NTP, LLDP = Host.at("10.0.0.5"), b"\x01\x80\xc2\x00\x00\x0e"


@dataclass(frozen=True, slots=True)
class Station:
    """Who asks: registers read in each round, the period (s) and its jitter; `opens`: a connection for each round."""

    host: Host
    registers: tuple[int, ...]
    period: float
    jitter: float
    opens: bool = False


@dataclass
class Busy:
    """One plant; `run` gives its frames."""

    tongue: Tongue
    seed: int
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng([self.seed, self.tongue.port, 7])
        many = int(self.random.integers(2, 5))
        self.devices = [Device(Host.at(f"10.0.0.{11 + d}"), d + 1, self.random) for d in range(many)]
        steady, loose = float(self.random.uniform(0.001, 0.01)), float(self.random.uniform(0.01, 0.05))
        hosts = [Host.at(f"10.0.0.{n}") for n in (1, 2, 3, 4)]
        self.stations = [
            Station(hosts[0], (10, 50, 90), float(self.random.choice([1.0, 2.0])), steady),
            Station(hosts[1], (110,), float(self.random.uniform(0.7, 3.0)), loose),
            Station(hosts[1], (150, 190), float(self.random.uniform(3.0, 9.0)), loose),
            Station(hosts[2], (10, 50, 90, 230), float(self.random.choice([10.0, 15.0, 30.0])), steady, opens=True),
            Station(hosts[3], (300,), 60.0, loose),
        ]
        self._links: dict[tuple[bytes, bytes], Link] = {}
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        self._sport = 40_000

    def run(self, minutes: float) -> Frames:
        """The frames of so many minutes, in the order of time."""
        end = BEGIN + round(minutes * MINUTE)
        rounds: list[tuple[int, int]] = []
        for which, station in enumerate(self.stations):
            stalls = np.sort(self.random.uniform(BEGIN, end, self.random.poisson((end - BEGIN) / SECOND * STALL)))
            at = BEGIN + int(self.random.uniform(0, station.period) * SECOND)
            while at < end:
                rounds.append((at, which))
                stalled = bool(((stalls >= at) & (stalls < at + station.period * SECOND)).any())
                late = int(self.random.uniform(0.1, 1.5) * SECOND) if stalled else 0
                at += int(station.period * SECOND * (1 + self.random.normal(0, station.jitter))) + late
        for at, which in sorted(rounds):
            self._round(at, self.stations[which])
        self._beside(end)
        return [frame for frame in self.wire.sorted() if frame[0] < end]

    def _round(self, at: int, station: Station) -> None:
        for device in self.devices:
            link = self._link(at, station, device)
            for register in station.registers:
                at = self._exchange(at + int(self.random.uniform(1, 4) * MILLI), station, device, link, register)
            if station.opens and link is not None:
                link.close(at + 2 * MILLI)
            at += int(self.random.uniform(1, 3) * MILLI)

    def _link(self, at: int, station: Station, device: Device) -> Link | None:
        """The connection of a station, opened anew at times; None for datagrams."""
        if self.tongue.udp:
            return None
        key = station.host.ip, device.host.ip
        if station.opens or key not in self._links or self.random.random() < 0.0005:
            if key in self._links and not station.opens:
                self._links[key].close(at - 5 * MILLI)
            self._sport += 1
            self._links[key] = Link(self.wire, station.host, self._sport, device.host, self.tongue.port).open(at)
        return self._links[key]

    def _exchange(self, at: int, station: Station, device: Device, link: Link | None, register: int) -> int:
        """A request and its answer; when it was there, ns."""
        key = station.host.ip, b"" if link is None else device.host.ip
        number = self._numbers[key] = self._numbers.get(key, int(self.random.integers(0, 60_000))) + 1
        values = [device.value(register + i, at) for i in range(4)]
        ask, tell = self.tongue.read(number, device, register, values)
        takes = int(self.random.normal(4, 0.5) * MILLI) + int(self.random.random() < SLOW) * int(
            self.random.uniform(20, 300) * MILLI
        )
        takes = max(MILLI, takes)
        lost, repeated = self.random.random() < LOST, self.random.random() < REPEATED
        if link is None:
            ports = station.host, self.tongue.port, device.host, self.tongue.port
            self.wire.udp(at, *ports, ask)
            if lost:  # asked again
                at += SECOND
                self.wire.udp(at, *ports, ask)
            self.wire.udp(at + takes, device.host, self.tongue.port, station.host, self.tongue.port, tell)
            return at + takes
        link.send(at, True, ask)
        if lost or repeated:  # the same segment again: nobody had acknowledged it
            link.asked -= len(ask)
            at += 210 * MILLI
            link.send(at, True, ask)
        link.send(at + takes, False, tell)
        return at + takes

    def _beside(self, end: int) -> None:
        """ARP, NTP and LLDP."""
        hosts = [*{s.host.ip: s.host for s in self.stations}.values(), *(d.host for d in self.devices)]
        for host in hosts:
            for at in range(BEGIN + int(self.random.uniform(0, 60) * SECOND), end, 64 * SECOND):
                self.wire.udp(at, host, 123, NTP, 123, b"\x23\x00\x06\xec" + bytes(36) + self.random.bytes(8))
                self.wire.udp(at + MILLI, NTP, 123, host, 123, b"\x24\x02\x06\xe8" + self.random.bytes(44))
            for at in range(BEGIN + int(self.random.uniform(0, 30) * SECOND), end, 30 * SECOND):
                self.wire.frames.append(
                    (at, LLDP + host.mac + b"\x88\xcc\x02\x07\x04" + host.mac + b"\x04\x02\x05a\x06\x02\x00\x78" + bytes(30))
                )
        for station in self.stations:
            for device in self.devices:
                for at in range(BEGIN + int(self.random.uniform(0, 45) * SECOND), end, int(self.random.uniform(40, 50) * SECOND)):
                    self.wire.arp(at, station.host, device.host.ip, device.host)
        if self.tongue.udp:
            for at in range(BEGIN + 7 * SECOND, end, 60 * SECOND):
                self.wire.udp(at, self.stations[0].host, 47808, group("10.0.0.255"), 47808, b"\x81\x0b\x00\x08\x01\x00\x10\x08")


def false_incidents(frames: Frames, minutes: float) -> tuple[list[Finding], int]:
    """Incidents after so many minutes learned, and the findings behind them."""
    head, tail = split(frames, BEGIN + round(minutes * MINUTE))
    told = findings(derive(learn_session(passes(head))), passes(tail))
    return incidents(told), len(told)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", default="2,10,60")
    parser.add_argument("--watch", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--plants", default=",".join(TONGUES))
    parser.add_argument("-v", action="store_true", help="list the incidents")
    options = parser.parse_args()
    times, runs, false = [float(m) for m in options.minutes.split(",")], 0, 0
    print("| plant | minutes learned | runs | watched, h | false incidents | kinds |\n|---|--:|--:|--:|--:|---|")
    for name in options.plants.split(","):
        told: dict[float, list[Finding]] = {m: [] for m in times}
        for seed in range(options.first, options.first + options.seeds):
            for m in times:
                frames = Busy(TONGUES[name](), seed).run(m + options.watch)
                found, _ = false_incidents(frames, m)
                told[m] += found
                for f in found if options.v else []:
                    where = f"{f.src} -> {f.dst} {f.service}"
                    at = (f.time_ns - BEGIN) / MINUTE - m
                    print(
                        f"   seed {seed}, {m:g} + {at:.1f} min: {f.kind.value} {where} {f.ranges} {f.seen[:8].hex()} x{f.count}"
                    )
        for m in times:
            kinds = dict(Counter(f.kind.value for f in told[m]).most_common())
            print(
                f"| {name} | {m:g} | {options.seeds} | {options.seeds * options.watch / 60:.1f} | {len(told[m])} | {kinds} |",
                flush=True,
            )
            if m >= 10:
                runs, false = runs + options.seeds, false + len(told[m])
    return int(4 * false > runs)


if __name__ == "__main__":
    sys.exit(main())

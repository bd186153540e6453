"""What breaks: cables, devices, programs, clocks. Nobody means it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.causes.scenario import cut, devices, reboot, scenario, some
from tests.causes.wire import ACK, PSH, SECOND

if TYPE_CHECKING:
    from tests.causes.plant import Link, Plant


@scenario("fault", "outage")
def cable_lost(p: Plant, at: int) -> None:
    """A device's cable is out, longer or shorter."""
    cut(p, at, p.dice.choice(devices(p)), some(p, 12, 70))


@scenario("fault", "outage")
def link_flaps(p: Plant, at: int) -> None:
    """A plug that does not hold."""
    host = p.dice.choice([*devices(p), p.hosts["historian"]])
    for n in range(2 + p.dice.randrange(3)):
        cut(p, at + n * 9 * SECOND, host, some(p, 3, 7))


@scenario("fault", "outage")
def master_lost(p: Plant, at: int) -> None:
    """The HMI is off for a while: all its talks stop."""
    cut(p, at, p.hosts[p.dice.choice(("hmi", "historian"))], some(p, 25, 70))


@scenario("fault", "restart")
def device_reboots(p: Plant, at: int) -> None:
    """A power dip."""
    reboot(p, at, p.dice.choice(devices(p)), some(p, 6, 45), some(p, 0, 6))


@scenario("fault", "restart")
def device_hangs(p: Plant, at: int) -> None:
    """The program is stuck, the kernel acknowledges; sometimes a watchdog restarts it."""
    host = p.dice.choice(devices(p))
    lasts = some(p, 10, 50)
    p.at(at, lambda: setattr(host, "hangs", True))
    p.at(at + lasts, lambda: setattr(host, "hangs", False))
    if p.dice.random() < 0.5:
        reboot(p, at + lasts, host, some(p, 3, 12))


@scenario("fault", "restart")
def program_crashes(p: Plant, at: int) -> None:
    """The host is up, nobody listens: connections are refused."""
    host = p.dice.choice(devices(p))

    def down() -> None:
        host.serves, host.boots = False, host.boots + 1

    p.at(at, down)
    p.at(at + some(p, 15, 60), lambda: setattr(host, "serves", True))


@scenario("fault", "repeats")
def cable_loses(p: Plant, at: int) -> None:
    """A bad plug: segments are repeated."""
    name = p.dice.choice(devices(p)).name
    p.at(at, lambda: p.loss.__setitem__(name, p.dice.uniform(0.15, 0.5)))
    p.at(at + some(p, 15, 60), lambda: p.loss.pop(name, None))


@scenario("fault", "errors")
def only_errors(p: Plant, at: int) -> None:
    """A device refuses everything: its bus behind is broken."""
    name = p.dice.choice(devices(p)).name
    p.at(at, lambda: p.refusing.add(name))
    p.at(at + some(p, 5, 40), lambda: p.refusing.discard(name))


@scenario("fault", "answers")
def odd_bytes(p: Plant, at: int) -> None:
    """Failing memory: now and then an answer has wrong bytes, any of them, for whoever asks."""
    name, until, often = p.dice.choice(devices(p)).name, at + some(p, 20, 60), p.dice.uniform(0.05, 0.4)

    def spoil(link: Link, payload: bytes, asks: bool) -> bytes:
        if asks or link.device.name != name or not at <= p.now <= until or p.dice.random() > often or len(payload) < 12:
            return payload
        place = p.dice.randrange(6, len(payload))
        return payload[:place] + bytes([p.dice.randrange(256)]) + payload[place + 1 :]

    p.edits.append(spoil)


@scenario("fault", "answers")
def sensor_breaks(p: Plant, at: int) -> None:
    """A value jumps to the end of its scale and stays there, or a status bit comes up, for all who read it."""
    host = p.dice.choice(devices(p))

    def broken() -> None:
        p.voices[host.name].middle[:] = [v if k % 2 else end for k, v in enumerate(p.voices[host.name].values)]
        p.voices[host.name].values[:] = p.voices[host.name].middle
        p.voices[host.name].status = status

    end, status = p.dice.choice((60_000, 32_000, 0)), p.dice.choice((0, 0x80))
    p.at(at, broken)


@scenario("fault", "silence")
def clock_jumps(p: Plant, at: int) -> None:
    """The recorder's clock is set: everything pauses at once, or time runs back for a moment."""
    jump = p.dice.choice((90, 400, 3600)) * SECOND
    p.at(at, lambda: setattr(p, "skew", jump))


@scenario("fault", "flood", tells=False)
def babbling_master(p: Plant, at: int) -> None:
    """A known master's program runs wild and asks as fast as it can."""
    _burst(p, at)


@scenario("security", "flood", tells=False)
def flood_from_master(p: Plant, at: int) -> None:
    """Malware on a known master asks as fast as it can: the same frames as a program that runs wild."""
    _burst(p, at)


def _burst(p: Plant, at: int) -> None:
    link = p.dice.choice([k for k in p.links if k.client.name == "hmi"])
    size, gap = p.dice.randrange(900, 2500), p.dice.randrange(1, 6) * 1_000_000

    def burst() -> None:
        when = p.now
        for n in range(size):
            ask = p.speech.request(("read", 0), link.number + n, link.session)
            if p.speech.udp:
                p.tap.udp(when + n * gap, link.client, p.speech.port, link.device, p.speech.port, ask)
            elif link.open:
                p.tap.tcp(
                    when + n * gap, link.client, link.sport, link.device, p.speech.port, link.sent, link.heard, PSH | ACK, ask
                )
                link.sent += len(ask)

    p.at(at, burst)


@scenario("fault", "restart")
def connections_reset(p: Plant, at: int) -> None:
    """A device short of memory resets connections now and then and refuses some."""
    host = p.dice.choice(devices(p))
    for n in range(3 + p.dice.randrange(4)):
        p.at(at + n * some(p, 4, 9), lambda: setattr(host, "boots", host.boots + 1))
        start = at + n * 8 * SECOND
        p.at(start, lambda: setattr(host, "serves", False))
        p.at(start + some(p, 1, 5), lambda: setattr(host, "serves", True))


@scenario("fault", "answers")
def wrong_lengths(p: Plant, at: int) -> None:
    """A firmware quirk after a restart: answers are cut short or carry a byte too many, for all who ask."""
    host = p.dice.choice(devices(p))
    reboot(p, at, host, some(p, 3, 20))
    until, cut_short = at + some(p, 40, 80), p.dice.random() < 0.5

    def bend(link: Link, payload: bytes, asks: bool) -> bytes:
        if asks or link.device is not host or not at <= p.now <= until or p.dice.random() < 0.6:
            return payload
        return payload[:-1] if cut_short else payload + b"\0"

    p.edits.append(bend)


@scenario("fault", "scan", tells=True)
def asks_for_a_lost_device(p: Plant, at: int) -> None:
    """A master keeps looking for a device that was taken away; the address stays dark."""
    host = p.dice.choice(devices(p))
    p.at(at, lambda: setattr(host, "power", False))

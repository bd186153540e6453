"""The register of scenarios: what happens, why, and which other cause shows the same symptom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.causes.plant import STACKS, Link
from tests.causes.wire import SECOND, Host

if TYPE_CHECKING:
    from tests.causes.plant import Plant
    from tests.causes.speech import Act

Play = Callable[["Plant", int], None]


@dataclass(frozen=True)
class Scenario:
    """One thing that happens.

    cause   security | fault | maintenance: why, in truth
    pair    symptom that scenarios with other causes share, "" for none
    tells   False where nothing on the wire tells the cause: the right answer is "unknown"
    odds    weight beside the others (a rare cause of a common symptom counts less)
    """

    name: str
    cause: str
    pair: str
    tells: bool
    odds: float
    play: Play

    @property
    def right(self) -> str:
        """The answer that is right, given what the wire can tell."""
        return self.cause if self.tells else "unknown"


SCENARIOS: dict[str, Scenario] = {}


def scenario(cause: str, pair: str = "", *, tells: bool = True, odds: float = 1.0) -> Callable[[Play], Play]:
    """Enter a function into the register under its name with dashes."""

    def enter(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, cause, pair, tells, odds, play)
        return play

    return enter


def some(p: Plant, low: float, high: float) -> int:
    """A random time between so many seconds, in ns."""
    return int(p.dice.uniform(low, high) * SECOND)


def devices(p: Plant) -> list[Host]:
    """The devices of the plant."""
    return [h for name, h in p.hosts.items() if name.startswith("plc")]


def stranger(p: Plant, name: str = "laptop", last: int = 0) -> Host:
    """A machine that nobody saw while learning, from a PC maker."""
    return p.hosts.get(name) or p.host(name, last or p.dice.randrange(60, 200), p.dice.choice((b"\x3c\x97\x0e", b"\x00\x0c\x29")))


def visit(p: Plant, at: int, who: Host, device: Host, acts: list[Act], gap: float) -> None:
    """Connect, do acts with about `gap` seconds between, part: each act sees the plant as it is at its time."""
    link = Link(p, who, device, [], STACKS["steady"])
    for act in acts:
        p.at(at, lambda k=link, a=act: _do(k, a))  # type: ignore[misc]
        at += some(p, 0.6 * gap, 1.4 * gap)
    p.at(at, lambda: _leave(link))


def _do(link: Link, act: Act) -> None:
    if link.client.power and link.client.link:
        link.exchange(link.plant.now, act)


def _leave(link: Link) -> None:
    if link.open:
        link.close(link.plant.now, calm=True)


def cut(p: Plant, at: int, host: Host, lasts: int) -> None:
    """A cable is out for a while."""
    p.at(at, lambda: setattr(host, "link", False))
    p.at(at + lasts, lambda: setattr(host, "link", True))


def reboot(p: Plant, at: int, host: Host, dark: int, deaf: int = 0) -> None:
    """A device is off, then up but deaf for a while, then serves; it forgot its connections and tells its address."""

    def off() -> None:
        host.power = host.serves = False

    def on() -> None:
        host.power, host.serves, host.boots = True, not deaf, host.boots + 1
        p.tap.arp(p.now, host, host.raw)

    p.at(at, off)
    p.at(at + dark, on)
    p.at(at + dark + deaf, lambda: setattr(host, "serves", True))

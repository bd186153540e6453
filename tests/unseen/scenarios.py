"""What happens in the part that is judged: attacks by a known master or a stranger, and faults."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.sim.wire import SECOND, Link
from tests.unseen.plant import Plant
from tests.unseen.site import MILLI, Ask, Client

SPACE = 45  # s between two episodes: what one breaks is over


@dataclass(frozen=True)
class Episode:
    """What happened when (ns)."""

    name: str
    begin: int
    end: int


def _insider(plant: Plant, what: tuple[Client, list[Ask]]) -> int:
    """A master that is there says it, over its own connection; returns when it is over."""
    client, asks = what
    now = plant.site.now
    for n, ask in enumerate(asks):
        plant.site.at(now + n * 60 * MILLI, partial(client.ask, ask, 1))
    return now + len(asks) * 60 * MILLI + 2 * SECOND


def _stranger(plant: Plant, what: tuple[Client, list[Ask]]) -> int:
    """Somebody never seen says it, over a connection of his own."""
    old, asks = what
    sport = old.port if old.udp else 0
    own = Client(plant.site, plant.host(200), old.server, old.port, old.udp, opening=old.opening, sport=sport)
    return _insider(plant, (own, asks))


def forbidden_write(plant: Plant) -> int:
    """A known master writes where nobody writes."""
    return _insider(plant, plant.forbidden())


def strange_write(plant: Plant) -> int:
    """A stranger writes."""
    return _stranger(plant, plant.forbidden())


def function_scan(plant: Plant) -> int:
    """A known master tries what a device can do."""
    return _insider(plant, plant.scan())


def stop(plant: Plant) -> int:
    """A known master stops a device, which comes back by itself."""
    return _insider(plant, plant.stop())


def download(plant: Plant) -> int:
    """A known master loads a program."""
    return _insider(plant, plant.download())


def address_scan(plant: Plant) -> int:
    """A stranger tries addresses and the service behind them."""
    site, who, now = plant.site, plant.host(201), plant.site.now
    for n in range(40):
        at = now + n * 50 * MILLI
        site.at(at, partial(site.wire(1).arp, at, who, plant.host(5 + n).ip))
    for n, server in enumerate(plant.servers):
        link = Link(site.wire(1), who, site.port(), server.host, plant.port)
        site.at(now + (2 + n) * SECOND, partial(link.send, now + (2 + n) * SECOND, True, b"", 0x02))
    return now + 3 * SECOND + len(plant.servers) * SECOND


def changed_value(plant: Plant) -> int:
    """Somebody in between forges a measured value far out of its range."""
    site = plant.site
    signal = plant.rng.choice(plant.numbers())
    signal.forced = signal.high + 6 * (signal.high - signal.low)
    end = site.now + 15 * SECOND
    site.at(end, lambda: setattr(signal, "forced", None))
    return end


def replayed(plant: Plant) -> int:
    """A stranger sends what a master says, again and again."""
    client = plant.rng.choice([c for c in plant.clients if c.host is plant.masters[0]])
    return _stranger(plant, (client, plant.forbidden()[1] if plant.rng.random() < 0.3 else plant.stop()[1]))


def device_reboot(plant: Plant) -> int:
    """A device is away for a while."""
    now = plant.site.now
    plant.rng.choice(list({c.server for c in plant.clients})).away.append((now, now + 40 * SECOND))
    return now + 60 * SECOND


def link_flap(plant: Plant) -> int:
    """Half of the devices are away at once."""
    now, servers = plant.site.now, list({c.server for c in plant.clients})
    for server in servers[: (len(servers) + 1) // 2]:
        server.away.append((now, now + 40 * SECOND))
    return now + 60 * SECOND


ATTACKS: tuple[Callable[[Plant], int], ...] = (
    forbidden_write, strange_write, function_scan, stop, download, address_scan, changed_value, replayed,
)  # fmt: skip
FAULTS: tuple[Callable[[Plant], int], ...] = (device_reboot, link_flap)


def plan(plant: Plant, kinds: tuple[Callable[[Plant], int], ...], begin: int) -> list[Episode]:
    """Let all kinds happen one after the other, in an order drawn by the plant's seed; the list fills while time passes."""
    out: list[Episode] = []
    order = list(kinds)
    plant.rng.shuffle(order)
    site = plant.site

    def turn() -> None:
        kind = order.pop()
        end = kind(plant)
        out.append(Episode(kind.__name__, site.now, end))
        if order:
            site.at(end + SPACE * SECOND, turn)

    site.at(begin, turn)
    return out

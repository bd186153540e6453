"""What the plants of all protocols have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence

from tests.sim.wire import SECOND, Host
from tests.unseen.signals import Signal
from tests.unseen.site import START, Ask, Client, Server, Site

Act = tuple[Hashable, object, Ask]  # what an operator does, with which value (so one knows whether it is news), how it is said
FEW = 8  # values of a set-point after which one more is no news by itself
OPERATOR = 60.0  # s between an operator's commands of a kind, on average: an hour of a plant in some minutes


class Plant(ABC):
    """One plant. Subclasses draw devices and masters in `build`, and know what an intruder would say."""

    name: str
    port: int
    udp: bool
    masters: list[Host]

    def __init__(self, seed: int) -> None:
        self.seed, self.site = seed, Site(self.name, seed)
        self.rng = self.site.rng
        self.clients: list[Client] = []
        self.servers: list[Server] = []
        self.jitter, self.drifts = self.rng.choice((0.001, 0.005, 0.02)), self.rng.random() < 0.5
        self._done: dict[Hashable, set[object]] = {}
        self.net = f"10.{self.rng.randrange(1, 250)}.{self.rng.randrange(250)}"
        self.build()
        self._arp()

    @abstractmethod
    def build(self) -> None:
        """Draw everything."""

    @abstractmethod
    def forbidden(self) -> tuple[Client, list[Ask]]:
        """A master writes where nobody ever wrote."""

    @abstractmethod
    def scan(self) -> tuple[Client, list[Ask]]:
        """A master tries what the device can do."""

    @abstractmethod
    def stop(self) -> tuple[Client, list[Ask]]:
        """A master stops or restarts the device."""

    @abstractmethod
    def download(self) -> tuple[Client, list[Ask]]:
        """A master loads a program."""

    @abstractmethod
    def numbers(self) -> list[Signal]:
        """Measured values that can be forged."""

    def host(self, last: int) -> Host:
        """A host of the plant's network."""
        return Host.at(f"{self.net}.{last}")

    def device(self, last: int) -> Server:
        """A device of the plant's network."""
        self.servers.append(Server(self.host(last), self.rng.choice((0.001, 0.003, 0.008, 0.02))))
        return self.servers[-1]

    def client(
        self,
        host: Host,
        server: Server,
        depth: int = 1,
        fresh: bool = False,
        opening: Sequence[Ask] = (),
        timeout: float = 3.0,
        sport: int = 0,
    ) -> Client:
        """A client at a server, with a temper of its own; for the rest see `Client`."""
        first = 0 if self.rng.random() < 0.5 else self.rng.randrange(60_000)
        acks = self.rng.random() < 0.5
        one = Client(self.site, host, server, self.port, self.udp, depth, fresh, acks, opening, timeout, sport, first)
        self.clients.append(one)
        return one

    def poll(self, client: Client, asks: list[Ask], period: float) -> None:
        """Ask a list again and again."""

        def turn() -> None:
            for ask in asks:
                client.ask(ask)

        self.site.every(period, self.jitter, turn, drifts=self.drifts)

    def operator(self, client: Client, draws: Callable[[], Act]) -> None:
        """Somebody does something now and then; what was never done before is true news, and not scored."""

        def act() -> None:
            key, value, ask = draws()
            done = self._done.setdefault(key, set())
            news = value not in done and len(done) < FEW
            done.add(value)
            client.ask(ask, 2 if news and self.site.now > START + 60 * SECOND else 0)

        self.site.sometimes(OPERATOR * self.rng.uniform(0.3, 3), act)

    def _arp(self) -> None:
        pairs = list({(c.host.ip, c.server.host.ip): (c.host, c.server) for c in self.clients}.values())
        for host, server in pairs:

            def ask(host: Host = host, server: Server = server) -> None:
                answer = None if server.gone(self.site.now) else server.host
                self.site.wire(0).arp(self.site.now, host, server.host.ip, answer)

            self.site.every(self.rng.uniform(30, 60), 0.1, ask)

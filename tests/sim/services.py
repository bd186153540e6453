"""What else is on a plant's wire: telemetry, network management, logs, clocks, cameras, remote desktops, backups.

All of it is there all the time or comes back: sensors publish over MQTT on connections that last, a manager polls switches by
SNMP, everybody logs by syslog and sets its clock by NTP, two cameras stream over HTTP, an operator takes an encrypted remote
desktop now and then, machines are backed up to the file server in bursts, devices announce themselves to groups (SSDP).
"""

from dataclasses import dataclass, field
from struct import pack

import numpy as np

from tests.sim.wire import MINUTE, SECOND, Frames, Host, Link, Wire, group

MILLI = SECOND // 1000
SSDP = group("239.255.255.250")


@dataclass
class Services:
    """`run` gives the frames of so much time; addresses are in `net` (first three bytes)."""

    seed: int
    start: int
    net: str = "10.0.2"
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng([self.seed, 99])
        self._sport = 49_500

    def run(self, length: int) -> Frames:
        """Frames in the order of time."""
        end = self.start + length
        for part in (self._telemetry, self._management, self._logs, self._clocks, self._cameras, self._desktops, self._backups):
            part(end)
        for n in range(30, 34):
            for at in self._times(end, 300, 0.01):
                self.wire.udp(
                    at, self._host(n), 1900, SSDP, 1900, b"NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\n" + bytes([48 + n % 10])
                )
        return [f for f in self.wire.sorted() if f[0] < end]

    def _host(self, n: int) -> Host:
        return Host.at(f"{self.net}.{n}")

    def _port(self) -> int:
        self._sport += 1
        return self._sport

    def _times(self, end: int, period: float, jitter: float) -> list[int]:
        """Times from a random phase on, s of period and relative jitter."""
        times, at = [], self.start + int(self.random.uniform(0, period) * SECOND)
        while at < end:
            times.append(at)
            at += int(period * SECOND * max(0.1, 1 + self.random.normal(0, jitter)))
        return times

    def _telemetry(self, end: int) -> None:
        """Six sensors publish a reading as text, and ping their broker."""
        for n in range(10, 16):
            link = Link(self.wire, self._host(n), self._port(), self._host(2), 1883).open(self.start + n * MILLI)
            level, topic = float(self.random.uniform(10, 90)), f"plant/line{n % 3}/sensor{n}".encode()
            pings = [(at, True) for at in self._times(end, 60, 0.001)]
            for at, ping in sorted([(at, False) for at in self._times(end, 5, 0.02)] + pings):
                level += float(self.random.normal(0, 0.3))
                text = f'{{"t":{at // SECOND},"v":{level:.2f}}}'.encode()
                body = (
                    b"\xc0\x00" if ping else b"\x30" + bytes([2 + len(topic) + len(text)]) + pack(">H", len(topic)) + topic + text
                )
                link.send(at, True, body)
                if ping:
                    link.send(at + 2 * MILLI, False, b"\xd0\x00")

    def _management(self, end: int) -> None:
        """SNMP GET of six counters of four switches, every 30 s; request ids are random, values grow."""
        count = 1000
        for at in self._times(end, 30, 0.003):
            for n in range(20, 24):
                for column in range(6):
                    oid = b"\x06\x0a\x2b\x06\x01\x02\x01\x02\x02\x01" + bytes([10 + column, 1])
                    number, count = self.random.bytes(4), count + int(self.random.integers(1, 5000))

                    def said(kind: int, value: bytes, oid: bytes = oid, number: bytes = number) -> bytes:
                        pair = b"\x30" + bytes([len(oid) + len(value)]) + oid + value
                        inner = b"\x02\x04" + number + b"\x02\x01\x00\x02\x01\x00\x30" + bytes([len(pair)]) + pair
                        pdu = b"\x02\x01\x01\x04\x06public" + bytes([kind, len(inner)]) + inner
                        return b"\x30" + bytes([len(pdu)]) + pdu

                    when = at + (n * 20 + column) * MILLI
                    self.wire.udp(when, self._host(3), 50_161, self._host(n), 161, said(0xA0, b"\x05\x00"))
                    answer = said(0xA2, b"\x41\x04" + pack(">I", count))
                    self.wire.udp(when + 3 * MILLI, self._host(n), 161, self._host(3), 50_161, answer)

    def _logs(self, end: int) -> None:
        """Lines of text whenever something happens."""
        words = ("link up", "login ok", "config saved", "temperature 41", "fan ok", "session closed")
        for n in range(20, 24):
            for at in self._times(end, 90, 0.9):
                line = (
                    f"<134>sw{n} {at // SECOND}: {words[int(self.random.integers(0, 6))]} {int(self.random.integers(0, 10_000))}"
                )
                self.wire.udp(at, self._host(n), 514, self._host(4), 514, line.encode())

    def _clocks(self, end: int) -> None:
        for n in (*range(10, 16), *range(20, 24), 30, 31):
            for at in self._times(end, 64, 0.002):
                self.wire.udp(at, self._host(n), 123, self._host(5), 123, b"\x23\x00\x06\xec" + bytes(36) + self.random.bytes(8))
                self.wire.udp(at + MILLI, self._host(5), 123, self._host(n), 123, b"\x24\x02\x06\xe8" + self.random.bytes(44))

    def _cameras(self, end: int) -> None:
        """Two cameras send pictures, a few segments every second."""
        for n in (30, 31):
            link = Link(self.wire, self._host(6), self._port(), self._host(n), 80).open(self.start + n * MILLI)
            link.send(self.start + SECOND, True, b"GET /video.mjpg HTTP/1.1\r\nHost: camera\r\n\r\n")
            for at in self._times(end, 1, 0.02):
                for k in range(int(self.random.integers(2, 5))):
                    link.send(at + 2 * SECOND + k * MILLI, False, self.random.bytes(int(self.random.integers(400, 1400))))

    def _desktops(self, end: int) -> None:
        """An operator takes an encrypted remote desktop for a quarter of an hour, about twice an hour."""
        for at in self._times(end, 1800, 0.4):
            link = Link(self.wire, self._host(7), self._port(), self._host(8), 3389).open(at)
            for when in np.sort(self.random.uniform(0, 15 * MINUTE, 600)).astype(int).tolist():
                size, asks = int(self.random.integers(20, 900)), bool(self.random.random() < 0.4)
                link.send(at + SECOND + when, asks, b"\x17\x03\x03" + pack(">H", size) + self.random.bytes(size))
            link.close(at + 16 * MINUTE)

    def _backups(self, end: int) -> None:
        """Machines send a burst to the file server in turn, and something is printed now and then."""
        for at in self._times(end, 1500, 0.1):
            link = Link(self.wire, self._host(8), self._port(), self._host(9), 445).open(at)
            for k in range(int(self.random.integers(300, 900))):
                link.send(at + (5 + k) * MILLI, True, self.random.bytes(1400))
            link.close(at + SECOND)
        for at in self._times(end, 1200, 0.5):
            link = Link(self.wire, self._host(7), self._port(), self._host(40), 9100).open(at)
            for k in range(int(self.random.integers(2, 12))):
                link.send(at + (5 + k) * MILLI, True, b"\x1b%-12345X" + self.random.bytes(900))
            link.close(at + 100 * MILLI)

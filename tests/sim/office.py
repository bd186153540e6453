"""An office on the same wire as a plant: hosts come and go, ask for names, browse, print, fetch files, announce themselves.

Every session of a host takes an address by DHCP (addresses are given again to others), looks up names, opens web pages of many
outside addresses through the gateway (TLS, QUIC, some over IPv6), keeps a share of the file server open, reads the intranet,
synchronises its clock, calls a dynamic port of the domain server, announces itself to groups. Payloads are random where they are
encrypted. Nobody of the office talks to the plant.
"""

from dataclasses import dataclass, field
from struct import pack

import numpy as np

from tests.sim.wire import BROADCAST, MINUTE, SECOND, Frames, Host, Link, Wire, group

MILLI = SECOND // 1000
SITES = 3000  # outside addresses that are visited again, the popular ones often
MDNS, SSDP, LLMNR = group("224.0.0.251"), group("239.255.255.250"), group("224.0.0.252")
NOBODY = Host(bytes(4), b"")


@dataclass(slots=True)
class Guest:
    """One session of a host: from, until (ns), its address and hardware."""

    begin: int
    end: int
    host: Host
    link_local: bytes
    sport: int

    def port(self) -> int:
        """The next ephemeral port."""
        self.sport = 49_152 + (self.sport - 49_152 + 1) % 16_000
        return self.sport


@dataclass
class Office:
    """`run` gives the frames of so much time.

    net        first three bytes of the office's addresses
    present    hosts that are there at a time, on average; stay: ns of a session, on average
    known      machines that come back; a share of `strangers` sessions is of machines never seen
    pause      ns between pages of a host, on average
    """

    seed: int
    start: int
    net: str = "10.0.1"
    present: int = 15
    stay: int = 90 * MINUTE
    known: int = 30
    strangers: float = 0.1
    pause: int = 100 * SECOND
    wire: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.gateway, self.server = Host.at(f"{self.net}.254"), Host.at(f"{self.net}.5")
        self.files, self.intranet, self.printer = (Host.at(f"{self.net}.{n}") for n in (6, 7, 8))
        self.sites = [self._outside() for _ in range(SITES)]
        self._lease = 0

    def run(self, length: int) -> Frames:
        """Frames in the order of time."""
        end = self.start + length
        for at in range(self.start, end, 200 * SECOND):
            self._advertise(at)
        sessions = [self.start - int(self.random.uniform(0, self.stay)) for _ in range(self.present)]
        at = self.start
        while at < end:
            at += int(self.random.exponential(self.stay / self.present))
            sessions.append(at)
        for begin in sessions:
            self._session(self._guest(begin))
        return [f for f in self.wire.sorted() if self.start <= f[0] < end]

    def _outside(self) -> Host:
        a, b, c, d = (int(v) for v in self.random.integers(1, 255, 4))
        return Host(bytes([20 + a % 180, b, c, d]), self.gateway.mac)

    def _bytes(self, size: int) -> bytes:
        return self.random.bytes(size)

    def _guest(self, begin: int) -> Guest:
        r = self.random
        machine = int(r.integers(0, self.known)) if r.random() > self.strangers else int(r.integers(1000, 1 << 30))
        mac = b"\x06" + pack(">IB", machine, 7)
        self._lease = (self._lease + 1) % 100
        ip = bytes(map(int, self.net.split("."))) + bytes([100 + self._lease])
        local = b"\xfe\x80" + bytes(6) + mac[:3] + b"\xff\xfe" + mac[3:]
        end = begin + int(r.exponential(self.stay)) + MINUTE
        return Guest(begin, end, Host(ip, mac), local, 49_152 + int(r.integers(0, 16_000)))

    def _session(self, g: Guest) -> None:
        self._arrive(g)
        r, at = self.random, g.begin + 2 * SECOND
        share = Link(self.wire, g.host, g.port(), self.files, 445).open(at + SECOND)
        clock, name = at, 0
        message = int(r.integers(0, 50))
        while at < g.end:
            self._page(at, g)
            if r.random() < 0.3:
                for _ in range(int(r.integers(1, 6))):
                    message += 1
                    self._smb(at + int(r.integers(0, 5 * SECOND)), share, message)
            if r.random() < 0.15:
                self._intranet(at + SECOND, g)
            if r.random() < 0.03:
                self._print(at + SECOND, g)
            if r.random() < 0.05:
                self._remote_call(at + SECOND, g)
            if r.random() < 0.2:
                name += 1
                self._announce(at + SECOND, g)
            if at - clock > 17 * MINUTE:
                clock = at
                self._time(at, g)
            at += int(r.exponential(self.pause)) + SECOND
        share.close(g.end + SECOND)

    def _arrive(self, g: Guest) -> None:
        at, xid = g.begin, self._bytes(4)
        nobody = Host(NOBODY.ip, g.host.mac)
        for i, (kind, asks) in enumerate(((1, True), (2, False), (3, True), (5, False))):
            head = bytes([1 if asks else 2, 1, 6, 0]) + xid + bytes(8) + (bytes(4) if asks else g.host.ip) + bytes(8)
            body = head + g.host.mac + bytes(202) + b"\x63\x82\x53\x63\x35\x01" + bytes([kind]) + b"\xff" + bytes(8)
            if asks:
                self.wire.udp(at + i * 20 * MILLI, nobody, 68, BROADCAST, 67, body)
            else:
                self.wire.udp(at + i * 20 * MILLI, self.server, 67, g.host, 68, body)
        self.wire.arp(at + 200 * MILLI, g.host, g.host.ip)
        self.wire.arp(at + 300 * MILLI, g.host, self.gateway.ip, self.gateway)
        self.wire.arp(at + 400 * MILLI, g.host, self.server.ip, self.server)
        self._icmp6(
            at + 500 * MILLI, bytes(16), b"\xff\x02" + bytes(9) + b"\x01\xff" + g.link_local[13:], g.host.mac, 135, g.link_local
        )
        self._icmp6(at + 900 * MILLI, g.link_local, b"\xff\x02" + bytes(13) + b"\x02", g.host.mac, 133, b"")
        self._announce(at + SECOND, g)

    def _icmp6(self, at: int, src: bytes, dst: bytes, mac: bytes, kind: int, more: bytes, to: bytes = b"") -> None:
        body = bytes([kind, 0, 0, 0]) + bytes(4) + more
        packet = pack(">IHBB", 6 << 28, len(body), 58, 255) + src + dst + body
        self.wire.frames.append((at, (to or b"\x33\x33" + dst[12:]) + mac + b"\x86\xdd" + packet))

    def _advertise(self, at: int) -> None:
        mac = self.gateway.mac
        local = b"\xfe\x80" + bytes(6) + mac[:3] + b"\xff\xfe" + mac[3:]
        self._icmp6(at, local, b"\xff\x02" + bytes(13) + b"\x01", mac, 134, bytes(24))
        for last in self.random.integers(100, 200, 2).tolist():  # the gateway looks for hosts, also for some that have left
            self.wire.arp(at + SECOND, self.gateway, self.gateway.ip[:3] + bytes([int(last)]))

    def _announce(self, at: int, g: Guest) -> None:
        name = b"\x09" + b"host" + self._bytes(2).hex().encode() + b"\x05local\x00"
        self.wire.udp(at, g.host, 5353, MDNS, 5353, bytes(4) + b"\x00\x01" + bytes(6) + name + b"\x00\xff\x00\x01")
        body = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMX: 1\r\nST: upnp:rootdevice\r\n\r\n"
        self.wire.udp(at + MILLI, g.host, g.port(), SSDP, 1900, body)
        self.wire.udp(at + 2 * MILLI, g.host, g.port(), LLMNR, 5355, self._bytes(2) + b"\x00\x00\x00\x01" + bytes(6) + name)
        local = Host(self.gateway.ip[:3] + b"\xff", b"\xff" * 6)
        asked = self._bytes(2) + b"\x01\x10\x00\x01" + bytes(6) + b"\x20" + self._bytes(16).hex().upper().encode() + bytes(5)
        self.wire.udp(at + 3 * MILLI, g.host, 137, local, 137, asked)

    def _lookup(self, at: int, g: Guest) -> None:
        sport, number = g.port(), self._bytes(2)
        size = int(self.random.integers(4, 16))
        name = bytes([size]) + self._bytes(size).hex().encode()[:size] + b"\x03com\x00"
        asked = name + b"\x00\x01\x00\x01"
        self.wire.udp(at, g.host, sport, self.server, 53, number + b"\x01\x00\x00\x01" + bytes(6) + asked)
        answer = (
            number + b"\x81\x80\x00\x01\x00\x01" + bytes(4) + asked + b"\xc0\x0c\x00\x01\x00\x01" + self._bytes(4) + b"\x00\x04"
        )
        self.wire.udp(at + int(self.random.integers(1, 40)) * MILLI, self.server, 53, g.host, sport, answer + self._bytes(4))

    def _page(self, at: int, g: Guest) -> None:
        r = self.random
        for i in range(int(r.integers(1, 5))):
            when = at + i * int(r.integers(50, 900)) * MILLI
            self._lookup(when, g)
            popular = int(SITES ** r.random()) - 1
            site = self.sites[popular] if r.random() < 0.8 else self._outside()
            kind = r.random()
            if kind < 0.7:
                self._tls(when + 60 * MILLI, g, site)
            elif kind < 0.9:
                self._quic(when + 60 * MILLI, g, site)
            else:
                self._call(when + 60 * MILLI, g, site)

    def _tls(self, at: int, g: Guest, site: Host) -> None:
        r = self.random
        link = Link(self.wire, g.host, g.port(), site, 443).open(at)
        hello = b"\x01\x00\x01\xfc\x03\x03" + self._bytes(32 + int(r.integers(100, 300)))
        link.send(at + 5 * MILLI, True, b"\x16\x03\x01" + pack(">H", len(hello)) + hello)
        hello = b"\x02\x00\x00\x76\x03\x03" + self._bytes(32 + 80)
        link.send(at + 30 * MILLI, False, b"\x16\x03\x03" + pack(">H", len(hello)) + hello)
        when = at + 40 * MILLI
        for _ in range(int(r.integers(2, 8))):
            when += int(r.exponential(120)) * MILLI + MILLI
            size = int(r.integers(30, 1300))
            link.send(when, bool(r.random() < 0.35), b"\x17\x03\x03" + pack(">H", size) + self._bytes(size))
        link.close(when + int(r.exponential(4) * SECOND))

    def _quic(self, at: int, g: Guest, site: Host) -> None:
        sport = g.port()
        for i in range(int(self.random.integers(3, 10))):
            body = self._bytes(int(self.random.integers(30, 1200)))
            at += int(self.random.exponential(60)) * MILLI + MILLI
            if i == 0 or self.random.random() < 0.4:
                self.wire.udp(at, g.host, sport, site, 443, body)
            else:
                self.wire.udp(at, site, 443, g.host, sport, body)

    def _call(self, at: int, g: Guest, site: Host) -> None:
        """Media between ephemeral ports on both sides."""
        sport, dport = g.port(), int(self.random.integers(30_000, 60_000))
        for i in range(int(self.random.integers(6, 20))):
            src, dst, ports = (g.host, site, (sport, dport)) if i % 2 == 0 else (site, g.host, (dport, sport))
            self.wire.udp(at + i * 20 * MILLI, src, ports[0], dst, ports[1], b"\x80\x60" + self._bytes(120))

    def _smb(self, at: int, share: Link, message: int) -> None:
        head = b"\xfeSMB\x40\x00\x01\x00" + bytes(4) + b"\x08\x00\x01\x00" + bytes(8) + pack("<Q", message) + bytes(40)
        ask = head + self._bytes(24)
        share.send(at, True, pack(">I", len(ask)) + ask)
        tell = head + self._bytes(int(self.random.integers(16, 1200)))
        share.send(at + 2 * MILLI, False, pack(">I", len(tell)) + tell)

    def _intranet(self, at: int, g: Guest) -> None:
        link = Link(self.wire, g.host, g.port(), self.intranet, 80).open(at)
        path = self._bytes(int(self.random.integers(2, 10))).hex()
        link.send(at + 2 * MILLI, True, f"GET /{path} HTTP/1.1\r\nHost: intranet\r\n\r\n".encode())
        size = int(self.random.integers(50, 1000))
        link.send(at + 9 * MILLI, False, f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode() + self._bytes(size))
        link.close(at + 20 * MILLI)

    def _print(self, at: int, g: Guest) -> None:
        link = Link(self.wire, g.host, g.port(), self.printer, 9100).open(at)
        for i in range(int(self.random.integers(2, 12))):
            link.send(at + (5 + i) * MILLI, True, b"\x1b%-12345X" + self._bytes(1000))
        link.close(at + 100 * MILLI)

    def _remote_call(self, at: int, g: Guest) -> None:
        """A port of the domain server that another one names."""
        for dport in (135, int(self.random.integers(49_200, 49_900))):
            link = Link(self.wire, g.host, g.port(), self.server, dport).open(at)
            ask, tell = (b"\x05\x00\x0b\x03\x10\x00\x00\x00" + pack("<H", 72) + self._bytes(62) for _ in range(2))
            link.send(at + 2 * MILLI, True, ask)
            link.send(at + 4 * MILLI, False, tell)
            link.close(at + 30 * MILLI)
            at += 60 * MILLI

    def _time(self, at: int, g: Guest) -> None:
        pool = self.sites[int(self.random.integers(0, 40))]
        self.wire.udp(at, g.host, 123, pool, 123, b"\x23\x00\x06\xec" + bytes(36) + self._bytes(8))
        self.wire.udp(at + 30 * MILLI, pool, 123, g.host, 123, b"\x24\x02\x06\xe8" + self._bytes(44))

"""What somebody does who may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.causes.scenario import devices, reboot, scenario, some, stranger, visit
from tests.causes.wire import ACK, PSH, RST, SECOND, SYN
from tests.causes.works import swap, target

if TYPE_CHECKING:
    from tests.causes.plant import Link, Plant
    from tests.causes.wire import Host

MILLI = SECOND // 1000


def knock(p: Plant, at: int, who: Host, lasts: range, *, arp: bool) -> None:
    """Try addresses of the network one after the other."""
    net = p.hosts["hmi"].raw[:3]
    known = {h.raw[3]: h for h in p.hosts.values()}
    for n, last in enumerate(lasts):
        when = at + n * p.dice.randrange(5, 60) * MILLI
        device = known.get(last)
        if device is None or arp:
            p.at(when, lambda last=last: p.tap.arp(p.now, who, net + bytes([last])))  # type: ignore[misc]
        elif device is not who:
            p.at(when, lambda d=device: _probe(p, who, d))  # type: ignore[misc]


def _probe(p: Plant, who: Host, device: Host) -> None:
    port, seq = p.port(), p.dice.randrange(1 << 31)
    p.tap.tcp(p.now, who, port, device, p.speech.port, seq, 0, SYN)
    back = RST | ACK if p.speech.udp or not device.name.startswith("plc") else SYN | ACK
    p.tap.tcp(p.now + p.rtt(), device, p.speech.port, who, port, 0 if back & RST else 77, seq + 1, back)
    if not back & RST:
        p.tap.tcp(p.now + 2 * p.rtt(), who, port, device, p.speech.port, seq + 1, 0, RST)


@scenario("security", "scan")
def stranger_scans(p: Plant, at: int) -> None:
    """A stranger tries addresses, most of them dark."""
    knock(p, at, stranger(p), range(1, 30 + p.dice.randrange(100)), arp=p.dice.random() < 0.4)


@scenario("security", "scan")
def master_scans(p: Plant, at: int) -> None:
    """Malware on a known machine tries addresses, most of them dark."""
    knock(p, at, p.hosts[p.dice.choice(("hmi", "historian"))], range(1, 30 + p.dice.randrange(100)), arp=p.dice.random() < 0.4)


@scenario("security", "ports")
def stranger_scans_ports(p: Plant, at: int) -> None:
    """A stranger tries ports of a device."""
    who, device = stranger(p), target(p)
    for n, port in enumerate(p.dice.sample(range(1, 2000), 20 + p.dice.randrange(60))):
        sport, seq = p.port(), p.dice.randrange(1 << 31)
        when = at + n * 20 * MILLI
        p.at(when, lambda s=sport, q=seq, t=port: p.tap.tcp(p.now, who, s, device, t, q, 0, SYN))  # type: ignore[misc]
        p.at(when + MILLI, lambda s=sport, q=seq, t=port: p.tap.tcp(p.now, device, t, who, s, 0, q + 1, RST | ACK))  # type: ignore[misc]


@scenario("security", "write")
def stranger_writes(p: Plant, at: int) -> None:
    """A stranger writes at once, again and again, to one device or several."""
    who = stranger(p)
    for n, device in enumerate(p.dice.sample(devices(p), 1 + p.dice.randrange(2))):
        acts = [("new-write", k % 3, p.dice.randrange(60_000)) for k in range(3 + p.dice.randrange(12))]
        visit(p, at + n * 4 * SECOND, who, device, acts, p.dice.uniform(0.1, 0.6))


@scenario("security", "write")
def stranger_replays(p: Plant, at: int) -> None:
    """A stranger sends again what the HMI once wrote."""
    acts = [("write", 0, p.dice.choice((560, 600, 640))) for _ in range(2 + p.dice.randrange(8))]
    visit(p, at, stranger(p), target(p), acts, p.dice.uniform(0.05, 1))


@scenario("security", "write")
def master_writes(p: Plant, at: int) -> None:
    """Malware at a machine that polls all day writes what it never wrote, fast, to several places."""
    who = p.hosts[p.dice.choice(("hmi", "historian"))]
    for n, device in enumerate(p.dice.sample(devices(p), 1 + p.dice.randrange(2))):
        acts = [("new-write", k % 4, p.dice.randrange(60_000)) for k in range(2 + p.dice.randrange(8))]
        visit(p, at + n * 3 * SECOND, who, device, acts, p.dice.uniform(0.1, 0.8))


@scenario("security", "look")
def stranger_looks(p: Plant, at: int) -> None:
    """A stranger asks every device what it is and reads."""
    who = stranger(p)
    for n, device in enumerate(devices(p)):
        acts = [("identify",), *(("read", k) for k in range(p.dice.randrange(5)))]
        visit(p, at + n * SECOND, who, device, acts, p.dice.uniform(0.05, 0.5))


@scenario("security", "errors")
def functions_tried(p: Plant, at: int) -> None:
    """A stranger or a machine that was taken over tries functions one after the other; the device refuses most."""
    who = stranger(p) if p.dice.random() < 0.6 else p.hosts["historian"]
    acts = [("odd", n) for n in p.dice.sample(range(90), 8 + p.dice.randrange(30))]
    visit(p, at, who, target(p), acts, p.dice.uniform(0.03, 0.4))


@scenario("security", "restart")
def stranger_restarts(p: Plant, at: int) -> None:
    """A stranger restarts devices."""
    for n, device in enumerate(p.dice.sample(devices(p), 1 + p.dice.randrange(2))):
        visit(p, at + n * 3 * SECOND, stranger(p), device, [("restart",)] * (1 + p.dice.randrange(3)), 0.3)
        reboot(p, at + (2 + n * 3) * SECOND, device, some(p, 6, 30))


@scenario("security", "restart")
def master_restarts(p: Plant, at: int) -> None:
    """Malware at a machine that polls all day restarts devices."""
    who = p.hosts[p.dice.choice(("hmi", "historian"))]
    for n, device in enumerate(p.dice.sample(devices(p), 1 + p.dice.randrange(2))):
        visit(p, at + n * 3 * SECOND, who, device, [("restart",)], 0.3)
        reboot(p, at + (2 + n * 3) * SECOND, device, some(p, 6, 30))


@scenario("security", "restart")
def crashed_by_bytes(p: Plant, at: int) -> None:
    """A stranger sends what the device cannot take; it crashes."""
    device = target(p)
    visit(p, at, stranger(p), device, [("odd", p.dice.randrange(90)) for _ in range(2 + p.dice.randrange(4))], 0.2)
    reboot(p, at + 2 * SECOND, device, some(p, 8, 40), some(p, 0, 5))


@scenario("security", "restart")
def opened_to_death(p: Plant, at: int) -> None:
    """A stranger opens connection after connection until the device accepts nobody."""
    who, device, gap = stranger(p), target(p), p.dice.randrange(3, 12) * MILLI

    def storm() -> None:
        for n in range(300 + p.dice.randrange(600)):
            p.tap.tcp(p.now + n * gap, who, p.port(), device, p.speech.port, p.dice.randrange(1 << 31), 0, SYN)

    p.at(at, storm)
    p.at(at + SECOND, lambda: setattr(device, "hangs", True))
    p.at(at + some(p, 15, 50), lambda: setattr(device, "hangs", False))


@scenario("security", "flood")
def stranger_floods(p: Plant, at: int) -> None:
    """A stranger sends requests as fast as it can."""
    who, device, gap = stranger(p), target(p), p.dice.randrange(1, 5) * MILLI

    def storm() -> None:
        port = p.port()
        for n in range(800 + p.dice.randrange(1200)):
            ask = p.speech.request(("read", 0), n, 1)
            if p.speech.udp:
                p.tap.udp(p.now + n * gap, who, port, device, p.speech.port, ask)
            else:
                p.tap.tcp(p.now + n * gap, who, port, device, p.speech.port, 1000 + n * len(ask), 1, PSH | ACK, ask)

    p.at(at, storm)


@scenario("security", "program")
def stranger_downloads(p: Plant, at: int) -> None:
    """A stranger stops a controller and loads a program."""
    device = target(p)
    acts = [("restart",), *(("program", n) for n in range(4 + p.dice.randrange(20)))]
    visit(p, at, stranger(p), device, acts, 0.3)
    if p.dice.random() < 0.5:
        reboot(p, at + 12 * SECOND, device, some(p, 5, 25))


@scenario("security", "program")
def master_downloads(p: Plant, at: int) -> None:
    """Malware at a machine that polls all day loads a program."""
    device = target(p)
    acts = [("restart",), *(("program", n) for n in range(4 + p.dice.randrange(20)))]
    visit(p, at, p.hosts[p.dice.choice(("hmi", "historian"))], device, acts, 0.3)
    if p.dice.random() < 0.5:
        reboot(p, at + 12 * SECOND, device, some(p, 5, 25))


def between(p: Plant, at: int, lasts: int, link: Link, who: Host) -> None:
    """Sit between two: claim both addresses, pass their frames on."""
    pair = frozenset((link.client.name, link.device.name))

    def claim() -> None:
        p.tap.arp(p.now, link.client, link.device.raw, who.mac, link.device.mac, 2)
        p.tap.arp(p.now + MILLI, link.device, link.client.raw, who.mac, link.client.mac, 2)

    for n in range(max(1, lasts // (5 * SECOND))):
        p.at(at + n * 5 * SECOND, claim)
    if p.dice.random() < 0.5:  # who takes a place needs a moment until he passes on what he gets
        p.at(at, lambda: p.muted.add(pair))
        p.at(at + some(p, 0.5, 4), lambda: p.muted.discard(pair))
    p.at(at + 10 * MILLI, lambda: p.tap.through.__setitem__(pair, who.mac))
    p.at(at + lasts, lambda: p.tap.through.pop(pair, None))


@scenario("security", "hardware")
def listens_between(p: Plant, at: int) -> None:
    """Somebody sits between a master and a device and passes everything on."""
    who = stranger(p) if p.dice.random() < 0.6 else p.hosts[p.dice.choice(("engineer", "historian"))]
    link = p.dice.choice([k for k in p.links if k.client.name == "hmi"])
    between(p, at, some(p, 15, 60), link, who)


@scenario("security", "answers")
def forges_answers(p: Plant, at: int) -> None:
    """Somebody sits between and bends the answers that one master sees."""
    who, link = stranger(p), p.dice.choice([k for k in p.links if k.client.name == "hmi"])
    lasts, place, value = some(p, 15, 50), p.dice.randrange(1, 4), p.dice.randrange(256)
    between(p, at, lasts, link, who)

    def forge(talk: Link, payload: bytes, asks: bool) -> bytes:
        if asks or talk is not link or not at <= p.now < at + lasts or len(payload) < 10:
            return payload
        return payload[: len(payload) - place] + bytes([value]) + payload[len(payload) - place + 1 :]

    p.edits.append(forge)


@scenario("security", "commands")
def forges_commands(p: Plant, at: int) -> None:
    """Somebody sits between and makes reads into writes."""
    who, link = stranger(p), p.dice.choice([k for k in p.links if k.client.name == "hmi"])
    lasts, often = some(p, 15, 50), p.dice.uniform(0.05, 0.6)
    if p.dice.random() < 0.8:
        between(p, at, lasts, link, who)

    def forge(talk: Link, payload: bytes, asks: bool) -> bytes:
        if not asks or talk is not link or not at <= p.now < at + lasts or p.dice.random() > often:
            return payload
        return p.speech.request(("new-write", p.dice.randrange(3), p.dice.randrange(60_000)), link.number, link.session)

    p.edits.append(forge)


@scenario("security", "evasion")
def injects(p: Plant, at: int) -> None:
    """Somebody who hears a connection puts a segment of his own into it, in the master's name."""
    link = p.dice.choice([k for k in p.links if k.client.name == "hmi"])

    def inject() -> None:
        ask = p.speech.request(("new-write", 0, p.dice.randrange(60_000)), link.number + 1, link.session)
        if p.speech.udp:
            p.tap.udp(p.now, link.client, p.speech.port, link.device, p.speech.port, ask)
        elif link.open:
            p.tap.tcp(p.now, link.client, link.sport, link.device, p.speech.port, link.sent, link.heard, PSH | ACK, ask)

    for n in range(1 + p.dice.randrange(4)):
        p.at(at + n * some(p, 1, 5), inject)


@scenario("security", "hardware")
def takes_the_place(p: Plant, at: int) -> None:
    """Somebody was on the network as himself, then silences a device and answers in its place."""
    who, device = stranger(p), target(p)
    visit(p, at, who, device, [("identify",), ("read", 0), ("read", 1)], 0.4)
    swap(p, at + 8 * SECOND, device, who.mac[:3], None)


@scenario("security", "answers", tells=False, odds=0.1)
def device_lies(p: Plant, at: int) -> None:
    """A device that was taken over reports what it likes, to everybody: the same as a sensor that breaks."""
    voice = p.voices[target(p).name]
    value = p.dice.choice((60_000, 32_000, 0))

    def lie() -> None:
        voice.middle[:] = [value, *voice.middle[1:]]
        voice.values[:] = voice.middle

    p.at(at, lie)


@scenario("security", "outage", tells=False, odds=0.1)
def cable_pulled(p: Plant, at: int) -> None:
    """Somebody pulls a cable: the same as one that fell out."""
    host = target(p)
    p.at(at, lambda: setattr(host, "link", False))
    p.at(at + some(p, 12, 70), lambda: setattr(host, "link", True))


@scenario("security", "reads")
def master_reads_all(p: Plant, at: int) -> None:
    """Malware at a machine that polls all day reads everything once, fast, on several devices."""
    who = p.hosts[p.dice.choice(("hmi", "historian"))]
    for n, device in enumerate(devices(p)):
        acts = [("read", 4 + k) for k in range(4 + p.dice.randrange(16))]
        visit(p, at + n * SECOND, who, device, acts, 0.08)


@scenario("security", "write")
def device_attacks(p: Plant, at: int) -> None:
    """A known machine that never asked a device anything, a device or the time server, was taken over and writes to devices."""
    who = p.dice.choice([*devices(p), p.hosts["clock"]])
    others = [d for d in devices(p) if d is not who]
    for n, device in enumerate(p.dice.sample(others, min(len(others), 1 + p.dice.randrange(2)))):
        acts = [("identify",)] * p.dice.randrange(2) + [("new-write", k % 3, 1000 + k) for k in range(1 + p.dice.randrange(6))]
        visit(p, at + n * 5 * SECOND, who, device, acts, p.dice.uniform(0.1, 2))


@scenario("security", "look")
def moves_sideways(p: Plant, at: int) -> None:
    """From a known machine to another over a service nobody used here: an exploit, a shell, files. No decoder knows it."""
    a, b = p.dice.sample([*devices(p), p.hosts["hmi"], p.hosts["historian"], p.hosts["clock"]], 2)
    port, sport, pieces = p.dice.choice((22, 135, 445, 4444, 8443, 3389)), p.port(), 2 + p.dice.randrange(60)
    gap = p.dice.randrange(5, 600) * MILLI

    def talk() -> None:
        there, back, when = 1000, 9000, p.now
        p.tap.tcp(when, a, sport, b, port, there - 1, 0, SYN)
        p.tap.tcp(when + p.rtt(), b, port, a, sport, back - 1, there, SYN | ACK)
        for _ in range(pieces):
            when += gap
            out, answer = p.dice.randbytes(20 + p.dice.randrange(900)), p.dice.randbytes(20 + p.dice.randrange(300))
            p.tap.tcp(when, a, sport, b, port, there, back, PSH | ACK, out)
            p.tap.tcp(when + MILLI, b, port, a, sport, back, there + len(out), PSH | ACK, answer)
            there, back = there + len(out), back + len(answer)

    p.at(at, talk)

"""What happens to the Modbus plant. Each script gets a standing stage whose test recording has begun."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.stage import Stage

WRITE_COILS, WRITE_REGISTER = 15, 6


def pdu(transaction: int, unit: int, body: bytes) -> str:
    """Return one Modbus/TCP message as hex (Modbus Messaging on TCP/IP 1.0b, 3.1.3)."""
    return (transaction.to_bytes(2, "big") + b"\0\0" + (len(body) + 1).to_bytes(2, "big") + bytes([unit]) + body).hex()


def quiet(stage: Stage) -> None:
    """Let the plant run; operators and drift are in the masters already."""
    stage.at(0)


def rogue(stage: Stage, episode: int, name: str, start: float, end: float) -> None:
    """Label everything the intruder's host sent as the episode, what came back to it as true but not scored."""
    stage.mark(1, episode, name, start, end, src=stage.address("intruder"))
    stage.mark(2, episode, f"{name}-answer", start, end + 2, host=stage.address("intruder"))


def attack(stage: Stage) -> None:
    """Five episodes: strange writes, a write never written, function scan, address scan, forged value."""
    tank, heater, hmi = stage.address("tank"), stage.address("heater"), stage.address("hmi")
    stage.at(12)
    coils = pdu(1, 1, bytes([WRITE_COILS, 0, 4, 0, 4, 1, 0x0F]))
    done = stage.ask("intruder", "tcp_send", host=tank, port=502, payloads=[coils] * 4, gap=0.4)
    rogue(stage, 1, "unknown-host-writes-coils", done.start, done.end)

    stage.at(26)
    done = stage.ask("hmi", "request", host=tank, fc=WRITE_REGISTER, address=46, value=9)
    asked = ((7, bytes([WRITE_REGISTER])), (8, b"\0\x2e"))
    stage.mark(1, 2, "master-writes-parameter", done.start, done.end, src=hmi, dst=tank, port=502, payload=asked)
    stage.mark(2, 2, "master-writes-parameter-answer", done.start, done.end, src=tank, dst=hmi, payload=asked)
    # from here on the rare read of registers 40-49 carries the written value: a consequence
    read = ((7, b"\x03\x14"), (8, b"\x14"), (21, b"\0\x09"))
    stage.mark(2, 2, "parameter-read-back", done.start, done.start + 600, src=tank, payload=read)

    stage.at(40)
    codes = [pdu(n, 1, bytes([n, 0, 0, 0, 1])) for n in (1, 2, 3, 4, 7, 8, 11, 12, 17, 20, 24, 43, 65, 90, 100)]
    done = stage.ask("intruder", "tcp_send", host=heater, port=502, payloads=codes, gap=0.05)
    rogue(stage, 3, "function-scan", done.start, done.end)

    stage.at(60)
    near = tank.rsplit(".", 1)[0]
    done = stage.ask("intruder", "connect_scan", hosts=[f"{near}.{n}" for n in range(1, 41)], ports=[502], gap=0.03)
    rogue(stage, 4, "address-scan", done.start, done.end + 2)

    stage.at(74)
    done = stage.ask("tank", "forge", registers={"0": 0x41A0, "1": 0, "5": 0})
    stage.at(80)
    back = stage.ask("tank", "forge", registers={})
    forged = ((7, b"\x03\x14\x41\xa0\0\0"),)
    stage.mark(1, 5, "forged-level", done.start, back.end + 0.2, src=tank, port=502, payload=forged)
    stage.mark(2, 5, "level-comes-back", done.start, back.end + 4, src=tank, port=502, payload=((7, b"\x03\x14"),))


def process(stage: Stage) -> None:
    """Two episodes in which the level is forged inside its range: off by a constant, then led away slowly."""
    tank, level = stage.address("tank"), ((7, b"\x03\x14"),)
    stage.at(20)
    done = stage.ask("tank", "shift", percent=4.0)
    stage.at(40)
    back = stage.ask("tank", "shift", percent=0.0)
    stage.mark(1, 1, "level-off-by-a-constant", done.start, back.end + 0.2, src=tank, port=502, payload=level)
    stage.mark(2, 1, "level-comes-back", done.start, back.end + 50, src=tank, port=502)

    stage.at(100)
    first = stage.ask("tank", "shift", percent=0.2)
    for second in range(1, 20):
        stage.at(100 + second)
        stage.ask("tank", "shift", percent=0.2 * (second + 1))
    stage.at(130)
    last = stage.ask("tank", "shift", percent=0.0)
    stage.mark(1, 2, "level-led-away", first.start, last.end + 0.2, src=tank, port=502, payload=level)
    stage.mark(2, 2, "level-comes-back", first.start, last.end + 50, src=tank, port=502)


def fault(stage: Stage) -> None:
    """A device reboots, a device hangs, a device answers with exceptions only."""
    tank, heater, meter = stage.address("tank"), stage.address("heater"), stage.address("meter")
    stage.at(15)
    start = stage.kill("tank")
    stage.at(23)
    stage.start("tank")
    stage.mark(0, 1, "device-reboots", start, stage.started + 32, host=tank)

    stage.at(42)
    start = stage.freeze("heater", on=True)
    stage.at(54)
    end = stage.freeze("heater", on=False)
    stage.mark(0, 2, "device-hangs", start, end + 8, host=heater)

    stage.at(68)
    begin = stage.ask("meter", "storm", on=True)
    stage.at(76)
    finish = stage.ask("meter", "storm", on=False)
    stage.mark(0, 3, "exception-storm", begin.start, finish.end + 3, host=meter)


def dark_scan(stage: Stage) -> None:
    """One host tries 239 addresses on port 502, nearly all of them dark: one episode."""
    stage.at(20)
    near = stage.address("tank").rsplit(".", 1)[0]
    hosts = [f"{near}.{n}" for n in range(1, 241) if f"{near}.{n}" != stage.address("intruder")]
    random.Random(stage.seed).shuffle(hosts)
    done = stage.ask("intruder", "connect_scan", hosts=hosts, ports=[502], gap=0.05)
    stage.mark(1, 1, "scan-of-dark-addresses", done.start, done.end + 4, src=stage.address("intruder"))
    stage.mark(2, 1, "scan-answer", done.start, done.end + 4, host=stage.address("intruder"))

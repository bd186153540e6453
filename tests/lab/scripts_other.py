"""What happens to the building, to the dosing line, and to the network itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab import dose
from tests.lab.scripts_modbus import rogue

if TYPE_CHECKING:
    from tests.lab.stage import Stage


def bacnet_attack(stage: Stage) -> None:
    """A second host looks who is there, writes a limit, asks for a restart; the station itself writes what it never wrote."""
    first, second, third = (stage.address(f"ahu{n}") for n in (1, 2, 3))
    stage.at(12)
    done = stage.ask("rogue", "request", item={"do": "who_is"})
    stage.mark(1, 1, "unknown-host-asks-who-is", done.start, done.end, src=stage.address("rogue"))
    # to a global Who-Is all devices answer, to the asker
    stage.mark(2, 1, "who-is-answer", done.start, done.end + 2, dst=stage.address("rogue"))

    stage.at(26)
    start = stage.ask("rogue", "request", item={"do": "read", "host": second, "object": "analog-value,1"}).start
    for value in (20.0, 25.0, 30.0):
        write = {"do": "write", "host": second, "object": "analog-value,2", "value": value, "priority": 8}
        done = stage.ask("rogue", "request", item=write)
    stage.mark(1, 2, "unknown-host-writes-limit", start, done.end, src=stage.address("rogue"))
    stage.mark(2, 2, "write-answer", start, done.end + 8, host=stage.address("rogue"))

    stage.at(48)
    targets = [first, second, third]
    acts = [
        stage.ask("rogue", "request", item={"do": "reinitialize", "host": host, "state": "coldstart", "password": "filister"})
        for host in targets
    ]
    stage.mark(1, 3, "unknown-host-reinitializes", acts[0].start, acts[-1].end, src=stage.address("rogue"))
    stage.mark(2, 3, "reinitialize-answer", acts[0].start, acts[-1].end + 8, host=stage.address("rogue"))

    stage.at(72)
    write = {"do": "write", "host": third, "object": "binary-output,1", "value": "inactive", "priority": 8}
    done = stage.ask("bms", "request", item=write)
    asked = ((6, b"\x02"), (9, b"\x0f\x0c\x01\0\0\1"))  # confirmed request, WriteProperty, binary-output 1
    stage.mark(1, 4, "station-stops-fan", done.start, done.end, src=stage.address("bms"), dst=third, payload=asked)
    stage.mark(2, 4, "fan-answer", done.start, done.end, src=third, payload=((6, b"\x20"),))
    # from here on the fan reads inactive; a read of binary-output 1 names it in the answer
    fan = ((8, b"\x0c\x0c\x01\0\0\1"), (17, b"\x91\0"))
    stage.mark(2, 4, "fan-reads-inactive", done.start, done.start + 600, src=third, payload=fan)


def bacnet_fault(stage: Stage) -> None:
    """A controller goes silent, another restarts, a third's cable is pulled."""
    stage.at(14)
    start = stage.freeze("ahu1", on=True)
    stage.at(26)
    end = stage.freeze("ahu1", on=False)
    stage.mark(0, 1, "controller-silent", start, end + 8, host=stage.address("ahu1"))

    stage.at(42)
    start = stage.kill("ahu2")
    stage.at(49)
    stage.start("ahu2")
    stage.mark(0, 2, "controller-restarts", start, stage.started + 62, host=stage.address("ahu2"))

    stage.at(70)
    stage.net.link("ahu3", up=False)
    stage.at(78)
    stage.net.link("ahu3", up=True)
    stage.mark(0, 3, "cable-pulled", stage.started + 70, stage.started + 90, host=stage.address("ahu3"))


def unknown_attack(stage: Stage) -> None:
    """A rogue client doses, the controller's host sends a command never used, an amount never used, a length that lies."""
    one, two = stage.address("dose1"), stage.address("dose2")
    line = stage.address("line")
    stage.at(12)
    recipe = {5: b"\0\2", 7: (900).to_bytes(2, "big")}
    payloads = [dose.message(7 + n, dose.DOSE, 1, recipe).hex() for n in range(3)]
    done = stage.ask("intruder", "tcp_send", host=one, port=dose.PORT, payloads=payloads, gap=0.5)
    rogue(stage, 1, "unknown-host-doses", done.start, done.end)
    # an overdose runs longer; the next dose order replaces it
    status = ((6, bytes([dose.STATUS | 0x80])),)
    stage.mark(2, 1, "overdose-runs", done.start, done.end + 10, src=one, dst=line, payload=status)

    stage.at(32)
    done = stage.ask("line", "request", host=two, command=dose.FLUSH, items={})
    asked = ((6, bytes([dose.FLUSH])),)
    stage.mark(1, 2, "controller-sends-unused-command", done.start, done.end, src=line, dst=two, payload=asked)
    stage.mark(2, 2, "unused-command-answer", done.start, done.end, src=two, payload=((6, bytes([dose.FLUSH | 0x80])),))

    stage.at(50)
    amount = 6000
    done = stage.ask("line", "request", host=one, command=dose.DOSE, items={"5": "0001", "7": amount.to_bytes(2, "big").hex()})
    order = ((6, bytes([dose.DOSE])), (12, b"\x07\x02" + amount.to_bytes(2, "big")))
    stage.mark(1, 3, "controller-overdoses", done.start, done.end, src=line, dst=one, payload=order)
    # the station doses on until the next dose order replaces this one
    stage.mark(2, 3, "overdose-answer", done.start, done.end, src=one, dst=line)
    stage.mark(2, 3, "overdose-runs", done.start, done.end + 10, src=one, dst=line, payload=status)

    stage.at(72)
    good = dose.message(1, dose.STATUS, 2, {}).hex()
    lie = bytearray(dose.message(2, dose.DOSE, 2, {5: b"\0\1", 7: b"\0\x5a"}))
    lie[3] = 0xF0  # the length field announces more than there is
    done = stage.ask("intruder", "tcp_send", host=two, port=dose.PORT, payloads=[good, bytes(lie).hex()], gap=0.3)
    rogue(stage, 4, "length-lies", done.start, done.end)


def network_fault(stage: Stage) -> None:
    """A cable loses and doubles frames, then a master's link flaps, then the cable breaks for a while."""
    tank, historian = stage.address("tank"), stage.address("historian")
    stage.at(14)
    start = stage.ask("tank-cable", "impair", loss=0.15, double=0.15).start
    stage.at(34)
    end = stage.ask("tank-cable", "impair", loss=0.0, double=0.0).end
    stage.mark(0, 1, "bad-cable", start, end + 6, host=tank)

    stage.at(50)
    for n in range(3):
        stage.at(50 + 4 * n)
        stage.net.link("historian", up=False)
        stage.at(52 + 4 * n)
        stage.net.link("historian", up=True)
    stage.mark(0, 2, "link-flaps", stage.started + 50, stage.started + 72, host=historian)

    stage.at(78)
    start = stage.ask("tank-cable", "impair", loss=1.0, double=0.0).start
    stage.at(86)
    end = stage.ask("tank-cable", "impair", loss=0.0, double=0.0).end
    stage.mark(0, 3, "cable-broken", start, end + 7, host=tank)

"""What happens to the EtherNet/IP plant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.scripts_modbus import rogue

if TYPE_CHECKING:
    from tests.lab.stage import Stage

PORT = 44818
SETPOINT_IN_PACKED_ANSWER = 96  # of the HMI's Multiple Service Packet: Level, Flow, Zones, Setpoint, Running
REGISTER = bytes.fromhex("65000400" + "00" * 20 + "01000000")
LIST_IDENTITY = bytes.fromhex("63000000" + "00" * 20)


def send_rr(session: int, cip: bytes) -> bytes:
    """Return a SendRRData with one unconnected message (CIP volume 2, 2-4.7)."""
    data = bytes(6) + bytes.fromhex("02000000 0000b200") + len(cip).to_bytes(2, "little") + cip
    return b"\x6f\0" + len(data).to_bytes(2, "little") + session.to_bytes(4, "little") + bytes(16) + data


def attack(stage: Stage) -> None:
    """Look around, write a tag from a strange host, write a tag nobody writes, ask a controller to reset."""
    mixer, oven, hmi = stage.address("mixer"), stage.address("oven"), stage.address("enip-hmi")
    stage.at(12)
    first = stage.ask("intruder", "udp_send", host=mixer, port=PORT, payloads=[LIST_IDENTITY.hex()] * 2, gap=0.2)
    last = stage.ask("intruder", "udp_send", host=oven, port=PORT, payloads=[LIST_IDENTITY.hex()] * 2, gap=0.2)
    rogue(stage, 1, "unknown-host-lists-identity", first.start, last.end)

    stage.at(30)
    # 620 lies between values the operator uses, so the level stays where it has been; only the set-point itself is strange
    done = stage.ask("originator", "request", host=mixer, operations=["Setpoint=(DINT)620"])
    stage.mark(1, 2, "unknown-host-writes-setpoint", done.start, done.end, src=stage.address("originator"))
    stage.mark(2, 2, "unknown-host-answer", done.start, stage.started + 600, host=stage.address("originator"))
    read_back = ((SETPOINT_IN_PACKED_ANSWER, (620).to_bytes(4, "little")),)
    stage.mark(2, 2, "setpoint-read-back", done.start, done.start + 60, src=mixer, dst=hmi, payload=read_back)

    stage.at(58)
    done = stage.ask("enip-hmi", "request", host=oven, operations=["Limit_High=(REAL)140.0"])
    stage.mark(1, 3, "master-writes-limit", done.start, done.end, src=hmi, dst=oven, port=PORT, payload=((0, b"\x6f"),))
    stage.mark(2, 3, "master-writes-limit-answer", done.start, done.end, src=oven, dst=hmi)

    stage.at(74)
    reset = send_rr(0, bytes.fromhex("0502200124010000"))
    payloads = [REGISTER.hex(), reset.hex(), reset.hex()]
    done = stage.ask("implant", "tcp_send", host=mixer, port=PORT, payloads=payloads, gap=0.3)
    # the implant shares the HMI's address: its own connection is told apart by its port
    own = done.result["port"]
    stage.mark(1, 4, "master-resets-controller", done.start, done.end, src=hmi, dst=mixer, port=own)
    stage.mark(2, 4, "reset-answer", done.start, done.end + 3, host=mixer, port=own)


def fault(stage: Stage) -> None:
    """A controller reboots, another's cable is pulled, the first hangs."""
    mixer, oven = stage.address("mixer"), stage.address("oven")
    stage.at(14)
    start = stage.kill("mixer")
    stage.at(20)
    stage.start("mixer")
    stage.mark(0, 1, "controller-reboots", start, stage.started + 32, host=mixer)

    stage.at(42)
    stage.net.link("oven", up=False)
    stage.at(54)
    stage.net.link("oven", up=True)
    stage.mark(0, 2, "cable-pulled", stage.started + 42, stage.started + 62, host=oven)

    stage.at(70)
    start = stage.freeze("mixer", on=True)
    stage.at(79)
    end = stage.freeze("mixer", on=False)
    stage.mark(0, 3, "controller-hangs", start, end + 8, host=mixer)

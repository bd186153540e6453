"""A standing plant of real peers and how to act in it: devices, the master, who means well and who does not."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.causes.speech import SPEECHES
from tests.lab import net, plants
from tests.lab.net import LabError
from tests.lab.scripts_enip import REGISTER, send_rr
from tests.lab.scripts_modbus import pdu
from tests.lab.stage import Host, Stage

if TYPE_CHECKING:
    from tests.causes.speech import Act

# What a device's sensor shows when it breaks, as its program is told to.
BROKEN = {"modbus": {"1": 60_000}, "enip": {"Level": 9999.0}, "bacnet": {"zone1": 327.7}}


@dataclass
class Bench:
    """One standing plant and how to act in it.

    devices, master   names of hosts; later: what puts the plant right again once the recording is closed
    parties           addresses that the event is about, the master's only where it happens to the master itself
    """

    protocol: str
    stage: Stage
    devices: list[str]
    master: str
    dice: random.Random
    later: list[Callable[[], object]] = field(default_factory=list)
    parties: set[str] = field(default_factory=set)

    @property
    def port(self) -> int:
        """Where devices serve."""
        return SPEECHES[self.protocol].port

    def ask(self, who: str, do: str, **order: Any) -> None:
        """Give an order, which makes the host a party; LabError where it could not even understand it.

        Whether a device accepts what it is sent is the device's affair.
        """
        if who in self.stage.hosts and self.stage.hosts[who].address != self.stage.address(self.master):
            self.about(who)
        result = self.stage.ask(who, do, **order).result
        if str(result).startswith(("failed: KeyError", "failed: ValueError")):
            raise LabError(f"{who} could not {do}: {result}; see its module in tests/lab/peers")

    def about(self, name: str) -> str:
        """Say that the event is about this host; returns its name."""
        self.parties.add(self.stage.address(name))
        return name

    def device(self) -> str:
        """Any device; the event is about it."""
        return self.about(self.dice.choice(self.devices))

    def send(self, who: str, device: str, acts: list[Act], gap: float) -> None:
        """Acts from a host that sends plain bytes."""
        host, payloads = self.stage.address(self.about(device)), [self.payload(a, n) for n, a in enumerate(acts, 1)]
        if self.protocol == "bacnet":
            self.ask(who, "udp_send", host=host, port=47808, source_port=0, payloads=payloads, gap=gap)
            return
        opening = [REGISTER.hex()] if self.protocol == "enip" else []
        self.ask(who, "tcp_send", host=host, port=self.port, payloads=opening + payloads, gap=gap)

    def payload(self, act: Act, number: int) -> str:
        """An act as the lab's devices take it; ("poll",) is what the master asks all day, ("usual", value) what it writes."""
        if act[0] in _OWN:
            return _OWN[act[0]][self.protocol](number, act).hex()
        if self.protocol == "modbus" and act[0] == "new-write":
            return pdu(number, 1, bytes([6, 0, 40 + act[1], *act[2].to_bytes(2, "big")]))
        if self.protocol == "enip" and act[0] == "new-write":
            value = (act[2] & 0xFF).to_bytes(4, "little")
            return send_rr(0, b"\x4d\x05\x91\x08Watchdog\xc4\0\1\0" + value).hex()
        return SPEECHES[self.protocol].request(act, number, 0).hex()

    def ask_master(self, modbus: dict[str, Any], enip: str, bacnet: dict[str, Any]) -> None:
        """Let the master's own program do something on the first device."""
        host = self.stage.address(self.about(self.devices[0]))
        orders = {
            "modbus": {"host": host, **modbus}, "enip": {"host": host, "operations": [enip]},
            "bacnet": {"item": {"host": host, **bacnet}},
        }  # fmt: skip
        self.ask(self.master, "request", **orders[self.protocol])

    def off(self, device: str, seconds: float, *, dark: bool = True) -> None:
        """A device without power for a while; not `dark`: only its program is gone."""
        if dark:
            self.stage.net.link(device, up=False)
        self.stage.kill(device)
        time.sleep(seconds)
        if dark:
            self.stage.net.link(device, up=True)
        self.stage.start(device)

    def exchange(self, name: str) -> None:
        """Another machine of the same maker takes a host's place after a while in the dark; the old one returns later."""
        namespace, old = self.stage.net.namespace(self.about(name)), net.mac_of(self.stage.address(name))
        self.stage.net.link(name, up=False)
        self.stage.kill(name)
        time.sleep(self.dice.uniform(12, 18))
        fresh = old[:8] + "".join(f":{self.dice.randrange(256):02x}" for _ in range(3))
        net.ip_batch([f"link set eth0 address {fresh}"], namespace)
        self.stage.net.link(name, up=True)
        self.stage.start(name)
        self.later.append(lambda: net.ip_batch([f"link set eth0 address {old}"], namespace))

    def renew(self, device: str, seconds: float) -> None:
        """The device restarts and says another product, or name, of itself; it is the old one again once all is recorded."""
        old = self.stage.hosts[device]
        self.stage.hosts[device] = replace(old, spec={**old.spec, "product": "NX-5", "name": f"{device}-2"})
        self.off(device, seconds)

        def restore() -> None:
            self.stage.hosts[device] = old
            self.off(device, 0.5, dark=False)

        self.later.append(restore)

    def tidy(self) -> None:
        """Put the plant right again."""
        while self.later:
            self.later.pop()()
        self.parties.clear()


def _read_property(number: int, _: Act) -> bytes:
    return bytes.fromhex("810a001101040005") + bytes([number & 0xFF]) + b"\x0c\x0c" + struct.pack(">I", 9) + b"\x19\x55"


def _write_property(number: int, act: Act) -> bytes:
    return SPEECHES["bacnet"].request(("write", 1, float(act[1]) / 8), number, 0)


_OWN: dict[str, dict[str, Callable[[int, Act], bytes]]] = {
    "poll": {
        "modbus": lambda n, _: bytes.fromhex(pdu(n, 1, bytes([3, 0, 0, 0, 10]))),
        "enip": lambda _n, _a: send_rr(0, b"\x4c\x05\x91\x08Watchdog\x01\0"),
        "bacnet": _read_property,
    },
    "usual": {
        "modbus": lambda n, a: bytes.fromhex(pdu(n, 1, bytes([6, 0, 4, *a[1].to_bytes(2, "big")]))),
        "enip": lambda _n, a: send_rr(0, b"\x4d\x05\x91\x08Setpoint\xc4\0\1\0" + a[1].to_bytes(4, "little")),
        "bacnet": _write_property,
    },
}


def hosts(protocol: str, near: str) -> tuple[list[Host], list[str], str]:
    """The plant with an engineering station, implants at the master and in a device, and a laptop; devices, the master."""
    others = {"enip": plants.enip, "bacnet": plants.bacnet}
    plant = others[protocol](near) if protocol in others else plants.modbus(near)
    devices = {"modbus": ["tank", "heater"], "enip": ["mixer", "oven"], "bacnet": ["ahu1", "ahu2", "ahu3"]}[protocol]
    master = {"modbus": "hmi", "enip": "enip-hmi", "bacnet": "bms"}[protocol]
    plant = [replace(h, cable=h.name == devices[0]) for h in plant]
    at = {h.name: h.address for h in plant}
    more = [
        Host("engineer", f"{near}.61", "intruder", {"ntp": f"{near}.2"}),
        Host("laptop", f"{near}.66", "spoofer"),
        Host("implant", at[master], "intruder", inside=master),
        Host("worm", at[devices[-1]], "intruder", inside=devices[-1]),
    ]
    return [*plants.office(near), *plant, *more], devices, master

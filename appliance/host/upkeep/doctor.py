"""Looking at the machine for `sekisho doctor`: its ports, disk, clock and kernel, what the keeper says, and the mirror itself."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from appliance.decode.headers import DecodeState, decode
from appliance.decode.names import address_halves
from appliance.errors import LiveError, RulesError
from appliance.host.capture.af_packet import LINKS, MappedRing, open_ring
from appliance.host.capture.offloads import offloads_on
from appliance.host.control import KEEPER, ask
from appliance.host.enforcer.nft import Nft
from appliance.host.privileges import NET_ADMIN, effective
from appliance.packets.ringshape import RingShape
from appliance.report.machine import Facts
from appliance.report.mirror import Address, Mirror

if TYPE_CHECKING:
    from appliance.config import Config

SHAPE = RingShape(1 << 16, 256, 50)
_LOOK_S = 0.1
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_PROBE = "table {family} sekisho_probe {{\nchain c {{\ntype filter hook forward priority 0\n{rule}\n}}\n}}\n"
_PROBES = {"payload": "tcp dport 502 @ih,56,8 5 counter drop", "reset": "tcp dport 502 counter reject with tcp reset"}
_TIMEX = 256  # bytes; struct timex takes 208
_BAD = ("rx_errors", "rx_missed_errors")  # rx_dropped also counts what no protocol of this machine wanted
_UP = 0x10000  # IFF_LOWER_UP


@dataclass(frozen=True, slots=True)
class Link:
    """One port of this machine; `frames` and `bad` since it came up: received, damaged or missed by the card."""

    index: int
    up: bool
    kind: int
    addresses: frozenset[Address] = frozenset()
    frames: int = 0
    bad: int = 0


@dataclass(slots=True)
class _Look:
    """One interface that is looked at."""

    ring: MappedRing
    mirror: Mirror
    decoding: DecodeState = field(default_factory=DecodeState)

    def take(self) -> None:
        while (batch := self.ring.reader.take(self.mirror.frames + 1)) is not None:
            self.mirror.add(decode(batch, self.decoding))


def links() -> dict[str, Link]:
    """All ports of this machine by name. Raises LiveError."""
    try:
        with IPRoute() as route:
            found: dict[str, Link] = {}
            own: dict[int, set[Address]] = {}
            for row in route.get_addr():
                own.setdefault(row["index"], set()).add(address_halves(str(row.get_attr("IFA_ADDRESS"))))
            for row in route.get_links():
                addresses = frozenset(own.get(row["index"], ()))
                told = row.get_attr("IFLA_STATS64") or {}
                bad = sum(int(told.get(name, 0)) for name in _BAD)
                up, frames = bool(row["flags"] & _UP), int(told.get("rx_packets", 0))
                found[str(row.get_attr("IFLA_IFNAME"))] = Link(row["index"], up, row["ifi_type"], addresses, frames, bad)
            return found
    except (OSError, NetlinkError) as error:
        raise LiveError(f"the ports of this machine cannot be listed: {error}; run it where the appliance runs") from error


def examine(config: Config, program: str, seconds: float) -> tuple[Facts, dict[str, Mirror]]:
    """Look at everything, and at each interface for so long; what cannot be looked at is said in the facts. Raises LiveError."""
    here = links()
    wanted = config.capture.interfaces
    ports = {name: here[name].up if name in here else None for name in wanted}
    snapshot, silence = _snapshot(Path(config.runtime) / KEEPER.socket)
    mirrors, refused = watch({name: here[name] for name in wanted if name in here}, config, program, seconds, here)
    free, size, read_only, why = _disk(config.directory)
    rules, abilities = _rules(config.enforce is not None and config.enforce.bridge)
    facts = Facts(
        now=time.time_ns(),
        snapshot=snapshot,
        silence=silence,
        ports=ports,
        cards={name: (here[name].frames, here[name].bad) for name in wanted if name in here},
        offloads={name: offloads_on(name, switch_off=False) for name in wanted if name in here},
        refused=refused,
        free=free,
        size=size,
        read_only=read_only,
        disk=why,
        synchronised=_synchronised(),
        rules=rules,
        abilities=abilities,
        enforces=config.enforce is not None and bool(config.enforce.policy),
    )
    return facts, mirrors


def watch(
    wanted: dict[str, Link], config: Config, program: str, seconds: float, here: dict[str, Link]
) -> tuple[dict[str, Mirror], dict[str, str]]:
    """What each interface shows in so many seconds, through the filter of the configuration; and which cannot be opened, why."""
    own, shared = frozenset(a for link in here.values() for a in link.addresses), Mirror()
    looks: dict[str, _Look] = {}
    refused: dict[str, str] = {}
    instructions = config.capture.instructions(program)
    try:
        for name, link in wanted.items():
            try:
                if link.kind not in LINKS:
                    raise LiveError(f"its kind (ARPHRD {link.kind}) is not read")
                opened = open_ring(name, link.index, SHAPE, instructions, promiscuous=config.capture.promiscuous)
                mirror = Mirror(own, flows=shared.flows, senders=shared.senders, receivers=shared.receivers, looked=seconds)
                looks[name] = _Look(MappedRing(opened, SHAPE, LINKS[link.kind], len(looks)), mirror)
            except LiveError as error:
                refused[name] = str(error)
        end = time.monotonic() + seconds if looks else 0.0
        while time.monotonic() < end:
            time.sleep(_LOOK_S)
            for look in looks.values():
                look.take()
        for look in looks.values():
            look.mirror.missed = look.ring.count().dropped
        return {name: look.mirror for name, look in looks.items()}, refused
    finally:
        for look in looks.values():
            look.ring.close()


def _snapshot(path: Path) -> tuple[dict[str, Any] | None, str]:
    try:
        return ask(path, {"verb": "snapshot"})["snapshot"], ""
    except (LiveError, KeyError) as error:
        return None, str(error)


def _disk(directory: str) -> tuple[int, int, bool, str]:
    """Free bytes, size, whether it is read-only, why that is not known."""
    try:
        room = os.statvfs(directory)
    except OSError as error:
        return 0, 0, False, f"{directory}: {error.strerror}"
    return room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize, bool(room.f_flag & os.ST_RDONLY), ""


def _synchronised() -> bool | None:
    """Whether a time service keeps the clock (adjtimex(2), which only reads with modes 0)."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = int(libc.adjtimex(ctypes.create_string_buffer(_TIMEX)))
    return None if state < 0 else state != _UNSYNCHRONISED


def _rules(bridge: bool) -> tuple[str, dict[str, bool]]:
    """What is wrong with nftables, "" if nothing; what the kernel can, by asking it for rules that are never set."""
    try:
        nft = Nft()
    except RulesError as error:
        return str(error), {}
    if not effective() >> NET_ADMIN & 1:
        return "", {}
    family = "bridge" if bridge else "inet"
    return "", {name: nft.would(_PROBE.format(family=family, rule=rule)) for name, rule in _PROBES.items()}

"""Who stands where at a site, derived from a baseline: who asks, who serves, which groups and which hardware are known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.decode.conversation import Address, Port, is_group
from appliance.learn.counting.counts import SECOND

if TYPE_CHECKING:
    from appliance.learn.baselines.baseline import Baseline

TRANSPORTS = (6, 17)
ANNOUNCED = 30 * SECOND  # interval at which stations announce themselves (LLDP's usual one: IEEE 802.1AB-2016, 9.2.5.7)
MAPPED = 0xFFFF_0000_0000  # lower half of ::ffff:a.b.c.d


@dataclass(slots=True)
class Standing:
    """What the detectors of newcomers look up.

    asks, serves   addresses that asked somebody over TCP or UDP, and that answered somebody
    present        IPv4 addresses of known assets; hardware: hardware addresses of known assets
    groups         ports and ethertypes that are used towards a group or without IP; joined: IPv4 groups that are known
    clients        (server, port) -> addresses that asked it; servers: (client, port) -> addresses it asked
    owner          hardware address -> the one IPv4 address behind it; none for routers
    brief          less was watched than ANNOUNCED: what stations say now and then to all was hardly heard
    """

    asks: set[Address] = field(default_factory=set)
    serves: set[Address] = field(default_factory=set)
    present: set[int] = field(default_factory=set)
    hardware: set[int] = field(default_factory=set)
    groups: set[Port] = field(default_factory=set)
    joined: set[int] = field(default_factory=set)
    clients: dict[tuple[Address, Port], set[Address]] = field(default_factory=lambda: defaultdict(set))
    servers: dict[tuple[Address, Port], set[Address]] = field(default_factory=lambda: defaultdict(set))
    owner: dict[int, Address] = field(default_factory=dict)
    brief: bool = False


def standing(baseline: Baseline) -> Standing:
    """Look through a baseline once."""
    known = Standing(joined=set(baseline.joined), brief=baseline.watched < ANNOUNCED)
    for c in baseline.conversations:
        if c.group or c.port[0] < 0:
            known.groups.add(c.port)
            if c.server[1] >> 32 == 0xFFFF and is_group(c.server):
                known.joined.add(c.server[1] & 0xFFFF_FFFF)
            continue
        if c.port[0] not in TRANSPORTS:
            continue
        known.asks.add(c.client)
        if baseline.number(c, "answers"):
            known.serves.add(c.server)
            known.clients[c.server, c.port].add(c.client)
            known.servers[c.client, c.port].add(c.server)
    behind: dict[int, set[Address]] = defaultdict(set)
    for address, asset in baseline.assets.items():
        known.hardware |= asset.macs
        if address[0] == 0 and address[1] >> 32 == 0xFFFF:
            known.present.add(address[1] & 0xFFFF_FFFF)
            for mac in asset.macs:
                behind[mac].add(address)
    known.owner = {mac: min(addresses) for mac, addresses in behind.items() if len(addresses) == 1}
    return known

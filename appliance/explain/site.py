"""What learning knew of who takes part in an incident: cyclic masters, people's stations, partners, hardware addresses.

Who acts is evidence for a cause. A station that talked now and then while learning, as people do, and a master that polled
all the time are told apart here; both from one that nobody knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.decode.names import address_text, mac_text
from appliance.learn.counting.counts import BLOCK

if TYPE_CHECKING:
    from appliance.learn.baselines.baseline import Baseline


@dataclass(frozen=True, slots=True)
class Partner:
    """What was learned of one address.

    presence   by service it asked for: share (0..1) of the 10 s blocks of learning in which its most regular conversation was
               active; what a machine asks for all day is told from what a person asks for now and then
    servers    addresses it asked; clients: addresses that asked it; services: those it served ("tcp/502")
    """

    presence: Mapping[str, float] = field(default_factory=dict)
    servers: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Site:
    """Who was there while learning.

    partners   by address as text; owners: addresses by hardware address as text
    """

    partners: Mapping[str, Partner] = field(default_factory=dict)
    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def knows(self, address: str) -> bool:
        """True for an address that was seen while learning."""
        return address in self.partners

    def of(self, address: str) -> Partner:
        """What was learned of an address; empty for a stranger."""
        return self.partners.get(address, _STRANGER)


_STRANGER = Partner()


def site_of(baseline: Baseline) -> Site:
    """What a baseline knows of who takes part."""
    servers: dict[str, set[str]] = defaultdict(set)
    clients: dict[str, set[str]] = defaultdict(set)
    services: dict[str, set[str]] = defaultdict(set)
    presence: dict[str, dict[str, float]] = defaultdict(dict)
    blocks = max(1.0, baseline.watched / BLOCK)
    for conversation in baseline.conversations:
        if conversation.group or conversation.port[0] < 0:
            continue
        client, server = address_text(*conversation.client), address_text(*conversation.server)
        share = min(1.0, baseline.number(conversation, "blocks") / blocks)
        presence[client][conversation.service] = max(presence[client].get(conversation.service, 0.0), share)
        servers[client].add(server)
        clients[server].add(client)
        services[server].add(conversation.service)
    owners: dict[str, set[str]] = defaultdict(set)
    partners: dict[str, Partner] = {}
    for address, asset in baseline.assets.items():
        name = address_text(*address)
        partners[name] = Partner(presence[name], frozenset(servers[name]), frozenset(clients[name]), frozenset(services[name]))
        for mac in asset.macs:
            owners[mac_text(mac)].add(name)
    return Site(partners, {mac: frozenset(names) for mac, names in owners.items()})

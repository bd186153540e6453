"""What the kernel has counted under the rules in force: in shadow, for the promotion gate; and what it could not look into."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from appliance.decide.gate import Shadow
from appliance.decide.records import service_from
from appliance.decide.rules import Mode, Network, Service
from appliance.enforce.table import ASKED, CUT, TABLE, family, shadow_set
from appliance.errors import RulesError

if TYPE_CHECKING:
    from appliance.decide.rules import Generation
    from appliance.host.nft import Nft

_ELEMENT = re.compile(r"([0-9a-f.:/]+) \. (tcp|udp) \. (\d+) counter packets (\d+)")
_COUNTER = re.compile(r"packets (\d+)")
Seen = dict[tuple[Network, Service], Shadow]


def shadow_of(nft: Nft, g: Generation, since: int, now: int) -> Seen:
    """What was seen of every service in shadow since the tables were laid out (`since`, ns). Raises RulesError.

    Counters begin anew when tables are laid out: after a start of the machine, or new rules.
    """
    asked, cut = _counted(nft, g, ASKED), _counted(nft, g, CUT)
    keys = [(p.server, p.service) for p in g.protected if p.mode is Mode.SHADOW]
    return {key: Shadow(asked.get(key, 0), cut.get(key, 0), since, now) for key in keys}


def _counted(nft: Nft, g: Generation, what: str) -> dict[tuple[Network, Service], int]:
    texts = (nft.run(f"list set {family(g)} {TABLE} {shadow_set(g.number, what, v)}") for v in (4, 6))
    rows = (found for text in texts for found in _ELEMENT.findall(text))
    return {(ip_network(server), Service(transport, int(port))): int(packets) for server, transport, port, packets in rows}


def opaque_of(nft: Nft, g: Generation) -> int:
    """Packets that passed without a look inside: tags inside tags, labels, tunnels. Raises RulesError."""
    found = _COUNTER.search(nft.run(f"list counter {family(g)} {TABLE} g{g.number}_opaque"))
    return int(found[1]) if found else 0


def shadow_json(number: int, seen: Seen) -> dict[str, Any]:
    """The enforcer's answer: assets as [server, service, requests, of these refused, since, until]."""
    rows = [[str(server), str(service), s.requests, s.refused, s.since, s.until] for (server, service), s in seen.items()]
    return {"generation": number, "assets": rows}


def shadow_from(answer: dict[str, Any]) -> Seen:
    """What the enforcer answered. Raises RulesError where it is nothing of the kind."""
    try:
        return {(ip_network(row[0]), service_from(row[1])): Shadow(*map(int, row[2:6])) for row in answer["assets"]}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RulesError(f"the enforcer's count of the shadow cannot be read ({error}); are both of one version?") from error

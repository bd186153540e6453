"""What shadow has counted goes on under new rules, asset by asset, where the asset's own rule is the same.

An edit elsewhere must not cost the cycles that were watched; a rule that could refuse what it did not refuse before must.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from appliance.decide.judge import joinable
from appliance.decide.rules import Mode
from appliance.enforce.table import Look, look_of

if TYPE_CHECKING:
    from appliance.decide.gate import Seen
    from appliance.decide.rules import Allow, Generation, Network, Service

Said = frozenset[tuple[object, ...]]


def carried(seen: Seen, before: Generation, after: Generation) -> Seen:
    """Of what was `seen` while traffic followed `before`, all that still holds for `after`."""
    if before.bridge != after.bridge or set(before.never) != set(after.never):
        return {}
    old, new = _Rules(before), _Rules(after)
    shadowed = {(p.server, p.service) for p in after.protected if p.mode is Mode.SHADOW}
    kept = {service for service in {service for _, service in shadowed} if _as_wide(old.look(service), new.look(service))}
    return {
        (server, service): count
        for (server, service), count in seen.items()
        if (server, service) in shadowed and service in kept and old.of(server, service) == new.of(server, service)
    }


class _Rules:
    """What a generation allows, by service and server."""

    def __init__(self, g: Generation) -> None:
        self._services: dict[Service, list[Allow]] = defaultdict(list)
        self._hosts: dict[tuple[Network, Service], list[Allow]] = defaultdict(list)
        self._wide: dict[Service, list[Allow]] = defaultdict(list)  # towards more than one host
        for a in g.allowed:
            self._services[a.service].append(a)
            if a.server.num_addresses == 1:
                self._hosts[a.server, a.service].append(a)
            else:
                self._wide[a.service].append(a)

    def look(self, service: Service) -> Look:
        """Where the kernel looks into its messages."""
        return look_of(self._services[service])

    def of(self, server: Network, service: Service) -> Said:
        """What is allowed towards an asset, apart from sizes and reasons: sizes are the service's, see `look`."""
        host = server.num_addresses == 1
        found = [*self._hosts[server, service], *self._wide[service]] if host else self._services[service]
        mine = (a for a in found if a.server.version == server.version and a.server.overlaps(server))
        return frozenset((a.client, a.server, a.offset, frozenset(a.patterns), a.framing) for a in mine)


def _as_wide(old: Look, new: Look) -> bool:
    """Whether all that passed one look passes the other: sizes of other assets may have been added."""
    if (old.offset, old.framing) != (new.offset, new.framing) or new.sized > old.sized:
        return False
    return not new.sized or (set(old.sizes) <= set(new.sizes) and set(joinable(old.sizes)) <= set(joinable(new.sizes)))

"""What the kernel has counted under the rules in force: in shadow, for the promotion gate; and what it could not look into."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from appliance.decide.gate import Seen, Shadow
from appliance.decide.records import service_from
from appliance.decide.rules import Generation, Mode, Network, Service
from appliance.enforce.carrying import carried
from appliance.enforce.table import ASKED, CUT, TABLE, family, shadow_set
from appliance.errors import RulesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.host.enforcer.nft import Nft

_ELEMENT = re.compile(r"([0-9a-f.:/]+) \. (tcp|udp) \. (\d+) counter packets (\d+)")
_COUNTER = re.compile(r"packets (\d+)")


@dataclass(slots=True)
class Counting:
    """What shadow has counted: the kernel since the tables were laid out, and before that what still holds.

    generations  whose rules are in the kernel; traffic follows the last one
    laid         ns since the epoch at which the tables were laid out: their counters begin there
    kept         counted under earlier tables; seen: all, as it was last read
    """

    generations: tuple[Generation, ...]
    laid: int
    kept: Seen = field(default_factory=dict)
    seen: Seen = field(default_factory=dict)

    @classmethod
    def from_state(cls, state: dict[str, Any] | None, laid: int, generations: tuple[Generation, ...]) -> Counting:
        """As `state` had it, none where it is of another generation. Raises KeyError, TypeError, ValueError, IndexError."""
        if state is None or state["number"] != generations[-1].number:
            return cls(generations, laid)
        return cls(generations, laid, _seen_from(state["kept"]), _seen_from(state["seen"]))

    def state(self) -> dict[str, Any]:
        """In plain types, for the ledger."""
        return {"number": self.generations[-1].number, "kept": _rows(self.kept), "seen": _rows(self.seen)}

    def look(self, nft: Nft, now: int) -> Seen:
        """All that was counted until `now` (ns). Raises RulesError where the kernel cannot say."""
        asked, cut = (_counted(nft, self.generations, what) for what in (ASKED, CUT))
        keys = [(p.server, p.service) for p in self.generations[-1].protected if p.mode is Mode.SHADOW]
        since = {key: Shadow(asked[key], cut[key], self.laid, now) for key in keys}
        self.seen = {key: self.kept[key].and_then(new) if key in self.kept else new for key, new in since.items()}
        return self.seen

    def before(self, nft: Nft, now: int) -> None:
        """The tables are about to be laid out anew: their counters are read once more, where they still are there."""
        with contextlib.suppress(RulesError):
            self.look(nft, now)

    def go_on(self, generations: tuple[Generation, ...], now: int) -> None:
        """The tables were laid out anew: of what was last seen counts on what holds for the rules that are followed now."""
        self.kept = self.seen = carried(self.seen, self.generations[-1], generations[-1])
        self.generations, self.laid = generations, now


def _counted(nft: Nft, generations: Sequence[Generation], what: str) -> Counter[tuple[Network, Service]]:
    """Packets by service of an asset: traffic may have followed one generation first, then another."""
    found: Counter[tuple[Network, Service]] = Counter()
    for g in generations:
        for version in (4, 6):
            text = nft.run(f"list set {family(g)} {TABLE} {shadow_set(g.number, what, version)}")
            for server, transport, port, packets in _ELEMENT.findall(text):
                found[ip_network(server), Service(transport, int(port))] += int(packets)
    return found


def opaque_of(nft: Nft, g: Generation) -> int:
    """Packets that passed without a look inside: tags inside tags, labels, tunnels. Raises RulesError."""
    found = _COUNTER.search(nft.run(f"list counter {family(g)} {TABLE} g{g.number}_opaque"))
    return int(found[1]) if found else 0


def shadow_json(number: int, seen: Seen) -> dict[str, Any]:
    """The enforcer's answer: assets as [server, service, requests, of these refused, since, until]."""
    return {"generation": number, "assets": _rows(seen)}


def shadow_from(answer: dict[str, Any]) -> Seen:
    """What the enforcer answered. Raises RulesError where it is nothing of the kind."""
    try:
        return _seen_from(answer["assets"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RulesError(f"the enforcer's count of the shadow cannot be read ({error}); are both of one version?") from error


def _rows(seen: Seen) -> list[list[Any]]:
    return [[str(server), str(service), s.requests, s.refused, s.since, s.until] for (server, service), s in seen.items()]


def _seen_from(rows: list[list[Any]]) -> Seen:
    return {(ip_network(row[0]), service_from(row[1])): Shadow(*map(int, row[2:6])) for row in rows}

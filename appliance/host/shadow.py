"""What the kernel has counted in shadow under the rules in force: the enforcer answers it, the promotion gate asks for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from appliance.decide.gate import Shadow
from appliance.errors import RulesError

if TYPE_CHECKING:
    from appliance.host.ledger import Ledger
    from appliance.host.nft import Nft

_COUNTER = re.compile(r"counter g(\d+)_(asked|would) \{\s*packets (\d+)")


def shadow_json(nft: Nft, ledger: Ledger, number: int, now: int, *, bridge: bool) -> dict[str, Any]:
    """Requests judged in shadow and those that would have been refused, since generation `number` was confirmed.

    Counters begin anew when the tables are laid out again: then less is known than was seen, never more. Raises RulesError.
    """
    counted = {"asked": 0, "would": 0}
    text = nft.run(f"list counters table {'bridge' if bridge else 'inet'} sekisho")
    for generation, name, packets in _COUNTER.findall(text):
        if int(generation) == number:
            counted[name] = int(packets)
    since = ledger.last("confirmed", "generation", number)
    return {"generation": number, "requests": counted["asked"], "refused": counted["would"], "since": since or now, "until": now}


def shadow_from(answer: dict[str, Any]) -> Shadow:
    """What the enforcer answered. Raises RulesError where it is nothing of the kind."""
    try:
        return Shadow(*(int(answer[key]) for key in ("requests", "refused", "since", "until")))
    except (KeyError, TypeError, ValueError) as error:
        raise RulesError(f"the enforcer's count of the shadow cannot be read ({error}); are both of one version?") from error

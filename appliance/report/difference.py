"""What one baseline has more, less or otherwise than another, as lines that begin with +, - or ~."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from appliance.decode.names import address_text, mac_text, service_text
from appliance.detect.newcomers import ARP
from appliance.learn.site.topology import stream_key
from appliance.report.inventory import faces
from appliance.report.learned import framing_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.decode.conversation import Conversation, Port
    from appliance.learn.baselines.baseline import Baseline, Learned

_FASTER: Final = 2.0  # factor of the rate from which on a conversation has changed
_LEAST: Final = 30  # frames on both sides, for a rate to mean something


def difference(old: Baseline, new: Baseline) -> Iterator[str]:
    """Lines without their line ends; none where both know the same.

    Counts and times alone are no difference, and neither is who resolved whose address (ARP).
    """
    yield from _assets(old, new)
    yield from _conversations(old, new)
    for port in sorted((old.services.keys() | new.services.keys()) - {ARP}):
        yield from _service(old, new, port)


def _assets(old: Baseline, new: Baseline) -> Iterator[str]:
    hidden = faces({**old.assets, **new.assets}, [*old.conversations, *new.conversations])
    for address in sorted((old.assets.keys() | new.assets.keys()) - hidden):
        name = address_text(*address)
        if address not in old.assets:
            yield f"+ asset {name}"
        elif address not in new.assets:
            yield f"- asset {name}"
        elif old.assets[address].macs != new.assets[address].macs:
            before, after = (_macs(side.assets[address].macs) for side in (old, new))
            yield f"~ asset {name}: hardware {before} -> {after}"


def _macs(macs: set[int]) -> str:
    return " ".join(mac_text(mac) for mac in sorted(macs)) or "none"


def _conversations(old: Baseline, new: Baseline) -> Iterator[str]:
    for c in sorted(c for c in old.conversations.keys() | new.conversations.keys() if c.port != ARP):
        if c not in old.conversations:
            yield f"+ conversation {c.text()}"
        elif c not in new.conversations:
            yield f"- conversation {c.text()}"
        else:
            yield from _pace(old, new, c)


def _pace(old: Baseline, new: Baseline, c: Conversation) -> Iterator[str]:
    if min(old.number(c, "frames"), new.number(c, "frames")) < _LEAST:
        return
    before, after = (60e9 * b.number(c, "frames") / max(b.watched, 1_000_000_000) for b in (old, new))
    if not 1 / _FASTER <= after / before <= _FASTER:
        yield f"~ conversation {c.text()}: {before:,.1f} -> {after:,.1f} frames per minute"


def _service(old: Baseline, new: Baseline, port: Port) -> Iterator[str]:
    name = service_text(0, 0, port[1]) if port[0] < 0 else service_text(port[0], port[1], 0x0800)
    before, after = old.services.get(port, {}), new.services.get(port, {})
    if not before:
        yield f"+ service {name}: {_framings(after)}"
    elif not after:
        yield f"- service {name}: {_framings(before)}"
    elif not before.keys() & after.keys():
        if _framings(before) != _framings(after):
            yield f"~ service {name}: {_framings(before)} -> {_framings(after)}"
        else:
            yield f"~ service {name}: its messages were told apart in another way, their contents cannot be compared"
    else:
        yield from _contents(old, new, name, before, after)


def _framings(structures: dict[str, Learned]) -> str:
    return " / ".join(sorted({framing_text(learned.structure.framing) for learned in structures.values()}))


def _contents(old: Baseline, new: Baseline, name: str, before: dict[str, Learned], after: dict[str, Learned]) -> Iterator[str]:
    """Contents that only one side knows, of conversations that both have and under structures that both have."""
    talks = {stream_key(c): c for c in old.conversations.keys() & new.conversations.keys()}
    for digest in sorted(before.keys() & after.keys()):
        a, b = before[digest].table, after[digest].table
        for sign, mine, other in (("+", b, a), ("-", a, b)):
            streams, counts = np.unique(mine.stream[~np.isin(mine.row, other.row)], return_counts=True)
            found = [(talks[s], n) for s, n in zip(streams.tolist(), counts.tolist(), strict=True) if s in talks]
            for talk, n in sorted(found):
                contents = "1 content" if n == 1 else f"{n:,} contents"
                yield f"{sign} messages {talk.text()}: {contents}"
    for sign, only in (("+", after.keys() - before.keys()), ("-", before.keys() - after.keys())):
        if only:
            yield f"{sign} service {name}: {len(only)} more way(s) of telling its messages apart"

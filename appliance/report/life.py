"""The life of a baseline in words: what was accepted and undone, what was forgotten, what was not seen for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.decode.names import address_text
from appliance.learn.counting.counts import SECOND
from appliance.report.wording import moment, plain, span

if TYPE_CHECKING:
    from appliance.decode.conversation import Conversation
    from appliance.learn.baselines.baseline import Baseline
    from appliance.learn.baselines.ledger import Ledger, Signed

_SHOWN: Final = 10
_LONG: Final = 3600 * SECOND  # what was seen in the last hour is not old
_PAUSES: Final = 10  # and neither is what has always paused that long


def acceptance_lines(ledger: Ledger) -> list[str]:
    """Every acceptance, those that were taken back marked, in the order of time."""
    lines: list[str] = []
    for name, a in sorted(ledger.accepted.items(), key=lambda entry: (entry[1].signed, entry[0])):
        lines.append(f"{name}  {plain(a.title)}  ({len(a.allowed):,} different deviations)")
        lines.append(f"  accepted {_signed(a.signed)}")
        if name in ledger.undone:
            lines.append(f"  taken back {_signed(ledger.undone[name])}")
    return lines


def life_lines(baseline: Baseline) -> list[str]:
    """What was accepted and forgotten, what is old, and whether learning has settled."""
    lines: list[str] = []
    ledger = baseline.ledger
    if ledger.accepted:
        undone = len(ledger.accepted.keys() & ledger.undone.keys())
        lines.append(f"{len(ledger.accepted) - undone} changes accepted, {undone} taken back (baseline accept B --list)")
    lines += [
        f"{name} is learned anew since {moment(s.when)[:19]} UTC {_said(s)}" for name, s in sorted(ledger.forgotten.items())
    ]
    old = not_seen(baseline)
    for c, quiet in old[:_SHOWN]:
        lines.append(f"not seen for {span(quiet * 1e-9)}: {address_text(*c.client)} → {address_text(*c.server)} {c.service}")
    if len(old) > _SHOWN:
        lines.append(f"and {len(old) - _SHOWN:,} more that were not seen for long")
    return lines + _drift(baseline)


def not_seen(baseline: Baseline) -> list[tuple[Conversation, int]]:
    """Conversations that were not seen for long, with how long (ns before the last frame of the baseline), oldest first.

    Long is: more than half of the time from its first to its last frame, ten of the conversation's longest pauses, and an hour.
    """
    old = []
    half = (baseline.last - baseline.first) // 2
    for c in baseline.conversations:
        quiet = baseline.last - baseline.number(c, "last")
        if quiet > max(half, _PAUSES * baseline.number(c, "gap_max"), _LONG):
            old.append((c, quiet))
    return sorted(old, key=lambda entry: (-entry[1], entry[0]))


def _drift(baseline: Baseline) -> list[str]:
    """How much new content each third of the time brought: where the last brought most, learning has not settled or drifts."""
    third = (baseline.last - baseline.first) // 3
    if third < 60 * SECOND:
        return []
    counts = [0, 0, 0]
    for structures in baseline.services.values():
        for learned in structures.values():
            which = (learned.table.numbers["first"] - baseline.first) // (third + 1)
            for i in range(3):
                counts[i] += int((which == i).sum())
    if not sum(counts):
        return []
    line = f"new content by thirds of the time: {counts[0]:,}, {counts[1]:,}, {counts[2]:,}"
    if counts[2] > max(counts[1], 3):
        return [f"{line}: it drifts; look at what came last (baseline review), or learn on"]
    return [line]


def _signed(signed: Signed) -> str:
    return f"{moment(signed.when)[:19]} UTC {_said(signed)}"


def _said(signed: Signed) -> str:
    return f"by {plain(signed.by)}: {plain(signed.why)}"

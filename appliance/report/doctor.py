"""What the counts of a mirror mean: one check each, fine, worth a note, or a problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from appliance.decode.names import address_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.report.mirror import Address, Mirror

State = Literal["ok", "note", "problem"]
FEW = 50  # frames under which nothing is judged
MANY_COPIES, FEW_COPIES = 0.10, 0.001  # shares of frames that can be told
SOME_LOSS = 0.001  # share of bytes beyond which loss is a problem
SOME = 0.01  # share of cut, long or damaged frames beyond which they are a problem
ONE_SIDED = 0.05  # share of connections
NAMED = 16  # assets that a check names
EARLIEST = 946_684_800 * 1_000_000_000  # ns; the year 2000: no capture of ours is older
DAY = 86_400 * 1_000_000_000

Value = int | float | str | list[str]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    name, outcome   a text of `explain.texts_doctor`: "name.outcome"
    numbers         what was counted, for programs and for the texts
    """

    name: str
    outcome: str
    state: State
    numbers: dict[str, Value] = field(default_factory=dict)


def judge(mirror: Mirror, now: int | None = None) -> list[Check]:
    """All checks that can be made; `now` in ns since the epoch lets times of the future be told."""
    checks = [_traffic(mirror)]
    if mirror.frames:
        checks += [check(mirror) for check in CHECKS]
        checks.append(_clock(mirror, now))
    if mirror.own:
        share = mirror.ours / max(mirror.frames, 1)
        state: State = "ok" if not mirror.ours else "problem" if share > SOME else "note"
        checks.append(Check("own", "some" if mirror.ours else "ok", state, {"ours": mirror.ours, "frames": mirror.frames}))
    return checks


def _traffic(m: Mirror) -> Check:
    numbers: dict[str, Value] = {"frames": m.frames, "seconds": max(m.seconds, m.looked), "single": m.single, "group": m.group}
    if not m.frames:
        return Check("traffic", "none", "problem", numbers)
    if m.frames < FEW:
        return Check("traffic", "few", "note", numbers)
    alone = m.group > 0.99 * m.frames
    return Check("traffic", "group" if alone else "ok", "problem" if alone else "ok", numbers)


def _directions(m: Mirror) -> Check:
    sides, flows = m.flows.one_sided(), m.flows.judged()
    silent, busy = m.unheard()
    never = _names({unheard for _, unheard in sides if unheard not in m.senders})
    numbers: dict[str, Value] = {"flows": flows, "one": len(sides), "busy": busy, "unheard": len(silent), "who": never}
    if never:
        return Check("directions", "one", "problem", numbers)
    if sides:
        state: State = "problem" if len(sides) > ONE_SIDED * flows else "note"
        return Check("directions", "some", state, numbers | {"who": _names({unheard for _, unheard in sides})})
    if silent:
        half = len(silent) >= 2 and 2 * len(silent) >= busy
        return Check("directions", "silent", "problem" if half else "note", numbers | {"who": _names(set(silent))})
    if flows or busy:
        return Check("directions", "ok" if flows else "udp", "ok", numbers)
    return Check("directions", "unknown", "note", numbers)


def _names(addresses: set[Address]) -> list[str]:
    return [address_text(*address) for address in sorted(addresses)[:NAMED]]


def _copies(m: Mirror) -> Check:
    c = m.copies
    share = c.copies / max(c.told - c.copies, 1)
    kinds = [kind for kind in ("same", "tagged", "routed", "other") if getattr(c, kind) > 0.1 * c.copies]
    numbers: dict[str, Value] = {"told": c.told, "copies": c.copies, "share": c.copies / max(c.told, 1), "kinds": kinds}
    if c.told < FEW:
        return Check("copies", "unknown", "note", numbers)
    if share > MANY_COPIES:
        return Check("copies", "many", "problem", numbers)
    return Check("copies", "few", "note", numbers) if share > FEW_COPIES else Check("copies", "ok", "ok", numbers)


def _vlan(m: Mirror) -> Check:
    which: list[str] = [str(number) for number in sorted(m.vlans)]
    numbers: dict[str, Value] = {"vlans": which, "untagged": m.untagged, "mixed": m.mixed}
    if m.mixed:
        return Check("vlan", "mixed", "problem", numbers)
    return Check("vlan", "both", "note", numbers) if m.vlans and m.untagged else Check("vlan", "ok", "ok", numbers)


def _loss(m: Mirror) -> Check:
    lost, seen, flows = m.flows.loss()
    share = lost / max(seen + lost, 1)
    numbers: dict[str, Value] = {"lost": lost, "bytes": seen, "share": share, "flows": flows}
    if not seen:
        return Check("loss", "unknown", "note", numbers)
    if lost and m.missed:
        return Check("loss", "missed", "note", numbers | {"missed": m.missed})
    return Check("loss", "some" if lost else "ok", "ok" if not lost else "problem" if share > SOME_LOSS else "note", numbers)


def _cut(m: Mirror) -> Check:
    return _part("cut", m.cut, m.frames, {"cut": m.cut})


def _size(m: Mirror) -> Check:
    return _part("size", m.large, m.frames, {"large": m.large, "largest": m.largest})


def _damage(m: Mirror) -> Check:
    if m.unknown > 0.5 * m.frames:
        return Check("damage", "unknown", "problem", {"unknown": m.unknown, "frames": m.frames})
    return _part("damage", m.damaged, m.frames, {"damaged": m.damaged})


def _part(name: str, some: int, of: int, numbers: dict[str, Value]) -> Check:
    share = some / max(of, 1)
    state: State = "ok" if not some else "problem" if share > SOME else "note"
    return Check(name, "some" if some else "ok", state, {**numbers, "frames": of, "share": share})


def _clock(m: Mirror, now: int | None) -> Check:
    numbers: dict[str, Value] = {
        "frames": m.frames, "timeless": m.timeless, "backward": m.backward, "most": m.most_back * 1e-9,
        "first": m.first, "last": m.last,
    }  # fmt: skip
    if m.timeless:
        return Check("clock", "none", "problem", numbers)
    if m.first < EARLIEST or (now is not None and m.last > now + DAY):
        return Check("clock", "wrong", "problem", numbers)
    return Check("clock", "back" if m.backward else "ok", "problem" if m.backward else "ok", numbers)


CHECKS: Final[tuple[Callable[[Mirror], Check], ...]] = (_directions, _copies, _vlan, _loss, _cut, _size, _damage)

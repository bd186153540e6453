"""What was found at the machine and its processes, as checks: the live half of `sekisho doctor`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from appliance.report.doctor import EARLIEST, Check

LOW = 256 << 20  # bytes of free disk
LOW_SHARE = 0.02
MANY_DROPS = 1e-4  # share of frames
_TOLD = 16  # problems of the appliance that are repeated


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found.

    snapshot   of the keeper, None where it did not answer; `silence` says why
    ports      as configured -> whether it is up, None where there is none
    cards      frames that the card of a port received, and those that were damaged or missed by it
    offloads   receive offloads that are on
    refused    interfaces that could not be looked at, and why
    free, size bytes of the disk where state is kept; `disk` says why they are not known
    synchronised   whether a time service keeps the clock, None where the kernel does not say
    rules      what is wrong with nftables, "" if nothing; `enforces`: whether it is needed
    abilities  "payload", "reset": whether the kernel takes rules that look into payloads, that reset connections; empty where
               that could not be tried
    """

    now: int
    snapshot: dict[str, Any] | None = None
    silence: str = ""
    ports: dict[str, bool | None] = field(default_factory=dict)
    cards: dict[str, tuple[int, int]] = field(default_factory=dict)
    offloads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    free: int = 0
    size: int = 0
    read_only: bool = False
    disk: str = ""
    synchronised: bool | None = None
    rules: str = ""
    enforces: bool = False
    abilities: dict[str, bool] = field(default_factory=dict)


def judge_machine(facts: Facts) -> list[Check]:
    """All checks of the machine."""
    checks = _running(facts)
    for port, up in facts.ports.items():
        outcome = "none" if up is None else "ok" if up else "down"
        checks.append(Check("port", outcome, "ok" if up else "problem", {"port": port}))
    for port, (frames, bad) in facts.cards.items():
        numbers: dict[str, Any] = {"port": port, "frames": frames, "bad": bad}
        many = bad > MANY_DROPS * frames
        checks.append(Check("card", "some" if bad else "ok", "problem" if many else "note" if bad else "ok", numbers))
    checks += _drops(facts)
    for port, which in facts.offloads.items():
        state, outcome = ("problem", "on") if which else ("ok", "ok")
        checks.append(Check("offloads", outcome, state, {"port": port, "which": list(which)}))  # type: ignore[arg-type]
    checks += [Check("look", "refused", "note", {"port": port, "why": why}) for port, why in facts.refused.items()]
    return [*checks, _disk(facts), _sync(facts), _rules(facts)]


def _running(facts: Facts) -> list[Check]:
    said = facts.snapshot
    if said is None:
        return [Check("running", "none", "problem", {"why": facts.silence})]
    problems = [p for p in said.get("problems") or [] if isinstance(p, dict)][:_TOLD]
    checks = [
        Check("running", "told", "problem", {"what": str(p.get("what"))[:500], "advice": str(p.get("advice"))[:500]})
        for p in problems
    ]
    if not checks:
        checks = [Check("running", "ok", "ok", {"open": int(said.get("incidents", {}).get("open", 0))})]
    sensor = said.get("sensor")
    if isinstance(sensor, dict) and sensor.get("mode") == "watching":
        checks.append(Check("learning", "watching", "ok"))
    elif isinstance(sensor, dict):
        checks.append(Check("learning", "learning", "note", {"learned": float(sensor.get("learned") or 0.0)}))
    return checks


def _drops(facts: Facts) -> list[Check]:
    sensor = (facts.snapshot or {}).get("sensor")
    checks = []
    for one in (sensor.get("interfaces") or []) if isinstance(sensor, dict) else []:
        frames, dropped = int(one.get("frames", 0)), int(one.get("dropped", 0))
        numbers: dict[str, Any] = {"port": str(one.get("name"))[:20], "frames": frames, "dropped": dropped}
        many = dropped > MANY_DROPS * frames
        checks.append(Check("drops", "some" if dropped else "ok", "problem" if many else "note" if dropped else "ok", numbers))
    return checks


def _disk(facts: Facts) -> Check:
    if facts.disk:
        return Check("disk", "none", "problem", {"why": facts.disk})
    if facts.read_only:
        return Check("disk", "readonly", "problem")
    low = facts.free < max(LOW, LOW_SHARE * facts.size)
    return Check("disk", "low" if low else "ok", "problem" if low else "ok", {"free": facts.free, "size": facts.size})


def _sync(facts: Facts) -> Check:
    if facts.now < EARLIEST + 20 * 365 * 86_400 * 1_000_000_000:
        return Check("sync", "wrong", "problem", {"now": facts.now})
    if facts.synchronised is None:
        return Check("sync", "unknown", "note")
    return Check("sync", "ok" if facts.synchronised else "none", "ok" if facts.synchronised else "note")


def _rules(facts: Facts) -> Check:
    if not facts.rules:
        if not facts.abilities:
            return Check("rules", "untried", "ok")
        can: dict[str, Any] = {name: ["no", "yes"][able] for name, able in facts.abilities.items()}
        weak = facts.enforces and not facts.abilities.get("payload")
        return Check("rules", "weak" if weak else "ok", "problem" if weak else "ok", can)
    if facts.enforces:
        return Check("rules", "none", "problem", {"why": facts.rules})
    return Check("rules", "unused", "ok")

"""From an incident to a step: the mildest that stops what was found and whose effect on the plant is known.

    log < block function < quarantine pair < isolate

1. Nothing but a log where the cause is not security, or where no finding is a request of a known initiator.
2. Nobody on the never-block list is ever an end of a step.
3. A step is passed over when the policy does not allow it, it would not stop the finding, or its effect was never measured or
   is worse than the plant bears. Every passed-over step keeps its reason; the incident tells them.
4. A step is passed over when the cause is not sure enough for what the step costs where it is wrong: to lose a function that
   was never in use is little, to lose a peer is more.
5. A function is blocked only where it is not learned between the two: what the plant needs is never the target. All of the
   function goes (its first two bytes of the window) where nothing of it was learned, else only what was asked. What is known
   to change nothing (a read) keeps its function.
6. Always a lease, never longer than the policy's; at most so many blocks in any hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from appliance.decide.effects import BEARABLE, Effect, effect_of
from appliance.decide.functions import BACNET, ENIP
from appliance.decide.judge import WINDOW, Host, within
from appliance.decide.judge import window as value_at
from appliance.decide.learned import Talk
from appliance.decide.policy import HOUR
from appliance.decide.records import service_from
from appliance.decide.rules import Exactness, Lease, Pattern, Service, Step
from appliance.detect.finding import Finding, Kind
from appliance.incident.incident import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.decide.policy import Policy

# what a step can stop: a command is stopped by its function, a stranger or a flood only by its pair, a scan by its source
COMMANDS = frozenset({Kind.UNKNOWN_COMMAND, Kind.UNKNOWN_COMBINATION})
MANY = frozenset({Kind.SCAN})
SURE = {Step.FUNCTION: 0.5, Step.PAIR: 0.7, Step.ISOLATE: 0.9}  # how sure of the cause one has to be
FUNCTION = 2  # bytes of the window that say what is asked; behind them stands of what
SERVICE = (9, 1)  # BACnet: place and width of the service choice in a confirmed request that is not routed (135-2020 20.1.2)
PAIRS = frozenset({Kind.NEW_CONVERSATION, Kind.NEW_ASSET, Kind.ROLE_CHANGE, *COMMANDS, Kind.FLOOD})


@dataclass(frozen=True, slots=True)
class Decision:
    """The step, its lease (None for a log), what it does to the plant, and why milder and harsher ones were passed over."""

    step: Step
    lease: Lease | None
    effect: Effect | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """What the ladder looks at of an incident: its first request, from whom to whom, and whether the two were learned.

    known   learned conversations that the client has a part in: what isolating it would cut
    looks   it is known to change nothing
    """

    incident: str
    client: Host
    server: Host
    service: Service
    kind: Kind
    payload: bytes
    talk: Talk | None
    offset: int
    known: int = 0
    looks: bool = False


def scene_of(incident: str, findings: Sequence[Finding], talks: Sequence[Talk], offsets: dict[Service, int]) -> Scene | None:
    """The scene of an incident; None where no finding is a request between two addresses over TCP or UDP."""
    for f in findings:
        if f.src != f.client or f.kind not in PAIRS | MANY:
            continue
        try:
            client, server, service = ip_address(f.src), ip_address(f.dst), service_from(f.service)
        except (ValueError, TypeError):
            continue  # a hardware address, or a service without a port
        talk = next((t for t in talks if t.pair and t.service == service and client in t.pair[0] and server in t.pair[1]), None)
        known = sum(t.answered and t.pair is not None and (client in t.pair[0] or client in t.pair[1]) for t in talks)
        return Scene(incident, client, server, service, f.kind, f.payload, talk, offsets.get(service, 0), known)
    return None


def ladder(scene: Scene | None, cause: Cause, policy: Policy, blocks: Sequence[int], now: int, sure: float = 1.0) -> Decision:
    """Choose a step.

    blocks   when blocks came into force before (ns since the epoch), any order
    sure     confidence of the cause, 0 to 1
    """
    if cause is not Cause.SECURITY:
        return _log(f"the cause is {cause}, not security")
    if scene is None:
        return _log("no finding is a request between two addresses over TCP or UDP")
    for host in (scene.client, scene.server):
        if within(host, policy.untouchable):
            return _log(f"{host} is never blocked (never-block list, management)")
    if sum(now - HOUR < at <= now for at in blocks) >= policy.limits.blocks_per_hour:
        return _log(f"{policy.limits.blocks_per_hour} blocks in the last hour are all the policy allows")
    passed: list[str] = []
    for step in (Step.FUNCTION, Step.PAIR, Step.ISOLATE):
        why, effect = _unfit(step, scene, policy, sure)
        if not why:
            return Decision(step, _lease(step, scene, policy, now), effect, tuple(passed))
        passed.append(f"{step}: {why}")
    return _log(*passed)


def _log(*reasons: str) -> Decision:
    return Decision(Step.LOG, None, None, reasons)


def _unfit(step: Step, scene: Scene, policy: Policy, sure: float) -> tuple[str, Effect | None]:
    """Why a step is passed over ("" where it is not), and its effect."""
    if step not in policy.limits.steps:
        return "the policy does not allow it", None
    why = _misses(step, scene)
    if why:
        return why, None
    if sure < SURE[step]:
        return f"the cause is {sure:.0%} sure, {SURE[step]:.0%} are needed", None
    protocol = scene.talk.protocol if scene.talk else ""
    effect = effect_of(step, policy.bridge, scene.service.transport, protocol)
    if effect is None:
        return "nobody has measured what it does to the plant here", None
    if scene.talk is not None and effect.harm not in BEARABLE:
        return f"the plant knows the two, and this would be the effect: {effect.harm}", None
    if step is Step.ISOLATE and scene.known:
        return f"it would cut {scene.known} learned conversations of {scene.client}", None
    return "", effect


def _misses(step: Step, scene: Scene) -> str:
    """Why a step would not stop what was found, "" where it would."""
    if step is Step.PAIR:
        return "" if scene.kind in PAIRS else "it asks many, not one"
    if step is Step.ISOLATE:
        return "" if scene.kind in MANY else "more than the finding asks for"
    if scene.kind not in COMMANDS:
        return "no command was found that could be blocked by itself"
    if scene.looks:
        return "the request changes nothing"
    if scene.talk is None or scene.talk.opaque or scene.talk.protocol in ("", ENIP):
        return f"the kernel is {Exactness.L4} between the two"
    if scene.talk.protocol == BACNET and not _is_plain(scene.payload):
        return "its service is not where the kernel looks"
    at, _ = _place(scene)
    if value_at(scene.payload, at) is None:
        return "the request ends before what the kernel compares"
    if _learned(scene, at, WINDOW):
        return "the kernel cannot tell it from a request that was learned"
    return ""


def _place(scene: Scene) -> tuple[int, int]:
    """Where a lease looks, and how many bytes there say what is asked."""
    return SERVICE if scene.talk is not None and scene.talk.protocol == BACNET else (scene.offset, FUNCTION)


def _is_plain(payload: bytes) -> bool:
    """Whether a BACnet request is a confirmed one in one piece, neither routed nor to be routed on."""
    return len(payload) > SERVICE[0] and payload[5] & 0xA8 == 0 and payload[6] & 0xF8 == 0


def _learned(scene: Scene, at: int, width: int) -> bool:
    """Whether a request that was learned between the two may hold the same `width` bytes at a place."""
    payload = scene.payload
    for ask in scene.talk.asks if scene.talk else ():
        reaches = not ask.size or ask.size >= at + WINDOW
        if reaches and all(not ask.closed[i] or ask.head[i] == payload[i] for i in range(at, at + width)):
            return True
    return False


def _lease(step: Step, scene: Scene, policy: Policy, now: int) -> Lease:
    pattern, (at, width) = None, _place(scene)
    if step is Step.FUNCTION:
        value = int.from_bytes(scene.payload[at : at + WINDOW], "big")
        free = 0 if _learned(scene, at, width) else (1 << 8 * (WINDOW - width)) - 1
        pattern = Pattern(value & ~free, value | free)
    return Lease(
        id=f"l-{scene.incident}",
        step=step,
        source=ip_network(scene.client),
        target=None if step is Step.ISOLATE else ip_network(scene.server),
        service=scene.service if step is Step.FUNCTION else None,
        offset=at if pattern else 0,
        pattern=pattern,
        until=now + policy.limits.longest_lease,
        reason=f"{scene.kind} in {scene.incident}",
        incident=scene.incident,
    )

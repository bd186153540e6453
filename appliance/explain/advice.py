"""What to do and what is at stake: ordered tables over facts and cause. The first row that fits counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.detect.finding import Kind
from appliance.explain.facts import ACTS, CONTENT, FAILURES, MILD, Facts
from appliance.protocols import Intent

Test = Callable[[Facts, str], bool]

# (when, steps): one to three steps, the safest and quickest first.
STEPS: Final[tuple[tuple[Test, tuple[str, ...]], ...]] = (
    (lambda f, c: c == "maintenance" and f.kinds[Kind.ADDRESS_CHANGE] > 0, ("check-changed", "accept", "find-hardware")),
    (lambda f, c: c == "maintenance", ("check-plan", "accept")),
    (lambda f, c: c == "fault" and f.any(FAILURES), ("check-power", "check-switch", "check-load")),
    (lambda f, c: c == "fault" and f.kinds[Kind.FLOOD] > 0, ("check-switch", "check-changed", "check-load")),
    (lambda f, c: c == "fault", ("check-sensor", "check-changed", "check-load")),
    (lambda f, c: f.kinds[Kind.SCAN] > 0, ("ask-owner", "scan-malware", "cut-client")),
    (lambda f, c: f.kinds[Kind.DUPLICATE_ADDRESS] > 0, ("check-duplicate", "find-hardware", "check-changed")),
    (lambda f, c: f.kinds[Kind.ADDRESS_CHANGE] > 0, ("check-changed", "check-duplicate", "find-hardware")),
    (lambda f, c: f.act is Intent.PROGRAM, ("check-plan", "compare-program", "key-switch")),
    (lambda f, c: f.act is Intent.CONTROL, ("check-mode", "ask-owner", "inform-security")),
    (lambda f, c: f.act is Intent.WRITE and c == "security", ("check-output", "ask-owner", "restore-value")),
    (lambda f, c: f.act is Intent.WRITE, ("check-output", "check-plan", "watch")),
    (lambda f, c: f.kinds[Kind.PROCESS_CONTRADICTION] > 0, ("check-output", "check-sensor", "inform-security")),
    (lambda f, c: f.kinds[Kind.FLOOD] > 0, ("check-load", "scan-malware", "cut-client")),
    (lambda f, c: f.kinds[Kind.OVERLAP] > 0, ("scan-malware", "inform-security")),
    (lambda f, c: f.kinds[Kind.NEW_ASSET] > 0, ("find-device", "check-plan", "inform-security")),
    (lambda f, c: f.only(MILD), ("check-plan", "accept")),
    (lambda f, c: f.kinds[Kind.DARK_ADDRESS] > 0, ("ask-owner", "watch")),
    (lambda f, c: f.newcomer, ("ask-owner", "scan-malware", "watch")),
    (lambda f, c: f.any(FAILURES) and not f.any(CONTENT), ("check-power", "check-switch", "check-changed")),
    (lambda f, c: f.any(CONTENT) and f.requests == 0, ("check-sensor", "check-changed", "watch")),
    (lambda f, c: c == "security", ("ask-owner", "check-plan", "inform-security")),
    (lambda f, c: True, ("check-changed", "watch")),
)

# (when, key of the sentence on the impact).
IMPACT: Final[tuple[tuple[Test, str], ...]] = (
    (lambda f, c: f.kinds[Kind.SCAN] > 0, "scan"),
    (lambda f, c: f.kinds[Kind.ADDRESS_CHANGE] + f.kinds[Kind.DUPLICATE_ADDRESS] > 0 and c != "maintenance", "intercept"),
    (lambda f, c: f.act is Intent.PROGRAM, "program"),
    (lambda f, c: f.act is Intent.CONTROL, "control"),
    (lambda f, c: f.act is Intent.WRITE, "write"),
    (lambda f, c: f.kinds[Kind.FLOOD] > 0, "flood"),
    (lambda f, c: f.only(FAILURES) or (c == "fault" and f.any(FAILURES)), "outage"),
    (lambda f, c: f.act is Intent.SCAN, "scan"),
    (lambda f, c: f.act in (Intent.READ, Intent.IDENTIFY, Intent.DIAGNOSE) and not f.intents & ACTS, "read"),
    (lambda f, c: f.any(CONTENT) and f.requests == 0, "answer"),
    (lambda f, c: f.kinds[Kind.DARK_ADDRESS] > 0, "scan"),
    (lambda f, c: f.newcomer or f.any(MILD), "newcomer"),
    (lambda f, c: True, "unclear"),
)


def steps(facts: Facts, cause: str) -> tuple[str, ...]:
    """Keys of the advice (`step.<key>`), in the order in which they are to be done."""
    return next(keys for fits, keys in STEPS if fits(facts, cause))


def impact(facts: Facts, cause: str) -> str:
    """Key of the sentence on the impact (`impact.<key>`)."""
    return next(key for fits, key in IMPACT if fits(facts, cause))

"""Why: security, fault, maintenance or unknown. A trained model decides; without one, an ordered table of rules.

The model's confidence is calibrated; where none of its causes is likely enough it abstains, and the cause is unknown. In the
table the first rule that fits decides. The order goes from what cannot be harmless to what cannot be told: hostile shapes,
acts by newcomers, failures, acts by known partners, newcomers that do nothing yet, odd answers. Confidences of the table
are its own estimates, not measured frequencies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.detect.finding import Finding, Kind
from appliance.explain.causemodel import CAUSES, CauseModel
from appliance.explain.evidence import evidence
from appliance.explain.facts import ACTS, CONTENT, DEVICE_ACTS, FAILURES, MILD, Facts, Said, facts
from appliance.explain.features import MACHINE, NAMES, features
from appliance.protocols import Intent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from appliance.explain.site import Site

_FLIPS = 3  # address changes from which on it is no exchange of a device: a poisoned table flips back and forth
_BETWEEN = 2  # addresses that one piece of hardware takes while their owners are there
_SWEEP = 8  # distinct unknown commands that no operator gives
_SPREAD = 3  # devices that get the same act

_OUTAGES = frozenset({"outage", "outage-mixed"})  # rules that may decide what the model leaves open
_STRANGER, _PRESENCE, _SPAN = (NAMES.index(name) for name in ("actor.stranger", "actor.presence", "span"))
_CONTRADICTS, _ANSWERED, _HEARD = (NAMES.index(name) for name in ("part.process", "part.answered", "changed-for"))
_BOTH = [NAMES.index(name) for name in ("moved.twice", "moved.shared")]
_CHANGES = [NAMES.index(name) for name in ("intent.write", "intent.control", "intent.program")]
_FAILS = [NAMES.index(name) for name in ("part.silent", "part.refused")]
_MOMENT = 1.0  # span, log(1 + s): under two seconds
_WORK_ODDS = 2.0  # so much likelier than an attack must work be: an attack that passes for work costs more than a question

_QUIET = frozenset({Kind.WRONG_IDENTITY, Kind.UNKNOWN_VALUE, Kind.UNASKED_ANSWER, Kind.WRONG_ECHO, Kind.PROCESS_CONTRADICTION})


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: a name (its reason is the text `because.<name>`), the cause, how sure it is (0..1), and when it fits."""

    name: str
    cause: str
    confidence: float
    fits: Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why an incident happened, as far as that can be told.

    cause       "security" | "fault" | "maintenance" | "unknown"
    confidence  0..1; with "unknown" from a model that of the likeliest cause, which was too low to be told
    reasons     keys of the texts `because.<key>` that speak for it, the strongest first; never empty
    chances     per cent of each cause as text, by cause; empty where the table judged
    """

    cause: str
    confidence: float
    reasons: tuple[str, ...]
    chances: Mapping[str, str] = field(default_factory=dict)


RULES: tuple[Rule, ...] = (
    Rule("scan", "security", 0.95, lambda f: f.kinds[Kind.SCAN] > 0),
    Rule("intercept", "security", 0.85, lambda f: f.kinds[Kind.ADDRESS_CHANGE] >= _FLIPS and len(f.clients) == 1),
    # One device that takes the place of two is in between them; one address with two owners may be a mistake.
    Rule("between", "security", 0.85, lambda f: f.kinds[Kind.DUPLICATE_ADDRESS] >= _BETWEEN),
    Rule("evasion", "security", 0.80, lambda f: f.kinds[Kind.OVERLAP] > 0),
    Rule("replayed", "security", 0.80, lambda f: f.kinds[Kind.REPLAY] > 0),
    Rule("newcomer-acts", "security", 0.95, lambda f: (f.newcomer or f.any(MILD)) and bool(f.intents & ACTS)),
    Rule("spread", "security", 0.95, lambda f: bool(f.intents & DEVICE_ACTS) and len(f.servers) >= _SPREAD),
    Rule("sweep", "security", 0.90, lambda f: f.commands >= _SWEEP),
    Rule("newcomer-floods", "security", 0.85, lambda f: f.kinds[Kind.FLOOD] > 0 and f.newcomer),
    Rule("dark-newcomer", "security", 0.80, lambda f: f.kinds[Kind.DARK_ADDRESS] > 0 and f.kinds[Kind.NEW_ASSET] > 0),
    Rule("dark-many", "security", 0.75, lambda f: f.kinds[Kind.DARK_ADDRESS] >= _SPREAD),
    Rule("duplicate", "unknown", 0.50, lambda f: f.kinds[Kind.DUPLICATE_ADDRESS] > 0),
    Rule(
        "readdressed",
        "maintenance",
        0.55,
        lambda f: f.kinds[Kind.READDRESSED] > 0 and not f.intents & ACTS and not f.any(CONTENT),
    ),
    # A device that was exchanged comes back under its address with other hardware, often after a silence.
    Rule(
        "exchanged",
        "maintenance",
        0.60,
        lambda f: f.kinds[Kind.ADDRESS_CHANGE] > 0 and not f.intents & ACTS and not f.kinds[Kind.UNKNOWN_COMMAND],
    ),
    Rule("pace", "fault", 0.50, lambda f: f.only(frozenset({Kind.PERIOD_CHANGE}))),
    Rule("outage", "fault", 0.90, lambda f: f.only(FAILURES)),
    # A reconnect brings new identifiers, and a dying device odd answers: still a fault as long as nobody acts.
    Rule(
        "outage-mixed",
        "fault",
        0.75,
        lambda f: f.any(FAILURES) and not f.newcomer and not f.intents & ACTS and f.only(FAILURES | _QUIET),
    ),
    # New connections bring openings that were never learned; without an act it is the outage that explains them.
    Rule("recovery", "fault", 0.65, lambda f: f.any(FAILURES) and not f.newcomer and not f.intents & ACTS),
    Rule("device-act", "security", 0.75, lambda f: bool(f.intents & DEVICE_ACTS)),
    Rule("new-write", "security", 0.70, lambda f: Intent.WRITE in f.intents and f.kinds[Kind.UNKNOWN_COMMAND] > 0),
    Rule("overload", "fault", 0.55, lambda f: f.kinds[Kind.FLOOD] > 0),
    Rule("moment", "unknown", 0.40, lambda f: f.only(frozenset({Kind.WRONG_ORDER, Kind.PERIOD_CHANGE}))),
    # An operator's new set value and an attacker's look alike; only the plant engineer or the work plan can tell.
    Rule("setpoint", "unknown", 0.50, lambda f: Intent.WRITE in f.intents),
    Rule("newcomer", "security", 0.60, lambda f: f.newcomer),
    # New firmware by the maker's man or by somebody else: the text alone cannot tell.
    Rule("identity", "unknown", 0.45, lambda f: f.kinds[Kind.IDENTITY_CHANGE] > 0 and not f.any(CONTENT)),
    Rule("alike", "unknown", 0.50, lambda f: f.only(MILD)),
    Rule("dark", "unknown", 0.40, lambda f: f.kinds[Kind.DARK_ADDRESS] > 0),
    Rule("new-request", "security", 0.55, lambda f: f.kinds[Kind.UNKNOWN_COMMAND] > 0 and f.requests > 0),
    # A forged value and a broken sensor are the same bytes; neither must pass for the other.
    Rule("contradiction", "unknown", 0.50, lambda f: f.kinds[Kind.PROCESS_CONTRADICTION] > 0),
    Rule("strange-answers", "fault", 0.50, lambda f: f.any(CONTENT) and f.requests == 0 and len(f.servers) == 1),
    Rule("undecided", "unknown", 0.30, lambda f: True),
)

_SHAPE = next(row for row in RULES if row.name == "between")  # what is hostile by its shape, whatever a model holds


def rule(findings: Sequence[Finding], words: Said = ()) -> Rule:
    """The first rule of the table that fits the findings of an incident."""
    known = facts(findings, words)
    return next(row for row in RULES if row.fits(known))


def plain_rule(findings: Sequence[Finding], words: Said = ()) -> Rule | None:
    """The rule of an outage where one fits: what fails and finds together again, and nobody did anything, is no riddle."""
    row = rule(findings, words)
    return row if row.name in _OUTAGES else None


def decides(p: npt.NDArray[np.float64], seen: npt.NDArray[np.float64], threshold: float) -> bool:
    """Whether the likeliest cause is told, or left open.

    p      float64 [3], the model's probabilities of CAUSES
    seen   float64 [features], what it looked at
    Not by likelihood alone: a stranger who acts may be the maker's man or an intruder, and a machine that polls all day and
    now changes something may be used by an operator or by somebody else, which only a work plan can tell; a forged value and a
    broken sensor are the same bytes, where it contradicts others, and where one alone heard it for a moment.
    """
    chances = dict(zip(CAUSES, p.tolist(), strict=True))
    likeliest = max(CAUSES, key=lambda cause: chances[cause])
    if likeliest == "maintenance":
        may_be_used = seen[_PRESENCE] == MACHINE and seen[_CHANGES].any()
        if seen[_STRANGER] or may_be_used or chances["maintenance"] < _WORK_ODDS * chances["security"]:
            return False
    if likeliest == "fault" and not seen[_FAILS].any():
        once = seen[_ANSWERED] and seen[_HEARD] < 1 and seen[_SPAN] <= _MOMENT
        if seen[_CONTRADICTS] or once:
            return False
    return bool(chances[likeliest] >= threshold)


def told_cause(p: npt.NDArray[np.float64], seen: npt.NDArray[np.float64], threshold: float) -> str:
    """The cause that is told, "unknown" where it is left open; arguments as those of `decides`.

    Hardware that takes the places of two while both are there sits between them, whatever else is part of the incident.
    """
    if (seen[_BOTH] >= _BETWEEN).all():
        return "security"
    return CAUSES[int(p.argmax())] if decides(p, seen, threshold) else "unknown"


def judge(
    findings: Sequence[Finding],
    words: Said = (),
    model: CauseModel | None = None,
    site: Site | None = None,
) -> Judgement:
    """The cause of an incident, how sure it is, and what speaks for it.

    findings   of one incident; words: theirs in the same order, None or missing where there are none
    model      decides; without one the table does. site: what learning knew of who takes part
    An outage that the model takes for a fault, if not for a sure one, is a fault, by the table's rule.
    """
    if model is None:
        row = rule(findings, words)
        return Judgement(row.cause, row.confidence, (row.name,))
    seen = features(findings, words, site)
    walk = model.walk(seen)
    p = walk.probabilities()
    likeliest, sure = CAUSES[int(p.argmax())], round(float(p.max()), 3)
    told = told_cause(p, seen, model.threshold)
    decided = told == likeliest and decides(p, seen, model.threshold)
    if told != "unknown" and not decided:
        return Judgement(told, _SHAPE.confidence, (_SHAPE.name,))
    keys = evidence(dict(zip(NAMES, seen.tolist(), strict=True)), walk.reasons(likeliest)) if decided else []
    plain = None if keys else plain_rule(findings, words)
    if plain is not None and plain.cause == likeliest:
        return Judgement(likeliest, sure, (plain.name,))
    chances = {cause: f"{100 * float(share):.0f}" for cause, share in zip(CAUSES, p, strict=True)}
    reasons = tuple(keys) or ("undecided" if decided else "open",)
    return Judgement(likeliest if decided else "unknown", sure, reasons, chances)

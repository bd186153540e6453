"""An incident as numbers: what a model of causes looks at. No address, port, protocol or byte value is among them.

Kinds of findings are counted by group, so that a kind added later falls into one (`group_of`) and no column moves. What a
feature cannot know (no words, nobody learned) is 0 or -1, as said at its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log1p, log2
from typing import Final

import numpy as np
import numpy.typing as npt

from appliance.detect.finding import Finding, Kind
from appliance.explain.facts import FAILURES, NEWCOMERS, Said, asks, paired, server
from appliance.explain.site import Site
from appliance.protocols import Intent, Words

SECOND: Final = 1_000_000_000
AT_ONCE: Final = 2 * SECOND  # what comes within this of a failure has no order with it

GROUPS: Final = (
    *("stranger", "mild", "dark", "scan", "moved", "twice", "asked", "answered"),
    *("identity", "silent", "refused", "many", "evasion", "order", "pace", "says", "process", "other"),
)
_GROUP: Final[dict[Kind, str]] = {
    Kind.NEW_ASSET: "stranger",
    Kind.NEW_CONVERSATION: "stranger",
    Kind.ROLE_CHANGE: "stranger",
    Kind.SIMILAR_ASSET: "mild",
    Kind.READDRESSED: "mild",
    Kind.NEW_SERVICE: "mild",
    Kind.DARK_ADDRESS: "dark",
    Kind.SCAN: "scan",
    Kind.ADDRESS_CHANGE: "moved",
    Kind.DUPLICATE_ADDRESS: "twice",
    Kind.SILENCE: "silent",
    Kind.MISSING_ANSWER: "silent",
    Kind.PERIOD_CHANGE: "pace",
    Kind.WRONG_ORDER: "order",
    Kind.REPLAY: "order",
    Kind.IDENTITY_CHANGE: "says",
    Kind.PROCESS_CONTRADICTION: "process",
    Kind.DAMAGE: "silent",
    Kind.CONNECTION_FAILURE: "refused",
    Kind.FLOOD: "many",
    Kind.OVERLAP: "evasion",
    Kind.WRONG_IDENTITY: "identity",
}
_CONTENT: Final = frozenset(
    {
        Kind.UNKNOWN_COMMAND,
        Kind.UNKNOWN_VALUE,
        Kind.UNKNOWN_COMBINATION,
        Kind.WRONG_LENGTH,
        Kind.BROKEN_FRAMING,
        Kind.WRONG_ECHO,
        Kind.UNASKED_ANSWER,
    }
)

_HARDWARE: Final = frozenset({Kind.ADDRESS_CHANGE, Kind.DUPLICATE_ADDRESS})

# What shows that something goes wrong, not that somebody does something: a lost answer puts requests out of order.
_NO_ACT: Final = FAILURES | _HARDWARE | {Kind.WRONG_ORDER, Kind.WRONG_IDENTITY, Kind.PROCESS_CONTRADICTION}

_ACTS: Final = NEWCOMERS | {
    Kind.SIMILAR_ASSET,
    Kind.NEW_SERVICE,
    Kind.SCAN,
    Kind.DARK_ADDRESS,
    Kind.FLOOD,
    Kind.OVERLAP,
    Kind.REPLAY,
}

# name -> what it says; the order is the order of the columns.
FEATURES: Final[dict[str, str]] = {
    "total": "log(1 + deviations)",
    **{f"part.{g}": f"share of the deviations in group {g}" for g in GROUPS},
    "acts": "share of the deviations that are acts: somebody new talks, asks something new, or searches",
    "actor.stranger": "1 where somebody acts whom learning did not know",
    "actor.presence": "how regularly the least regular known actor asked for this service while learning, 0..1; -1 none",
    "actor.used": "share of the known actors' services that they used while learning; -1 none",
    "actor.serves": "1 where a known actor was asked for the service itself while learning",
    "actor.pairs": "share of known actors and their targets that talked while learning; -1 none",
    "actor.targets": "log2(1 + addresses acted on), at most 3",
    "act.span": "log(1 + s) between the first and the last act",
    "act.pace": "log(1 + acts per second)",
    "new.asked": "1 where a known address asks one that learning did not know",
    "clients": "asking addresses, at most 3",
    "servers": "log2(1 + asked addresses), at most 3",
    "served": "share of the asked services that were served there while learning",
    "affected": "1 all who polled these devices while learning (asked, where none did) meet failures; 0.5 the one there is, "
    "0 some of them, -1 nobody does",
    "changed-for": "the same of other answers",
    "failure.first": "1 failure comes first, 0 nothing or at once, -1 something else comes first",
    "failure.lag": "log(1 + s) between the first failure and the first other deviation, 0 where one is missing",
    "failure.span": "log(1 + s) between the first and the last failure",
    "span": "log(1 + s) between the first and the last deviation",
    "requests": "share of the told frames that ask",
    "intent.write": "1 where a request writes",
    "intent.control": "1 where a request controls the device",
    "intent.program": "1 where a request touches the program",
    "intent.look": "1 where a request searches or identifies",
    "intent.read": "1 where a request reads process data",
    "intents": "different intents among the requests",
    "errors": "share of the answers with words that refuse",
    "spoken": "share of the findings asked for words that have words",
    "commands": "log2(1 + different bytes in unknown commands that ask)",
    "same.requests": "share of the most frequent deviation among those of requests",
    "same.answers": "share of the most frequent deviation (place and bytes) among those of answers",
    "variants.answers": "log2(1 + different deviations of answers)",
    "moved": "addresses that moved to other hardware",
    "moved.shared": "addresses that moved to the same hardware, at most",
    "moved.twice": "addresses that two pieces of hardware use at the same time, at most 4",
    "moved.vendor": "share of the moves within one maker's block (first three bytes); -1 no move",
    "moved.taken": "share of the moves to hardware that belongs to another known address; -1 no move",
    "moved.client": "share of the moves of addresses that only ask; -1 no move",
    "moved.after": "log(1 + s) from the first failure to the first move, -1 without both in this order",
}
NAMES: Final[tuple[str, ...]] = tuple(FEATURES)
# Steps so coarse that two plants which show the same thing differ by few of them: what is finer tells plants apart, not causes.
STEP: Final = 0.25
MACHINE: Final = 1.0  # the habit of who asks all day
Row = dict[str, float]


@dataclass(frozen=True, slots=True)
class _Parts:
    """Findings by what they say; words are those of requests and answers that have some."""

    all: Sequence[Finding]
    failed: list[Finding]
    others: list[Finding]
    asked: list[Finding]
    answered: list[Finding]
    acts: list[Finding]
    moves: list[Finding]
    said: list[tuple[Finding, Words]]
    site: Site


def group_of(finding: Finding) -> str:
    """The group a finding is counted in, one of GROUPS; a kind that has no group of its own yet is "other"."""
    if finding.kind in _CONTENT:
        return "asked" if asks(finding) else "answered"
    return _GROUP.get(finding.kind, "other")


def features(findings: Sequence[Finding], words: Said = (), site: Site | None = None) -> npt.NDArray[np.float64]:
    """An incident as float64 [len(NAMES)], finite; the columns are FEATURES.

    findings   of one incident, in any order; words: theirs in the same order, None or missing where there are none
    site       what learning knew; without it, whoever no newcomer finding names counts as known
    """
    pairs = paired(findings, words)
    failed = [f for f in findings if f.kind in FAILURES]
    parts = _Parts(
        all=findings,
        failed=failed,
        others=[f for f in findings if f.kind not in _NO_ACT],
        asked=[f for f in findings if group_of(f) == "asked"],
        answered=[f for f in findings if group_of(f) == "answered"],
        acts=_acts(pairs),
        moves=[f for f in findings if f.kind in _HARDWARE],
        said=[(f, w) for f, w in pairs if w is not None],
        site=site or Site(),
    )
    row: Row = dict.fromkeys(NAMES, 0.0)
    _counts(row, parts)
    _who(row, parts, site is not None)
    _actors(row, parts, site is not None)
    _when(row, parts)
    _what(row, parts, len(words))
    _moves(row, parts)
    columns = np.array([row[name] for name in NAMES], np.float64)
    coarse: npt.NDArray[np.float64] = np.round(columns / STEP) * STEP
    return coarse


def _acts(pairs: Sequence[tuple[Finding, Words | None]]) -> list[Finding]:
    """What somebody does: not what fails, not the opening of a session, not a word to a newcomer who spoke first."""
    spoke = {f.src for f, _ in pairs}
    return [
        f
        for f, said in pairs
        if asks(f)
        and (f.kind in _ACTS or f.kind in _CONTENT)
        and not (said is not None and said.intent is Intent.SESSION)
        and not (f.kind is Kind.DARK_ADDRESS and (f.dst in spoke or f.service.startswith("eth/")))
    ]


def _counts(row: Row, p: _Parts) -> None:
    groups = Counter(map(group_of, p.all))
    total = max(1, len(p.all))
    row["total"] = log1p(sum(max(1, f.count) for f in p.all))
    for group, count in groups.items():
        row[f"part.{group}"] = count / total
    framed = [f for f in p.all if f.frame is not None and f.kind not in FAILURES and f.kind is not Kind.WRONG_ORDER]
    row["requests"] = _share(asks(f) for f in framed)


def _who(row: Row, p: _Parts, told: bool) -> None:
    named = [f for f in p.all if f.kind not in _HARDWARE] or list(p.all)
    row["clients"] = float(min(3, len({f.client for f in named})))
    row["servers"] = min(3.0, log2(1 + len({server(f) for f in named})))
    row["served"] = _share(s in p.site.of(a).services for a, s in {(server(f), f.service) for f in named}) if told else 1.0
    row["affected"] = _reach(p.failed, p.site)
    row["changed-for"] = _reach(p.answered, p.site)


def _actors(row: Row, p: _Parts, told: bool) -> None:
    new = {f.src for f in p.all if f.kind in (Kind.NEW_ASSET, Kind.SIMILAR_ASSET) and not p.site.knows(f.src)}
    pairs = {(f.client, server(f)) for f in p.acts}
    known = {c for c, _ in pairs if (p.site.knows(c) if told else c not in new)}
    used = {(f.client, f.service) for f in p.acts if f.client in known}
    row["acts"] = len(p.acts) / max(1, len(p.all))
    row["actor.stranger"] = float(any(c not in known for c, _ in pairs))
    row["actor.presence"] = min((_habit(p.site.of(c).presence.get(s, 0.0)) for c, s in used), default=-1.0)
    row["actor.used"] = _share(s in p.site.of(c).presence for c, s in used) if used else -1.0
    row["actor.serves"] = float(any(s in p.site.of(c).services for c, s in used))
    row["actor.pairs"] = _share(s in p.site.of(c).servers for c, s in pairs if c in known) if known else -1.0
    row["actor.targets"] = min(3.0, log2(1 + len({s for _, s in pairs})))
    row["new.asked"] = float(any(c in known and s in new for c, s in pairs))
    span = _seconds(p.acts)
    row["act.span"], row["act.pace"] = log1p(span), log1p(len(p.acts) / max(1.0, span))


def _seconds(findings: Sequence[Finding]) -> float:
    """Between the first and the last of them; 0 without any."""
    times = [f.time_ns for f in findings]
    return (max(times) - min(times)) / SECOND if times else 0.0


def _habit(presence: float) -> float:
    """0 never, 0.25 as people do, 0.75 often, 1 as machines do: how long a plant was learned moves the finer number."""
    return 0.0 if presence <= 0 else 0.25 if presence < 0.5 else 0.75 if presence < 0.9 else MACHINE


def _reach(findings: list[Finding], site: Site) -> float:
    """Whether all who poll a device meet what one meets; one alone tells neither.

    Who looks in now and then cannot be expected to, unless nobody polls.
    """
    if not findings:
        return -1.0
    met = {(f.client, server(f)) for f in findings}
    learned = {(client, server(f)) for f in findings for client in site.of(server(f)).clients}
    asked = {(server(f), f.service) for f in findings}
    polls = {(c, a) for a, s in asked for c in site.of(a).clients if _habit(site.of(c).presence.get(s, 0.0)) == MACHINE}
    expected = polls or learned
    return 0.0 if not expected <= met else 1.0 if len(expected) > 1 else 0.5


def _when(row: Row, p: _Parts) -> None:
    row["span"] = log1p(_seconds(p.all))
    failed = [f.time_ns for f in p.failed]
    if failed:
        row["failure.span"] = log1p(_seconds(p.failed))
        row["failure.first"] = float(not p.others)
    if failed and p.others:
        lag = min(f.time_ns for f in p.others) - min(failed)
        row["failure.lag"] = log1p(abs(lag) / SECOND)
        row["failure.first"] = 0.0 if abs(lag) <= AT_ONCE and not p.acts else 1.0 if lag > 0 else -1.0


def _what(row: Row, p: _Parts, given: int) -> None:
    wants = {w.intent for f, w in p.said if asks(f)}
    for name, group in _INTENTS.items():
        row[f"intent.{name}"] = float(bool(wants & group))
    row["intents"] = float(len(wants))
    row["errors"] = _share(w.intent is Intent.ERROR for f, w in p.said if not asks(f))
    row["spoken"] = len(p.said) / given if given else 0.0
    row["commands"] = log2(1 + len({f.seen for f in p.asked if f.kind is Kind.UNKNOWN_COMMAND}))
    row["same.requests"] = _commonest(p.asked)
    row["same.answers"] = _commonest(p.answered)
    row["variants.answers"] = log2(1 + len({(f.ranges, f.seen) for f in p.answered}))


_INTENTS: Final[dict[str, frozenset[Intent]]] = {
    "write": frozenset({Intent.WRITE}),
    "control": frozenset({Intent.CONTROL}),
    "program": frozenset({Intent.PROGRAM}),
    "look": frozenset({Intent.SCAN, Intent.IDENTIFY}),
    "read": frozenset({Intent.READ, Intent.DIAGNOSE}),
}


def _moves(row: Row, p: _Parts) -> None:
    row["moved.vendor"] = row["moved.taken"] = row["moved.client"] = row["moved.after"] = -1.0
    if not p.moves:
        return
    row["moved"] = float(min(4, len({f.src for f in p.moves})))
    row["moved.twice"] = float(min(4, len({f.src for f in p.moves if f.kind is Kind.DUPLICATE_ADDRESS})))
    row["moved.shared"] = float(max(len({f.src for f in p.moves if f.seen == mac}) for mac in {f.seen for f in p.moves}))
    row["moved.vendor"] = _share(any(f.seen[:3] == old[:3] for old in f.normal) for f in p.moves)
    row["moved.taken"] = _share(bool(p.site.owners.get(f.seen.hex(":"), frozenset()) - {f.src}) for f in p.moves)
    row["moved.client"] = _share(not p.site.of(f.src).clients for f in p.moves)
    lag = min(f.time_ns for f in p.moves) - min((f.time_ns for f in p.failed), default=2**63)
    if lag >= 0:
        row["moved.after"] = log1p(lag / SECOND)


def _commonest(findings: list[Finding]) -> float:
    kinds = Counter((f.ranges, f.seen) for f in findings)
    return max(kinds.values()) / len(findings) if findings else 0.0


def _share(flags: Iterable[bool]) -> float:
    listed = list(flags)
    return sum(listed) / len(listed) if listed else 0.0

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

# name -> what it says; the order is the order of the columns.
FEATURES: Final[dict[str, str]] = {
    "total": "log(1 + deviations)",
    **{f"part.{g}": f"share of the deviations in group {g}" for g in GROUPS},
    "new-asset": "1 where an address never seen takes part",
    "new-talk": "1 where known ones talk that never talked",
    "client.known": "share of the asking addresses that learning knew",
    "client.presence": "how regularly the most regular asking address asked for this service while learning, 0..1; -1 a stranger",
    "client.used": "share of the asking addresses and services that were together while learning",
    "client.servers": "log2(1 + devices that address asked while learning); -1 a stranger",
    "clients": "log2(asking addresses)",
    "servers": "log2(asked addresses)",
    "servers.known": "share of the asked addresses that learning knew",
    "served": "share of the asked services that were served there while learning",
    "affected": "asking addresses that meet failures / those that learning knew for these devices; -1 no failure",
    "changed-for": "asking addresses that get other answers / those that learning knew for these devices; -1 none",
    "failure.first": "1 failure comes first, 0 nothing or at once, -1 something else comes first",
    "failure.lag": "log(1 + s) between the first failure and the first other deviation, 0 where one is missing",
    "failure.span": "log(1 + s) between the first and the last failure",
    "span": "log(1 + s) between the first and the last deviation",
    "pace": "log(1 + deviations per second)",
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
    "moved.macs": "hardware addresses they moved to",
    "moved.vendor": "share of the moves within one maker's block (first three bytes); -1 no move",
    "moved.taken": "share of the moves to hardware that belongs to another known address; -1 no move",
    "moved.client": "share of the moves of addresses that only ask; -1 no move",
    "moved.after": "log(1 + s) from the first failure to the first move, -1 without both in this order",
}
NAMES: Final[tuple[str, ...]] = tuple(FEATURES)
Row = dict[str, float]


@dataclass(frozen=True, slots=True)
class _Parts:
    """Findings by what they say; words are those of requests and answers that have some."""

    all: Sequence[Finding]
    failed: list[Finding]
    others: list[Finding]
    asked: list[Finding]
    answered: list[Finding]
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
        moves=[f for f in findings if f.kind in _HARDWARE],
        said=[(f, w) for f, w in pairs if w is not None],
        site=site or Site(),
    )
    row: Row = dict.fromkeys(NAMES, 0.0)
    _counts(row, parts)
    _who(row, parts, site is not None)
    _when(row, parts)
    _what(row, parts, len(words))
    _moves(row, parts)
    return np.array([row[name] for name in NAMES], np.float64)


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
    clients, servers = {f.client for f in named}, {server(f) for f in named}
    strangers = {f.client for f in p.all if f.kind in (Kind.NEW_ASSET, Kind.SIMILAR_ASSET)}
    row["new-asset"] = float(bool(strangers))
    row["new-talk"] = float(any(f.kind is Kind.NEW_CONVERSATION for f in p.all))
    row["clients"], row["servers"] = log2(max(1, len(clients))), log2(max(1, len(servers)))
    known = {c for c in clients if p.site.knows(c)} if told else clients - strangers
    row["client.known"] = len(known) / max(1, len(clients))
    partners = [p.site.of(c) for c in known]
    talks = sorted({(f.client, f.service) for f in named if f.client in known})
    row["client.presence"] = max((p.site.of(c).presence.get(s, 0.0) for c, s in talks), default=-1.0)
    row["client.used"] = _share(s in p.site.of(c).presence for c, s in talks)
    row["client.servers"] = max((log2(1 + len(x.servers)) for x in partners), default=-1.0)
    row["servers.known"] = _share(p.site.knows(s) for s in servers) if told else 1.0
    row["served"] = _share(s in p.site.of(a).services for a, s in {(server(f), f.service) for f in named}) if told else 1.0
    row["affected"] = _reach(p.failed, p.site)
    row["changed-for"] = _reach(p.answered, p.site)


def _reach(findings: list[Finding], site: Site) -> float:
    if not findings:
        return -1.0
    learned = {(client, server(f)) for f in findings for client in site.of(server(f)).clients}
    met = {(f.client, server(f)) for f in findings}
    return len(met) / max(1, len(learned | met))


def _when(row: Row, p: _Parts) -> None:
    times = [f.time_ns for f in p.all]
    span = (max(times) - min(times)) / SECOND if times else 0.0
    row["span"] = log1p(span)
    row["pace"] = log1p(len(times) / max(1.0, span))
    failed = [f.time_ns for f in p.failed]
    if failed:
        row["failure.span"] = log1p((max(failed) - min(failed)) / SECOND)
        row["failure.first"] = float(not p.others)
    if failed and p.others:
        lag = min(f.time_ns for f in p.others) - min(failed)
        row["failure.lag"] = log1p(abs(lag) / SECOND)
        row["failure.first"] = 0.0 if abs(lag) <= AT_ONCE and not _acts(p) else 1.0 if lag > 0 else -1.0


def _acts(p: _Parts) -> bool:
    return any(f.kind in NEWCOMERS or asks(f) for f in p.others)


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
    row["moved"] = float(len({f.src for f in p.moves}))
    row["moved.macs"] = float(len({f.seen for f in p.moves}))
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

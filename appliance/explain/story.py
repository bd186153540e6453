"""The words of an incident: title, technique, advice, impact, from its findings and what decoders said of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from appliance.detect.finding import Finding, Kind
from appliance.explain.advice import impact, steps
from appliance.explain.facts import GRAVITY, TELLING, Said, asks, facts, paired, server
from appliance.explain.technique import technique
from appliance.explain.texts import field_name, say
from appliance.explain.where import hexed, normal, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.explain.cause import Judgement
    from appliance.protocols import Words
from appliance.protocols.shape import clean

_COUNTED = frozenset({Kind.SCAN, Kind.MISSING_ANSWER, Kind.FLOOD, Kind.CONNECTION_FAILURE, Kind.DAMAGE})


@dataclass(frozen=True, slots=True)
class Story:
    """What an incident says to people.

    title      one line: who did what to whom
    technique  ATT&CK for ICS id ("T0855"), "" where none applies
    advice     one to three steps in the order in which they are to be done
    impact     one sentence
    """

    title: str
    technique: str
    advice: tuple[str, ...]
    impact: str


def explain(findings: Sequence[Finding], cause: str, words: Said = (), lang: str = "en") -> Story | None:
    """Tell an incident.

    findings   of the incident, in order of time; cause: "security", "fault", "maintenance" or "unknown"
    words      the findings' words in the same order; None or missing where there are none
    lang       "en" or "ja"
    Returns None where there is no finding to tell. Raises UsageError for another language.
    """
    if not findings:
        return None
    known = facts(findings, words)
    lead, said = leading(findings, words)
    places = {"client": _parties(known.clients, lang), "server": _parties(known.servers, lang)}
    return Story(
        title=title(lead, said, _count(lead, findings), places, lang),
        technique=technique(known, cause, lead.service),
        advice=tuple(say(f"step.{key}", lang, **places) for key in steps(known, cause)),
        impact=say(f"impact.{impact(known, cause)}", lang, **places),
    )


def because(judgement: Judgement, lang: str = "en") -> str:
    """What speaks most for the cause, as a phrase."""
    said = (say(f"because.{key}", lang, **judgement.chances) for key in judgement.reasons)
    return reduce(lambda first, second: say("phrase.and", lang, first=first, second=second), said)


def leading(findings: Sequence[Finding], words: Said = ()) -> tuple[Finding, Words | None]:
    """The finding that tells the incident: the gravest act in a request, then the most telling kind, then the first.

    Raises ValueError without findings.
    """

    def rank(pair: tuple[Finding, Words | None]) -> tuple[int, int, bool]:
        finding, said = pair
        act = said.intent if said is not None and asks(finding) else None
        grave = GRAVITY.index(act) if act in GRAVITY[:3] else len(GRAVITY)
        # A scan is told as a scan, whatever it found on its way.
        return (0 if finding.kind is Kind.SCAN else grave + 1), TELLING.index(finding.kind), not asks(finding)

    return min(paired(findings, words), key=rank)


def _count(lead: Finding, findings: Sequence[Finding]) -> int:
    return sum(max(f.count, 1) for f in findings if f.kind is lead.kind)


def _parties(addresses: frozenset[str], lang: str) -> str:
    ordered = sorted(addresses)
    return ordered[0] if len(ordered) == 1 else say("phrase.devices", lang, count=len(ordered))


def title(finding: Finding, words: Words | None, count: int, places: dict[str, str], lang: str) -> str:
    """One line for the finding that leads an incident.

    count    how often its kind occurred; places: client and server as they are to be named
    """
    answers = finding.kind in (Kind.UNKNOWN_COMMAND, Kind.ROLE_CHANGE) and not asks(finding)
    key = f"title.{finding.kind.value}{'.answer' if answers else ''}"
    src, dst = (places["client"], places["server"]) if asks(finding) else (places["server"], places["client"])
    line = say(key, lang, src=src, dst=dst, service=finding.service, count=count, what=what(finding, words, lang), **places)
    if words is not None and finding.kind in (Kind.NEW_ASSET, Kind.NEW_CONVERSATION, Kind.ROLE_CHANGE):
        line = say("phrase.with", lang, what=line, detail=words.summary)
    return line if finding.kind in _COUNTED or count == 1 else say("phrase.title.more", lang, title=line, count=count - 1)


def what(finding: Finding, words: Words | None, lang: str) -> str:
    """What was seen: the protocol's words, or the bytes with what is normal there."""
    if finding.kind is Kind.IDENTITY_CHANGE:
        texts = [clean(raw.decode("utf-8", "replace")) for raw in (finding.seen, *finding.normal)]
        return say("phrase.with", lang, what=texts[0], detail=say("phrase.before", lang, values=", ".join(texts[1:])))
    if words is not None:
        return words.summary
    where = place(finding.ranges, lang)
    if not where:
        return finding.service
    seen = say("phrase.seen", lang, where=where, seen=hexed(finding.seen) or "?")
    usual = normal(finding.normal, lang)
    return say("phrase.with", lang, what=seen, detail=usual) if usual else seen


def details(finding: Finding, words: Words | None, lang: str) -> list[str]:
    """Lines below a finding: what its kind means, the named fields with their values, what is normal there."""
    lines = [say(f"means.{finding.kind.value}", lang)]
    for field in words.fields if words is not None else ():
        where = place([(field.first, field.end)], lang)
        lines.append(say("phrase.field", lang, name=field_name(field.name, lang), where=where, value=field.value))
    usual = normal(finding.normal, lang)
    return [*lines, usual] if usual else lines


__all__ = ["Story", "because", "details", "explain", "leading", "server", "title", "what"]

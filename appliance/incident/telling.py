"""An incident is told: cause, title, technique, advice and impact from its findings and the words decoders found for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from appliance.detect.finding import Finding
from appliance.explain.cause import judge
from appliance.explain.planning import plan_sentence, plan_title
from appliance.explain.story import because, explain
from appliance.explain.workplan import Plan, planned
from appliance.incident.incident import Cause, Incident
from appliance.protocols import Words

if TYPE_CHECKING:
    from appliance.explain.causemodel import CauseModel
    from appliance.explain.site import Site

Speaker = Callable[[Finding], Words | None]
PLANNED = 0.95  # how sure it is that work inside a plan is that work
SPOKEN = 12  # findings of an incident for which words are asked


def told(
    incident: Incident,
    speak: Speaker,
    lang: str = "en",
    plans: Sequence[Plan] = (),
    model: CauseModel | None = None,
    site: Site | None = None,
) -> Incident:
    """The next revision of an incident, with words; the findings stay as they are.

    speak   gives the words of a finding, None where there are none; asked for at most SPOKEN findings, with plans for more
    plans   work plans; an incident that is all planned work is maintenance, whatever else it looks like
    model   judges the cause, with what learning knew of who takes part (`site`); without one a table of rules does
    """
    chosen = telling_findings(incident.findings)
    words = [speak(finding) for finding in chosen]
    told_first = set(chosen)
    rest = islice((f for f in incident.findings if f not in told_first), 4096)
    ordered = [*chosen, *rest]
    verdict = planned(incident.findings, incident.total, plans, speak)
    inside = verdict is not None and verdict.inside
    judgement = judge(ordered, words, model, site)
    cause, confidence = ("maintenance", PLANNED) if inside else (judgement.cause, judgement.confidence)
    story = explain(ordered, cause, words, lang)
    if story is None:
        return incident
    return replace(
        incident,
        revision=incident.revision + 1,
        cause=Cause(cause),
        confidence=confidence,
        title=story.title if verdict is None else plan_title(verdict, story.title, lang),
        technique=story.technique,
        advice=list(story.advice),
        impact=story.impact,
        because=because(judgement, lang),
        plan="" if verdict is None else plan_sentence(verdict, lang),
    )


def telling_findings(findings: Sequence[Finding]) -> list[Finding]:
    """A few findings that differ most: the first of every (kind, size, first changed bytes)."""
    seen: set[object] = set()
    chosen: list[Finding] = []
    for finding in findings:
        mark = (finding.kind, finding.src == finding.client, finding.ranges[:1], finding.seen, len(finding.payload))
        if finding.payload and mark not in seen:
            seen.add(mark)
            chosen.append(finding)
            if len(chosen) == SPOKEN:
                break
    return chosen

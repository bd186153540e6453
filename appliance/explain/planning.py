"""The words of a work plan for an incident."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.explain.texts import say
from appliance.explain.workplan import local_moment

if TYPE_CHECKING:
    from appliance.explain.workplan import Planned


def plan_sentence(verdict: Planned, lang: str = "en") -> str:
    """One sentence: covered by which plan, or not, and when its next window begins. Raises UsageError for another language."""
    plan = verdict.plan
    if plan is None:
        return say("plan.outside", lang)
    if verdict.inside:
        key = "plan.inside.ticket" if plan.ticket else "plan.inside"
        sentence = say(key, lang, name=plan.name, ticket=plan.ticket)
        return say("plan.contact", lang, sentence=sentence, contact=plan.contact) if plan.contact else sentence
    if verdict.next is None:
        return say("plan.late", lang, name=plan.name)
    start = local_moment(verdict.next, plan.zone)
    day = say(f"plan.day.{start.weekday()}", lang, date=start.date().isoformat())
    return say("plan.next", lang, day=day, time=f"{start:%H:%M}", name=plan.name)


def plan_title(verdict: Planned, title: str, lang: str = "en") -> str:
    """The title of an incident that is planned work; as it is for any other."""
    if not verdict.inside or verdict.plan is None:
        return title
    return say("plan.title", lang, name=verdict.plan.name, title=title)

"""Where (bytes), what (words), why (cause), ATT&CK technique and advice, in English and Japanese.

Works on findings and words alone: incidents import this room, not the other way round. Everything that decides is an
ordered table (`cause.RULES`, `advice.STEPS`, `technique.TECHNIQUES`); everything that is said is a text with a key.
"""

from appliance.explain.cause import judge
from appliance.explain.causemodel import CauseModel, parse_model
from appliance.explain.site import Site, site_of
from appliance.explain.story import Story, because, details, explain, what
from appliance.explain.texts import LANGUAGES, field_name, say
from appliance.explain.where import marked_hex, normal, place

__all__ = [
    "LANGUAGES",
    "CauseModel",
    "Site",
    "Story",
    "because",
    "details",
    "explain",
    "field_name",
    "judge",
    "marked_hex",
    "normal",
    "parse_model",
    "place",
    "say",
    "site_of",
    "what",
]

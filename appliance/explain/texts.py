"""Every sentence that an incident says to a person, in English and Japanese.

A key has both languages and both have the same named places; a test proves it. Sentences are looked up with `say`, which
refuses a key or a language that does not exist: a missing sentence must fail in a test, not at a customer's.
"""

from __future__ import annotations

from typing import Final

from appliance.errors import UsageError
from appliance.explain.evidence import EVIDENCE
from appliance.explain.texts_advice import ADVICE, IMPACTS
from appliance.explain.texts_kinds import BECAUSE, CAUSES, MEANINGS, TITLES
from appliance.explain.texts_plan import PLANS
from appliance.explain.texts_words import FIELDS, INTENTS, PHRASES

LANGUAGES: Final = ("en", "ja")

TEXTS: Final[dict[str, tuple[str, str]]] = {
    **{f"title.{key}": text for key, text in TITLES.items()},
    **{f"means.{key}": text for key, text in MEANINGS.items()},
    **{f"cause.{key}": text for key, text in CAUSES.items()},
    **{f"because.{key}": text for key, text in (BECAUSE | EVIDENCE).items()},
    **{f"step.{key}": text for key, text in ADVICE.items()},
    **{f"impact.{key}": text for key, text in IMPACTS.items()},
    **{f"intent.{key}": text for key, text in INTENTS.items()},
    **{f"plan.{key}": text for key, text in PLANS.items()},
    **{f"phrase.{key}": text for key, text in PHRASES.items()},
}


class Count(int):
    """A number that agrees with its noun: "{count:address/addresses}" reads "1 address", "3 addresses"."""

    def __format__(self, spec: str) -> str:
        """Format with "one/many" nouns, or as a number."""
        one, slash, many = spec.partition("/")
        return f"{int(self)} {one if self == 1 else many}" if slash else super().__format__(spec)


def say(key: str, lang: str, **places: object) -> str:
    """The sentence of a key in "en" or "ja" with its places filled. Raises UsageError for an unknown language.

    Raises KeyError for an unknown key or a place that was not given: both are mistakes of this program.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"language {lang!r} is not available: use one of {', '.join(LANGUAGES)}")
    given = {name: Count(value) if type(value) is int else value for name, value in places.items()}
    return TEXTS[key][LANGUAGES.index(lang)].format(**given)


def field_name(name: str, lang: str) -> str:
    """A field's name in the language; names that have no translation (vendors' own) stay as they are."""
    return FIELDS.get(name, name) if lang == "ja" else name

"""Texts in two languages: complete, with the same places, and none that nobody can reach."""

from __future__ import annotations

from string import Formatter

import pytest

from appliance.detect.finding import Kind
from appliance.errors import UsageError
from appliance.explain.advice import IMPACT, STEPS
from appliance.explain.cause import RULES
from appliance.explain.technique import _BY_ACT, _BY_KIND, _BY_SERVICE, TECHNIQUES, name
from appliance.explain.texts import TEXTS, field_name, say
from appliance.protocols import Intent


def places(text: str) -> set[str]:
    return {place for _, place, _, _ in Formatter().parse(text) if place is not None}


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_both_languages_have_the_text_and_the_same_places(key: str) -> None:
    english, japanese = TEXTS[key]
    assert english.strip() == english != ""
    assert japanese.strip() == japanese != ""
    assert places(english) == places(japanese)
    assert english.isascii()


@pytest.mark.parametrize("key", sorted(k for k in TEXTS if not k.startswith("phrase.")))
def test_japanese_is_japanese(key: str) -> None:
    assert any("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in TEXTS[key][1])


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_title_and_meaning(kind: Kind) -> None:
    given = dict.fromkeys(["client", "server", "src", "dst", "service", "what"], "X") | {"count": 2}
    for lang in ("en", "ja"):
        assert "X" in say(f"title.{kind.value}", lang, **given)
        assert say(f"means.{kind.value}", lang)


@pytest.mark.parametrize(
    ("count", "said"), [(1, "(and 1 more finding)"), (2, "(and 2 more findings)"), (1204, "1204 more findings)")]
)
def test_numbers_agree_with_their_nouns(count: int, said: str) -> None:
    assert say("phrase.title.more", "en", title="T", count=count).endswith(said)
    assert str(count) in say("phrase.title.more", "ja", title="T", count=count)


def test_every_cause_intent_and_rule_has_its_text() -> None:
    wanted = {f"cause.{c}" for c in ("security", "fault", "maintenance", "unknown")}
    wanted |= {f"intent.{i.value}" for i in Intent} | {f"because.{r.name}" for r in RULES}
    assert wanted <= set(TEXTS)


def test_every_step_and_impact_is_used_and_exists() -> None:
    used = {f"step.{key}" for _, keys in STEPS for key in keys} | {f"impact.{key}" for _, key in IMPACT}
    there = {key for key in TEXTS if key.startswith(("step.", "impact."))}
    assert used == there
    assert all(1 <= len(keys) <= 3 for _, keys in STEPS)


def test_every_technique_that_is_given_is_named_and_none_is_idle() -> None:
    given = set(_BY_ACT.values()) | {i for _, i in _BY_KIND} | {i for _, _, i in _BY_SERVICE}
    given |= {"T0814", "T0830", "T0836", "T0846", "T0848", "T0869", "T0885", "T0886"}
    assert given == set(TECHNIQUES)
    assert (name("T0855", "en"), name("T0855", "ja")) == ("Unauthorized Command Message", "不正なコマンドメッセージ")
    assert name("T9999", "en") == ""


def test_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'de'"):
        say("cause.fault", "de")


def test_field_names_without_translation_stay() -> None:
    assert field_name("function code", "ja") == "ファンクションコード"
    assert field_name("function code", "en") == "function code"
    assert field_name("vendor's own", "ja") == "vendor's own"

"""Checks as lines for people and as JSON records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from appliance.explain import texts_doctor, texts_doctor_machine
from appliance.explain.texts_doctor import WORDS
from appliance.report.wording import cells, fit, listed, moment, plain, span, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from appliance.report.doctor import Check, Value

SEEN = {lang: texts_doctor.SEEN[lang] | texts_doctor_machine.SEEN[lang] for lang in WORDS}
MEANS = {lang: texts_doctor.MEANS[lang] | texts_doctor_machine.MEANS[lang] for lang in WORDS}
TITLES = texts_doctor.TITLES | texts_doctor_machine.TITLES
_COLUMNS, _NAME, _STATE = 100, 26, 9
_RED, _YELLOW, _GREEN, _RESET = "\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
_COLOURS = {"problem": _RED, "note": _YELLOW, "ok": _GREEN}


class CheckRecord(TypedDict):
    """One check; see `docs/doctor.md` for every key."""

    type: Literal["check"]
    about: str
    name: str
    outcome: str
    state: str
    seen: str
    means: str
    advice: str
    numbers: dict[str, Value]


def check_record(check: Check, about: str, lang: str) -> CheckRecord:
    """A check with its words; `about` is what was looked at: a capture, an interface, "" for the machine."""
    key = f"{check.name}.{check.outcome}"
    means, advice = MEANS[lang].get(key, ("", "")) if check.state != "ok" else ("", "")
    words = _words(check, lang)
    seen, advice = plain(SEEN[lang][key].format(**words)), plain(advice.format(**words))
    return {
        "type": "check", "about": plain(about), "name": check.name, "outcome": check.outcome, "state": check.state,
        "seen": seen, "means": means, "advice": advice, "numbers": check.numbers,
    }  # fmt: skip


def _words(check: Check, lang: str) -> dict[str, str]:
    said = {name: _value(name, value, lang) for name, value in check.numbers.items()}
    if "seconds" in said:
        said["span"] = said["seconds"]
    return said


def _value(name: str, value: Value, lang: str) -> str:
    words = WORDS[lang]
    if name == "vlans" and isinstance(value, list):
        return words["vlans"].format(which=listed(value, 8)) if value else words["untagged"]
    if name == "kinds" and isinstance(value, list):
        return ", ".join(words[kind] for kind in value)
    if isinstance(value, list):
        return listed(value, 8)
    if name in ("payload", "reset"):
        return words[str(value)]
    if name == "share":
        return f"{100 * float(value):.2g} %"
    if name == "free":
        return f"{float(value) / 1e9:,.1f} GB"
    if name in ("first", "last", "now"):
        return moment(int(value))
    if name in ("seconds", "most", "learned"):
        return span(float(value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def doctor_lines(about: str, checks: Sequence[Check], lang: str, color: bool = False) -> Iterator[str]:
    """Lines of at most 100 cells: what was looked at, then each check, with what it means and what to do where it is not fine."""
    if about:
        yield plain(about)
    words, column = WORDS[lang], tuple(WORDS).index(lang)
    for check in checks:
        record = check_record(check, about, lang)
        state = fit(words[check.state], _STATE)
        state = f"{_COLOURS[check.state]}{state}{_RESET}" if color else state
        lines = wrap(record["seen"], _COLUMNS - _NAME - _STATE - 2)
        yield f"  {state}{fit(TITLES[check.name][column], _NAME)}{lines[0]}"
        for line in lines[1:]:
            yield " " * (2 + _STATE + _NAME) + line
        for lead, text in ((words["means"], record["means"]), (words["do"], record["advice"])):
            room = _COLUMNS - 2 - _STATE - cells(lead) - 2
            for number, line in enumerate(wrap(text, room) if text else []):
                yield " " * (2 + _STATE) + (f"{lead}: " if not number else " " * (cells(lead) + 2)) + line


def closing(checks: Sequence[Check], lang: str) -> str:
    """The last line."""
    problems, notes = (sum(1 for check in checks if check.state == state) for state in ("problem", "note"))
    one, many = ("one", "many") if problems else ("note", "notes")
    count = problems or notes
    return WORDS[lang]["closing." + ("ok" if not count else one if count == 1 else many)].format(count=count)

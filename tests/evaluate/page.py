"""The measurements as Markdown, and the plots beside them."""

from collections import Counter
from math import isnan, nan

from tests.evaluate.cases import CAUSES, CaseScore
from tests.evaluate.coverage import Coverage
from tests.evaluate.detectors import Sekisho, UnseenValues, Whitelist
from tests.evaluate.mutate import Tally
from tests.evaluate.plots import bars, dots
from tests.evaluate.run import ENOUGH, REPEATS, Measured, Results

NAMES = (Sekisho.name, Whitelist.name, UnseenValues.name)
FLOOR = 0.9
LEAST = 5  # changes of a class, below which its share is not called the worst
SETS = {"lab": "recorded by the project's own lab (`pcaps/`)", "shared": "recorded by others (`../shared`)"}

INTRO = """# Evaluation

Written by `make evaluate`; do not edit. Every figure comes from running the code of this repository on captures, with the same
scoring for Sekisho and for two baselines that users know:

- **conversation whitelist**: pairs of source, destination and service that were seen while learning; every frame of another
  pair is told.
- **unseen values per offset**: the whitelist, and for each direction of a conversation the sizes and the values of the first
  64 payload bytes; whatever is new is told at its byte.

A baseline has no incidents of its own: what it tells of one direction of one conversation is one until 60 s of silence.
"""

CASES_TEXT = """## Labelled cases

Learn one part, judge the other. How an episode counts as found and an incident as false:
[`tests/evaluate/cases.py`](../tests/evaluate/cases.py).
"""

CAUSES_TEXT = """## Causes

True incidents of all cases above, and all incidents of fault cases, by what really happened (rows) and the cause that was given
(columns). *unknown* is an abstention."""

CHANGES_TEXT = """## Changed fields in known conversations

The head of a capture is learned; in the rest one field of a known message is changed to a value that this conversation,
direction and kind of message never carried (borrowed from elsewhere, one more or less, or random). *Worst* is the class (field
and source) found least; *exact* means that the bytes told are the changed ones and at most two more; *swapped* values are known
for this place, only the combination is new; *false* are frames told with no change within 5 frames. Checksums, TCP's and the
protocol's own, are right. What is left out: fields whose value is free (transaction numbers, process values, the protocol's own
checksum). Method: [`tests/evaluate/mutate.py`](../tests/evaluate/mutate.py).
"""

NOTED_TEXT = f"""Captures that do not repeat themselves are measured too, and have no floor: less than {REPEATS:.0%} of the
messages of their rest had fields that some message of their conversation's head had together, or the head had less than
{ENOUGH} messages.
"""

ORDER_TEXT = """## Order and time

All bytes are known ones; only when and in which order they come is made wrong, at one place of a clean capture
(`python -m tests.order_time`). Neither baseline looks at order or time: both find nothing of this. *Elsewhere* are changes that
something was told before. *Reachable* are changes that leave more signs of some kind than the clean half of the same conversation
itself shows in so long (`tests/order_time/reach.py`), or that were found; *of these* is the share found of them. A
class is left out of a capture whose polling cannot show it.
"""

CLEAN_TEXT = """## What is told of the unchanged rest

Incidents (findings) in the part that was neither learned nor changed. On captures without a note all of them are false.
"""

COVERAGE_TEXT = """## Coverage per protocol

*words*: share of messages that a decoder puts into words (detection does not need it). *framing*: the length field that learning
found by itself, and in how many captures. *stable*: share of the messages of the last 40 % of each capture whose row was known,
so that nothing but open bytes is new. *fields located*: share of changed fields told with exact bytes. Protocols without words
are watched all the same.
"""


def page(results: Results) -> tuple[str, dict[str, str]]:
    """The page, and the plots by file name."""
    plots: dict[str, str] = {}
    parts = [INTRO, _scope(results), _cases(results, plots), _causes(results), _changes(results, plots), _clean(results)]
    if results.timed:
        parts.append(_order(results))
    if results.covered:
        parts.append(_coverage(results))
    return "\n".join(part for part in parts if part), plots


def _scope(results: Results) -> str:
    lines = [f"Changes per class: {results.per_class}, seed {results.seed}."]
    if results.quick:
        lines.append("This is the quick run: fewer changes, fewer captures, no coverage table.")
    if not results.with_shared:
        lines.append("**The shared captures were not at hand: everything that needs them is left out.**")
    if results.left_out:
        lines.append(f"**There was no time for: {', '.join(results.left_out)}.**")
    return " ".join(lines) + "\n"


def _table(head: list[str], rows: list[list[str]], text: int = 1) -> str:
    """A table; the first `text` columns are aligned left, figures right."""
    marks = ["---" if i < text else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, marks, *rows]) + "\n"


def _share(value: float, digits: int = 2) -> str:
    return "-" if isnan(value) else f"{value:.{digits}f}"


def _cases(results: Results, plots: dict[str, str]) -> str:
    out = [CASES_TEXT]
    for name, scores in results.cases.items():
        out += [f"### {name.capitalize()} cases: {SETS[name]}", ""]
        rows = [[_sum(scores, d, what) for what in ("name", "found", "false", "wrong")] for d in NAMES]
        out += [_table(["", "episodes found", "false incidents", "frames wrongly told"], rows)]
        per_case = [_case_row(one) for one in scores]
        out += [
            _table(
                ["case", "kind", "found: Sekisho", "whitelist", "values", "false: Sekisho", "whitelist", "values"], per_case, 2
            )
        ]
        plots[f"evaluation-cases-{name}.svg"] = bars(
            f"{name.capitalize()} cases",
            ["episodes found", "false incidents", "frames wrongly told"],
            [(d, [float(_total(scores, d, what)) for what in ("found", "false", "wrong")]) for d in NAMES],
        )
        out += [f"![{name} cases](img/evaluation-cases-{name}.svg)", ""]
    return "\n".join(out)


def _total(scores: list[dict[str, CaseScore]], detector: str, what: str) -> int:
    mine = [one[detector] for one in scores]
    return sum(len(s.found) if what == "found" else s.false if what == "false" else s.wrong for s in mine)


def _sum(scores: list[dict[str, CaseScore]], detector: str, what: str) -> str:
    if what == "name":
        return detector
    total = _total(scores, detector, what)
    if what == "found":
        return f"{total} of {sum(one[detector].episodes for one in scores)}"
    return f"{total:,} of {sum(one[detector].frames for one in scores):,}" if what == "wrong" else f"{total}"


def _case_row(one: dict[str, CaseScore]) -> list[str]:
    first = one[Sekisho.name]
    found = [f"{len(one[d].found)}/{first.episodes}" if first.episodes else "-" for d in NAMES]
    return [first.name, first.kind, *found, *(str(one[d].false) for d in NAMES)]


def _causes(results: Results) -> str:
    causes = results.causes
    if not causes:
        return ""
    rows = []
    for true in [c for c in CAUSES if any(key[0] == c for key in causes)]:
        given = [causes[true, c] for c in CAUSES]
        told = sum(given) - causes[true, "unknown"]
        right = f"{causes[true, true]} of {told}" if told else "-"
        rows.append([true, *map(str, given), right])
    score = f"Macro-F1 over the causes present, abstentions counted as misses: **{_macro_f1(causes):.2f}**."
    return "\n".join([f"{CAUSES_TEXT} {score}", "", _table(["truly", *CAUSES, "right where told"], rows)])


def _macro_f1(causes: Counter[tuple[str, str]]) -> float:
    scores = []
    for cause in sorted({true for true, _ in causes}):
        hit = causes[cause, cause]
        given, there = (sum(n for key, n in causes.items() if key[i] == cause) for i in (1, 0))
        scores.append(2 * hit / (given + there) if given + there else 0.0)
    return sum(scores) / len(scores)


def _changes(results: Results, plots: dict[str, str]) -> str:
    strict = [m for m in results.measured if not m.note]
    noted = [m for m in results.measured if m.note]
    plots["evaluation-found.svg"] = dots(
        "Changed fields found, worst class",
        [m.subject.name for m in strict],
        [(d, [_worst(m, d)[0] for m in strict]) for d in NAMES],
        FLOOR,
    )
    plots["evaluation-false.svg"] = dots(
        "Frames told with no change near",
        [m.subject.name for m in strict],
        [(d, [_false_share(m.tallies[d]) for m in strict]) for d in NAMES],
    )
    plot = "![changed fields found](img/evaluation-found.svg)\n\n![false frames](img/evaluation-false.svg)\n"
    out = [CHANGES_TEXT, f"The floor is {FLOOR:.2f} for the worst class.\n", plot]
    out += [_table(CHANGE_HEAD, [_change_row(m) for m in strict], 2)]
    if noted:
        out += [NOTED_TEXT]
        out += [_table([*CHANGE_HEAD, "why"], [[*_change_row(m), m.note] for m in noted], 2)]
    weak = [row for m in strict for row in _weak(m)]
    if weak:
        out += [
            f"Classes of the first table found less than {FLOOR:.2f}:",
            "",
            _table(["capture", "class", "changes", "found", "exact"], weak, 2),
        ]
    out += ["The baselines on the same changes (worst class found, all found, exact, false):", ""]
    rows = [[m.subject.name, *(cell for d in NAMES[1:] for cell in _baseline(m, d))] for m in strict]
    out += [_table(["capture", "whitelist: worst", "all", "exact", "false", "values: worst", "all", "exact", "false"], rows)]
    return "\n".join(out)


CHANGE_HEAD = [
    "capture",
    "protocol",
    "learned frames",
    "worst class",
    "found",
    "exact",
    "all found",
    "all exact",
    "swapped",
    "false",
]


def _worst(m: Measured, detector: str) -> tuple[float, str]:
    t = m.tallies[detector]
    return t.worst(t.found, LEAST)


def _change_row(m: Measured) -> list[str]:
    t = m.tallies[Sekisho.name]
    found, name = t.worst(t.found, LEAST)
    figures = [found, t.worst(t.exact, LEAST)[0], t.share(t.found, False), t.share(t.exact, False), t.share(t.found, True)]
    return [m.subject.name, m.protocol, f"{m.learned:,}", name or "-", *map(_share, figures), _false(t)]


def _false(t: Tally) -> str:
    return "-" if not t.frames else f"{100 * _false_share(t):.3f} %"


def _false_share(t: Tally) -> float:
    return t.false_frames / t.frames if t.frames else nan


def _weak(m: Measured) -> list[list[str]]:
    t = m.tallies[Sekisho.name]
    names = [n for n in t.classes(LEAST) if t.found[n] < FLOOR * t.total[n]]
    return [[m.subject.name, n, str(t.total[n]), _share(t.found[n] / t.total[n]), _share(t.exact[n] / t.total[n])] for n in names]


def _baseline(m: Measured, detector: str) -> list[str]:
    t = m.tallies[detector]
    return [_share(_worst(m, detector)[0]), _share(t.share(t.found, False)), _share(t.share(t.exact, False)), _false(t)]


def _clean(results: Results) -> str:
    rows = []
    for m in results.measured:
        counts = [f"{m.tallies[d].clean_incidents} ({len(m.tallies[d].clean):,})" for d in NAMES]
        rows.append([m.subject.name, *counts, m.note])
    return "\n".join([CLEAN_TEXT, _table(["capture", *NAMES, "note"], rows)])


def _order(results: Results) -> str:
    rows = []
    for name in results.timed[0].rows:
        mine = [t.rows[name] for t in results.timed if t.rows[name].tried]
        tried, found = sum(r.tried for r in mine), sum(r.found for r in mine)
        worst = min((r.found / r.tried for r in mine), default=nan)
        kinds = sum((r.kinds for r in mine), Counter[str]()).most_common(2)
        told = ", ".join(kind for kind, _ in kinds) or "-"
        share, reach = _share(found / tried if tried else nan), sum(r.reachable for r in mine)
        bound = [_share(reach / tried if tried else nan), _share(found / reach if reach else nan)]
        elsewhere = str(sum(r.elsewhere for r in mine))
        rows.append([name, told, str(len(mine)), str(tried), share, *bound, _share(worst), elsewhere])
    head = ["class", "told as", "captures", "changes", "found", "reachable", "of these", "worst capture", "elsewhere"]
    worse = list(results.timed[0].clean)
    clean = [[t.plant, *(str(t.clean[name]) for name in worse)] for t in results.timed]
    text = f"{ORDER_TEXT}\nChanges per class and capture: {results.per_order}.\n"
    more = "Findings in the unchanged half, and how many more when it is read worse:\n"
    return "\n".join([text, _table(head, rows, 2), more, _table(["capture", *worse], clean)])


def _coverage(results: Results) -> str:
    rows = []
    for name, found in results.covered.items():
        if not found:
            rows.append([name, "0", "0", "no capture at hand", "-", "-", "-", "-"])
            continue
        framed = Counter(_framing(c) for c in found if c.framing.width)
        framing = ", ".join(text for text, _ in framed.most_common(2)) or "none"
        fields = [m.tallies[Sekisho.name] for m in results.measured if not m.note and _speaks(name, m.protocol)]
        located = _mean([(t.share(t.exact, False), t.total.total()) for t in fields])
        rows.append([
            name, str(len(found)), f"{sum(c.learned + c.looked for c in found):,}", framing,
            f"{sum(bool(c.framing.width) for c in found)}/{len(found)}", _share(_mean([(c.words, c.looked) for c in found])),
            _share(_mean([(c.stable, c.looked) for c in found])), _share(located),
        ])  # fmt: skip
    head = ["protocol", "captures", "messages", "framing found", "in", "words", "stable", "fields located"]
    return "\n".join([COVERAGE_TEXT, _table(head, rows)])


def _speaks(name: str, protocol: str) -> bool:
    return name.split(",")[0].split("/")[0].split(" (")[0].casefold().startswith(protocol.split("/")[0].split(" (")[0].casefold())


def _mean(values: list[tuple[float, int]]) -> float:
    """Mean weighted by messages, of those that have a value."""
    known = [(value, weight) for value, weight in values if not isnan(value) and weight]
    return sum(v * w for v, w in known) / sum(w for _, w in known) if known else nan


def _framing(c: Coverage) -> str:
    f = c.framing
    order = "" if f.width == 1 else ", big-endian" if f.big else ", little-endian"
    return f"{f.width} byte{'s' if f.width > 1 else ''} at {f.offset}{order}, +{f.constant}"

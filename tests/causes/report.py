"""The results of the model of causes as Markdown: what was left out, confusion, pairs, reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.explain.causemodel import CAUSES
from tests.causes.model import fitted, leftovers, raw, table, warm
from tests.causes.scenario import SCENARIOS
from tests.causes.score import (
    ANSWERS,
    Judged,
    by_scenario,
    calibrated,
    calibration_error,
    confusion,
    left_out,
    reliability,
    scores,
    three,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.causes.simulate import Sample

GROUPS: dict[str, Callable[[Sample], str]] = {
    "protocol": lambda s: s.protocol,
    "peer stack": lambda s: s.stack,
    "traffic generator": lambda s: s.generator,
}


def _where(j: Judged, keep: Callable[[Sample], bool]) -> Judged:
    kept = np.array([keep(s) for s in j.samples], bool)
    return Judged([s for s in j.samples if keep(s)], j.p[kept])


def only(j: Judged, deaf: bool) -> Judged:
    """The samples with words, or those without; as the incidents stood in the end."""
    return _where(j, lambda s: s.deaf is deaf and not s.young)


def line(*cells: object) -> str:
    """A row of a table; numbers with two digits."""
    return "| " + " | ".join(f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells) + " |"


def head(*cells: str) -> list[str]:
    """A table's head."""
    return [line(*cells), "|" + "---|" * len(cells)]


def report(own: Sequence[Sample], others: Sequence[Sample], threshold: float) -> str:
    """Everything that was measured.

    own      what trains the shipped model; others: captures of others, which train only where a generator is left out
    """
    judged = {name: left_out(own if name != "traffic generator" else [*own, *others], g) for name, g in GROUPS.items()}
    text = ["# Results of the model of causes", "", "Written by `make train`. A run of a scenario counts once, by its odds.", ""]
    text += _groups(judged, threshold) + _confusion(judged["protocol"], threshold) + _pairs(judged["protocol"], threshold)
    text += _reliability(judged, threshold)
    if others:
        text += _others(own, others, threshold)
    return "\n".join(text) + "\n"


def _f1(j: Judged, threshold: float) -> list[float | str]:
    counts = confusion(j, threshold)
    s = scores(counts)
    gone = float(counts[:3, 3].sum() / max(1e-9, counts[:3].sum()))
    kept = np.flatnonzero(~np.array(leftovers(j.samples), bool))
    whole = confusion(Judged([j.samples[i] for i in kept], j.p[kept]), threshold)
    return [three(counts), *(s.get(a, "-") for a in ANSWERS), s["macro"], gone, three(counts, answered=True), three(whole)]


_COLUMNS = ("macro-F1", *ANSWERS, "with unknown", "abstained", "where it answers", "without leftovers")
_SAID = """**macro-F1** is the mean F1 of the three causes over all incidents whose cause the wire can tell; an abstention is
a miss. The four answers stand beside it, each with its F1 over everything, also over what nothing can tell (right: unknown);
**with unknown** is the mean of those four. **abstained**: share of what could be told and was not; **where it answers**: macro-F1
without those. **without leftovers**: macro-F1 without incidents that grouping left apart from the act that led to them."""


def _groups(judged: dict[str, dict[str, Judged]], threshold: float) -> list[str]:
    text = ["## Left out in turn", "", _SAID, ""]
    for name, groups in judged.items():
        text += [f"**{name}**", "", *head("left out", "runs", *_COLUMNS)]
        for group, j in [*groups.items(), ("all together", together(groups))]:
            heard = only(j, False)
            text.append(line(group, len({s.run for s in heard.samples}), *_f1(heard, threshold)))
            played = {s.scenario for other, k in groups.items() if other != group for s in k.samples}
            if name == "traffic generator" and group != "all together" and {s.scenario for s in heard.samples} - played:
                both = _where(heard, lambda s, known=played: s.scenario in known)  # type: ignore[misc]
                title = f"{group}, scenarios that another generator plays too"
                text.append(line(title, len({s.run for s in both.samples}), *_f1(both, threshold)))
        text.append(line("all together, no words", "", *_f1(only(together(groups), True), threshold)))
        text.append("")
    return text


def _confusion(groups: dict[str, Judged], threshold: float) -> list[str]:
    counts = confusion(only(together(groups), False), threshold)
    text = ["## Confusion, protocols left out", "", "Rows: what is right (`unknown`: nothing on the wire can tell).", ""]
    text += head("right \\ given", *ANSWERS)
    return text + [line(f"**{name}**", *(f"{x:.1f}" for x in counts[k])) for k, name in enumerate(ANSWERS)] + [""]


def _pairs(groups: dict[str, Judged], threshold: float) -> list[str]:
    shares = by_scenario(only(together(groups), False), threshold)
    text = ["## Same symptom, different cause, protocols left out", "", *head("symptom", "scenario", "right", *ANSWERS)]
    for name in sorted(shares, key=lambda n: (SCENARIOS[n].pair, SCENARIOS[n].cause, n)):
        text.append(line(SCENARIOS[name].pair, name, SCENARIOS[name].right, *(shares[name][a] for a in ANSWERS)))
    return [*text, ""]


def _reliability(judged: dict[str, dict[str, Judged]], threshold: float) -> list[str]:
    text = ["## Reliability of the confidence", "", "Likeliest cause of every run, also where nothing can tell.", ""]
    for name, groups in judged.items():
        rows = reliability(only(together(groups), False))
        text += [f"**{name} left out**: expected calibration error {calibration_error(rows):.3f}", ""]
        text += [*head("confidence", "runs", "mean", "right"), *(line(a, f"{n:.0f}", m, r) for a, n, m, r in rows), ""]
    return text


def _others(own: Sequence[Sample], others: Sequence[Sample], threshold: float) -> list[str]:
    model, heat = fitted(table(own, both=True)), calibrated(own)
    j = only(Judged(list(others), warm(raw(model, table(others).rows), heat)), False)
    text = ["## The shipped model on captures of others", "", *head("capture", "runs", *_COLUMNS)]
    for stack in sorted({s.stack for s in j.samples}):
        part = _where(j, lambda s, k=stack: s.stack == k)  # type: ignore[misc]
        text.append(line(stack, len({s.run for s in part.samples}), *_f1(part, threshold)))
    text.append(line("all", len({s.run for s in j.samples}), *_f1(j, threshold)))
    text += ["", *head("scenario", "right", *ANSWERS)]
    shares = by_scenario(j, threshold)
    return [*text, *(line(n, SCENARIOS[n].right, *(shares[n][a] for a in ANSWERS)) for n in sorted(shares)), ""]


__all__ = ["CAUSES", "report"]

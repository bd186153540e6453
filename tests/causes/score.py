"""How good a model of causes is: left-out groups, macro-F1 with abstention, confusion, pairs, reliability. All as Markdown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.explain.cause import told_cause
from appliance.explain.causemodel import CAUSES
from tests.causes.model import Matrix, fitted, raw, table, temperature, warm
from tests.causes.simulate import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ANSWERS = (*CAUSES, "unknown")


@dataclass(frozen=True)
class Judged:
    """Samples that a model did not see, with its probabilities [n, 3]."""

    samples: list[Sample]
    p: Matrix

    def answers(self, threshold: float) -> list[str]:
        """The cause of each, "unknown" where the product leaves it open."""
        return [told_cause(p, np.array(s.row, np.float64), threshold) for p, s in zip(self.p, self.samples, strict=True)]


def parts(samples: Sequence[Sample], group: Callable[[Sample], str]) -> Iterator[tuple[str, list[Sample], list[Sample]]]:
    """Each group left out in turn: its name, the others, its own."""
    for name in sorted({group(s) for s in samples}):
        yield name, [s for s in samples if group(s) != name], [s for s in samples if group(s) == name]


def left_out(samples: Sequence[Sample], group: Callable[[Sample], str]) -> dict[str, Judged]:
    """Every group judged by a model trained on the others, calibrated on protocols left out of that training part."""
    found: dict[str, Judged] = {}
    for name, others, own in parts(samples, group):
        model = fitted(table(others, both=True))
        found[name] = Judged(own, warm(raw(model, table(own).rows), calibrated(others)))
    return found


def calibrated(samples: Sequence[Sample]) -> float:
    """The temperature for a training part: every third protocol in it judged by a model of the others."""
    place = {name: n % 3 for n, name in enumerate(sorted({s.protocol for s in samples}))}
    rounds = [
        (fitted(table(others, both=True)), table(own, both=True))
        for _, others, own in parts(samples, lambda s: str(place[s.protocol]))
        if others
    ]
    p = np.vstack([raw(model, own.rows) for model, own in rounds])
    whole = [np.concatenate([getattr(own, k) for _, own in rounds]) for k in ("causes", "weights")]
    return temperature(p, whole[0], whole[1])


def together(judged: dict[str, Judged]) -> Judged:
    """All groups as one."""
    values = list(judged.values())
    return Judged([s for j in values for s in j.samples], np.vstack([j.p for j in values]))


def confusion(j: Judged, threshold: float) -> npt.NDArray[np.float64]:
    """Float [4, 4]: runs by right answer and given answer; the incidents of one run share one."""
    counts = np.zeros((4, 4))
    for sample, answer in zip(j.samples, j.answers(threshold), strict=True):
        counts[ANSWERS.index(sample.right), ANSWERS.index(answer)] += sample.odds
    return counts


def scores(counts: npt.NDArray[np.float64]) -> dict[str, float]:
    """F1 of every answer that is right somewhere, their mean as "macro"."""
    f1: dict[str, float] = {}
    for k, name in enumerate(ANSWERS):
        if counts[k].sum() > 0:
            f1[name] = float(2 * counts[k, k] / max(1e-9, counts[k].sum() + counts[:, k].sum()))
    return {**f1, "macro": float(np.mean(list(f1.values())))}


def three(counts: npt.NDArray[np.float64], *, answered: bool = False) -> float:
    """Macro-F1 of the three causes over runs that can be told; an abstention is a miss, or with `answered` left out."""
    tell = counts[:3, :3] if answered else counts[:3]
    f1 = [2 * tell[k, k] / max(1e-9, tell[k].sum() + tell[:, k].sum()) for k in range(3) if tell[k].sum() > 0]
    return float(np.mean(f1))


def reliability(j: Judged) -> list[tuple[str, float, float, float]]:
    """(bin, runs, mean confidence, share right) of the likeliest cause, over all, ambiguous ones too."""
    best, top = j.p.argmax(axis=1), j.p.max(axis=1)
    right = np.array([CAUSES.index(s.cause) for s in j.samples]) == best
    weight = np.array([s.odds for s in j.samples])
    rows = []
    for low, high in ((0.33, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 1.01)):
        inside = (top >= low) & (top < high)
        w = weight[inside]
        if w.sum() > 0:
            mean = float((w * top[inside]).sum() / w.sum())
            rows.append((f"{low:.2f} to {min(high, 1):.2f}", float(w.sum()), mean, float((w * right[inside]).sum() / w.sum())))
    return rows


def calibration_error(rows: list[tuple[str, float, float, float]]) -> float:
    """Expected calibration error: mean distance of confidence and share right."""
    return sum(n * abs(a - b) for _, n, a, b in rows) / max(1e-9, sum(n for _, n, _, _ in rows))


def by_scenario(j: Judged, threshold: float) -> dict[str, dict[str, float]]:
    """Scenario -> share of each answer."""
    shares: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(ANSWERS, 0.0))
    for sample, answer in zip(j.samples, j.answers(threshold), strict=True):
        shares[sample.scenario][answer] += sample.odds
    return {name: {a: v / sum(row.values()) for a, v in row.items()} for name, row in shares.items()}

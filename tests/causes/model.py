"""Fitting: a forest by scikit-learn, calibrated on what it did not see, as the file the product reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from appliance.explain.causemodel import CAUSES, FORMAT, LIMIT_PARTS, NODE, SHARE_PARTS, model_bytes
from appliance.explain.features import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.causes.simulate import Sample

Matrix = npt.NDArray[np.float64]
SEED = 20_261_121
TREES, LEAF = 120, 3
_TELLING = tuple(NAMES.index(name) for name in ("acts", "moved", "part.answered"))
# Symptoms with scenarios that nothing can tell apart, and their causes, equally likely.
EQUALS = {
    "setpoint": ("security", "maintenance"),
    "laptop": ("security", "maintenance"),
    "flood": ("security", "fault"),
}


@dataclass(frozen=True)
class Table:
    """Samples as arrays: rows [n, features], causes int [n], weights float [n]."""

    rows: Matrix
    causes: npt.NDArray[np.int64]
    weights: Matrix


def leftovers(samples: Sequence[Sample]) -> list[bool]:
    """True for an incident that holds failures only, of a run that has another one where somebody acts.

    Grouping left it apart from what led to it; by itself it shows a fault, whatever the run was. Answers that changed are
    kept: they may be the echo of an act.
    """
    idle = [not any(s.row[column] for column in _TELLING) for s in samples]
    acting = {(s.run, s.deaf) for s, nothing in zip(samples, idle, strict=True) if not nothing}
    return [nothing and s.cause != "fault" and (s.run, s.deaf) in acting for s, nothing in zip(samples, idle, strict=True)]


def table(samples: Sequence[Sample], *, both: bool = False) -> Table:
    """As arrays; every run of a scenario weighs its odds.

    both   for training: what nothing on the wire can tell stands there once for each cause that looks like it, in equal
           parts, so that chance in a small set is not learned as evidence; and leftovers are left out: they would teach that
           outages are acts
    """
    rows, causes, weights = [], [], []
    for sample, left in zip(samples, leftovers(samples), strict=True):
        if both and left:
            continue
        alike = EQUALS.get(sample.pair, ()) if both and sample.right == "unknown" else ()
        for cause in alike or (sample.cause,):
            rows.append(sample.row)
            causes.append(CAUSES.index(cause))
            weights.append(sample.odds / max(1, len(alike)))
    return Table(np.array(rows, np.float64), np.array(causes), np.array(weights, np.float64))


def fitted(data: Table) -> RandomForestClassifier:
    """The forest, fitted; always the same for the same data."""
    forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, max_features=0.25, random_state=SEED, n_jobs=1)
    return forest.fit(data.rows, data.causes, sample_weight=data.weights)


def raw(forest: RandomForestClassifier, rows: Matrix) -> Matrix:
    """Probabilities [n, 3] before calibration; a cause that did not train has next to none."""
    out = np.full((len(rows), len(CAUSES)), 1e-6)
    out[:, forest.classes_] = forest.predict_proba(rows)
    return out


def warm(p: Matrix, temperature: float) -> Matrix:
    """Probabilities at a temperature."""
    sharp: Matrix = np.maximum(p, 1e-6) ** (1 / temperature)
    scaled: Matrix = sharp / sharp.sum(axis=1, keepdims=True)
    return scaled


def temperature(p: Matrix, causes: npt.NDArray[np.int64], weights: Matrix) -> float:
    """The temperature with the smallest log loss on predictions of what was left out (Guo and others 2017)."""
    grid = np.geomspace(0.3, 3.0, 60)
    losses = [-(weights * np.log(warm(p, t)[np.arange(len(p)), causes])).sum() for t in grid]
    return float(grid[int(np.argmin(losses))])


def exported(forest: Any, heat: float, threshold: float) -> bytes:
    """The forest as the product reads it: limits with six digits, shares with four."""
    columns: dict[str, list[Any]] = {k: [] for k in ("feature", "right", "limit", "shares")}
    roots: list[int] = []
    for estimator in forest.estimators_:
        tree, start = estimator.tree_, len(columns["feature"])
        leaf = tree.children_left < 0
        if (tree.children_left != np.arange(tree.node_count) + 1)[~leaf].any():
            raise ValueError("a tree that does not stand depth first, left before right")
        roots.append(start)
        columns["feature"] += np.where(leaf, -1, tree.feature).tolist()
        columns["right"] += np.where(leaf, 0, tree.children_right + start).tolist()
        columns["limit"] += np.rint(np.where(leaf, 0.0, tree.threshold) * LIMIT_PARTS).tolist()
        shares = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
        columns["shares"] += np.rint(shares * SHARE_PARTS).tolist()
    nodes = np.zeros(len(columns["feature"]), NODE)
    for name, column in columns.items():
        nodes[name] = column
    head = {"format": FORMAT, "features": list(NAMES), "causes": list(CAUSES), "roots": roots}
    return model_bytes(head | {"temperature": round(heat, 4), "threshold": threshold}, nodes)

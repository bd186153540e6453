"""Fitting: a forest by scikit-learn, calibrated on what it did not see, as the file the product reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from appliance.explain.causemodel import CAUSES, FORMAT, LIMIT_PARTS, NODE, SHARE_PARTS, model_bytes
from appliance.explain.features import NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.causes.simulate import Sample

Matrix = npt.NDArray[np.float64]
SEED = 20_261_121
TREES, LEAF = 120, 3
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


def failures_only(sample: Sample) -> bool:
    """True where an incident holds nothing but that something fails, or comes late, out of order or over a new connection."""
    return sum(sample.row[NAMES.index(f"part.{group}")] for group in ("silent", "refused", "pace", "order", "identity")) > 0.999


def table(samples: Sequence[Sample], *, both: bool = False) -> Table:
    """As arrays; every run of a scenario weighs its odds.

    both   for training: what nothing on the wire can tell stands there once for each cause that looks like it, in equal
           parts, so that chance in a small set is not learned as evidence; and an incident of failures only, whose run has
           another one that holds the act, is left out: it would teach that outages are acts
    """
    rows, causes, weights = [], [], []
    acts = {s.run for s in samples if not failures_only(s)}
    for sample in samples:
        if both and sample.cause != "fault" and sample.run in acts and failures_only(sample):
            continue
        alike = EQUALS.get(sample.pair, ()) if both and sample.right == "unknown" else ()
        for cause in alike or (sample.cause,):
            rows.append(sample.row)
            causes.append(CAUSES.index(cause))
            weights.append(sample.odds / max(1, len(alike)))
    return Table(np.array(rows, np.float64), np.array(causes), np.array(weights, np.float64))


def learners() -> dict[str, Any]:
    """What was compared; the first is shipped."""
    forest = {"n_estimators": TREES, "min_samples_leaf": LEAF, "max_features": 0.25, "random_state": SEED, "n_jobs": 1}
    return {
        "random forest": RandomForestClassifier(**forest),
        "extra trees": ExtraTreesClassifier(**forest),
        "boosting": GradientBoostingClassifier(n_estimators=60, max_depth=3, subsample=0.7, random_state=SEED),
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000)),
    }


def fitted(name: str, data: Table) -> Any:
    """One learner, fitted."""
    learner = learners()[name]
    if name == "logistic":
        return learner.fit(data.rows, data.causes, logisticregression__sample_weight=data.weights)
    return learner.fit(data.rows, data.causes, sample_weight=data.weights)


def raw(learner: Any, rows: Matrix) -> Matrix:
    """Probabilities [n, 3] before calibration."""
    given = learner.predict_proba(rows)
    out = np.full((len(rows), len(CAUSES)), 1e-6)
    classes = learner.classes_ if hasattr(learner, "classes_") else learner[-1].classes_
    out[:, classes] = given
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

"""A small ensemble of decision trees, evaluated with NumPy: features of an incident -> probabilities of causes.

The file is JSON: names, arrays, a digest. Nothing in it can run. It was trained with scikit-learn (`tests/causes/train.py`,
card in `models/cause/CARD.md`), which the running program never imports.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from appliance.errors import ModelError
from appliance.explain.features import NAMES

CAUSES: Final = ("security", "fault", "maintenance")
FORMAT: Final = 1
MAX_BYTES: Final = 16 << 20
MAX_NODES: Final = 400_000
_NEXT: Final = "install the package again, or train anew with: make train"


@dataclass(frozen=True, slots=True)
class CauseModel:
    """Trees over features; all nodes of all trees stand in one row of arrays.

    feature     int32 [nodes], column that is asked, -1 at a leaf; limit float64 [nodes]: at most this goes left
    left, right int32 [nodes]; roots int32 [trees]
    values      float64 [nodes, 3]: mean probabilities of CAUSES among what trained there
    temperature the mean of the trees is raised to 1 / temperature and scaled to 1: calibration
    threshold   under this probability nothing is decided
    """

    feature: npt.NDArray[np.int32]
    limit: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    roots: npt.NDArray[np.int32]
    values: npt.NDArray[np.float64]
    temperature: float
    threshold: float

    def probabilities(self, row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """float64 [3]: how likely each of CAUSES is, calibrated. `row` is float64 [features], finite."""
        return self._calibrated(self.values[self._paths(row)[-1]].mean(axis=0))

    def reasons(self, row: npt.NDArray[np.float64], cause: str) -> list[tuple[str, float]]:
        """Features by how much asking them moved the trees towards a cause, the strongest first; only those that did.

        The change of the mean probability along each path, credited to the feature asked there (Saabas 2014).
        """
        column = CAUSES.index(cause)
        credit = np.zeros(len(NAMES))
        paths = self._paths(row)
        for node, after in pairwise(paths):
            asked = self.feature[node]
            moved = self.values[after, column] - self.values[node, column]
            np.add.at(credit, asked[asked >= 0], moved[asked >= 0])
        credit /= len(self.roots)
        order = np.argsort(-credit, kind="stable")
        return [(NAMES[i], float(credit[i])) for i in order.tolist() if credit[i] > 0]

    def _calibrated(self, mean: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        sharp: npt.NDArray[np.float64] = np.maximum(mean, 1e-6) ** (1.0 / self.temperature)
        scaled: npt.NDArray[np.float64] = sharp / sharp.sum()
        return scaled

    def _paths(self, row: npt.NDArray[np.float64]) -> list[npt.NDArray[np.int32]]:
        """The node every tree is at, step by step; a tree that has arrived stays."""
        node = self.roots
        paths = [node]
        while (self.feature[node] >= 0).any():
            asked = self.feature[node]
            step = np.where(row[asked] <= self.limit[node], self.left[node], self.right[node])
            node = np.where(asked >= 0, step, node).astype(np.int32)
            paths.append(node)
        return paths


def digest_of(data: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON without its digest."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse_model(raw: bytes) -> CauseModel:
    """Read a model. Raises ModelError in one clear line when it is damaged, changed, or made for other features."""
    if len(raw) > MAX_BYTES:
        raise ModelError(f"cause model: {len(raw)} bytes are too many; {_NEXT}")
    try:
        data = json.loads(raw)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ModelError(f"cause model: not of format {FORMAT}; {_NEXT}")
        if digest_of(data) != data.get("digest"):
            raise ModelError(f"cause model: its digest does not match its content, it was changed or damaged; {_NEXT}")
        if data["features"] != list(NAMES) or data["causes"] != list(CAUSES):
            raise ModelError(f"cause model: made for other features than this program's; {_NEXT}")
        return _checked(_model(data))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise ModelError(f"cause model: cannot be read ({type(error).__name__}); {_NEXT}") from error


def _model(data: dict[str, Any]) -> CauseModel:
    return CauseModel(
        feature=np.array(data["feature"], np.int32),
        limit=np.array(data["limit"], np.float64),
        left=np.array(data["left"], np.int32),
        right=np.array(data["right"], np.int32),
        roots=np.array(data["roots"], np.int32),
        values=np.array(data["values"], np.float64),
        temperature=float(data["temperature"]),
        threshold=float(data["threshold"]),
    )


def _checked(model: CauseModel) -> CauseModel:
    """Refuse what would not end or would read outside: a child stands behind its parent, so every path ends."""
    size = len(model.feature)
    same = {len(a) for a in (model.limit, model.left, model.right, model.values)} == {size}
    if not (same and 0 < size <= MAX_NODES and model.values.shape == (size, len(CAUSES)) and len(model.roots)):
        raise ValueError("sizes")
    inner = np.flatnonzero(model.feature >= 0)
    children = np.stack([model.left[inner], model.right[inner]])
    sound = (children > inner).all() and (children < size).all() and (model.feature < len(NAMES)).all()
    sound = sound and (model.roots >= 0).all() and (model.roots < size).all()
    finite = np.isfinite(model.limit).all() and np.isfinite(model.values).all() and (model.values >= 0).all()
    if not (sound and finite and model.temperature > 0 and 0 < model.threshold < 1):
        raise ValueError("content")
    return model

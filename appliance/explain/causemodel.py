"""A small ensemble of decision trees, evaluated with NumPy: features of an incident -> probabilities of causes.

The file is one line of JSON (names, roots, a digest) and then the nodes, 16 bytes each. Nothing in it can run, and reading it
makes no objects but the one array. It was trained with scikit-learn (`tests/causes/train.py`, card in `models/cause/CARD.md`),
which the running program never imports.
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
FORMAT: Final = 2
LIMIT_PARTS, SHARE_PARTS = 1_000_000, 10_000  # whole numbers in the file: decimals exactly as they were trained
NODE: Final = np.dtype([("feature", "<i2"), ("right", "<i4"), ("limit", "<i4"), ("shares", "<u2", (len(CAUSES),))])
MAX_HEAD: Final = 64 << 10
MAX_NODES: Final = 400_000
_NEXT: Final = "install the package again, or train anew with: make train"


@dataclass(frozen=True, slots=True)
class CauseModel:
    """Trees over features; all nodes of all trees stand in one array, each tree depth first.

    nodes       NODE [nodes]: the feature that is asked (-1 at a leaf), where to go when it is above its limit (else to the
                next node), the limit in millionths, the shares of CAUSES among what trained there in ten-thousandths
    roots       int32 [trees]
    temperature the mean of the trees is raised to 1 / temperature and scaled to 1: calibration
    threshold   under this probability nothing is decided
    """

    nodes: npt.NDArray[np.void]
    roots: npt.NDArray[np.int32]
    temperature: float
    threshold: float

    def walk(self, row: npt.NDArray[np.float64]) -> Walk:
        """The way of features through every tree. `row` is float64 [features], finite."""
        node = self.roots
        path = [node]
        while ((asked := self.nodes["feature"][node]) >= 0).any():
            below = row[asked] <= self.nodes["limit"][node] / LIMIT_PARTS
            step = np.where(below, node + 1, self.nodes["right"][node])
            node = np.where(asked >= 0, step, node).astype(np.int32)
            path.append(node)
        return Walk(self, tuple(path))


@dataclass(frozen=True, slots=True)
class Walk:
    """What a model says of one row of features.

    path    int32 [trees] at each step: the node every tree is at; a tree that has arrived stays
    """

    model: CauseModel
    path: tuple[npt.NDArray[np.int32], ...]

    def probabilities(self) -> npt.NDArray[np.float64]:
        """float64 [3]: how likely each of CAUSES is, calibrated."""
        mean = self._shares(self.path[-1]).mean(axis=0)
        sharp: npt.NDArray[np.float64] = np.maximum(mean, 1e-6) ** (1.0 / self.model.temperature)
        scaled: npt.NDArray[np.float64] = sharp / sharp.sum()
        return scaled

    def reasons(self, cause: str) -> list[tuple[str, float]]:
        """Features by how much asking them moved the trees towards a cause, the strongest first; only those that did.

        The change of the mean probability along each path, credited to the feature asked there (Saabas 2014).
        """
        column = CAUSES.index(cause)
        credit = np.zeros(len(NAMES))
        for node, after in pairwise(self.path):
            asked = self.model.nodes["feature"][node]
            moved = self._shares(after)[:, column] - self._shares(node)[:, column]
            np.add.at(credit, asked[asked >= 0], moved[asked >= 0])
        credit /= len(self.model.roots)
        order = np.argsort(-credit, kind="stable")
        return [(NAMES[i], float(credit[i])) for i in order.tolist() if credit[i] > 0]

    def _shares(self, node: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """float64 [n, 3]: the mean probabilities at nodes."""
        shares: npt.NDArray[np.float64] = self.model.nodes["shares"][node] / SHARE_PARTS
        return shares


def model_bytes(head: dict[str, Any], nodes: npt.NDArray[np.void]) -> bytes:
    """The file of a model: `head` with the digest of all, a line end, the nodes (NODE)."""
    return _canonical(head | {"digest": _digest(head, nodes.tobytes())}) + b"\n" + nodes.tobytes()


def _canonical(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()


def _digest(head: dict[str, Any], nodes: bytes) -> str:
    """SHA-256 of the canonical head without its digest, and of the nodes."""
    rest = {key: value for key, value in head.items() if key != "digest"}
    return hashlib.sha256(_canonical(rest) + b"\n" + nodes).hexdigest()


def parse_model(raw: bytes) -> CauseModel:
    """Read a model. Raises ModelError in one clear line when it is damaged, changed, or made for other features."""
    line, _, nodes = raw.partition(b"\n")
    if len(line) > MAX_HEAD or len(nodes) > MAX_NODES * NODE.itemsize:
        raise ModelError(f"cause model: {len(raw)} bytes are too many; {_NEXT}")
    try:
        head = json.loads(line)
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise ModelError(f"cause model: not of format {FORMAT}; {_NEXT}")
        if _digest(head, nodes) != head.get("digest"):
            raise ModelError(f"cause model: its digest does not match its content, it was changed or damaged; {_NEXT}")
        if head["features"] != list(NAMES) or head["causes"] != list(CAUSES):
            raise ModelError(f"cause model: made for other features than this program's; {_NEXT}")
        roots = np.array(head["roots"], np.int32)
        return _checked(CauseModel(np.frombuffer(nodes, NODE), roots, float(head["temperature"]), float(head["threshold"])))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise ModelError(f"cause model: cannot be read ({type(error).__name__}); {_NEXT}") from error


def _checked(model: CauseModel) -> CauseModel:
    """Refuse what would not end or would read outside: a child stands behind its parent, so every path ends."""
    nodes, roots, size = model.nodes, model.roots, len(model.nodes)
    inner = np.flatnonzero(nodes["feature"] >= 0)
    right = nodes["right"][inner]
    sound = roots.ndim == 1 and len(roots) and (roots >= 0).all() and (roots < size).all()
    sound = sound and (nodes["feature"] < len(NAMES)).all() and (inner < size - 1).all()
    sound = sound and (right > inner).all() and (right < size).all() and (nodes["shares"] <= SHARE_PARTS).all()
    if not (sound and model.temperature > 0 and 0 < model.threshold < 1):
        raise ValueError("content")
    return model

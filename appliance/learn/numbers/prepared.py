"""What `process_model` says of an image, found ahead: at a large plant it takes seconds, and the image hardly ever changes.

It stands beside the statistics of a baseline, is no part of their digest and is never merged. It counts only for the very image
that it was found in, by the same way of finding; in any other case all is derived anew. So it changes when something is
computed, never what.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from appliance.learn.numbers.grid import Series
from appliance.learn.numbers.process import Alive, Chosen, ProcessModel, process_model
from appliance.learn.numbers.residual import WINDOWS, Relation, Term
from appliance.learn.numbers.series import Field

if TYPE_CHECKING:
    from appliance.learn.numbers.image import Image

DERIVATION = 1  # to be raised with every change of what `process_model` says of the same image


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model and the mark of the image it was found in."""

    mark: str
    model: ProcessModel


def mark_of(image: Image) -> str:
    """SHA-256 of all that a process model is derived from, and of the way it is."""
    h = sha256(f"{DERIVATION}".encode())
    for (port, digest, row), one in sorted(image.rows.items(), key=lambda item: item[0]):
        h.update(f"{port[0]} {port[1]} {digest} {row} {one.low} {one.data.shape}".encode())
        h.update(one.cell.tobytes())
        h.update(one.data.tobytes())
    return h.hexdigest()


def prepare(image: Image) -> Prepared:
    """Find it."""
    return Prepared(mark_of(image), process_model(image))


def recall(image: Image, prepared: Prepared | None) -> ProcessModel:
    """The process model of an image: what was found ahead, or found now."""
    return prepared.model if prepared is not None and prepared.mark == mark_of(image) else process_model(image)


def prepared_bytes(prepared: Prepared) -> bytes:
    """As JSON; numbers come back to the last bit."""
    m = prepared.model
    ranges = [m.relations[0].low.tolist(), m.relations[0].high.tolist()] if m.relations else [[], []]  # one for all relations
    relations = [
        [r.target, r.rate, [list(astuple(t)) for t in r.terms], r.weights, r.constant, r.unit, r.bounds, r.fit]
        for r in m.relations
    ]
    data = {
        "mark": prepared.mark,
        "step": m.step,
        "series": [[s.key, astuple(s.field)] for s in m.series],
        "ranges": ranges,
        "relations": relations,
        "alive": [astuple(a) for a in m.alive],
        "chosen": [astuple(c) for c in m.chosen],
    }
    return json.dumps(data).encode()


def prepared_from(text: bytes) -> Prepared | None:
    """What `prepared_bytes` wrote; None for anything else, which is then found anew."""
    try:
        data = json.loads(text)
        model = _model_from(data)
        return Prepared(str(data["mark"]), model) if _holds_together(model) else None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError):
        return None


def _model_from(data: dict[str, Any]) -> ProcessModel:
    low, high = (np.array(x, np.float64) for x in data["ranges"])
    relations = tuple(
        Relation(int(target), bool(rate), tuple(Term(*map(int, t)) for t in terms), *_fitted(*fitted), low, high, float(fit))
        for target, rate, terms, *fitted, fit in data["relations"]
    )
    series = tuple(
        Series(((int(port[0]), int(port[1])), str(digest), int(row)), Field(int(at), str(reading), bool(signed), int(bit)))
        for (port, digest, row), (at, reading, signed, bit) in data["series"]
    )
    alive = tuple(Alive(int(column), int(most)) for column, most in data["alive"])
    chosen = tuple(
        Chosen(int(column), tuple(map(float, values)), float(least), float(most), bool(closed))
        for column, values, least, most, closed in data["chosen"]
    )
    return ProcessModel(series, int(data["step"]), relations, alive, chosen)


def _fitted(
    weights: list[float], constant: float, unit: float, bounds: list[int]
) -> tuple[tuple[float, ...], float, float, tuple[int, ...]]:
    return tuple(map(float, weights)), float(constant), float(unit), tuple(map(int, bounds))


def _holds_together(m: ProcessModel) -> bool:
    """Whether all that is referred to is there."""
    columns = {r.target for r in m.relations} | {c for r in m.relations for t in r.terms for c in t.columns()}
    columns |= {a.column for a in m.alive} | {c.column for c in m.chosen}
    sizes = all(
        len(r.bounds) == len(WINDOWS) and len(r.weights) == len(r.terms) and len(r.low) == len(r.high) == len(m.series)
        for r in m.relations
    )
    return m.step > 0 and sizes and columns <= set(range(len(m.series)))

"""Which bytes of answers carry process data: what varies though the request is the same; whose answers are sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.learn.messages.pairing import FEW_ANSWERS
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.wholes import BYTES

if TYPE_CHECKING:
    from appliance.learn.messages.sample import Sample
    from appliance.learn.messages.structure import Structure
    from appliance.learn.messages.wholes import Words

DATA_MOVES = 0.01  # share of answers to equal requests that change a byte, from which on it is process data
MIN_EQUAL = 0.97  # share of pairs in which an answer repeats a byte of its request, for it to be an echo


def changes_of(heads: npt.NDArray[np.uint8], group: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], int]:
    """Per byte, how often it changed between consecutive answers to equal requests; and how many chances there were."""
    order = np.argsort(group, kind="stable")
    together = group[order][1:] == group[order][:-1]
    sorted_heads = heads[order]
    return ((sorted_heads[1:] != sorted_heads[:-1]) & together[:, None]).sum(axis=0), int(np.count_nonzero(together))


def data_after_first(
    data: npt.NDArray[np.bool_], echoed: npt.NDArray[np.bool_], identity: npt.NDArray[np.bool_], head: int, words: Words = BYTES
) -> npt.NDArray[np.bool_]:
    """Open bytes of an answer: what varies, and everything from the first process byte on that is not in its head.

    Where words are known, an answer needs no head: what follows is open where it may be data (`Words.resting`).
    """
    process = data & ~echoed & ~identity
    process[:head] = False
    opened: npt.NDArray[np.bool_] = data | echoed | identity | words.behind(process)
    return opened


def data_from(heads: npt.NDArray[np.uint8], same: npt.NDArray[np.integer], other: npt.NDArray[np.bool_], head: int) -> int:
    """The first byte behind the head that carries process data, WIDTH for none.

    same    int [n]: answers with the same number are to equal requests
    other   bool [WIDTH]: echoes, identities, clocks
    """
    changes, chances = changes_of(heads, same)
    moving = (changes > DATA_MOVES * chances) & ~other
    moving[:head] = False
    return int(moving.argmax()) if moving.any() else WIDTH


def echoed_bytes(
    s: Structure, sample: Sample, asked: npt.NDArray[np.int64], told: npt.NDArray[np.int64], kind: int
) -> npt.NDArray[np.bool_]:
    """Bool [WIDTH]: bytes of the answer that repeat an open byte of the request (at the same place, or shifted as echoes are)."""
    echoed = np.zeros(WIDTH, bool)
    opened = np.flatnonzero(~s.templates[kind].closed) if kind >= 0 else np.zeros(0, np.intp)
    for shift in sorted({0} | {e.answer - e.request for e in s.echoes}):
        for at in opened[(opened + shift >= 0) & (opened + shift < WIDTH)]:
            inside = (sample.length[asked] > at) & (sample.length[told] > at + shift)
            if inside.sum() >= 4 and (sample.heads[asked, at] == sample.heads[told, at + shift])[inside].mean() >= MIN_EQUAL:
                echoed[at + shift] = True
    for echo in s.echoes:
        echoed[echo.answer] |= kind >= 0 and not s.templates[kind].closed[echo.request]
    return echoed


def surest(of: npt.NDArray[np.bool_], sure: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Those of a kind whose request is sure, where they are enough and most of it; else all of them."""
    enough = max(FEW_ANSWERS + 1, np.count_nonzero(of) / 2)
    return of & sure if np.count_nonzero(of & sure) >= enough else of


def alone(flow: npt.NDArray[np.int64], request: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Bool [n]: answers that stand between two requests of their connection: whose they are is sure.

    flow     int64 [n], rows in time order
    request  bool [n]
    """
    order = np.argsort(flow, kind="stable")
    together, asks = flow[order][1:] == flow[order][:-1], request[order]
    sure = ~asks
    sure[1:] &= asks[:-1] & together
    sure[:1] = False
    sure[:-1] &= asks[1:] | ~together
    out = np.zeros(len(flow), bool)
    out[order] = sure
    return out

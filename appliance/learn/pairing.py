"""Which request an answer belongs to, without knowing the protocol.

An answer repeats a number of its request (transaction id, invoke id, sender context): an *echo key*. Where one is found,
an answer belongs to the latest of the last eight requests of its connection with the same key; where none is found, to the
latest request not yet answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LAST = 8  # requests an answer may refer back to
ECHO_SEARCH = 64
MIN_DISTINCT = 8
MIN_ECHO = 0.5  # of the answers; several echoes vote
MIN_LIFT = 0.3  # agreement beyond what requests of another time would give
MAX_ECHOES = 8


@dataclass(frozen=True, slots=True, order=True)
class Echo:
    """The answer's byte at `answer` repeats the request's byte at `request`."""

    request: int
    answer: int


def back_references(flow: npt.NDArray[np.int64], request: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For every message, the rows of the last LAST requests of its connection before it, latest first; int64 [n, LAST], -1 none.

    flow     int64 [n], rows in time order
    request  bool [n]
    """
    n = len(flow)
    order = np.argsort(flow, kind="stable")
    sorted_flow, is_request = flow[order], request[order]
    first = np.r_[True, sorted_flow[1:] != sorted_flow[:-1]] if n else np.zeros(0, bool)
    number: npt.NDArray[np.int64] = np.cumsum(is_request) - is_request  # requests before this message, over all flows
    base = number[np.maximum.accumulate(np.where(first, np.arange(n), 0))] if n else number
    request_rows = order[is_request]
    back = np.full((n, LAST), -1, np.int64)
    for lag in range(LAST):
        index = number - 1 - lag
        ok = index >= base
        back[order[ok], lag] = request_rows[index[ok]]
    return back


def find_echoes(
    heads: npt.NDArray[np.uint8], length: npt.NDArray[np.int32], answers: npt.NDArray[np.int64], back: npt.NDArray[np.int64]
) -> tuple[Echo, ...]:
    """Bytes that answers repeat from their requests and that vary from request to request, best first.

    heads, length  all messages of the service
    answers        rows that are answers; back: their back references [len(answers), LAST]
    """
    usable = back[:, 0] >= 0
    answers, back = answers[usable], back[usable]
    if len(answers) < 16:
        return ()
    span = min(ECHO_SEARCH, int(np.quantile(length[answers], 0.05)))
    sources = np.unique(back[back >= 0])
    reach = min(ECHO_SEARCH, int(np.quantile(length[sources], 0.05)))
    found: list[tuple[float, Echo]] = []
    elsewhere = np.roll(back, len(back) // 2, axis=0)  # requests of another time: what agrees with them agrees by chance
    for at in range(reach):
        if len(np.unique(heads[sources, at])) < MIN_DISTINCT:
            continue
        asked = np.where(back >= 0, heads[back, at].astype(np.int16), -1)
        others = np.where(elsewhere >= 0, heads[elsewhere, at].astype(np.int16), -1)
        for to in range(span):
            told = heads[answers, to].astype(np.int16)
            if len(np.unique(told)) < MIN_DISTINCT:
                continue
            any_of_last = float((asked == told[:, None]).any(axis=1).mean())
            chance = float((others == told[:, None]).any(axis=1).mean())
            if any_of_last >= MIN_ECHO and any_of_last - chance >= MIN_LIFT:
                found.append((any_of_last + (0.01 if at == to else 0.0), Echo(at, to)))
    found.sort(key=lambda item: (-item[0], item[1]))
    return tuple(echo for _, echo in found[:MAX_ECHOES])


def pair(
    heads: npt.NDArray[np.uint8],
    answers: npt.NDArray[np.int64],
    back: npt.NDArray[np.int64],
    echoes: tuple[Echo, ...],
    needed: npt.NDArray[np.int16] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """The request each answer belongs to: of the last LAST the one that agrees in most echoes, the latest of equals.

    needed   int16 [n]: echoes in which an answer to that row must agree; requests for which it does go before others
    Returns the row of the request (int64 [len(answers)], -1 where there is none), in how many echoes it agrees (int16), and
    whether that is enough (bool).
    """
    agree = np.zeros(back.shape, np.int16)
    for echo in echoes:
        agree += heads[back, echo.request] == heads[answers, echo.answer][:, None]
    enough = np.ones(back.shape, bool) if needed is None else agree >= needed[back]
    rank = np.where(back < 0, np.int16(-1), agree + np.int16(100) * enough)
    best = rank.argmax(axis=1)[:, None]
    source, agreed, fits = (np.take_along_axis(x, best, axis=1)[:, 0] for x in (back, agree, enough))
    return source, agreed, fits & (source >= 0)

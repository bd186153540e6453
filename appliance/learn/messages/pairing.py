"""Which request an answer belongs to, without knowing the protocol.

An answer repeats a number of its request (transaction id, invoke id, sender context): an *echo key*. Where one is found,
an answer belongs to the latest of the last eight requests of its connection with the same key; where none is found, to the
latest request not yet answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.packets.ordering import grouped

LAST = 8  # requests an answer may refer back to
ECHO_SEARCH = 64
MIN_DISTINCT = 8
MIN_ECHO = 0.5  # of the answers; several echoes vote
MIN_LIFT = 0.3  # agreement beyond what requests of another time would give
FEW_ANSWERS = 8  # answers, below which a kind of request does not show what it is answered with
MAX_ECHOES = 8
SURPLUS = 4, 0.9  # messages that came besides an answer, and their share, from which on what agrees in so few echoes is none


@dataclass(frozen=True, slots=True, order=True)
class Echo:
    """The answer's byte at `answer` repeats the request's byte at `request`."""

    request: int
    answer: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests of each connection, in the order of messages.

    before   int64 [n], requests before a message among those of all connections; base: before the first one of its connection
    row      intp [requests], connection by connection
    """

    before: npt.NDArray[np.int64]
    base: npt.NDArray[np.int64]
    row: npt.NDArray[np.intp]

    def back(self, rows: npt.NDArray[np.intp], lag: int) -> npt.NDArray[np.int64]:
        """Row of the request `lag` before the last one before each message, on its connection; -1 for none."""
        at = self.before[rows] - (1 + lag)
        if not len(self.row):
            return np.full(len(rows), -1, np.int64)
        return np.where(at >= self.base[rows], self.row[np.maximum(at, 0)], -1)

    def backs(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Likewise of the last LAST, latest first; int64 [len(rows), LAST]."""
        return np.stack([self.back(rows, lag) for lag in range(LAST)], axis=1)


def requests_before(flow: npt.NDArray[np.int64], request: npt.NDArray[np.bool_]) -> Asked:
    """Find for every message the requests of its connection before it.

    flow     int64 [n], rows in time order
    request  bool [n]
    """
    groups = grouped(flow)
    is_request = request[groups.order]
    number: npt.NDArray[np.int64] = np.cumsum(is_request) - is_request
    before = np.empty(len(flow), np.int64)
    before[groups.order] = number
    return Asked(before, groups.spread(number[groups.start]), groups.order[is_request])


def back_references(flow: npt.NDArray[np.int64], request: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For every message, the rows of the last LAST requests of its connection before it, latest first; int64 [n, LAST], -1 none.

    flow     int64 [n], rows in time order
    request  bool [n]
    """
    return requests_before(flow, request).backs(np.arange(len(flow)))


def find_echoes(
    heads: npt.NDArray[np.uint8],
    length: npt.NDArray[np.int32],
    answers: npt.NDArray[np.int64],
    back: npt.NDArray[np.int64],
    ask_clock: npt.NDArray[np.bool_],
    tell_clock: npt.NDArray[np.bool_],
) -> tuple[Echo, ...]:
    """Bytes that answers repeat from their requests and that vary from request to request, best first.

    heads, length  all messages of the service
    answers        rows that are answers; back: their back references [len(answers), LAST]
    ask_clock, tell_clock  bool [WIDTH]: bytes of requests and of answers that tell the time, which agree without being repeated
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
            if (ask_clock[at] and tell_clock[to]) or len(np.unique(told)) < MIN_DISTINCT:
                continue
            any_of_last = float((asked == told[:, None]).any(axis=1).mean())
            chance = float((others == told[:, None]).any(axis=1).mean())
            if any_of_last >= MIN_ECHO and any_of_last - chance >= MIN_LIFT:
                found.append((any_of_last + (0.01 if at == to else 0.0), Echo(at, to)))
    found.sort(key=lambda item: (-item[0], item[1]))
    return tuple(echo for _, echo in found[:MAX_ECHOES])


@dataclass(frozen=True, slots=True)
class Echoed:
    """What requests and answers carry at the places of the echoes: per echo a column uint8 [n] over all messages."""

    asked: tuple[npt.NDArray[np.uint8], ...]
    told: tuple[npt.NDArray[np.uint8], ...]

    def agree(self, requests: npt.NDArray[np.int64], answers: npt.NDArray[np.intp]) -> npt.NDArray[np.int16]:
        """In how many echoes answers agree with requests; requests int64 [k] or [k, lags], answers [k]."""
        agree = np.zeros(requests.shape, np.int16)
        for asked, told in zip(self.asked, self.told, strict=True):
            mine = told[answers]
            agree += asked[requests] == (mine if requests.ndim == 1 else mine[:, None])
        return agree

    def then(self, other: Echoed) -> Echoed:
        """The columns of messages and of those that follow them."""
        asked, told = (
            tuple(np.concatenate(both) for both in zip(mine, its, strict=True))
            for mine, its in ((self.asked, other.asked), (self.told, other.told))
        )
        return Echoed(asked, told)


def echo_columns(heads: npt.NDArray[np.uint8], echoes: tuple[Echo, ...]) -> Echoed:
    """The columns of the echoes."""
    return Echoed(tuple(heads[:, e.request] for e in echoes), tuple(heads[:, e.answer] for e in echoes))


def pair(
    columns: Echoed,
    answers: npt.NDArray[np.intp],
    back: npt.NDArray[np.int64],
    needed: npt.NDArray[np.int16] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """The request each answer belongs to: of the last LAST the one that agrees in most echoes, the latest of equals.

    needed   int16 [n]: echoes in which an answer to that row must agree; requests for which it does go before others
    Returns the row of the request (int64 [len(answers)], -1 where there is none), in how many echoes it agrees (int16), and
    whether that is enough (bool).
    """
    agree = columns.agree(back, answers)
    enough = np.ones(back.shape, bool) if needed is None else agree >= needed[back]
    rank = np.where(back < 0, np.int16(-1), agree + np.int16(100) * enough)
    best = rank.argmax(axis=1)[:, None]
    source, agreed, fits = (np.take_along_axis(x, best, axis=1)[:, 0] for x in (back, agree, enough))
    return source, agreed, fits & (source >= 0)


def least_agreement(agree: npt.NDArray[np.int16], source: npt.NDArray[np.int64], strict: bool) -> int:
    """How many echoes the answers to one kind of request have at the least, a few aside.

    More, where those that have fewer say so to requests that were answered besides: they were unasked, and agree by chance in a
    unit or an address. One byte alone is too little to tell them apart by.

    agree, source   int [n]: echoes in which each answer agrees, and the row of its request
    strict   what was said unasked and fell among the answers agrees in few, and does not count
    """
    if len(agree) < FEW_ANSWERS:
        return 0
    own = agree[2 * agree > np.median(agree)] if strict else agree
    usual = int(np.quantile(own if 2 * len(own) > len(agree) else agree, 0.02))
    for echoes in range(int(agree.max()), max(1, usual), -1):
        fewer = agree < echoes
        besides = np.isin(source[fewer], source[~fewer])
        if np.count_nonzero(besides) >= SURPLUS[0] and besides.mean() >= SURPLUS[1]:
            return echoes
    return usual


def pair_latest(
    columns: Echoed, answers: npt.NDArray[np.intp], asked: Asked, needed: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """What `pair` returns; the requests before the last one are only looked at where that one does not agree in all echoes."""
    source = asked.back(answers, 0)
    agreed = columns.agree(source, answers)
    fits = (source >= 0) & (agreed == len(columns.asked)) & (agreed >= needed[source])
    rest = np.flatnonzero(~fits & (source >= 0))
    if len(rest):
        back = asked.backs(answers[rest])
        source[rest], agreed[rest], fits[rest] = pair(columns, answers[rest], back, needed)
    return source, agreed, fits

"""What can still be said of messages whose content says nothing: encrypted, compressed, or carrying a check that nobody knows.

Noise has a place. In front of it stands a header with few values, and a value that the header never had is a deviation also
where no row of the message is ever known again. The header of a kind of message in a stream are its closed bytes up to the first
one that is *unsteady*: it had more than FEW values, or one that did not last (not seen in both the first and the last third of
the time), as an address has that is walked through. A direction that brings new messages all the time has a header too: the
bytes in front of the first with more than FEW values, the length field aside, that never had but one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.packets.ordering import distinct

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.learn.meaning.model import ServiceModel
    from appliance.learn.messages.classify import Classified

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
Header = tuple[Places, Flags]  # offsets [k]; which values each has had [k, 256]
Key = tuple[int, bool, int]  # stream, answering?, kind: -1 where it is not sure, then the whole direction counts

FEW = 8  # values that a byte of a header may have
ENOUGH, SETTLED = 24, 60  # messages, below which it is not known what is header; likewise of a direction that is always new
SEARCH = 64


def header_of(service: ServiceModel, key: Key) -> Header:
    """The header of a kind of message, found once."""
    known = service.headers.get(key)
    if known is None:
        known = service.headers[key] = _header(service, key)
    return known


def breaks(header: Header, heads: npt.NDArray[np.uint8], length: npt.NDArray[np.int32]) -> Flags:
    """Bool [n, k]: bytes of the header that have a value never learned there; heads uint8 [n, width], zero beyond the end."""
    offsets, values = header
    inside = offsets < heads.shape[1]
    wrong = np.zeros((len(heads), len(offsets)), bool)
    wrong[:, inside] = ~values[np.flatnonzero(inside), heads[:, offsets[inside]]]
    wrong &= offsets < length[:, None]
    return wrong


def mere_noise(service: ServiceModel, c: Classified, rows: Places, streams: npt.NDArray[np.uint64]) -> Flags:
    """Bool [len(rows)]: messages of a kind that says nothing, with a sound header: nothing about them is worth a closer look.

    rows     of `c`; streams: uint64 [conversations], content hash of every conversation
    """
    out: Flags = np.zeros(len(rows), bool)
    if not len(rows):
        return out
    answers = ~c.messages.request[rows]
    kind = c.template[rows]
    always = np.isin(answers, sorted(service.silent))
    opaque = always | (np.append(service.noise, False)[kind] & (kind >= 0))
    opaque &= ~np.isin(kind, sorted(service.muted))  # these say something that nobody wants to hear
    group = c.messages.conversation[rows].astype(np.int64) << 32 | answers.astype(np.int64) << 31 | np.where(always, -1, kind) + 1
    for one in distinct(group[opaque]):
        mine = np.flatnonzero(opaque & (group == one))
        at = rows[mine]
        key = (
            int(streams[c.messages.conversation[at[0]]]),
            bool(answers[mine[0]]),
            -1 if always[mine[0]] else int(kind[mine[0]]),
        )
        if key[:2] in service.by_stream:
            out[mine] = ~breaks(header_of(service, key), c.heads[at], c.messages.length[at]).any(axis=1)
    return out


def _header(service: ServiceModel, key: Key) -> Header:
    table = service.table
    rows = service.by_stream[key[:2]]
    novel = key[1] in service.calibration.opaque
    mine = rows[:0] if novel else rows[table.template[rows] == key[2]]  # none for -1
    if int(table.numbers["count"][mine].sum()) < ENOUGH:
        mine = rows
    values = np.zeros((SEARCH, 256), bool)
    if int(table.numbers["count"][mine].sum()) < (SETTLED if novel else ENOUGH):
        return np.zeros(0, np.intp), values[:0]
    lasting = _lasting(service, mine)
    closed: Flags = np.logical_and.reduce(service.structure.closed()[table.template[mine]])
    shortest = min(SEARCH, int(table.length[mine].min()) or SEARCH)  # 0: of any length; the message's own sets the limit
    framing = service.structure.framing
    found: list[int] = []
    for offset in np.flatnonzero(closed[:shortest]).tolist():
        if novel and framing.offset <= offset < framing.reach:
            continue
        had = distinct(table.bytes[mine, offset])
        if len(had) > FEW or not (novel or lasting(offset, had)):
            break
        if not novel or len(had) == 1:
            values[len(found), had] = True
            found.append(offset)
    return np.array(found, np.intp), values[: len(found)]


def _lasting(service: ServiceModel, rows: Places) -> Callable[[int, npt.NDArray[np.uint8]], bool]:
    """Tells whether values at an offset were all seen both early and late."""
    table = service.table
    first, last = table.numbers["first"][rows], table.numbers["last"][rows]
    third = (int(last.max()) - int(first.min())) // 3
    early, late = rows[first <= first.min() + third], rows[last >= last.max() - third]

    def lasting(offset: int, had: npt.NDArray[np.uint8]) -> bool:
        both: Flags = np.isin(had, table.bytes[early, offset]) & np.isin(had, table.bytes[late, offset])
        return bool(np.all(both))

    return lasting

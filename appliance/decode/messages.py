"""Payloads cut into messages by the learned framing: pipelined messages are split, split ones are joined.

The fast path is a vector operation: a payload whose length field says that it is one message, is one. Only connections
in which something else was seen go through the slow path, segment by segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Assigned, Conversation, Port
from appliance.decode.framing import WHOLE, Framing, chain, size_of
from appliance.decode.heads import heads_of
from appliance.decode.sizes import sizes_of
from appliance.packets.ordering import stable_order

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch

MAX_HELD = 65_536  # bytes kept of a message that is not complete yet
MAX_STREAMS = 4096  # connections that may hold bytes at once
MAX_PIPELINED = 1024  # messages taken out of one payload
MAX_ROUNDS = 64  # ... of these, so many by the fast path
MAX_WAIT = 2_000_000_000  # ns that the rest of a message is waited for
FULL_SEGMENT = 512  # bytes from which on a segment may be one of a longer stream
TCP = 6
FIN, RST = 0x01, 0x04
_NO_ROWS: npt.NDArray[np.intp] = np.zeros(0, np.intp)
_Cut = tuple[npt.NDArray[np.intp], npt.NDArray[np.int32], npt.NDArray[np.int32]]
SLACK = 256


class Segment(NamedTuple):
    """A payload that goes the slow way."""

    flow: int
    conversation: int
    request: bool
    time: int
    frame: int
    at: int  # offset in the batch's buffer
    shift: int  # bytes of the frame's payload before it
    size: int
    gap: bool
    tcp: bool


class Held(NamedTuple):
    """The head of a message whose rest is still to come."""

    data: bytes
    frame: int
    time: int
    first: int  # offset of the message in the payload of `frame`
    row_values: tuple[int, int, bool]  # flow, conversation, request


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages as rows, in the order of their frames.

    at            int64, offset of the message in the batch's buffer
    length        int32, bytes
    flow          int64, conversation int32, request bool: as assigned
    time          int64 ns; frame int64: of the frame in which the message begins
    first         int32, offset of the message in the payload of that frame
    split         int32, bytes of it in that frame (the rest came in `last_frame`); equals length where it is whole
    last_frame    int64, frame that completed it
    broken        bool, the framing of its service does not hold: the payload is taken as one message
    """

    at: npt.NDArray[np.int64]
    length: npt.NDArray[np.int32]
    flow: npt.NDArray[np.int64]
    conversation: npt.NDArray[np.int32]
    request: npt.NDArray[np.bool_]
    time: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    split: npt.NDArray[np.int32]
    last_frame: npt.NDArray[np.int64]
    broken: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Messages:
        """The given rows."""
        return Messages(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(slots=True)
class Cutter:
    """Cuts payloads into messages; holds what is not complete.

    framings  by service; a service without an entry is not cut
    """

    framings: Mapping[Port, Framing]
    held: dict[tuple[int, bool], Held] = field(default_factory=dict)

    def cut(self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation]) -> Messages:
        """Messages of the batch."""
        rows = np.flatnonzero((batch.payload_len > 0) & (assigned.flow >= 0) & (assigned.conversation >= 0))
        pieces, odd, lost = self._chained(batch, assigned, conversations, rows)
        out: list[tuple[int, ...]] = []
        taken, broken = odd, _NO_ROWS
        if odd.any() or self.held:
            broken = self._surely_broken(assigned.flow[rows], odd, lost)
            slow = odd.copy()
            slow[broken] = False
            taken = self._cut_slowly(batch, assigned, conversations, rows, slow, out)
            taken[broken] = True
        if self.held:
            out += self._given_up(batch, assigned)
        fast = ~taken[pieces[0]]
        whole = _pieces(batch, assigned, rows, pieces[0][fast], pieces[1][fast], pieces[2][fast])
        return _merged(whole, _broken(batch, assigned, rows[broken]), out) if out or len(broken) else whole

    def _surely_broken(
        self, flow: npt.NDArray[np.int64], odd: npt.NDArray[np.bool_], lost: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.intp]:
        """Payloads that come to nothing and of whose connection nothing waits, nor will: a flood of nonsense costs no loop."""
        waiting = np.array([f for f, _ in self.held], np.int64)
        return np.flatnonzero(odd & lost & ~np.isin(flow, np.r_[flow[odd & ~lost], waiting]))

    def _chained(
        self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation], rows: npt.NDArray[np.intp]
    ) -> tuple[_Cut, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Cut all payloads at once, one message of each per round.

        Returns pieces (index into rows, first, end in the payload) in the order of rows, which rows do not come out even, and
        which of these no later segment can complete.
        """
        framing_of = [self.framings.get(c.port, WHOLE) for c in conversations]
        kinds = sorted({f for f in framing_of if f.width}, key=lambda f: (f.offset, f.width, f.big, f.constant, f.coding))
        number = {f: i for i, f in enumerate(kinds)}
        which = np.array([number.get(f, -1) for f in framing_of] or [-1], np.int16)[assigned.conversation[rows]]
        size, odd, lost = batch.payload_len[rows], np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        stream = batch.proto[rows] == TCP
        plain = np.flatnonzero(which < 0)
        found = [(plain, np.zeros(len(plain), np.int32), size[plain])]
        for i, framing in enumerate(kinds):
            alive = np.flatnonzero(which == i)
            begin = np.zeros(len(alive), np.int32)
            for _ in range(MAX_ROUNDS):
                if not len(alive):
                    break
                rest = size[alive] - begin
                heads = heads_of(batch.data, batch.payload[rows[alive]] + begin, rest, framing.reach)
                length, head = sizes_of(heads, framing)
                fits = (rest >= head) & (length >= head) & (length <= rest)
                odd[alive[~fits]] = True
                needed = np.where(rest < head, head, length)
                lost[alive] = ~fits & ~(stream[alive] & (rest < needed) & (needed <= MAX_HELD))
                alive, begin, length, rest = alive[fits], begin[fits], length[fits].astype(np.int32), rest[fits]
                found.append((alive, begin, begin + length))
                more = length < rest
                alive, begin = alive[more], (begin + length)[more]
            odd[alive] = True
        index, first, end = (np.concatenate([f[k] for f in found]) for k in range(3))
        order = stable_order(index) if len(found) > 1 else np.arange(len(index))  # the rounds are those of `first`
        return (index[order], first[order], end[order]), odd, lost

    def _given_up(self, batch: DecodedBatch, assigned: Assigned) -> list[tuple[int, ...]]:
        """What is held of connections that ended, or for too long: its rest will not come."""
        now = int(batch.time.max())
        flows = np.array([flow for flow, _ in self.held], np.int64)
        ends = np.flatnonzero((batch.tcp_flags & (FIN | RST) != 0) & np.isin(assigned.flow, flows))
        ended = {int(assigned.flow[row]): int(batch.frame[row]) for row in ends}
        out: list[tuple[int, ...]] = []
        for key, held in list(self.held.items()):
            if ended.get(key[0], -1) > held.frame or abs(now - held.time) > MAX_WAIT:
                out.append(_held_row(batch, self.held.pop(key)))
        return out

    def _cut_slowly(
        self,
        batch: DecodedBatch,
        assigned: Assigned,
        conversations: list[Conversation],
        rows: npt.NDArray[np.intp],
        odd: npt.NDArray[np.bool_],
        out: list[tuple[int, ...]],
    ) -> npt.NDArray[np.bool_]:
        """Go through connections that hold something or do not come out even; returns which rows were taken (bool)."""
        flow = assigned.flow[rows]
        waiting = np.array([f for f, _ in self.held], np.int64)
        mine = np.flatnonzero(np.isin(flow, np.r_[flow[odd], waiting]))
        mine = mine[np.argsort(flow[mine], kind="stable")]
        slow = odd.copy()
        holding = {f for f, _ in self.held}
        for i, uneven, segment in zip(mine.tolist(), odd[mine].tolist(), _segments(batch, assigned, rows[mine]), strict=True):
            key = segment.flow
            if uneven or key in holding:
                slow[i] = True
                self._cut_segment(batch, segment, self.framings.get(conversations[segment.conversation].port, WHOLE), out)
                (holding.add if (key, True) in self.held or (key, False) in self.held else holding.discard)(key)
        return slow

    def _cut_segment(self, batch: DecodedBatch, segment: Segment, framing: Framing, out: list[tuple[int, ...]]) -> None:
        """One payload of a connection that holds something or that does not come out even itself."""
        key, other = (segment.flow, segment.request), (segment.flow, not segment.request)
        payload = batch.data[segment.at : segment.at + segment.size].tobytes()
        if other in self.held and len(self.held[other].data) < FULL_SEGMENT:  # the other side took it for complete
            out.append(_held_row(batch, self.held.pop(other)))
        held = self.held.pop(key, None)
        if held is not None:
            if not segment.gap and self._join(batch, held, payload, segment, framing, out):
                return
            out.append(_held_row(batch, held))
        self._cut_payload(payload, segment, framing, out)

    def _join(
        self, batch: DecodedBatch, held: Held, payload: bytes, segment: Segment, framing: Framing, out: list[tuple[int, ...]]
    ) -> bool:
        """Try held + payload; False where they do not belong together."""
        both, size = held.data + payload, len(held.data)
        ranges, end = chain(both, framing, MAX_PIPELINED)
        # a payload that is complete by itself continues nothing, unless the whole comes out even
        if len(both) > MAX_HELD or (end < len(both) and chain(payload, framing)[1] == len(payload)):
            return False
        key = (segment.flow, segment.request)
        if end < size:  # what was held is not complete yet
            if _needed(both[end : end + framing.reach], len(both) - end, framing) > MAX_HELD:
                return False
            self.held[key] = Held(both, *held[1:])
            return True
        frame, time, shift = segment.frame, segment.time, segment.shift
        joined: list[tuple[int, ...]] = []
        for begin, stop in ranges:
            if begin >= size:
                place = (time, frame, shift + begin - size, stop - begin, frame, 0)
                joined.append((segment.at + begin - size, stop - begin, *held.row_values, *place))
                continue
            at = batch.packets.arena.put(both[begin:stop])
            if at < 0:
                return False
            last = frame if stop > size else held.frame
            place = (held.time, held.frame, held.first + begin, min(stop, size) - begin, last, 0)
            joined.append((at, stop - begin, *held.row_values, *place))
        out.extend(joined)
        if end < len(both):
            self.held[key] = Held(both[end:], frame, time, shift + end - size, held.row_values)
        return True

    def _cut_payload(self, payload: bytes, segment: Segment, framing: Framing, out: list[tuple[int, ...]]) -> None:
        """One payload with nothing held before it."""
        ranges, end = chain(payload, framing, MAX_PIPELINED)
        at, frame, time, shift, size = segment.at, segment.frame, segment.time, segment.shift, segment.size
        values, rest = segment[:3], payload[end:]
        may_wait = segment.tcp and len(self.held) < MAX_STREAMS
        if rest and not (may_wait and len(rest) < _needed(rest[: framing.reach], len(rest), framing) <= MAX_HELD):
            out.append((at, size, *values, time, frame, shift, size, frame, 1))
            return
        if rest and size < FULL_SEGMENT:  # all or nothing: a wrong length must not pass for a message and a rest
            self.held[segment.flow, segment.request] = Held(payload, frame, time, shift, values)
            return
        for begin, stop in ranges:
            out.append((at + begin, stop - begin, *values, time, frame, shift + begin, stop - begin, frame, 0))
        if rest:
            self.held[segment.flow, segment.request] = Held(rest, frame, time, shift + end, values)

    def flush(self, batch: DecodedBatch) -> Messages:
        """What is still held, as broken messages (at the end of the input); their bytes go to the batch's arena."""
        rows = [_held_row(batch, held) for held in self.held.values()]
        self.held.clear()
        return _from_rows(rows)


def _needed(start: bytes, there: int, framing: Framing) -> int:
    """Size of the message that begins so, as its head says; the head's own size where fewer bytes than that are there."""
    size, head = size_of(start, framing)
    return head if there < head else size


def _segments(batch: DecodedBatch, assigned: Assigned, rows: npt.NDArray[np.intp]) -> Iterator[Segment]:
    """Rows as plain numbers: taken out of columns one by one, each would cost more than what is done with it."""
    own = (assigned.flow, assigned.conversation, assigned.request)
    columns = (*own, batch.time, batch.frame, batch.payload, batch.payload_base, batch.payload_len, batch.gap, batch.proto == TCP)
    return map(Segment._make, zip(*(column[rows].tolist() for column in columns), strict=True))


def _held_row(batch: DecodedBatch, held: Held) -> tuple[int, ...]:
    at = max(0, batch.packets.arena.put(held.data[:SLACK]))
    return (at, len(held.data), *held.row_values, held.time, held.frame, held.first, len(held.data), held.frame, 1)


def _pieces(
    batch: DecodedBatch,
    assigned: Assigned,
    rows: npt.NDArray[np.intp],
    index: npt.NDArray[np.intp],
    first: npt.NDArray[np.int32],
    end: npt.NDArray[np.int32],
) -> Messages:
    """Messages that lie whole in one payload."""
    row = rows[index]
    length, frame = end - first, batch.frame[row]
    return Messages(
        at=batch.payload[row] + first,
        length=length,
        flow=assigned.flow[row],
        conversation=assigned.conversation[row],
        request=assigned.request[row],
        time=batch.time[row],
        frame=frame,
        first=batch.payload_base[row] + first,
        split=length,
        last_frame=frame,
        broken=np.zeros(len(row), bool),
    )


def _from_rows(rows: list[tuple[int, ...]]) -> Messages:
    table = np.array(rows, np.int64).reshape(len(rows), 11)
    c = table.T
    i32 = np.int32
    request, broken = c[4].astype(bool), c[10].astype(bool)
    first, split = c[7].astype(i32), c[8].astype(i32)
    return Messages(c[0], c[1].astype(i32), c[2], c[3].astype(i32), request, c[5], c[6], first, split, c[9], broken)


def _broken(batch: DecodedBatch, assigned: Assigned, row: npt.NDArray[np.intp]) -> Messages:
    """Payloads that are taken as one message each, though the framing of their service does not hold."""
    whole = _pieces(batch, assigned, row, np.arange(len(row)), np.zeros(len(row), np.int32), batch.payload_len[row])
    return replace(whole, broken=np.ones(len(row), bool))


def _merged(whole: Messages, broken: Messages, rows: list[tuple[int, ...]]) -> Messages:
    """Fast and slow rows together, in the order of the frames."""
    parts = (whole, broken, _from_rows(rows))
    both = Messages(*(np.concatenate([getattr(part, name) for part in parts]) for name in Messages.__slots__))
    return both.take(np.lexsort((both.first, both.frame, both.last_frame)))

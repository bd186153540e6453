"""Payloads cut into messages by the learned framing: pipelined messages are split, split ones are joined.

The fast path is a vector operation: a payload whose length field says that it is one message, is one. Only connections
in which something else was seen go through the slow path, segment by segment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Assigned, Conversation, Port
from appliance.decode.framing import WHOLE, Framing, chain, size_of
from appliance.decode.heads import heads_of
from appliance.decode.messages import Messages, broken_whole, from_rows, merged, pieces
from appliance.decode.sizes import sizes_of
from appliance.packets.ordering import stable_order

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch

MAX_HELD = 65_536  # bytes kept of a message that is not complete yet
MAX_STREAMS = 4096  # connections that may hold bytes at once
MAX_PIPELINED = 1024  # messages taken out of one payload
MAX_ROUNDS = 64  # ... of these, so many by the fast path
SECOND = 1_000_000_000
MAX_WAIT = 2 * SECOND  # ns that the rest of a message is waited for
FULL_SEGMENT = 512  # bytes from which on a segment may be one of a longer stream
TCP = 6
FIN, RST = 0x01, 0x04
_NO_ROWS: npt.NDArray[np.intp] = np.zeros(0, np.intp)
_Cut = tuple[npt.NDArray[np.intp], npt.NDArray[np.int32], npt.NDArray[np.int32]]
SLACK = 256  # bytes kept of a message that stays incomplete


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
    at: int = -1  # its offset in the buffer of batch number `batch`, -1 where it was put together of several payloads
    batch: int = -1


@dataclass(slots=True)
class Cutter:
    """Cuts payloads into messages; holds what is not complete.

    framings  by service; a service without an entry is not cut
    held      what is not complete yet, by connection and direction
    batches   so many were cut
    second    of the last frame, by its time; None before the first
    """

    framings: Mapping[Port, Framing]
    held: dict[tuple[int, bool], Held] = field(default_factory=dict)
    batches: int = 0
    second: int | None = None

    def cut(self, batch: DecodedBatch, assigned: Assigned, conversations: list[Conversation]) -> Messages:
        """Messages of the batch."""
        rows = np.flatnonzero((batch.payload_len > 0) & (assigned.flow >= 0) & (assigned.conversation >= 0))
        found, odd, lost = self._chained(batch, assigned, conversations, rows)
        out: list[tuple[int, ...]] = []
        taken, broken = odd, _NO_ROWS
        if odd.any() or self.held:
            broken = self._surely_broken(assigned.flow[rows], odd, lost)
            slow = odd.copy()
            slow[broken] = False
            taken = self._cut_slowly(batch, assigned, conversations, rows, slow, out)
            taken[broken] = True
        self.batches += 1
        if len(batch.time):
            self.second = int(batch.time[-1]) // SECOND
        fast = ~taken[found[0]]
        whole = pieces(batch, assigned, rows, found[0][fast], found[1][fast], found[2][fast])
        return merged(whole, broken_whole(batch, assigned, rows[broken]), out) if out or len(broken) else whole

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

    def _moments(self, batch: DecodedBatch, assigned: Assigned, flows: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
        """When something that is held may be given up, in order, by the frames alone, wherever batches end.

        (3 * row, -1): a second begins with that row; (3 * row + 2, flow): with it one of the given connections ends.
        """
        second = batch.time // SECOND
        begun = np.flatnonzero(np.diff(second, prepend=second[:1] if self.second is None else self.second))
        ended = np.flatnonzero((batch.tcp_flags & (FIN | RST) != 0) & np.isin(assigned.flow, flows))
        ends = zip((3 * ended + 2).tolist(), assigned.flow[ended].tolist(), strict=True)
        return sorted([*((row, -1) for row in (3 * begun).tolist()), *ends])

    def _give_up(self, batch: DecodedBatch, row: int, flow: int, out: list[tuple[int, ...]]) -> None:
        """What is held of a connection that ended, or (flow < 0) for too long: its rest will not come."""
        frame, now = int(batch.frame[row]), int(batch.time[row])
        if flow < 0:
            over = [key for key, held in self.held.items() if abs(now - held.time) > MAX_WAIT]
        else:
            over = [key for key in ((flow, False), (flow, True)) if key in self.held and self.held[key].frame < frame]
        out += [self._incomplete(batch, self.held.pop(key), frame) for key in over]

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
        flows = np.r_[flow[odd], np.array([f for f, _ in self.held], np.int64)]
        mine = np.flatnonzero(np.isin(flow, flows))
        moments = deque(self._moments(batch, assigned, flows))
        slow = odd.copy()
        segments = zip((3 * rows[mine] + 1).tolist(), mine.tolist(), _segments(batch, assigned, rows[mine]), strict=True)
        for now, i, segment in segments:
            while moments and moments[0][0] < now:
                at, ended = moments.popleft()
                self._give_up(batch, at // 3, ended, out)
            if odd[i] or (segment.flow, True) in self.held or (segment.flow, False) in self.held:
                slow[i] = True
                self._cut_segment(batch, segment, self.framings.get(conversations[segment.conversation].port, WHOLE), out)
        for at, ended in moments:
            self._give_up(batch, at // 3, ended, out)
        return slow

    def _cut_segment(self, batch: DecodedBatch, segment: Segment, framing: Framing, out: list[tuple[int, ...]]) -> None:
        """One payload of a connection that holds something or that does not come out even itself."""
        key, other = (segment.flow, segment.request), (segment.flow, not segment.request)
        payload = batch.data[segment.at : segment.at + segment.size].tobytes()
        if other in self.held and len(self.held[other].data) < FULL_SEGMENT:  # the other side took it for complete
            out.append(self._incomplete(batch, self.held.pop(other), segment.frame))
        held = self.held.pop(key, None)
        if held is not None:
            if not segment.gap and self._join(batch, held, payload, segment, framing, out):
                return
            out.append(self._incomplete(batch, held, segment.frame))
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
            self.held[key] = held._replace(data=both, at=-1)
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
            where = (segment.at + end - size, self.batches)
            self.held[key] = Held(both[end:], frame, time, shift + end - size, held.row_values, *where)
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
            self.held[segment.flow, segment.request] = Held(payload, frame, time, shift, values, at, self.batches)
            return
        for begin, stop in ranges:
            out.append((at + begin, stop - begin, *values, time, frame, shift + begin, stop - begin, frame, 0))
        if rest:
            self.held[segment.flow, segment.request] = Held(rest, frame, time, shift + end, values, at + end, self.batches)

    def flush(self, batch: DecodedBatch) -> Messages:
        """What is still held, as broken messages (at the end of the input); their bytes go to the batch's arena."""
        self.batches += 1  # nothing lies in the buffer of this one
        rows = [self._incomplete(batch, held, held.frame) for held in self.held.values()]
        self.held.clear()
        return from_rows(rows)

    def _incomplete(self, batch: DecodedBatch, held: Held, last_frame: int) -> tuple[int, ...]:
        """What was held, as a message that stays as it is; last_frame: the one that showed it."""
        at = held.at if held.batch == self.batches else -1
        if at < 0:
            at = batch.packets.arena.put(held.data[:SLACK])
        if at < 0:  # no room at all: the message is told, with zeros for bytes, which the buffer ends with
            at = batch.data.size - SLACK
        return (at, len(held.data), *held.row_values, held.time, held.frame, held.first, len(held.data), last_frame, 1)


def _needed(start: bytes, there: int, framing: Framing) -> int:
    """Size of the message that begins so, as its head says; the head's own size where fewer bytes than that are there."""
    size, head = size_of(start, framing)
    return head if there < head else size


def _segments(batch: DecodedBatch, assigned: Assigned, rows: npt.NDArray[np.intp]) -> Iterator[Segment]:
    """Rows as plain numbers: taken out of columns one by one, each would cost more than what is done with it."""
    own = (assigned.flow, assigned.conversation, assigned.request)
    columns = (*own, batch.time, batch.frame, batch.payload, batch.payload_base, batch.payload_len, batch.gap, batch.proto == TCP)
    return map(Segment._make, zip(*(column[rows].tolist() for column in columns), strict=True))

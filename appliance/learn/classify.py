"""Messages of one service put under its structure: template, row and the request an answer belongs to.

The same code serves learning (rows are counted) and detection (rows are looked up).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from appliance.decode.messages import Messages, gather
from appliance.learn.pairing import LAST, back_references, pair
from appliance.learn.rowhash import mix, row_hash
from appliance.learn.sample import WIDTH
from appliance.learn.structure import UNKNOWN, Structure, answer_templates, walk

MAX_MISSED = 32  # requests that a capture may have missed in a row
MAX_TAIL = 20_000  # requests remembered for answers that come in a later batch


@dataclass(frozen=True, slots=True)
class Classified:
    """Rows beside the messages of one service in one batch.

    heads     uint8 [n, width]: first bytes, zero beyond the end
    template  int32 [n], UNKNOWN where the structure has no such kind
    row       uint64 [n]: identity of the message up to its open bytes, within its stream (and for its request)
    asked     uint64 [n]: row of the request an answer belongs to, 0 where there is none
    questions uint8 [q, width]: requests that answers refer to, also those of earlier batches
    question  int64 [n]: which of them an answer belongs to, -1 for none
    weak      bool [n]: nothing but the order says that the answer belongs to that request
    misses    bool [n]: an answer that repeats no request though requests were seen on its connection
    settled   bool [n]: an answer on a connection of which so many requests were seen that its own cannot have been missed
    number    int64 [n]: running number of a request; of the request that an answer belongs to, -1 for none
    """

    messages: Messages
    heads: npt.NDArray[np.uint8]
    template: npt.NDArray[np.int32]
    row: npt.NDArray[np.uint64]
    asked: npt.NDArray[np.uint64]
    questions: npt.NDArray[np.uint8]
    question: npt.NDArray[np.int64]
    weak: npt.NDArray[np.bool_]
    misses: npt.NDArray[np.bool_]
    settled: npt.NDArray[np.bool_]
    number: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Per answer: row and kind of its request (0, UNKNOWN for none), its index in `questions`, flags, its number."""

    asked: npt.NDArray[np.uint64]
    kind: npt.NDArray[np.int32]
    questions: npt.NDArray[np.uint8]
    question: npt.NDArray[np.int64]
    weak: npt.NDArray[np.bool_]
    misses: npt.NDArray[np.bool_]
    settled: npt.NDArray[np.bool_]
    number: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Tail:
    """The last requests of connections: flow, number int64 [k], heads uint8 [k, WIDTH], template int32 [k], row uint64 [k]."""

    flow: npt.NDArray[np.int64]
    heads: npt.NDArray[np.uint8]
    template: npt.NDArray[np.int32]
    row: npt.NDArray[np.uint64]
    number: npt.NDArray[np.int64]

    @classmethod
    def empty(cls) -> _Tail:
        none = np.zeros(0, np.int64)
        return cls(none, np.zeros((0, WIDTH), np.uint8), np.zeros(0, np.int32), np.zeros(0, np.uint64), none)

    def take(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> _Tail:
        return _Tail(self.flow[keep], self.heads[keep], self.template[keep], self.row[keep], self.number[keep])

    def then(self, other: _Tail) -> _Tail:
        names = ("flow", "heads", "template", "row", "number")
        return _Tail(*(np.concatenate([getattr(self, k), getattr(other, k)]) for k in names))


@dataclass(slots=True)
class Classifier:
    """Applies a structure to batch after batch; remembers the last requests of each connection."""

    structure: Structure
    _tail: _Tail = field(default_factory=_Tail.empty)
    _reach: int = field(init=False)
    _asked: int = 0  # requests so far

    def __post_init__(self) -> None:
        self._reach = -(-self.structure.reach() // 8) * 8

    def classify(self, messages: Messages, data: npt.NDArray[np.uint8], stream_keys: npt.NDArray[np.uint64]) -> Classified:
        """Classify the messages of this service in one batch.

        data         the batch's buffer
        stream_keys  uint64 [conversations]: content hash of every conversation
        """
        width = max(self._reach, min(WIDTH, -(-int(messages.length.max(initial=1)) // 8) * 8))
        heads = gather(data, messages.at, messages.length, width)
        context = stream_keys[messages.conversation]
        n, s = len(messages), self.structure
        template, row = np.full(n, UNKNOWN, np.int32), np.zeros(n, np.uint64)
        asked, question = np.zeros(n, np.uint64), np.full(n, -1, np.int64)
        weak, misses, settled, number = *(np.zeros(n, bool) for _ in range(3)), np.full(n, -1, np.int64)
        ask, tell = np.flatnonzero(messages.request), np.flatnonzero(~messages.request)
        template[ask] = walk(s.request_tree, heads[ask], messages.length[ask])
        row[ask] = row_hash(heads[ask], messages.length[ask], template[ask], s, context[ask])
        number[ask] = self._asked + np.arange(len(ask))
        self._asked += len(ask)
        questions = heads[:0]
        if len(tell):
            p = self._pair(messages, heads, template, row, number, tell)
            asked[tell], question[tell], weak[tell], misses[tell] = p.asked, p.question, p.weak, p.misses
            questions, settled[tell], number[tell] = p.questions, p.settled, p.number
            paired, alone = p.asked != 0, tell[p.asked == 0]
            template[tell[paired]] = answer_templates(s, p.kind[paired], messages.length[tell[paired]])
            template[alone] = walk(s.push_tree, heads[alone], messages.length[alone])
            row[tell] = row_hash(heads[tell], messages.length[tell], template[tell], s, mix(context[tell], asked[tell]))
        self._remember(messages.flow[ask], heads[ask], template[ask], row[ask], number[ask])
        return Classified(messages, heads, template, row, asked, questions, question, weak, misses, settled, number)

    def _pair(
        self,
        messages: Messages,
        heads: npt.NDArray[np.uint8],
        template: npt.NDArray[np.int32],
        row: npt.NDArray[np.uint64],
        number: npt.NDArray[np.int64],
        tell: npt.NDArray[np.intp],
    ) -> _Pairs:
        """The requests that the answers `tell` belong to, also among those of earlier batches."""
        s, n = self.structure, len(tell)
        nothing = np.zeros(n, bool)
        if not s.answer_of:
            none = np.full(n, -1)
            return _Pairs(np.zeros(n, np.uint64), np.full(n, UNKNOWN, np.int32), heads[:0], none, nothing, nothing, nothing, none)
        before = self._tail.take(np.isin(self._tail.flow, messages.flow[tell]))
        k = len(before.flow)
        flow = np.concatenate([before.flow, messages.flow])
        is_request = np.concatenate([np.ones(k, bool), messages.request])
        questions = np.concatenate([before.heads[:, : heads.shape[1]], heads])
        rows, kinds = np.concatenate([before.row, row]), np.concatenate([before.template, template])
        back = back_references(flow, is_request)[tell + k]
        needed = np.array([*s.min_agree, 0], np.int16)[kinds]
        source, agree, fits = pair(questions, tell + k, back, s.echoes, needed)
        misses = (source >= 0) & ~fits & ~self._late(questions, tell + k, source)
        source = np.where(fits, source, -1)
        found = source >= 0
        asked = np.where(found, rows[source], np.uint64(0))
        kind = np.where(found, kinds[source], UNKNOWN).astype(np.int32)
        which = np.where(found, np.concatenate([before.number, number])[source], -1)
        full = back[:, LAST - 1] >= 0
        # only where the window of requests is full is it sure that the request was not simply missed
        weak = found & ((agree < len(s.echoes)) | ~full | (agree == 0))
        return _Pairs(asked, kind, questions, source, weak, misses & full, full, which)

    def _late(
        self, heads: npt.NDArray[np.uint8], answers: npt.NDArray[np.intp], source: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Answers whose number is close to the last request's: the capture has missed a request, nothing is wrong."""
        late = np.zeros(len(answers), bool)
        shifts = {e.request: e.answer - e.request for e in self.structure.echoes}
        for counter in self.structure.counters:
            low = counter.offset + (counter.width - 1 if counter.big else 0)
            if low in shifts:
                told, asked = heads[answers, low + shifts[low]], heads[source, low]
                step = told.astype(np.int16) - asked
                late |= np.minimum(step % 256, -step % 256) <= MAX_MISSED
        return late

    def _remember(
        self,
        flow: npt.NDArray[np.int64],
        heads: npt.NDArray[np.uint8],
        template: npt.NDArray[np.int32],
        row: npt.NDArray[np.uint64],
        number: npt.NDArray[np.int64],
    ) -> None:
        """Keep the last LAST requests of every connection."""
        if not len(flow):
            return
        last = last_of_each(flow)
        wide = np.zeros((len(last), WIDTH), np.uint8)
        wide[:, : heads.shape[1]] = heads[last]
        now = _Tail(flow[last], wide, template[last], row[last], number[last])
        joined = self._tail.then(now)
        self._tail = joined.take(last_of_each(joined.flow)[-MAX_TAIL:])


def last_of_each(flow: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Rows that are among the last LAST of their flow, in order."""
    order = np.argsort(flow[::-1], kind="stable")
    sorted_flow = flow[::-1][order]
    first = np.flatnonzero(np.r_[True, sorted_flow[1:] != sorted_flow[:-1]])
    rank = np.arange(len(flow)) - np.repeat(first, np.diff(np.r_[first, len(flow)]))
    kept: npt.NDArray[np.intp] = np.sort(len(flow) - 1 - order[rank < LAST])
    return kept

"""Messages of one service put under its structure: template, row and the request an answer belongs to.

The same code serves learning (rows are counted) and detection (rows are looked up).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from appliance.decode.heads import heads_of
from appliance.decode.messages import Messages
from appliance.learn.messages.pairing import LAST, Echoed, echo_columns, pair_latest, requests_before
from appliance.learn.messages.rowhash import body_hash, in_context, mix
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Structure, answer_templates
from appliance.learn.messages.templates import UNKNOWN, walk
from appliance.learn.messages.text import lay_messages
from appliance.packets.ordering import grouped

MAX_MISSED = 32  # requests that a capture may have missed in a row
MAX_TAIL = 20_000  # requests remembered for answers that come in a later batch


@dataclass(frozen=True, slots=True)
class Classified:
    """Rows beside the messages of one service in one batch.

    messages  their length as laid out, where they are text; wire: the same messages as they came
    heads     uint8 [n, width]: first bytes, zero beyond the end
    template  int32 [n], UNKNOWN where the structure has no such kind
    row       uint64 [n]: identity of the message up to its open bytes, within its stream (and for its request)
    asked     uint64 [n]: row of the request an answer belongs to, 0 where there is none
    earlier   uint8 [q, up to width]: requests of earlier batches that answers may refer to
    question  int64 [n]: which request an answer belongs to, one of `earlier` or, from q on, of the messages; -1 for none
    weak      bool [n]: nothing but the order says that the answer belongs to that request
    misses    bool [n]: an answer that repeats no request though requests were seen on its connection
    settled   bool [n]: an answer on a connection of which so many requests were seen that its own cannot have been missed
    number    int64 [n]: running number of a request; of the request that an answer belongs to, -1 for none
    """

    messages: Messages
    wire: Messages
    heads: npt.NDArray[np.uint8]
    template: npt.NDArray[np.int32]
    row: npt.NDArray[np.uint64]
    asked: npt.NDArray[np.uint64]
    earlier: npt.NDArray[np.uint8]
    question: npt.NDArray[np.int64]
    weak: npt.NDArray[np.bool_]
    misses: npt.NDArray[np.bool_]
    settled: npt.NDArray[np.bool_]
    number: npt.NDArray[np.int64]

    def question_head(self, i: int) -> npt.NDArray[np.uint8]:
        """First bytes of the request that answer i belongs to, zero beyond its end; uint8 [width]."""
        at, width = int(self.question[i]), self.heads.shape[1]
        is_earlier = at < len(self.earlier)
        head = self.earlier[at] if is_earlier else self.heads[at - len(self.earlier)]
        wide = np.zeros(width, np.uint8)
        wide[: len(head)] = head[:width]
        return wide


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Per answer: its request's kind (UNKNOWN for none), place among those of earlier batches and all messages, flags."""

    earlier: _Tail
    kind: npt.NDArray[np.int32]
    question: npt.NDArray[np.int64]
    weak: npt.NDArray[np.bool_]
    misses: npt.NDArray[np.bool_]
    settled: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Tail:
    """The last requests of connections: flow, number int64 [k], heads uint8 [k, w], template int32 [k], row uint64 [k]."""

    flow: npt.NDArray[np.int64]
    heads: npt.NDArray[np.uint8]
    template: npt.NDArray[np.int32]
    row: npt.NDArray[np.uint64]
    number: npt.NDArray[np.int64]

    @classmethod
    def empty(cls) -> _Tail:
        none = np.zeros(0, np.int64)
        return cls(none, np.zeros((0, 0), np.uint8), np.zeros(0, np.int32), np.zeros(0, np.uint64), none)

    def take(self, rows: npt.NDArray[np.intp]) -> _Tail:
        heads = self.heads.take(rows, axis=0)
        return _Tail(self.flow.take(rows), heads, self.template.take(rows), self.row.take(rows), self.number.take(rows))

    def then(self, other: _Tail) -> _Tail:
        width = max(self.heads.shape[1], other.heads.shape[1])
        heads = np.concatenate([widened(self.heads, width), widened(other.heads, width)])
        rest = (np.concatenate([getattr(self, k), getattr(other, k)]) for k in ("template", "row", "number"))
        return _Tail(np.concatenate([self.flow, other.flow]), heads, *rest)


def widened(heads: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    """The same heads with zeros behind, where they are narrower."""
    if heads.shape[1] >= width:
        return heads
    wide = np.zeros((len(heads), width), np.uint8)
    wide[:, : heads.shape[1]] = heads
    return wide


@dataclass(slots=True)
class Classifier:
    """Applies a structure to batch after batch; remembers the last requests of each connection."""

    structure: Structure
    _tail: _Tail = field(default_factory=_Tail.empty)
    _reach: int = field(init=False)
    _asked: int = 0  # requests so far
    _numbered: bool = field(init=False)

    def __post_init__(self) -> None:
        self._numbered = self.structure.is_numbered()
        self._reach = -(-self.structure.reach() // 8) * 8

    def classify(self, messages: Messages, data: npt.NDArray[np.uint8], stream_keys: npt.NDArray[np.uint64]) -> Classified:
        """Classify the messages of this service in one batch.

        data         the batch's buffer
        stream_keys  uint64 [conversations]: content hash of every conversation
        """
        wire = messages
        if any(self.structure.layouts):
            heads, messages = laid_out(self.structure, data, messages, self._reach)
        else:
            width = max(self._reach, min(WIDTH, -(-int(messages.length.max(initial=1)) // 8) * 8))
            heads = _evened(self.structure, heads_of(data, messages.at, messages.length, width), messages.length)
        length = messages.length
        context = stream_keys[messages.conversation]
        n, s = len(messages), self.structure
        template, number = np.full(n, UNKNOWN, np.int32), np.full(n, -1, np.int64)
        asked, question = np.zeros(n, np.uint64), np.full(n, -1, np.int64)
        weak, misses, settled = (np.zeros(n, bool) for _ in range(3))
        ask, tell = np.flatnonzero(messages.request), np.flatnonzero(~messages.request)
        template[ask] = walk(s.request_tree, heads, length, ask, s.free)
        number[ask] = self._asked + np.arange(len(ask))
        self._asked += len(ask)
        p = self._pair(messages, heads, template, tell)
        question[tell], weak[tell], misses[tell], settled[tell] = p.question, p.weak, p.misses, p.settled
        paired = p.question >= 0
        template[tell[paired]] = answer_templates(s, p.kind[paired], length[tell[paired]])
        template[tell[~paired]] = walk(s.push_tree, heads, length, tell[~paired], s.told_free)
        body = body_hash(heads, length, template, s.masks())
        row = in_context(body, template, context)  # what a request is depends on nothing else
        answers, source = tell[paired], p.question[paired]
        asked[answers] = np.concatenate([p.earlier.row, row])[source]
        number[answers] = np.concatenate([p.earlier.number, number])[source]
        row[tell] = in_context(body[tell], template[tell], mix(context[tell], asked[tell]))
        self._remember(messages.flow[ask], heads, template, row, number, ask)
        return Classified(messages, wire, heads, template, row, asked, p.earlier.heads, question, weak, misses, settled, number)

    def _pair(
        self,
        messages: Messages,
        heads: npt.NDArray[np.uint8],
        template: npt.NDArray[np.int32],
        tell: npt.NDArray[np.intp],
    ) -> _Pairs:
        """The requests that the answers `tell` belong to, also among those of earlier batches."""
        s, n = self.structure, len(tell)
        if not s.answer_of or not n:
            nothing = np.zeros(n, bool)
            return _Pairs(_Tail.empty(), np.full(n, UNKNOWN, np.int32), np.full(n, -1), nothing, nothing, nothing)
        before = self._tail.take(np.flatnonzero(np.isin(self._tail.flow, messages.flow.take(tell))))
        k = len(before.flow)
        flow = np.concatenate([before.flow, messages.flow])
        requests = requests_before(flow, np.concatenate([np.ones(k, bool), messages.request]))
        kinds = np.concatenate([before.template, template])
        earlier, now = (echo_columns(widened(h, heads.shape[1]), s.echoes) for h in (before.heads, heads))
        columns = earlier.then(now)
        source, agree, fits = pair_latest(columns, tell + k, requests, np.array([*s.min_agree, 0], np.int16)[kinds])
        settled = requests.back(tell + k, LAST - 1) >= 0
        lost = np.flatnonzero((source >= 0) & ~fits)
        misses = np.zeros(n, bool)
        misses[lost] = ~self._late(columns, tell[lost] + k, source[lost])
        # only where the window of requests is full is it sure that the request was not simply missed
        weak = fits & ((agree < len(s.echoes)) | ~settled | (agree == 0))
        if not self._numbered:  # a unit, an address: the request before may be meant as well
            other = requests.back(tell + k, 1)
            weak |= fits & (other >= 0) & (columns.agree(other, tell + k) >= agree)
            if len(s.echoes) == 1:  # one byte agrees by chance with one of LAST requests
                weak |= fits & (source != requests.back(tell + k, 0))
        kind = np.where(fits, kinds[source], UNKNOWN).astype(np.int32)
        return _Pairs(before, kind, np.where(fits, source, -1), weak, misses & settled, settled)

    def _late(self, columns: Echoed, answers: npt.NDArray[np.intp], source: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Answers whose number is close to the last request's: the capture has missed a request, nothing is wrong."""
        late = np.zeros(len(answers), bool)
        places = {e.request: i for i, e in enumerate(self.structure.echoes)}
        for counter in self.structure.counters:
            low = counter.offset + (counter.width - 1 if counter.big else 0)
            if low in places:
                told, asked = columns.told[places[low]][answers], columns.asked[places[low]][source]
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
        ask: npt.NDArray[np.intp],
    ) -> None:
        """Keep the last LAST requests of every connection; flow int64 [len(ask)], the others are of all messages."""
        if not len(ask):
            return
        last = last_of_each(flow)
        rows = ask[last]
        new = _Tail(flow.take(last), heads.take(rows, axis=0), template.take(rows), row.take(rows), number.take(rows))
        joined = self._tail.then(new)
        kept = last_of_each(joined.flow)[-MAX_TAIL:]
        self._tail = joined if len(kept) == len(joined.flow) else joined.take(kept)


def laid_out(
    s: Structure, data: npt.NDArray[np.uint8], messages: Messages, least: int = WIDTH
) -> tuple[npt.NDArray[np.uint8], Messages]:
    """First bytes of messages, laid out where they are text, uint8 [n, `least` or more]; the messages with their length so."""
    width = max(least, *(WIDTH if layout is None else layout.width for layout in s.layouts))
    heads, length = np.zeros((len(messages), width), np.uint8), messages.length.copy()
    if not any(s.layouts):
        return _evened(s, heads_of(data, messages.at, length, width), length), messages
    for asks, layout in zip((True, False), s.layouts, strict=True):
        mine = np.flatnonzero(messages.request == asks)
        if not len(mine):
            continue
        at, size = messages.at[mine], messages.length[mine]
        if layout is None:
            heads[mine] = heads_of(data, at, size, width)
        else:
            heads[mine], length[mine] = lay_messages(layout, data, at, size, width)
    return heads, replace(messages, length=length)


def _evened(s: Structure, heads: npt.NDArray[np.uint8], length: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """Messages with zero in the place of a check that is right."""
    return heads if s.checksum is None else s.checksum.evened(heads, length)


def last_of_each(flow: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Rows that are among the last LAST of their flow, in order."""
    groups = grouped(flow)
    end = np.repeat(groups.start + groups.size, groups.size)
    return np.sort(groups.order[np.arange(len(flow)) >= end - LAST])

"""All that is known of the messages of one service: how they are framed, which bytes count and echo, which kinds there are.

A structure is learned once from a sample and then only applied. It is part of the *key* of the statistics that are counted
under it, so statistics of two sessions are added where their structures are equal and stand side by side where not; that
is what makes merging exact (ADR 0005).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from appliance.decode.framing import WHOLE, Framing
from appliance.learn.messages.answered import alone, changes_of, data_after_first, data_from, echoed_bytes, surest
from appliance.learn.messages.checksums import Checksum
from appliance.learn.messages.clocks import find_clocks, wire_clocks
from appliance.learn.messages.containers import Container, find_container, sample_of, split
from appliance.learn.messages.dynamics import Counter, counted_bytes, find_counters, find_identities
from appliance.learn.messages.flags import free_bits, told_bits
from appliance.learn.messages.kinds import close_ends, close_idle_counters, open_ends
from appliance.learn.messages.pairing import (
    FEW_ANSWERS,
    LAST,
    Echo,
    back_references,
    echo_columns,
    find_echoes,
    least_agreement,
    pair,
)
from appliance.learn.messages.replied import repeated_heads, trailer
from appliance.learn.messages.rowhash import Masks, row_hash
from appliance.learn.messages.sample import WIDTH, Sample
from appliance.learn.messages.templates import UNKNOWN, Node, learn_tree, number_leaves, open_bytes, walk
from appliance.learn.messages.text import Layout
from appliance.learn.messages.wholes import words_of
from appliance.learn.messages.words import SPAN
from appliance.packets.ordering import grouped

MIN_PAIRED = 0.6  # share of answers that follow a request, for the two directions to be a dialogue
MAX_LENGTHS = 24  # answer lengths kept apart for one kind of request


class Side(IntEnum):
    """What a template describes."""

    REQUEST = 0  # client to server
    PUSH = 1  # server to client, unasked
    ANSWER = 2  # server to client, in answer to one kind of request


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of message: `closed` bool [WIDTH] are the bytes that make its row; `any_length`: the length is not part of it.

    shared   bool [WIDTH]: closed bytes that may have any value that the kind has in some conversation
    """

    side: Side
    closed: npt.NDArray[np.bool_]
    any_length: bool = False
    shared: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(WIDTH, bool))


@dataclass(slots=True)
class Structure:
    """What was inferred of one service; see the module's text.

    min_agree   echoes in which an answer must agree with a request to belong to it, per template of the request
    container, inner   lists in requests, and the structure of their items (None: there are none)
    layouts     how requests and how answers that are text are laid out: all offsets are then in what is laid out
    checksum    what all messages end with; in what is looked at it is zero where it is right
    data_from   first byte of answers that carries process data, WIDTH where nothing was seen to move
    free, told_free  uint8 [WIDTH]: bits of requests, and of what servers say, that go with anything and are no part of a row
    answer_of   (template of the request, length of the answer) -> template of the answer
    """

    framing: Framing = WHOLE
    counters: tuple[Counter, ...] = ()
    echoes: tuple[Echo, ...] = ()
    min_agree: tuple[int, ...] = ()
    identity: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(WIDTH, bool))
    answer_identity: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(WIDTH, bool))
    data_from: int = WIDTH
    free: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(WIDTH, np.uint8))
    told_free: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(WIDTH, np.uint8))
    request_tree: Node | None = None
    push_tree: Node | None = None
    answer_of: dict[tuple[int, int], int] = field(default_factory=dict)
    templates: list[Template] = field(default_factory=list)
    layouts: tuple[Layout | None, Layout | None] = (None, None)
    checksum: Checksum | None = None
    container: Container | None = None
    inner: Structure | None = None
    _closed: npt.NDArray[np.bool_] | None = None
    _masks: tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]] | None = None

    def layout(self, *, request: bool) -> Layout | None:
        """How messages of a direction are laid out, None where they stand as they came."""
        return self.layouts[0 if request else 1]

    @property
    def check_width(self) -> int:
        """Bytes of the check at the end of all messages, 0 where there is none."""
        return 0 if self.checksum is None else self.checksum.width

    def reach(self) -> int:
        """Bytes of a message that the structure looks at one by one: trees, echoes, counters."""
        ends = [1]
        ends += [max(e.request, e.answer) + 1 for e in self.echoes]
        ends += [c.offset + c.width + 1 for c in self.counters]
        stack = [tree for tree in (self.request_tree, self.push_tree) if tree is not None]
        while stack:
            node = stack.pop()
            ends.append(node.offset + 1)
            stack.extend(node.children.values())
        return max(ends)

    def is_numbered(self) -> bool:
        """Whether answers repeat a number that counts, so that no two requests on the way have the same."""
        places = {c.offset + i for c in self.counters for i in range(c.width)}
        return any(e.request in places for e in self.echoes)

    def closed(self) -> npt.NDArray[np.bool_]:
        """Bool [templates + 1, WIDTH]: closed bytes of every template; the last row (UNKNOWN) is all open."""
        if self._closed is None or len(self._closed) != len(self.templates) + 1:
            self._closed = np.stack([t.closed for t in self.templates] + [np.zeros(WIDTH, bool)])
        return self._closed

    def data_bytes(self) -> npt.NDArray[np.bool_]:
        """Bool [templates + 1, WIDTH]: bytes that are open and carry neither counters nor echoes nor identities."""
        data = ~self.closed() & ~counted_bytes(self.counters)
        data[-1] = False
        for echo in self.echoes:
            data[:, echo.answer] = False
        kept: npt.NDArray[np.bool_] = data & ~(self.identity | self.answer_identity)
        return kept

    def drifting_bytes(self) -> npt.NDArray[np.bool_]:
        """Bool [templates + 1, WIDTH]: likewise, with what others repeat of requests: a clock is repeated, too."""
        drifting = ~self.closed() & ~counted_bytes(self.counters)
        requests = np.array([t.side is not Side.ANSWER for t in self.templates] + [False])
        return np.where(requests[:, None], drifting & ~self.identity, self.data_bytes())

    def data_windows(self) -> npt.NDArray[np.bool_]:
        """Bool [templates + 1, SPAN]: pairs of neighbouring bytes that are open and carry neither counters nor echoes."""
        data = ~self.closed()
        data[-1] = False
        for counter in self.counters:
            data[:, max(0, counter.offset - 1) : counter.offset + counter.width + 1] = False
        for echo in self.echoes:
            data[:, max(0, echo.answer - 1) : echo.answer + 2] = False
        data &= ~(self.identity | self.answer_identity)
        pairs: npt.NDArray[np.bool_] = data[:, :SPAN] & data[:, 1 : SPAN + 1]
        return pairs

    def masks(self) -> Masks:
        """Per template (index -1: UNKNOWN, all open): closed bytes as words, uint64 [templates + 1, WIDTH / 8]; any_length."""
        if self._masks is None or len(self._masks[1]) != len(self.templates) + 1:
            words = np.where(self.closed(), np.uint8(255), np.uint8(0))
            for i, template in enumerate(self.templates):
                words[i] &= ~(self.free if template.side is Side.REQUEST else self.told_free)
            words = words.view(np.uint64)
            self._masks = words, np.array([t.any_length for t in self.templates] + [True])
        return self._masks


def learn_structure(
    sample: Sample,
    request: npt.NDArray[np.bool_],
    framing: Framing,
    dense: int | None = None,
    layouts: tuple[Layout | None, Layout | None] = (None, None),
    checksum: Checksum | None = None,
) -> Structure:
    """Infer the structure of one service.

    sample   messages of both directions in time order
    request  bool [n], True for client to server
    framing  the service's framing, already applied to the sample
    dense    messages at the beginning that were sampled without gaps (None: all): a gap looks like a counter that jumps
    layouts, checksum   see `Structure`: already applied likewise
    """
    s = Structure(framing=framing, layouts=layouts, checksum=checksum)
    gapless = np.arange(len(sample)) < (len(sample) if dense is None else dense)
    ask, tell = sample.take(request), sample.take(~request)
    clocks = wire_clocks(ask, framing)
    paired, agree = _learn_pairs(s, sample, request, clocks, wire_clocks(tell, framing))
    s.identity, s.answer_identity = find_identities(ask), find_identities(tell)
    s.counters = find_counters(sample.take(request & gapless))
    if len(ask):
        ask = _learn_requests(s, ask, tell, s.identity | clocks | counted_bytes(s.counters))
        _require_echoes(s, sample, np.flatnonzero(~request), paired, agree)
    unpaired = ~request & (paired < 0)
    if unpaired.any():
        _learn_pushes(s, sample.take(unpaired), find_counters(sample.take(unpaired & gapless)))
    _learn_answers(s, sample, request, paired)
    if not any(layouts):
        _learn_items(s, ask)
    return s


def _learn_requests(s: Structure, ask: Sample, tell: Sample, dynamic: npt.NDArray[np.bool_]) -> Sample:
    """The kinds of requests, which are returned without their free bits; dynamic bool [WIDTH]: counters and identities."""
    words = words_of(s.layouts[0])
    s.container = None if any(s.layouts) else find_container(ask)
    if s.container is None:  # what a list holds is taken apart by itself
        s.free = free_bits(ask, open_bytes(ask, dynamic, words))
        s.told_free = told_bits(s.free, ask, tell)
        ask = replace(ask, heads=ask.heads & ~s.free)
    s.request_tree = learn_tree(ask, dynamic, answer=False, words=words)
    close_idle_counters(s.request_tree, s.counters, ask)
    if not any(s.layouts):
        open_ends(s.request_tree, ask)
    close_ends(s.request_tree, ask, s.check_width)
    number_leaves(s.request_tree)
    _leaves(s, s.request_tree, Side.REQUEST)
    return ask


def _learn_pushes(s: Structure, push: Sample, counters: tuple[Counter, ...]) -> None:
    """The kinds of what servers say unasked."""
    dynamic = s.answer_identity | find_clocks(push, s.framing) | counted_bytes(counters)
    push = replace(push, heads=push.heads & ~s.told_free)
    s.push_tree = learn_tree(push, dynamic, answer=True, words=words_of(s.layouts[1]), end=s.check_width)
    close_ends(s.push_tree, push, s.check_width)
    number_leaves(s.push_tree, len(s.templates))
    _leaves(s, s.push_tree, Side.PUSH)


def _learn_items(s: Structure, requests: Sample) -> None:
    """The structure of the items of lists in requests; lists within lists are not looked for."""
    if s.container is not None:
        items = sample_of(split(s.container, requests.heads, requests.length), requests)
        s.inner = Structure()
        s.inner.request_tree = learn_tree(items, np.zeros(WIDTH, bool), answer=False)
        number_leaves(s.inner.request_tree)
        _leaves(s.inner, s.inner.request_tree, Side.REQUEST)


def _learn_pairs(
    s: Structure, sample: Sample, request: npt.NDArray[np.bool_], *clocks: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16]]:
    """Request of every message (-1: a request itself, or unasked), agreeing echoes of every answer; fills s.echoes.

    clocks   bool [WIDTH] of requests and of answers: who tells the time does not repeat the other's
    """
    paired = np.full(len(sample), -1, np.int64)
    answers = np.flatnonzero(~request)
    nothing = np.zeros(len(answers), np.int16)
    if not len(answers) or not request.any():
        return paired, nothing
    back = back_references(sample.flow, request)[answers]
    if (back[:, 0] >= 0).mean() < MIN_PAIRED or not MIN_PAIRED < len(answers) / np.count_nonzero(request) < 1 / MIN_PAIRED:
        return paired, nothing
    s.echoes = find_echoes(sample.heads, sample.length, answers, back, *clocks)
    paired[answers], agree, _ = pair(echo_columns(sample.heads, s.echoes), answers, back)
    return paired, agree


def _require_echoes(
    s: Structure, sample: Sample, answers: npt.NDArray[np.intp], paired: npt.NDArray[np.int64], agree: npt.NDArray[np.int16]
) -> None:
    """How many echoes an answer to each kind of request must have; answers with fewer have lost their request."""
    source = paired[answers]
    found = source >= 0
    kind = np.full(len(answers), UNKNOWN, np.int32)
    kind[found] = walk(s.request_tree, sample.heads[source[found]], sample.length[source[found]], free=s.free)
    strict = any(s.layouts)
    s.min_agree = tuple(least_agreement(agree[kind == k], source[kind == k], strict) for k in range(len(s.templates)))
    lost = found & (agree < np.array([*s.min_agree, 0])[kind])
    paired[answers[lost]] = -1


def _leaves(s: Structure, node: Node, side: Side) -> None:
    if node.open is not None:
        shared = np.zeros(WIDTH, bool) if node.shared is None else node.shared
        s.templates.append(Template(side, ~node.open, node.any_length, shared))
    for key in sorted(node.children):
        _leaves(s, node.children[key], side)


def _learn_answers(s: Structure, sample: Sample, request: npt.NDArray[np.bool_], paired: npt.NDArray[np.int64]) -> None:
    """Templates of answers per kind of request and length: a byte is data where it varies though the request is the same."""
    rows = np.flatnonzero(paired >= 0)
    if not len(rows):
        return
    source = paired[rows]
    kind = walk(s.request_tree, sample.heads[source], sample.length[source], free=s.free)
    # the same question to any device: where the answers differ is data, be it in time or from device to device
    asked = row_hash(sample.heads[source], sample.length[source], kind, s.masks(), np.zeros(len(source), np.uint64))
    same = np.unique(np.stack([asked, sample.length[rows].astype(np.uint64)]), axis=1, return_inverse=True)[1].ravel()
    echoed = {int(k): echoed_bytes(s, sample, source[kind == k], rows[kind == k], int(k)) for k in np.unique(kind)}
    free = s.answer_identity | find_clocks(sample.take(rows), s.framing)
    somewhere, everywhere = (np.logical_or.reduce(list(echoed.values())), np.logical_and.reduce(list(echoed.values())))
    sure = alone(sample.flow, request)[rows]
    some = surest(np.ones(len(rows), bool), sure)
    # a kind that hardly came cannot show what it echoes: it is like the others then
    apart = {k: echo if np.count_nonzero(kind == k) >= FEW_ANSWERS else somewhere for k, echo in echoed.items()}
    mine = ((surest(kind == k, sure), echo) for k, echo in apart.items())
    somehow = np.logical_or.reduce([(changes_of(sample.heads[rows[of]], same[of])[0] > 0) & ~echo for of, echo in mine])
    heads = repeated_heads(sample, source, rows, kind)
    head = int(np.median([heads[one] for one in zip(kind.tolist(), sample.length[rows].tolist(), strict=True)]))
    s.data_from = data_from(sample.heads[rows[some]], same[some], somewhere | free, head)
    end, words = max(trailer(sample, rows), s.check_width), words_of(s.layouts[1])
    for request_kind, echo in apart.items():
        of_kind = kind == request_kind
        lengths = np.unique(sample.length[rows][of_kind])
        if len(lengths) > MAX_LENGTHS:
            s.answer_of[request_kind, 0] = len(s.templates)
            head = min(heads[request_kind, int(length)] for length in lengths)
            opened = words.whole(data_after_first(somehow, everywhere, free, head, words) | echo)
            s.templates.append(Template(Side.ANSWER, ~opened, any_length=True))
            continue
        for length in lengths:
            here, head = surest(of_kind & (sample.length[rows] == length), sure), heads[request_kind, int(length)]
            changes, chances = changes_of(sample.heads[rows[here]], same[here])
            if chances >= FEW_ANSWERS and (changes > 0).any():
                opened = data_after_first(changes > 0, echo, free, head, words) & ~words.resting(changes, chances)
            else:
                opened = data_after_first(somehow, everywhere, free, head, words) | echo | (changes > 0)
            opened = words.whole(opened)
            opened[max(0, int(length) - end) : int(length)] = False
            if s.layouts[1] is not None:
                opened[s.layouts[1].check_of(int(length))] = False
            s.answer_of[request_kind, int(length)] = len(s.templates)
            s.templates.append(Template(Side.ANSWER, ~opened))


def answer_templates(s: Structure, request_kind: npt.NDArray[np.int32], length: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Template of answers by the kind of their request and their length; UNKNOWN where none was learned; int32 [n]."""
    pairs = request_kind.astype(np.int64) << 32 | length.astype(np.int64)
    groups = grouped(pairs)
    found = [_answer_template(s, int(p >> 32), int(p & 0xFFFFFFFF)) for p in pairs[groups.first].tolist()]
    return groups.spread(np.array(found, np.int32))


def _answer_template(s: Structure, kind: int, length: int) -> int:
    template = s.answer_of.get((kind, length))
    return s.answer_of.get((kind, 0), UNKNOWN) if template is None else template


__all__ = ["LAST", "Side", "Structure", "Template", "answer_templates", "learn_structure"]

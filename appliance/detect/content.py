"""Messages inside known conversations against the rows that were learned.

Fast path: the row of every message is looked up in a sorted array. Only what is not found is looked at by `locate`, at most
so much per conversation and second; the rest of a flood is added to the count of the conversation's next or last finding.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Conversation, ConversationTable, Port
from appliance.detect.carry import Carries
from appliance.detect.figures import explained, grown
from appliance.detect.finding import Finding, Kind
from appliance.detect.identity import IdentityDetector
from appliance.detect.lists import inside
from appliance.detect.locate import Deviation, broken_framing, comes_unasked, fits_another, is_identity, locate
from appliance.detect.making import finding_of
from appliance.detect.opaque import mere_noise
from appliance.detect.strangers import Strangers
from appliance.detect.values import ValueDetector
from appliance.learn.counting.counts import SECOND
from appliance.learn.meaning.accepted import Accepted
from appliance.learn.meaning.model import Ranges, ServiceModel, runs
from appliance.learn.meaning.openness import Openness
from appliance.learn.messages.classify import Classified, Classifier
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side
from appliance.learn.messages.templates import UNKNOWN
from appliance.learn.messages.words import SPAN
from appliance.packets.ordering import Table

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.messages import Messages

PER_SECOND = 32  # unknown messages of one conversation that are looked at per second
MAX_ACCEPTED = 65_536  # rows that were looked at and found normal
MAX_REPORTED = 65_536
MIN_LEARNED = 3  # messages of a direction, below which its content says nothing yet
IN_HEADER = 3  # times that a value which answers go on carrying before their data is told
SETTLED = 60  # answers of a kind, before one that never moved counts as constant
MIN_CHATTER = 64  # likewise for groups of receivers and frames that are not IP
ARP = (-1, 0x0806)
BY_ROW = frozenset({Kind.UNKNOWN_COMMAND, Kind.UNKNOWN_VALUE, Kind.UNKNOWN_COMBINATION, Kind.WRONG_LENGTH})


class Told(NamedTuple):
    """A finding and which direction of which conversation it is about."""

    finding: Finding
    conversation: int
    request: bool


@dataclass(slots=True)
class ContentDetector:
    """One service under one structure, batch after batch."""

    port: Port
    service: ServiceModel
    accepted: Accepted = field(default_factory=Accepted)
    open: Openness = field(default_factory=Openness)
    singles: frozenset[tuple[int, int, int]] = frozenset()  # see `detect.values`
    classified: Classified | None = field(default=None, init=False)  # the messages of the last batch
    learned: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool), init=False)  # which of their rows are known
    _rows: Table = field(init=False)  # `service.known`
    _unasked: npt.NDArray[np.bool_] = field(init=False)  # bool [templates + 1]: usual kinds of what is said unasked
    _data_bytes: npt.NDArray[np.bool_] = field(init=False)  # bool [templates + 1, WIDTH]
    _strangers: Strangers = field(init=False)
    _classifier: Classifier = field(init=False)
    _carries: Carries = field(init=False)
    _values: ValueDetector = field(init=False)
    _own: IdentityDetector = field(init=False)
    _enough: list[tuple[bool, bool]] = field(default_factory=list)
    _accepted: set[int] = field(default_factory=set)
    _reported: dict[tuple[int, int, bytes], int] = field(default_factory=dict)
    _identities: dict[tuple[int, bool, Ranges], bytes] = field(default_factory=dict)
    _budget: dict[tuple[int, int], int] = field(default_factory=dict)
    _skipped: dict[int, int] = field(default_factory=dict)
    excused: set[int] = field(default_factory=set)  # frames of the last batch whose content was accepted

    def __post_init__(self) -> None:
        self._rows = Table(self.service.known)
        self._unasked = np.append((self.service.sides == Side.PUSH) & self.service.common, False)
        self._data_bytes = self.service.structure.drifting_bytes()
        self._classifier = Classifier(self.service.structure)
        self._carries = Carries(self.service.structure.counters)
        self._values = ValueDetector(self.service, self.singles)
        self._own = IdentityDetector(self.service)
        self._strangers = Strangers(self.service, self.accepted, self.open)

    def judge(
        self,
        batch: DecodedBatch,
        messages: Messages,
        table: ConversationTable,
        keys: npt.NDArray[np.uint64],
        watched: npt.NDArray[np.bool_],
    ) -> list[Told]:
        """Findings of one batch; `watched` bool [conversations]: the ones that are in the baseline."""
        c = self.classified = self._classifier.classify(messages, batch.data, keys)
        conversations = table.conversations
        self._carries.follow(c)
        known = self._rows.holds(c.row) & ~messages.broken
        learned = known
        here = watched[messages.conversation]
        self.learned = learned & here
        accepted = self.service.accepted.known(c, self.service.structure, keys) & ~messages.broken
        self.excused = set(messages.frame[accepted].tolist())
        known = known | accepted
        known = known | ~self._learned(conversations, keys)[messages.conversation, messages.request.astype(np.intp)]
        misses = c.misses & ~(self.learned & self._unasked[c.template])
        doubtful = np.flatnonzero((~known | misses) & here)
        noise = mere_noise(self.service, c, doubtful, keys) & ~misses[doubtful] & ~messages.broken[doubtful]
        if len(self._accepted) < MAX_ACCEPTED:
            self._accepted.update(c.row[doubtful[noise]].tolist())
        strange = self._strangers.judge(batch, c, conversations, keys, watched)
        told = [Told(finding, number, True) for finding, number in strange]
        for i in doubtful[~noise].tolist():
            finding = self._examine(batch, c, i, table, keys)
            if finding is not None:
                if finding.kind in BY_ROW:
                    match = self.service.accepted.match(c, self.service.structure, keys, i)
                    finding = replace(finding, match=finding.match or match)
                told.append(Told(finding, int(messages.conversation[i]), bool(messages.request[i])))
        jumps = [(j.index, Kind.UNKNOWN_VALUE, j.ranges, j.normal) for j in self._values.judge(c, learned & here)]
        breaks = [(b.index, Kind.WRONG_IDENTITY, b.ranges, (b.normal,)) for b in self._own.judge(c, here)]
        for i, kind, ranges, normal in jumps + breaks:
            deviation = Deviation(kind, ranges, normal, int(c.template[i]), 0.01)
            number = int(messages.conversation[i])
            finding = finding_of(batch, c, i, conversations[number], deviation, self.service, int(keys[number]))
            told.append(Told(finding, number, bool(messages.request[i])))
        return self._with_skipped(told)

    def _with_skipped(self, told: list[Told]) -> list[Told]:
        """Messages of a flood that were not looked at are counted with the last finding of their conversation."""
        last = {t.conversation: i for i, t in enumerate(told)}
        for conversation in [c for c in self._skipped if c in last]:
            t = told[last[conversation]]
            more = self._skipped.pop(conversation)
            told[last[conversation]] = t._replace(finding=replace(t.finding, count=t.finding.count + more))
        return told

    def has_learned(self, conversation: int, request: bool) -> bool:
        """Whether this structure was learned with enough of a conversation's direction to have a say."""
        return self._enough[conversation][int(request)]

    def _learned(self, conversations: list[Conversation], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Bool [conversations, answer or request]: so much was learned of this direction that a deviation means something."""
        for i in range(len(self._enough), len(conversations)):
            c, key = conversations[i], int(keys[i])
            needed = MIN_CHATTER if c.group or c.port[0] < 0 else MIN_LEARNED
            enough = [self.service.messages.get((key, answers), 0) >= needed and c.port != ARP for answers in (True, False)]
            self._enough.append((enough[0], enough[1]))
        return np.array(self._enough or [(False, False)], bool)

    def _examine(
        self, batch: DecodedBatch, c: Classified, i: int, table: ConversationTable, keys: npt.NDArray[np.uint64]
    ) -> Finding | None:
        m = c.messages
        row = int(c.row[i])
        if row in self._accepted and not m.broken[i] and c.template[i] != UNKNOWN:  # those have no row of their own
            return None
        second = int(m.time[i]) // SECOND
        key = (int(m.conversation[i]), second)
        spent = self._budget.get(key, 0)
        if len(self._budget) > MAX_REPORTED:
            self._budget.clear()
        self._budget[key] = spent + 1
        if spent >= PER_SECOND:
            self._skipped[key[0]] = self._skipped.get(key[0], 0) + 1
            return None
        head = np.zeros(WIDTH, np.uint8)
        head[: c.heads.shape[1]] = c.heads[i]
        head &= ~(self.service.structure.free if m.request[i] else self.service.structure.told_free)
        stream = int(keys[m.conversation[i]])
        deviation = self._deviation(c, i, head, stream)
        if deviation is not None and m.request[i] and not m.broken[i]:
            at = int(m.at[i])
            deviation = inside(self.service, batch.data[at : at + int(c.wire.length[i])], stream, deviation)
        if deviation is not None and int(m.flow[i]) in table.fresh:
            told_before, deviation = self._new_identity(int(m.flow[i]), stream, not m.request[i], deviation, head)
            if told_before:
                return None
        if deviation is None:
            listed = m.request[i] and self.service.items is not None and bool(self.service.items.accepted)
            # the answer to a list with accepted items is not judged: nothing was learned of it
            if len(self._accepted) < MAX_ACCEPTED and not listed and not self._is_muted(c, i, head, stream):
                self._accepted.add(row)
            return None
        if not m.request[i] and (self._goes_on(i, stream, deviation, head) or self._unmoved(deviation)):
            return None
        return finding_of(batch, c, i, table.conversations[m.conversation[i]], deviation, self.service, stream)

    def _deviation(self, c: Classified, i: int, head: npt.NDArray[np.uint8], stream: int) -> Deviation | None:
        """What is abnormal about message i, None where it is normal after all."""
        m, length, asked = c.messages, int(c.messages.length[i]), int(c.asked[i])
        answers = not m.request[i]
        if m.broken[i]:
            return broken_framing(self.service.structure.framing, head, length)
        if answers and asked and not self._is_known(asked):
            return None  # the answer to a request that was reported is its consequence
        deviation = locate(self.service, head, length, stream, answers, asked, int(c.template[i]))
        if deviation is not None and not answers and self._carries.explain(c, i, deviation.ranges, self._data(deviation)):
            return None
        if deviation is not None and answers and self._drifted(c, i, deviation):
            return None
        if deviation is not None and answers and (self._repeats(c, i, deviation) or self._has_grown(c, i, deviation, head)):
            return None
        if deviation is not None and answers and c.weak[i] and fits_another(self.service, head, length, stream, deviation.ranges):
            return None  # it fits another request: who asked is not sure
        if deviation is None and c.misses[i] and not comes_unasked(self.service, head, length, stream):
            return self._wrong_echo()
        return deviation

    def _drifted(self, c: Classified, i: int, deviation: Deviation) -> bool:
        """True for an answer in which nothing but a value has carried, be it only against the nearest of the known ones."""
        data = self._data(deviation)
        return any(self._carries.drifted(c, i, ranges, data) for ranges in (deviation.ranges, deviation.nearest))

    def _has_grown(self, c: Classified, i: int, deviation: Deviation, head: npt.NDArray[np.uint8]) -> bool:
        """True for an answer that is longer or shorter than any before because a number in its text is."""
        s, table, length = self.service.structure, self.service.table, int(c.messages.length[i])
        data = np.flatnonzero(self._data(deviation)[s.data_from :])
        learned = np.flatnonzero(table.asked == c.asked[i])
        if deviation.kind is not Kind.WRONG_LENGTH or not len(data) or not len(learned):
            return False
        near = learned[np.abs(table.length[learned] - length).argmin()]
        said = _offsets(deviation)
        before = self._carries.last_of_kin(i)
        return grown(
            head, head if before is None else before, s.data_from + int(data[0]), length - int(table.length[near])
        ) and explained(head, table.bytes[near], said[said < table.length[near]], length - int(table.length[near]))

    def _is_muted(self, c: Classified, i: int, head: npt.NDArray[np.uint8], stream: int) -> bool:
        """True for a request that only the alarm budget keeps from being told: its answers are not told in its place."""
        if not self.service.muted or not c.messages.request[i]:
            return False
        opaque = self.service.opaque.copy()
        opaque[sorted(self.service.muted)] = False
        loud = replace(self.service, opaque=opaque)
        return locate(loud, head, int(c.messages.length[i]), stream, False, int(c.asked[i]), int(c.template[i])) is not None

    def _new_identity(
        self, flow: int, stream: int, answers: bool, deviation: Deviation, head: npt.NDArray[np.uint8]
    ) -> tuple[bool, Deviation]:
        """A new connection may bring a new value where all that was learned has one: told once, then that is its identity.

        Returns whether it was told before on this connection, and the deviation as it is to be told.
        """
        if deviation.kind not in (Kind.UNKNOWN_COMMAND, Kind.UNKNOWN_VALUE) or not is_identity(
            self.service, stream, answers, deviation.ranges
        ):
            return False, deviation
        value = b"".join(head[a:b].tobytes() for a, b in deviation.ranges)
        mark = (flow, answers, deviation.ranges)
        before = self._identities.get(mark)
        if before is None and len(self._identities) < MAX_REPORTED:
            self._identities[mark] = value
        return before == value, replace(deviation, kind=Kind.WRONG_IDENTITY)

    def _data(self, deviation: Deviation) -> npt.NDArray[np.bool_]:
        """Bool [WIDTH]: bytes of process values; a counter carries by rules of its own."""
        data: npt.NDArray[np.bool_] = self._data_bytes[deviation.template]
        return data

    def _repeats(self, c: Classified, i: int, deviation: Deviation) -> bool:
        """True where the deviating bytes lie beside an echo and repeat the request as well: the id has grown a byte."""
        if self._carries.accepted_here(c, i, deviation.ranges):
            return True
        if c.question[i] < 0 or _isin_sorted(c.asked[i : i + 1], self.service.known)[0]:
            return False  # a request that is known word for word has grown nothing
        asked, told = c.question_head(i), c.heads[i]
        shifts = {e.answer: e.request - e.answer for e in self.service.structure.echoes}
        for offset in (o for a, b in deviation.ranges for o in range(a, b)):
            beside = next((shifts[o] for o in (offset - 1, offset + 1) if o in shifts), None)
            if beside is None or not 0 <= offset + beside < len(asked) or asked[offset + beside] != told[offset]:
                return False
        return True

    def _unmoved(self, deviation: Deviation) -> bool:
        """True far behind the header where nothing that this service answers has ever moved: what is data is not known.

        Before the kind was seen SETTLED times, a byte there that never moved says little: n equal values bound the rate of
        change at 3 / n (95 %).
        """
        if self.service.structure.data_from < WIDTH or deviation.kind is not Kind.UNKNOWN_VALUE:
            return False
        mine = self.service.table.template == deviation.template
        return deviation.ranges[0][0] >= SPAN and int(self.service.table.numbers["count"][mine].sum()) < SETTLED

    def _is_known(self, row: int) -> bool:
        at = int(np.searchsorted(self.service.known, np.uint64(row)))
        return row in self._accepted or (at < len(self.service.known) and int(self.service.known[at]) == row)

    def _wrong_echo(self) -> Deviation:
        offsets = np.array(sorted({e.answer for e in self.service.structure.echoes}), np.intp)
        return Deviation(Kind.WRONG_ECHO, runs(offsets), (), 0, 0.01)

    def _goes_on(
        self,
        i: int,
        stream: int,
        deviation: Deviation,
        head: npt.NDArray[np.uint8],
    ) -> bool:
        """A value that answers go on carrying is told once, in their header thrice, and again when it comes back."""
        value = b"".join(head[a:b].tobytes() for a, b in deviation.ranges)
        mark = (stream, deviation.template, value)
        times = self._reported.get(mark, 0)
        if times or len(self._reported) < MAX_REPORTED:
            self._reported[mark] = times + 1
        header = deviation.ranges[0][0] < self.service.structure.data_from % WIDTH
        if times < (IN_HEADER if header else 1) or deviation.kind is not Kind.UNKNOWN_VALUE:
            return False
        last = self._carries.last_of_kin(i)
        return last is None or b"".join(last[a:b].tobytes() for a, b in deviation.ranges) == value


def _offsets(deviation: Deviation) -> npt.NDArray[np.intp]:
    """The deviating bytes that are modelled, one by one; intp."""
    return np.array([o for a, b in deviation.ranges for o in range(a, min(b, WIDTH))], np.intp)


def _isin_sorted(values: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    found: npt.NDArray[np.bool_] = known[at] == values
    return found

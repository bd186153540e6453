"""All detectors over one batch: what is new, what the messages say, what fails or is absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from appliance.decode.conversation import Conversation, ConversationTable
from appliance.decode.cutter import Cutter
from appliance.decode.headers import DecodeState, decode
from appliance.detect.absence import AbsenceDetector
from appliance.detect.accept import allowed_by
from appliance.detect.content import ContentDetector, Told
from appliance.detect.damage import DamageDetector
from appliance.detect.dark import DarkDetector
from appliance.detect.finding import Finding, Kind
from appliance.detect.groups import GroupDetector
from appliance.detect.hardware import HardwareDetector
from appliance.detect.introductions import IntroductionDetector
from appliance.detect.making import finding_of
from appliance.detect.newcomers import NewcomerDetector
from appliance.detect.order import OrderDetector, Placed
from appliance.detect.overlaps import OverlapDetector
from appliance.detect.process import ProcessDetector
from appliance.detect.rates import RateDetector
from appliance.detect.strangers import Joiner
from appliance.detect.view import View
from appliance.learn.meaning.model import Model, ServiceModel
from appliance.learn.session import by_service, known_servers
from appliance.learn.site.selfsaid import Reader
from appliance.learn.site.topology import stream_keys
from appliance.learn.timing.visits import Clock
from appliance.packets.batch import batch_of

if TYPE_CHECKING:
    from appliance.decode.columns import DecodedBatch
    from appliance.decode.framing import Framing
    from appliance.decode.messages import Messages


@dataclass(slots=True)
class Detector:
    """Batches in, findings out; `frames` counts what was read, `view` is for who opens ports while it watches."""

    model: Model
    reader: Reader | None = None  # reads what devices say of themselves; None: nobody listens
    mine: Callable[[Conversation], bool] | None = None  # of several sensors: which conversations come here; None: all
    frames: int = 0
    view: View = field(default_factory=View)
    table: ConversationTable = field(default_factory=ConversationTable)
    _newcomers: NewcomerDetector = field(init=False)
    _dark: DarkDetector = field(init=False)
    _groups: GroupDetector = field(init=False)
    _damage: DamageDetector = field(init=False)
    _hardware: HardwareDetector = field(init=False)
    _introductions: IntroductionDetector | None = None
    _overlaps: OverlapDetector = field(default_factory=OverlapDetector)
    _absence: AbsenceDetector = field(init=False)
    _rates: RateDetector = field(init=False)
    _process: ProcessDetector = field(init=False)
    _content: dict[object, list[ContentDetector]] = field(default_factory=dict)
    _order: dict[object, list[OrderDetector]] = field(default_factory=dict)
    _clock: Clock = field(default_factory=Clock)
    _cutter: Cutter = field(init=False)
    _keys: list[int] = field(default_factory=list)
    _joiner: Joiner = field(default_factory=Joiner)

    def __post_init__(self) -> None:
        self.table.know(known_servers(self.model.baseline))
        self.table.reserve(self.model.baseline.conversations)
        self._newcomers = NewcomerDetector(self.model)
        known = self._newcomers.standing
        self._dark, self._groups = DarkDetector(self.model, known), GroupDetector(known)
        self._hardware, self._damage = HardwareDetector(self.model, known), DamageDetector(self.model)
        if self.reader is not None:
            self._introductions = IntroductionDetector(self.model, self.reader)
        self._absence = AbsenceDetector(self.model, self.mine)
        self._rates = RateDetector(self.model)
        digests = {port: sorted(learned) for port, learned in self.model.baseline.services.items()}
        self._process = ProcessDetector(self.model.process, digests)
        singles = self.model.process.singles()
        for port, services in self.model.services.items():
            self._content[port] = [
                ContentDetector(port, service, self.model.accepted, self.model.open, singles) for service in services
            ]
            self._order[port] = [OrderDetector(self._absence.limit, services, i, self.view) for i in range(len(services))]
        self._cutter = Cutter({port: _framing(services) for port, services in self.model.services.items()})

    @property
    def damaged(self) -> int:
        """Frames with damage of any layer among those read."""
        return self._damage.count

    def go_on(self, before: Detector) -> None:
        """Count on from where another one ended."""
        self.frames, self._damage.count = before.frames, before.damaged

    def judge(self, batch: DecodedBatch) -> list[Finding]:
        """Findings of a batch, in the order of their frames."""
        self.frames += len(batch)
        assigned = self.table.assign(batch)
        conversations = self.table.conversations
        self._clock.follow(batch.frame, batch.time)
        messages = self._cutter.cut(batch, assigned, conversations)
        findings = self._newcomers.judge(batch, assigned, conversations, messages)
        findings += self._dark.judge(batch) + self._groups.judge(batch) + self._hardware.judge(batch, assigned)
        watched = self._newcomers.watched(conversations)
        self._process.clock(batch)
        findings = self._joiner.join(findings, self._contents(batch, messages))
        findings += self._absence.judge(batch, assigned, conversations, messages, watched, self._clock)
        findings += self._rates.judge(batch, assigned, conversations, watched)
        if self._introductions is not None:
            findings += self._introductions.judge(batch, assigned, conversations)
        findings += self._overlaps.judge(batch, assigned, conversations) + self._damage.judge(batch)
        told = {f.frame for f in findings}  # an answer that nobody asked for and that is strange besides is told once
        told.update(frame for detectors in self._content.values() for d in detectors for frame in d.excused)
        placed = [p for p in self._orders(batch) if p.finding.kind is not Kind.UNASKED_ANSWER or p.finding.frame not in told]
        placed += [Placed(_place(f, batch), f) for f in findings]
        placed.sort(key=lambda p: (p.frame, p.finding.kind))
        return self._unaccepted([p.finding for p in placed])

    def _unaccepted(self, findings: list[Finding]) -> list[Finding]:
        """Without deviations that people have accepted."""
        accepted = self.model.accepted
        return [f for f in findings if not accepted.allows(allowed_by(f))] if accepted else findings

    def _orders(self, batch: DecodedBatch) -> list[Placed]:
        """Known messages of the batch that come at another time or in another order."""
        keys, conversations = stream_keys(self.table.conversations, self._keys), self.table.conversations
        watched = self._newcomers.watched(conversations)
        placed: list[Placed] = []
        for port, detectors in self._content.items():
            for content, order in zip(detectors, self._order[port], strict=True):
                c, content.classified = content.classified, None
                if c is not None:
                    placed += order.judge(batch, c, conversations, keys, watched, self._clock, self._absence.refused)
        return placed

    def _contents(self, batch: DecodedBatch, messages: Messages) -> list[Finding]:
        """What the messages say, service by service."""
        keys = stream_keys(self.table.conversations, self._keys)
        watched = self._newcomers.watched(self.table.conversations)
        findings: list[Finding] = []
        taken: list[ContentDetector] = []
        for port, part in by_service(messages, self.table.conversations):
            detectors = self._content.get(port, [])
            results = [d.judge(batch, part, self.table, keys, watched) for d in detectors]
            for number, detector in enumerate(detectors):
                if detector.classified is not None:
                    self._process.take(port, number, detector.classified, detector.learned, len(taken))
                taken.append(detector)
            findings += _unknown_to_all(detectors, results)
        for number, index, deviation in self._process.judge():
            c = taken[number].classified
            if c is not None:
                conversation = self.table.conversations[c.messages.conversation[index]]
                stream = int(keys[c.messages.conversation[index]])
                findings.append(finding_of(batch, c, index, conversation, deviation, taken[number].service, stream))
        return findings

    def clock_set(self, by: int) -> None:
        """The capture's clock was set by so many ns: nothing was late or silent for so long."""
        self._clock.was_set(by)

    def tick(self, now: int) -> list[Finding]:
        """What is silent at `now` (ns) though no frame came that shows it."""
        return self._absence.tick(now, self.table.conversations)

    def finish(self) -> list[Finding]:
        """What is missing at the end of the input, and messages whose rest never came."""
        room = decode(batch_of([]), DecodeState())
        self._process.clock(room)
        return self._unaccepted(self._contents(room, self._cutter.flush(room)) + self._absence.finish(self.table.conversations))


def _framing(services: list[ServiceModel]) -> Framing:
    """The framing of a service: that of the structure learned from most messages."""
    return max(services, key=lambda s: sum(s.messages.values())).structure.framing


def _unknown_to_all(detectors: list[ContentDetector], results: list[list[Told]]) -> list[Finding]:
    """What every structure that knows the conversation calls abnormal; a structure that never saw it has no say."""
    if len(results) == 1:
        return [t.finding for t in results[0]]
    frames = [{t.finding.frame for t in told} for told in results]
    findings: list[Finding] = []
    for k, told in enumerate(results):
        for t in told:
            others = [j for j in range(len(results)) if j != k]
            agreed = all(t.finding.frame in frames[j] or not detectors[j].has_learned(t.conversation, t.request) for j in others)
            if agreed and not any(t.finding.frame in frames[j] for j in range(k)):
                findings.append(t.finding)
    return findings


def _place(finding: Finding, batch: DecodedBatch) -> int:
    """The frame a finding stands at; an absence stands where its time falls, so that it comes behind what led to it."""
    if finding.frame is not None:
        return finding.frame
    at = int(np.searchsorted(np.maximum.accumulate(batch.time), finding.time_ns))
    return int(batch.frame[min(at, len(batch) - 1)]) if len(batch) else 0

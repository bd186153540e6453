"""One session of learning, in three passes over the same frames: roles, structures, counts.

`Survey` collects what decides roles, `Sampler` a bounded sample of every service from which its structure is inferred, and
`Tally` counts all messages under those structures. Each takes batches and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from appliance.decode.conversation import Address, Assigned, Conversation, ConversationTable, Port
from appliance.decode.cutter import Cutter
from appliance.decode.framing import Framing, chain
from appliance.decode.identity import mix
from appliance.learn.baselines.baseline import Baseline, Learned, bounded
from appliance.learn.counting.counts import SECOND, RowCounter, RowTable
from appliance.learn.messages.checksums import find_checksum
from appliance.learn.messages.classify import Classified, Classifier
from appliance.learn.messages.containers import messages_of, split
from appliance.learn.messages.framing import learn_framing
from appliance.learn.messages.sample import WIDTH, Sample
from appliance.learn.messages.structure import Structure, learn_structure
from appliance.learn.messages.structure_codec import structure_digest
from appliance.learn.messages.text import READ, Layout
from appliance.learn.messages.text_columns import find_layout
from appliance.learn.numbers.image import Image, ImageCounter
from appliance.learn.site.selfsaid import Listener, Reader, Texts, add_text
from appliance.learn.site.topology import NUMBERS, TopologyCounter, stream_keys
from appliance.learn.timing.rhythm import RhythmCounter
from appliance.learn.timing.visits import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from appliance.decode.columns import DecodedBatch
    from appliance.decode.messages import Messages
    from appliance.learn.site.roles import Endpoint

MAX_SERVICES = 512  # services whose content is modelled; more are watched by who talks to whom
MAX_SAMPLE = 16_384  # payloads sampled of a service
DENSE_SAMPLE = 8_192  # after so many, only some slices of time are sampled, so many that the whole session has its share
MAX_SAMPLE_BYTES = 8 << 20  # of a service, of which what comes first may take half
MAX_ALL_BYTES = 64 << 20
SLICE = SECOND  # long enough for a request and its answer, and so short that none fills the sample by itself
SPARSE = 3  # of 2**SPARSE slices one is sampled; of twice as many each time that the sample is full
LEVELS = 24  # of 2**LEVELS slices, half a year, one at the least
FULL = LEVELS + 1  # no slice any more


@dataclass(slots=True)
class _ServiceSample:
    """What was sampled of a service: every payload first, then those of slices that have `level` or more (`_levels`)."""

    payloads: list[bytes] = field(default_factory=list)
    values: list[tuple[int, int, bool, int]] = field(default_factory=list)  # flow, conversation, request, ns
    size: int = 0
    level: int = 0
    dense: int = 0  # payloads before the first slice was left out

    def add(self, payload: bytes, values: tuple[int, int, bool, int]) -> None:
        """Take a payload; where there is no room left, half of the slices are given up."""
        self.payloads.append(payload)
        self.values.append(values)
        self.size += len(payload)
        if not self.level:
            self.dense = len(self.payloads)
            if self.dense >= DENSE_SAMPLE or self.size >= MAX_SAMPLE_BYTES // 2:
                self.level = SPARSE
        while self.level < FULL and (len(self.payloads) > MAX_SAMPLE or self.size > MAX_SAMPLE_BYTES):
            self.level += 1
            self._thin()

    def _thin(self) -> None:
        level = _levels(np.array([ns for *_, ns in self.values[self.dense :]], np.int64))
        kept = [*range(self.dense), *(np.flatnonzero(level >= self.level) + self.dense).tolist()]
        self.payloads, self.values = [self.payloads[i] for i in kept], [self.values[i] for i in kept]
        self.size = sum(map(len, self.payloads))


def _levels(time: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How rarely each time's slice is left out: of every 2**k slices in a row one has level k or more; int64 [n].

    Which one is drawn by a hash, so that no poll keeps step with it.
    """
    slices, place = np.unique(time // SLICE, return_inverse=True)
    level, chosen = np.zeros(len(slices), np.int64), np.ones(len(slices), bool)
    for k in range(LEVELS):
        drawn = mix((slices >> (k + 1) << 5 | k).astype(np.uint64)) & np.uint64(1)
        chosen &= (slices >> k & 1) == drawn.astype(np.int64)
        level += chosen
    return level[place.ravel()]


@dataclass(slots=True)
class Sampler:
    """A bounded sample of the payloads of every service, in the order of time."""

    table: ConversationTable
    services: dict[Port, _ServiceSample] = field(default_factory=dict)
    total: int = 0
    known: Container[Port] = frozenset()  # services that need no sample any more

    def add(self, batch: DecodedBatch) -> None:
        """Take payloads out of a batch."""
        assigned = self.table.assign(batch)
        rows = np.flatnonzero((batch.payload_len > 0) & (assigned.conversation >= 0))
        if not len(rows) or self.total > MAX_ALL_BYTES:
            return
        ports = [c.port for c in self.table.conversations]
        wanted = np.array([self._level(port) for port in ports], np.int64)[assigned.conversation[rows]]
        taken = _levels(batch.time[rows])
        of_slices = taken >= wanted
        rows, taken = rows[of_slices], taken[of_slices]
        for row, level in zip(rows.tolist(), taken.tolist(), strict=True):
            port = ports[assigned.conversation[row]]
            sample = self.services.get(port)
            if sample is None:
                if len(self.services) >= MAX_SERVICES:
                    continue
                sample = self.services[port] = _ServiceSample()
            if level < sample.level:
                continue
            before = sample.size
            where = int(assigned.flow[row]), int(assigned.conversation[row]), bool(assigned.request[row])
            sample.add(batch.payload_of(row)[:4096], (*where, int(batch.time[row])))
            self.total += sample.size - before

    def _level(self, port: Port) -> int:
        """The level that a slice must have to be sampled for a service."""
        if port in self.known:
            return FULL
        sample = self.services.get(port)
        return 0 if sample is None else sample.level

    def structures(self) -> dict[Port, Structure]:
        """Infer the structure of every service sampled."""
        clients: dict[object, int] = {}
        client_of = [clients.setdefault(c.client, len(clients)) for c in self.table.conversations]
        return {port: _structure(sample, client_of) for port, sample in sorted(self.services.items())}

    def ready(self, least: int) -> dict[Port, Structure]:
        """The same for services of at least so many payloads, whose sample is forgotten then."""
        late = {port: sample for port, sample in self.services.items() if len(sample.payloads) >= least}
        if not late:
            return {}
        part = Sampler(self.table, late)
        for port, sample in late.items():
            del self.services[port]
            self.total -= sample.size
        return part.structures()


def _structure(sample: _ServiceSample, client_of: list[int]) -> Structure:
    payloads = sample.payloads
    heads = np.zeros((len(payloads), 32), np.uint8)
    for i, payload in enumerate(payloads):
        heads[i, : min(32, len(payload))] = np.frombuffer(payload[:32], np.uint8)
    sizes = np.array([len(p) for p in payloads], np.int64)
    framing = learn_framing(heads, sizes, payloads[:2000])
    cut = [(i, a, b) for i, payload in enumerate(payloads) for a, b in _cut(payload, framing)]
    rows = np.zeros((len(cut), READ), np.uint8)
    for k, (i, a, b) in enumerate(cut):
        part = payloads[i][a : min(b, a + READ)]
        rows[k, : len(part)] = np.frombuffer(part, np.uint8)
    values = np.array([sample.values[i] for i, _, _ in cut], np.int64).reshape(len(cut), 4)
    request, size = values[:, 2].astype(bool), np.array([b - a for _, a, b in cut], np.int32)
    heads, length, layouts = _laid_out(rows, size, request, framing)
    checksum = None if any(layouts) else find_checksum(heads, size)
    heads = heads if checksum is None else checksum.evened(heads, size)
    messages = Sample(
        heads,
        length,
        values[:, 1].astype(np.int32),
        values[:, 0],
        np.array(client_of, np.int32)[values[:, 1]] if len(cut) else np.zeros(0, np.int32),
        values[:, 3],
    )
    dense = sum(i < sample.dense for i, _, _ in cut)
    return learn_structure(messages, request, framing, dense, layouts, checksum)


def _laid_out(
    rows: npt.NDArray[np.uint8], size: npt.NDArray[np.int32], request: npt.NDArray[np.bool_], framing: Framing
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], tuple[Layout | None, Layout | None]]:
    """First bytes and length of every message, laid out where requests or answers are text, and how they are."""
    blank = (framing.offset, framing.end) if framing.width else (0, 0)
    heads, length = np.ascontiguousarray(rows[:, :WIDTH]), size.copy()
    asks, tells = (find_layout(rows[side], size[side], blank) for side in (request, ~request))
    for side, layout in ((request, asks), (~request, tells)):
        if layout is not None:
            heads[side], length[side] = layout.lay(rows[side], size[side])
    return heads, length, (asks, tells)


def _cut(payload: bytes, framing: Framing) -> list[tuple[int, int]]:
    """Messages of a sampled payload; none where the framing does not come out even."""
    if not framing.width:
        return [(0, len(payload))]
    ranges, end = chain(payload, framing)
    return ranges if end == len(payload) else []


@dataclass(slots=True)
class Tally:
    """Counts everything under given roles and structures."""

    table: ConversationTable
    structures: dict[Port, Structure]
    reader: Reader | None = None
    topology: TopologyCounter = field(default_factory=TopologyCounter)
    _cutter: Cutter = field(init=False)
    _counters: dict[Port, RowCounter] = field(default_factory=dict)
    _classifiers: dict[Port, Classifier] = field(default_factory=dict)
    _items: dict[Port, RowCounter] = field(default_factory=dict)
    _images: dict[Port, ImageCounter] = field(default_factory=dict)
    _rhythms: dict[Port, RhythmCounter] = field(default_factory=dict)
    _clock: Clock = field(default_factory=Clock)
    _keys: list[int] = field(default_factory=list)
    _listener: Listener | None = None
    _said: dict[Address, Texts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._listener = Listener(self.reader) if self.reader is not None else None
        self._cutter = Cutter({})
        self._prepare(self.structures)

    def _prepare(self, structures: Mapping[Port, Structure]) -> None:
        """What counts these services."""
        self._images.update({port: ImageCounter(s) for port, s in structures.items()})
        self._cutter.framings = {**self._cutter.framings, **{port: s.framing for port, s in structures.items()}}
        self._counters.update({port: RowCounter(s) for port, s in structures.items()})
        self._classifiers.update({port: Classifier(s) for port, s in structures.items()})
        self._items.update({port: RowCounter(s.inner) for port, s in structures.items() if s.inner is not None})
        self._rhythms.update({port: RhythmCounter(s) for port, s in structures.items()})

    def add(self, batch: DecodedBatch) -> None:
        """Count a batch."""
        assigned: Assigned = self.table.assign(batch)
        self._clock.follow(batch.frame, batch.time)
        self.topology.add(batch, assigned, len(self.table.conversations))
        if self._listener is not None:
            for row, address, told in self._listener.hear(batch):
                add_text(self._said, address, told, int(batch.time[row]))
        messages = self._cutter.cut(batch, assigned, self.table.conversations)
        keys = stream_keys(self.table.conversations, self._keys)
        for port, part in by_service(messages, self.table.conversations):
            classifier = self._classifiers.get(port)
            if classifier is not None:
                classified = classifier.classify(part, batch.data, keys)
                self._counters[port].add(classified, keys)
                self._images[port].add(classified, keys)
                self._rhythms[port].add(classified, keys, self._clock)
                self._add_items(port, classified, batch, keys)

    def _add_items(self, port: Port, c: Classified, batch: DecodedBatch, keys: npt.NDArray[np.uint64]) -> None:
        """Count the items of the requests that are lists."""
        container, inner = self.structures[port].container, self.structures[port].inner
        asking = np.flatnonzero(c.messages.request & ~c.messages.broken)
        if container is None or inner is None or not len(asking):
            return
        items = split(container, c.heads[asking], c.messages.length[asking])
        if len(items.message):
            messages = messages_of(items, c.messages.take(asking))
            self._items[port].add(Classifier(inner).classify(messages, batch.data, keys), keys)

    def _item_table(self, port: Port) -> RowTable:
        counter = self._items.get(port)
        return RowTable() if counter is None else counter.table

    def adopt(self, structures: Mapping[Port, Structure]) -> None:
        """Count services under their structures from now on, where they had none so far."""
        fresh = {port: structure for port, structure in structures.items() if port not in self.structures}
        self.structures.update(fresh)
        self._prepare(fresh)

    def baseline(self) -> Baseline:
        """What was counted, as a baseline of one session."""
        t = self.topology
        columns = np.stack([t.columns[name] for name in NUMBERS], axis=1)
        conversations = {c: columns[i] for i, c in enumerate(self.table.conversations) if i < len(columns)}
        services = {
            port: {structure_digest(counter.structure): self._learned(port, counter)} for port, counter in self._counters.items()
        }
        watched = max(0, t.last - t.first)
        base = (t.known_assets(), conversations, services, t.arp_targets)
        truncated = {"image"} if any(one.truncated for one in self._images.values()) else set()
        image = Image()
        for port, counter in self._images.items():
            image.rows.update(counter.image(port, structure_digest(counter.structure)))
        baseline = Baseline(*base, t.frames, 1, watched, t.first, t.last, truncated, t.joined, said=self._said, image=image)
        baseline.damaged = dict(t.damaged)
        return bounded(baseline)

    def _learned(self, port: Port, counter: RowCounter) -> Learned:
        """A service's rows, items, and the order and time of the rows that are kept."""
        rhythm = self._rhythms[port].rhythm.only(counter.table.row)
        return Learned(counter.structure, counter.table, self._item_table(port), rhythm)


def by_service(messages: Messages, conversations: list[Conversation]) -> Iterable[tuple[Port, Messages]]:
    """The messages of each service, in the order of their frames."""
    if not len(messages):
        return
    ports = sorted({conversations[i].port for i in np.flatnonzero(np.bincount(messages.conversation))})
    number = {port: i for i, port in enumerate(ports)}
    code = np.array([number.get(c.port, -1) for c in conversations], np.int32)[messages.conversation]
    for i, port in enumerate(ports):
        mine = code == i
        yield port, messages if mine.all() else messages.take(mine)


def known_servers(baseline: Baseline) -> Iterable[Endpoint]:
    """Endpoints that serve, as the baseline's conversations show."""
    return {(c.server, c.port) for c in baseline.conversations if not c.group and c.port[0] >= 0}


__all__ = ["Sampler", "Tally", "by_service", "known_servers"]

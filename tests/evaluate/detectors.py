"""What is compared: Sekisho, and two baselines that users know. All learn a capture and point at frames of another one.

**Conversation whitelist**: (source, destination, service) pairs that were seen; every frame of another pair is a cry.
**Unseen values per offset**: the whitelist, and for every direction of a conversation the set of values seen at each of the
first 64 payload bytes, and the payload sizes; a byte with a value outside its set is a cry at that byte.

A baseline has no notion of an incident: its cries of one direction of one conversation are one until 60 s of silence.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from appliance.decode.columns import DecodedBatch
from appliance.learn.meaning.model import Model, derive
from appliance.pipeline import State, finish, learn_session, step
from tests.evaluate.capture import Capture

if TYPE_CHECKING:
    from appliance.incident.incident import Incident

OFFSETS = 64
PAUSE = 60_000_000_000
Key = tuple[int, int, int, int, int, int]  # source, destination (two halves each), protocol, service port
Table = npt.NDArray[np.bool_]


class Cry(NamedTuple):
    """Something pointed at: the frame (None for an absence), when, which incident it belongs to, payload bytes."""

    frame: int | None
    time_ns: int
    incident: str
    ranges: tuple[tuple[int, int], ...] = ()


class Detector(Protocol):
    """Learns one capture, then judges others, each from a fresh start."""

    name: str

    def learn(self, capture: Capture) -> None:
        """Take the capture for normal; forget what was learned before."""

    def detect(self, capture: Capture) -> list[Cry]:
        """What is not normal in the capture."""


class Sekisho:
    """The pipeline as it is, in this process; `incidents` are those of the last capture judged."""

    name = "Sekisho"

    def __init__(self) -> None:
        self.model: Model | None = None
        self.incidents: list[Incident] = []

    def learn(self, capture: Capture) -> None:
        """Learn one session."""
        self.model = derive(learn_session(capture.decoded))

    def detect(self, capture: Capture) -> list[Cry]:
        """Findings as cries."""
        if self.model is None:
            raise RuntimeError("learn before detect")
        state = State.start(self.model)
        for batch in capture.decoded():
            state, _ = step(state, batch)
        state, _ = finish(state)
        self.incidents = list(state.grouping.incidents.values())
        return [Cry(f.frame, f.time_ns, i.id, f.ranges) for i in self.incidents for f in i.findings]


class Whitelist:
    """Who talks to whom over what."""

    name = "conversation whitelist"

    def __init__(self) -> None:
        self.known: set[Key] = set()

    def learn(self, capture: Capture) -> None:
        """Remember the pairs."""
        self.known = {key for batch in capture.decoded() for _, key in _keys(batch)}

    def detect(self, capture: Capture) -> list[Cry]:
        """Every frame of an unknown pair."""
        incidents = _Incidents()
        return [
            incidents.cry(batch, row, key) for batch in capture.decoded() for row, key in _keys(batch) if key not in self.known
        ]


class UnseenValues:
    """The whitelist, and the values of each of the first bytes."""

    name = "unseen values per offset"

    def __init__(self) -> None:
        self.values: dict[Key, Table] = {}
        self.sizes: dict[Key, set[int]] = {}

    def learn(self, capture: Capture) -> None:
        """Remember pairs, values per offset, sizes."""
        self.values, self.sizes = {}, {}
        for batch in capture.decoded():
            heads, size = _heads(batch), batch.payload_len
            for row, key in _keys(batch):
                table = self.values.setdefault(key, np.zeros((OFFSETS, 256), bool))
                n = min(OFFSETS, int(size[row]))
                table[np.arange(n), heads[row, :n]] = True
                if n:
                    self.sizes.setdefault(key, set()).add(int(size[row]))

    def detect(self, capture: Capture) -> list[Cry]:
        """Unknown pairs, unseen sizes (told at the whole payload), unseen values."""
        incidents, cries = _Incidents(), list[Cry]()
        for batch in capture.decoded():
            heads, size = _heads(batch), batch.payload_len
            for row, key in _keys(batch):
                table, n = self.values.get(key), min(OFFSETS, int(size[row]))
                if table is None:
                    cries.append(incidents.cry(batch, row, key))
                    continue
                wrong = np.flatnonzero(~table[np.arange(n), heads[row, :n]])
                ranges = tuple((int(at), int(at) + 1) for at in wrong)
                if n and int(size[row]) not in self.sizes.get(key, set()):
                    ranges = ranges or ((0, int(size[row])),)
                if ranges:
                    cries.append(incidents.cry(batch, row, key, ranges))
        return cries


class _Incidents:
    """Cries of one direction of one conversation are one incident until a pause."""

    def __init__(self) -> None:
        self._open: dict[Key, tuple[int, str]] = {}

    def cry(self, batch: DecodedBatch, row: int, key: Key, ranges: tuple[tuple[int, int], ...] = ()) -> Cry:
        when = int(batch.time[row])
        last, name = self._open.get(key, (None, ""))
        if last is None or when - last > PAUSE:
            name = f"{len(self._open)}-{when}-{row}"
        self._open[key] = when, name
        return Cry(int(batch.frame[row]), when, name, ranges)


def _keys(batch: DecodedBatch) -> Iterator[tuple[int, Key]]:
    """Row and key of every frame; the service is the lower port (who knows no protocol would take it), or the ethertype."""
    service = np.where(batch.ip, np.minimum(batch.sport, batch.dport), batch.ethertype)
    columns = (batch.src_hi, batch.src_lo, batch.dst_hi, batch.dst_lo, batch.proto, service)
    yield from enumerate(zip(*(column.tolist() for column in columns), strict=True))


def _heads(batch: DecodedBatch) -> npt.NDArray[np.uint8]:
    """Uint8 [n, OFFSETS]: first payload bytes; what lies beyond a payload's end means nothing."""
    at = batch.payload[:, None] + np.arange(OFFSETS)[None, :]
    heads: npt.NDArray[np.uint8] = batch.data[np.minimum(at, len(batch.data) - 1)]
    return heads

"""One field changed in a message of a known conversation: is it found, and are exactly its bytes named.

A capture is cut by time: the head is learned as it is, the rest is what changes are made in. A class is a field and where its new
value comes from:

    borrowed  a value the field carries elsewhere in the head: another conversation, direction or kind of message
    near      a value learned for this very place, plus or minus one (as a number, either byte order)
    random    any other value
    swapped   a value that this place does carry in the head, so that the message's fields together are a combination the head
              never had: known but wrong, the hard one, summed apart

The first three are values this conversation, direction and kind of message never carried in the head. Changes are SPACING frames
or more apart, spread over as many copies of the capture as that needs. `tools/mutation_suite.py` beside the shared captures
measures the same; this works for any protocol with a grammar, and for every detector.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.evaluate.capture import Capture, Place, changed, place
from tests.evaluate.detectors import Cry, Detector
from tests.evaluate.grammars import Fields, Grammar

SOURCES = ("borrowed", "near", "random", "swapped")
SPACING = 20  # frames between two changes
SHADOW = 5  # frames around a change in which a cry is its consequence
SLACK = 2  # bytes named beside the changed ones, for `exact`
LEARNED = 4  # messages of a kind in a conversation, from which on it is known
TRIES = 20
Who = tuple[bytes, bytes, bool]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that fills its payload; index is the frame's in the capture."""

    index: int
    where: Place
    pay: bytes
    fields: Fields
    who: Who
    kind: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its class, the frame's index, payload bytes that differ (half-open), the new frame."""

    name: str
    index: int
    first: int
    end: int
    raw: bytes


@dataclass
class Tally:
    """What came of the changes of one capture; counters by class ("field/source")."""

    total: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    exact: Counter[str] = field(default_factory=Counter)
    clean: list[Cry] = field(default_factory=list)  # cries at the unchanged rest
    false_frames: int = 0
    false_incidents: int = 0
    frames: int = 0

    def classes(self, least: int = 1) -> list[str]:
        """Classes of values never carried, with at least so many changes."""
        return [name for name in sorted(self.total) if not name.endswith("/swapped") and self.total[name] >= least]

    def worst(self, which: Counter[str], least: int = 1) -> tuple[float, str]:
        """The smallest share over those classes, and its class; (nan, "") where there is none."""
        return min(((which[name] / self.total[name], name) for name in self.classes(least)), default=(float("nan"), ""))

    def share(self, which: Counter[str], swapped: bool) -> float:
        """Share over all changes, of swapped values or of the others; nan where there is none."""
        names = [name for name in self.total if name.endswith("/swapped") == swapped]
        total = sum(self.total[name] for name in names)
        return sum(which[name] for name in names) / total if total else float("nan")

    @property
    def clean_incidents(self) -> int:
        """Incidents in the unchanged rest."""
        return len({cry.incident for cry in self.clean})


def messages(capture: Capture, grammar: Grammar) -> Iterator[Message]:
    """Messages the grammar understands, each once (not a frame that repeats another's payload at the same place)."""
    before: dict[tuple[bytes, bytes, int, int], bytes] = {}
    for index, (_, raw) in enumerate(capture.frames):
        where = place(raw)
        to_server = grammar.direction(where) if where is not None else None
        if where is None or to_server is None:
            continue
        pay = raw[where.offset : where.offset + where.size]
        line = where.src, where.dst, where.sport, where.dport
        stamp = raw[where.offset - 16 :][:4] + pay if where.sport and where.proto == 6 else b""
        if stamp and before.get(line) == stamp:
            continue
        before[line] = stamp
        fields = grammar.fields(pay, to_server)
        if fields:
            yield Message(index, where, pay, fields, (where.src, where.dst, to_server), grammar.kind(pay))


class Known:
    """What the head carried."""

    def __init__(self, head: Capture, grammar: Grammar) -> None:
        self.grammar = grammar
        self.here: dict[tuple[Who, str, bytes], set[bytes]] = defaultdict(set)
        self.anywhere: dict[tuple[str, int], set[bytes]] = defaultdict(set)
        self.together: dict[Who, set[tuple[bytes, ...]]] = defaultdict(set)
        self.kinds: Counter[tuple[Who, bytes]] = Counter()
        for m in messages(head, grammar):
            self.kinds[m.who, m.kind] += 1
            for name, (x, y) in m.fields.items():
                self.here[self._place(name, m)].add(m.pay[x:y])
                self.anywhere[name, y - x].add(m.pay[x:y])
            self.together[m.who].add(_values(m))

    def _place(self, name: str, m: Message) -> tuple[Who, str, bytes]:
        return m.who, name, b"" if name in self.grammar.selects else m.kind

    def knows(self, m: Message) -> bool:
        """True for a kind of message that this conversation carried often enough."""
        return self.kinds[m.who, m.kind] >= LEARNED

    def new_value(self, source: str, name: str, m: Message, rng: random.Random) -> bytes | None:
        """A value for the field out of a source; None where it has none."""
        x, y = m.fields[name]
        old, size = m.pay[x:y], y - x
        known = {v for v in self.here.get(self._place(name, m), set()) if len(v) == size}
        if source == "random":
            return next((v for v in (rng.randbytes(size) for _ in range(1000)) if v not in known and v != old), None)
        if source == "borrowed":
            pool = self.anywhere[name, size] - known
        elif source == "near":
            pool = {_step(k, order, d) for k in known for order in ("big", "little") for d in (-1, 1)} - known
        else:
            pool = {v for v in known if _values(m, name, v) not in self.together[m.who]}
        choices = sorted(pool - {old})
        return rng.choice(choices) if choices else None


@dataclass(frozen=True, slots=True)
class Repetition:
    """Messages learned, and the share of the rest's whose fields together came in their conversation's head (nan: no rest)."""

    learned: int
    share: float


def repetition(head: Capture, rest: Capture, grammar: Grammar) -> Repetition:
    """How much the rest repeats the head, by the fields alone: no detector is asked."""
    known = Known(head, grammar)
    together = {(m.who, _lasting(m, grammar)) for m in messages(head, grammar)}
    hits = [(m.who, _lasting(m, grammar)) in together for m in messages(rest, grammar)]
    return Repetition(known.kinds.total(), sum(hits) / len(hits) if hits else float("nan"))


def _lasting(m: Message, grammar: Grammar) -> tuple[bytes, ...]:
    return tuple(m.pay[x:y] for key, (x, y) in m.fields.items() if key not in grammar.session)


def _values(m: Message, name: str = "", value: bytes = b"") -> tuple[bytes, ...]:
    return tuple(value if key == name else m.pay[x:y] for key, (x, y) in m.fields.items())


def _step(number: bytes, order: str, by: int) -> bytes:
    big = order == "big"
    value = int.from_bytes(number, "big" if big else "little") + by
    return int(value % 256 ** len(number)).to_bytes(len(number), "big" if big else "little")


def _changes(head: Capture, rest: Capture, grammar: Grammar, per_class: int, seed: int) -> list[Change]:
    """So many changes of every class, in an order drawn by the seed."""
    rng, known = random.Random(seed), Known(head, grammar)
    able: dict[str, list[tuple[Message, str]]] = defaultdict(list)
    for m in messages(rest, grammar):
        if known.knows(m):
            for name in m.fields:
                able[grammar.label(name)].append((m, name))
    out: list[Change] = []
    for label, candidates in sorted(able.items()):
        for source in SOURCES:
            for _ in range(per_class):
                for m, name in (rng.choice(candidates) for _ in range(TRIES)):
                    value = known.new_value(source, name, m, rng)
                    if value is not None:
                        out.append(_change(f"{label}/{source}", rest, grammar, m, name, value))
                        break
    rng.shuffle(out)
    return out


def _change(cls: str, rest: Capture, grammar: Grammar, m: Message, name: str, value: bytes) -> Change:
    x, y = m.fields[name]
    pay = m.pay[:x] + value + m.pay[y:]
    if grammar.mend is not None:
        pay = grammar.mend(pay)
    differs = [at for at in range(x, y) if pay[at] != m.pay[at]]
    return Change(cls, m.index, differs[0], differs[-1] + 1, changed(rest.frames[m.index][1], m.where, 0, pay))


def _apart(changes: list[Change]) -> list[list[Change]]:
    """The changes in as few rounds as keep them SPACING frames apart within each."""
    rounds: list[list[Change]] = []
    used: list[set[int]] = []
    for one in changes:
        block = one.index // SPACING
        at = next((i for i, taken in enumerate(used) if not taken & {block - 1, block, block + 1}), len(rounds))
        if at == len(rounds):
            rounds.append([])
            used.append(set())
        used[at].add(block)
        rounds[at].append(one)
    return rounds


def measure(
    detectors: list[Detector], head: Capture, rest: Capture, grammar: Grammar, per_class: int, seed: int
) -> dict[str, Tally]:
    """Learn the head, judge the rest unchanged and with changes; a tally per detector."""
    rounds = _apart(_changes(head, rest, grammar, per_class, seed))
    out: dict[str, Tally] = {}
    for detector in detectors:
        detector.learn(head)
        tally = out[detector.name] = Tally(clean=detector.detect(rest))
        for members in rounds:
            _judge(tally, detector.detect(rest.with_changes({c.index: c.raw for c in members})), members)
            tally.frames += len(rest)
    return out


def _judge(tally: Tally, cries: list[Cry], members: list[Change]) -> None:
    """Count one round."""
    named: dict[int, set[int]] = defaultdict(set)
    true: set[str] = set()
    at = {c.index + 1 for c in members}
    near = {frame + d for frame in at for d in range(-SHADOW, SHADOW + 1)}
    for cry in cries:
        if cry.frame in at:
            true.add(cry.incident)
            named[cry.frame] |= {byte for a, b in cry.ranges for byte in range(a, min(b, 70_000))}
    for c in members:
        wanted, got = set(range(c.first, c.end)), named.get(c.index + 1)
        tally.total[c.name] += 1
        tally.found[c.name] += got is not None
        tally.exact[c.name] += got is not None and wanted <= got and len(got) - len(wanted) <= SLACK
    tally.false_frames += len({cry.frame for cry in cries if cry.frame is not None and cry.frame not in near})
    tally.false_incidents += len({cry.incident for cry in cries} - true)

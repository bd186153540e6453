"""What people have said of a baseline: changes accepted and undone, doubts confirmed, assets to be learned anew.

Unlike everything else in a baseline this is not counted from traffic. It merges all the same: an entry is named by its
content, two ledgers are joined entry by entry, and what is taken back stays as a mark (a tombstone) beside what it takes back,
so that a merge with an older copy brings nothing back to life. Any order and any grouping gives an equal ledger.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ENTRIES = 4096  # entries kept of each kind; those with the smallest names stay
MAX_ALLOWED = 4096  # deviations in one acceptance
MAX_MATCH = 2000  # characters of what content is matched by
MAX_TEXT = 400  # characters of a name or a reason
Json = dict[str, Any]
V = TypeVar("V")


@dataclass(frozen=True, slots=True, order=True)
class Signed:
    """Who said it, when (ns since the epoch) and why."""

    when: int
    by: str
    why: str


@dataclass(frozen=True, slots=True, order=True)
class Allowed:
    """One deviation that is normal from now on: a matcher as data.

    kind      the kind of the finding it was taken from
    client, server, service   the conversation, as findings write it
    request   in frames of the client; False: in frames of the server
    match     the content, as "STRUCTURE:row:HASH" or "STRUCTURE:exact:HASH" (see `meaning.accepted`); "" where content is no part
    ranges, seen, normal   the bytes that deviated, what stood there, what was learned; a hardware address in `seen` of a move
    count     how much it was, where that matters (frames in ten seconds)
    """

    kind: str
    client: str
    server: str
    service: str
    request: bool
    match: str = ""
    ranges: tuple[tuple[int, int], ...] = ()
    seen: bytes = b""
    normal: tuple[bytes, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One incident that was accepted: its title then, who, when, why, and what is allowed by it."""

    title: str
    signed: Signed
    allowed: tuple[Allowed, ...]

    @property
    def id(self) -> str:
        """The name of the acceptance: a hash of its content, so that no two boxes give one name to two things."""
        return named("a", _acceptance_json(self))


@dataclass(slots=True)
class Ledger:
    """Entries by their names.

    accepted    acceptances by id; undone: the ids of those that were taken back
    confirmed   ids of review items (`meaning.suspects`) that somebody has looked at and found right
    forgotten   addresses as text: what was learned of them until then does not count any more
    """

    accepted: dict[str, Acceptance] = field(default_factory=dict)
    undone: dict[str, Signed] = field(default_factory=dict)
    confirmed: dict[str, Signed] = field(default_factory=dict)
    forgotten: dict[str, Signed] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.accepted or self.undone or self.confirmed or self.forgotten)

    def in_force(self) -> list[Acceptance]:
        """Acceptances that were not undone, in the order of time."""
        kept = [(a.signed, name, a) for name, a in self.accepted.items() if name not in self.undone]
        return [a for _, _, a in sorted(kept, key=lambda entry: entry[:2])]


def named(letter: str, value: object) -> str:
    """A short stable name for a JSON value: "a-1b2c3d4e5f"."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"{letter}-{sha256(text.encode()).hexdigest()[:10]}"


def merge_ledgers(a: Ledger, b: Ledger) -> Ledger:
    """Both together: unions, with the first word for what is undone or confirmed and the last one for what is forgotten."""
    # an acceptance and its undoing are cut by the same names: the cap can bring nothing back to life
    names = _smallest(a.accepted.keys() | b.accepted.keys() | a.undone.keys() | b.undone.keys())
    accepted = {name: x for name, x in (a.accepted | b.accepted).items() if name in names}
    undone = {name: x for name, x in _join(a.undone, b.undone, min).items() if name in names}
    confirmed, forgotten = _join(a.confirmed, b.confirmed, min), _join(a.forgotten, b.forgotten, max)
    sure, gone = _smallest(set(confirmed)), _smallest(set(forgotten))
    return Ledger(
        accepted,
        undone,
        {name: x for name, x in confirmed.items() if name in sure},
        {name: x for name, x in forgotten.items() if name in gone},
    )


def _join(a: dict[str, V], b: dict[str, V], pick: Callable[[V, V], V]) -> dict[str, V]:
    return a | {name: pick(a[name], value) if name in a else value for name, value in b.items()}


def _smallest(names: set[str]) -> set[str]:
    return names if len(names) <= MAX_ENTRIES else set(sorted(names)[:MAX_ENTRIES])


def ledger_json(ledger: Ledger) -> Json:
    """A ledger as a JSON value, in a canonical order."""

    def marks(entries: dict[str, Signed]) -> Json:
        return {name: [s.when, s.by, s.why] for name, s in sorted(entries.items())}

    return {
        "accepted": [_acceptance_json(a) for _, a in sorted(ledger.accepted.items())],
        "undone": marks(ledger.undone),
        "confirmed": marks(ledger.confirmed),
        "forgotten": marks(ledger.forgotten),
    }


def _acceptance_json(a: Acceptance) -> Json:
    return {
        "title": a.title,
        "signed": [a.signed.when, a.signed.by, a.signed.why],
        "allowed": [
            [
                *(x.kind, x.client, x.server, x.service, x.request, x.match, [list(r) for r in x.ranges]),
                *(x.seen.hex(), [n.hex() for n in x.normal], x.count),
            ]
            for x in a.allowed
        ],
    }


def ledger_from(value: Json) -> Ledger:
    """A ledger from its JSON value. Raises KeyError, TypeError, ValueError or AttributeError on anything else."""
    accepted = [_acceptance_from(entry) for entry in value["accepted"]]
    marks = {key: {_text(n): _signed(s) for n, s in value[key].items()} for key in ("undone", "confirmed", "forgotten")}
    if max(len(accepted), *(len(m) for m in marks.values())) > MAX_ENTRIES:
        raise ValueError("too many entries")
    return Ledger({a.id: a for a in accepted}, **marks)


def _acceptance_from(entry: Json) -> Acceptance:
    if len(entry["allowed"]) > MAX_ALLOWED:
        raise ValueError("too many deviations in an acceptance")
    allowed = tuple(
        Allowed(
            _text(kind),
            _text(client),
            _text(server),
            _text(service),
            bool(request),
            _text(match, MAX_MATCH),
            tuple((int(a), int(b)) for a, b in ranges),
            bytes.fromhex(seen),
            tuple(bytes.fromhex(n) for n in normal),
            int(count),
        )
        for kind, client, server, service, request, match, ranges, seen, normal, count in entry["allowed"]
    )
    return Acceptance(_text(entry["title"]), _signed(entry["signed"]), allowed)


def _signed(value: object) -> Signed:
    if not isinstance(value, list):
        raise TypeError("a signature is a list")
    when, by, why = value
    return Signed(int(when), _text(by), _text(why))


def _text(value: object, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise TypeError("not a short text")
    return value

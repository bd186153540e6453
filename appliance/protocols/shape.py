"""The shape every protocol decoder has, and the words it gives.

A decoder is a module with three names (`Decoder`): `NAME`, `plausible(payload)` and `words(payload, request, ranges)`.
`plausible` is plain Python over a few bytes and imports nothing. `words` imports a third-party library when it is called;
it runs in the words worker, never in the process that captures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from appliance.errors import WordsError

Ranges = Sequence[tuple[int, int]]

MAX_TEXT = 200  # characters of any one text: names come from hostile bytes (tag names, passwords, object names)
MAX_FIELDS = 16  # fields named in one answer


class Intent(StrEnum):
    """What a message wants. The vocabulary is closed: advice and techniques are tables over it."""

    READ = "read"  # process data or a parameter is asked for
    WRITE = "write"  # process data or a parameter is set
    CONTROL = "control"  # the device itself is told what to do: start, stop, restart, mode, clock, listen only
    PROGRAM = "program"  # logic, firmware or files move to or from the device, or are locked, created, deleted
    IDENTIFY = "identify"  # one device is asked what it is
    SCAN = "scan"  # everybody is asked who is there
    SESSION = "session"  # connection and session upkeep
    DIAGNOSE = "diagnose"  # counters, loopback, status
    ANSWER = "answer"  # a positive answer or a report that was subscribed to
    ERROR = "error"  # a negative answer
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FieldWord:
    """A named byte range of the payload and what stands there.

    name        in the field's terms ("function code", "register address")
    first, end  half-open byte offsets in the transport payload
    value       decoded, as text ("5 (Write Single Coil)")
    """

    name: str
    first: int
    end: int
    value: str


@dataclass(frozen=True, slots=True)
class Words:
    """What a payload says.

    protocol    the decoder's name ("modbus")
    service     the service or function ("Write Single Coil")
    summary     one line ("Write Single Coil, unit 1, address 17 := ON")
    intent      what the message wants
    fields      the fields that meet the byte ranges asked for, by offset
    """

    protocol: str
    service: str
    summary: str
    intent: Intent
    fields: tuple[FieldWord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The words as plain JSON types, for the pipe of the words worker."""
        fields = [[f.name, f.first, f.end, f.value] for f in self.fields]
        texts = {"protocol": self.protocol, "service": self.service, "summary": self.summary}
        return {**texts, "intent": self.intent.value, "fields": fields}

    @classmethod
    def from_json(cls, data: object) -> Words:
        """Read what the words worker wrote. The worker ate hostile bytes, so nothing it says is taken on trust.

        Raises WordsError when a key is missing or of another type, or an offset is not sane.
        """
        if not isinstance(data, Mapping):
            raise WordsError("words worker: the answer is not an object; this finding stays without words")
        try:
            texts = [clean(_text(data[key])) for key in ("protocol", "service", "summary")]
            fields = tuple(_field(item) for item in data["fields"][:MAX_FIELDS])
            return cls(texts[0], texts[1], texts[2], Intent(data["intent"]), fields)
        except (KeyError, TypeError, ValueError) as error:
            raise WordsError(f"words worker: the answer is malformed ({error}); this finding stays without words") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is not a string")
    return value


def _field(item: object) -> FieldWord:
    if not isinstance(item, list) or len(item) != 4:
        raise ValueError("a field is not a list of four")
    name, first, end, value = item
    if type(first) is not int or type(end) is not int or not 0 <= first <= end <= 65535:
        raise ValueError("a field has no sane offsets")
    return FieldWord(clean(_text(name)), first, end, clean(_text(value)))


def clean(text: str) -> str:
    """One printable line of at most MAX_TEXT characters: control characters could rewrite an operator's terminal."""
    line = "".join(c if c.isprintable() else "." for c in text[: MAX_TEXT + 1])
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"


class Decoder(Protocol):
    """What a protocol module offers. Modules satisfy it as they are."""

    NAME: str

    def plausible(self, payload: bytes) -> bool:
        """Can this payload be a message of the protocol? Cheap, never raises."""
        ...

    def words(self, payload: bytes, request: bool, ranges: Ranges) -> Words:
        """Say what the payload says; `request` is its direction. Raises WordsError and nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Field:
    """A row of a field map: a name at half-open offsets, and how its bytes are put into text."""

    name: str
    first: int
    end: int
    show: Callable[[bytes], str]


def show_be(raw: bytes) -> str:
    """Unsigned, most significant byte first."""
    return str(int.from_bytes(raw, "big"))


def show_le(raw: bytes) -> str:
    """Unsigned, least significant byte first."""
    return str(int.from_bytes(raw, "little"))


def show_hex(raw: bytes) -> str:
    """Bytes as hexadecimal, at most 16 of them."""
    return raw[:16].hex(" ") + (" …" if len(raw) > 16 else "")


def show_text(raw: bytes) -> str:
    """Bytes that are meant as text."""
    return clean(raw.decode("latin-1"))


def named(names: Mapping[int, str], order: str = "big") -> Callable[[bytes], str]:
    """A shower that adds the name of a number: "5 (Write Single Coil)"."""

    def show(raw: bytes) -> str:
        number = int.from_bytes(raw, "little" if order == "little" else "big")
        name = names.get(number)
        return f"0x{number:02x} ({name})" if name else f"0x{number:02x}"

    return show


def pick(payload: bytes, fields: Iterable[Field], ranges: Ranges) -> tuple[FieldWord, ...]:
    """The fields of the map that meet one of the ranges and lie inside the payload; without ranges, none."""
    hits: list[FieldWord] = []
    for field in fields:
        inside = field.first < field.end <= len(payload)
        if inside and any(field.first < end and first < field.end for first, end in ranges):
            hits.append(FieldWord(field.name, field.first, field.end, clean(field.show(payload[field.first : field.end]))))
    return tuple(sorted(hits, key=lambda f: (f.first, f.end))[:MAX_FIELDS])


def make(protocol: str, service: str, summary: str, intent: Intent, fields: tuple[FieldWord, ...]) -> Words:
    """Words with every text cleaned."""
    return Words(protocol, clean(service), clean(summary), intent, fields)


@contextmanager
def boundary(name: str) -> Iterator[None]:
    """Turn whatever a third-party decoder raises into WordsError.

    The libraries behind the decoders raise a dozen unrelated families on bad bytes (assertion, index, struct, attribute,
    recursion, their own); their contract does not list them, so this one place catches Exception.
    """
    try:
        yield
    except WordsError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:120].replace("\n", " ")
        raise WordsError(f"{name}: the payload does not decode ({reason}); the finding stays without words") from error

"""CIP messages inside EtherNet/IP: paths, services, containers. Offsets and numbers are read here, paths and texts by cpppo.

Sources: CIP Vol. 1 section 2-4 (message router format), appendix C (paths); Rockwell 1756-PM020 (tags).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from struct import calcsize, iter_unpack
from typing import TYPE_CHECKING, Any

from appliance.protocols.enip_tables import (
    CLASS_SERVICES,
    CLASSES,
    DEVICE_CLASSES,
    ENGINEERING_CLASSES,
    IDENTITY_CLASSES,
    SERVICES,
    STATUS,
    STATUS_GOOD,
)
from appliance.protocols.pccc import pccc
from appliance.protocols.shape import Field, Intent, named, show_hex, show_le, show_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DEPTH = 4  # containers inside containers; deeper is not a message that a device accepts
_MEMBERS = 64  # services of one Multiple Service Packet that are looked at
_LOGICAL = {0x20: "class", 0x24: "instance", 0x28: "element", 0x2C: "connection point", 0x30: "attribute"}
_WIDTH = {0: 1, 1: 2, 2: 4}  # logical format -> bytes of the value; from 2 on a pad byte stands before it
# Elementary types (appendix C-6.1) by code, as `struct` reads them: BOOL, SINT .. LINT, USINT .. ULINT, REAL, LREAL.
_NUMBERS = {bytes([0xC1 + i, 0]): f"<{code}" for i, code in enumerate("?bhiqBHIQfd")}
_LEFT_TO_CPPPO = (b"\xd0\0", b"\xda\0", b"\xa0\x02")  # STRING, SHORT_STRING, a structure
# What a container wants is what its strongest member wants.
_STRENGTH = (Intent.PROGRAM, Intent.CONTROL, Intent.WRITE, Intent.IDENTIFY, Intent.READ, Intent.DIAGNOSE, Intent.SESSION)


@dataclass(frozen=True, slots=True)
class Call:
    """One CIP message: the service, a phrase with target and value, what it wants, and the map of its fields."""

    service: str
    phrase: str
    intent: Intent
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class _Path:
    class_id: int | None
    text: str
    fields: tuple[Field, ...]


def call(data: bytes, at: int, wanted: int, depth: int = 0) -> Call:
    """Read one message router request or reply.

    data    the whole payload; at: where the message starts in it; wanted: the offset that the words are about
    """
    if len(data) < at + 2:
        return Call("CIP message", "", Intent.UNKNOWN, ())
    if data[at] & 0x80:
        return _reply(data, at, wanted, depth)
    size = data[at + 1] * 2
    body = at + 2 + size
    path = _path(data, at + 2, min(body, len(data)))
    service, intent = _service(data[at], path.class_id)
    fields = (
        Field("service code", at, at + 1, named({data[at]: service})),
        Field("path size", at + 1, at + 2, show_le),
        *path.fields,
    )
    if depth < _DEPTH and service == "Multiple Service Packet":
        return _multiple(data, body, wanted, fields)
    if depth < _DEPTH and service == "Unconnected Send" and len(data) >= body + 4:
        inner = call(data[: body + 4 + int.from_bytes(data[body + 2 : body + 4], "little")], body + 4, wanted, depth + 1)
        head = (Field("priority and tick time", body, body + 1, show_hex), Field("message size", body + 2, body + 4, show_le))
        return Call(inner.service, f"{inner.phrase} (routed)", inner.intent, (*fields, *head, *inner.fields))
    if service == "Execute PCCC":
        return _pccc(data, body, fields)
    value, value_fields = _value(data, at, body, service)
    return Call(service, f"{path.text}{value}", intent, (*fields, *value_fields))


def _service(code: int, class_id: int | None) -> tuple[str, Intent]:
    name, intent = CLASS_SERVICES.get(class_id, {}).get(code) or SERVICES.get(code) or (f"service 0x{code:02x}", Intent.UNKNOWN)
    if intent is Intent.UNKNOWN and class_id in ENGINEERING_CLASSES:
        return name, Intent.PROGRAM
    if intent is Intent.READ and class_id in IDENTITY_CLASSES:
        return name, Intent.IDENTIFY
    if intent is Intent.WRITE and class_id in DEVICE_CLASSES:
        return name, Intent.CONTROL
    return name, intent


def _reply(data: bytes, at: int, wanted: int, depth: int) -> Call:
    code = data[at] & 0x7F
    # A reply does not say its class: from 0x4B on the number means a tag service only where the request named a tag.
    service = SERVICES[code][0] if code in SERVICES else f"service 0x{code:02x}"
    if code in CLASS_SERVICES[None]:
        service += f" ({CLASS_SERVICES[None][code][0]} for tags)"
    status = data[at + 2] if len(data) > at + 2 else 0
    body = at + 4 + 2 * (data[at + 3] if len(data) > at + 3 else 0)
    good = status in STATUS_GOOD
    fields: tuple[Field, ...] = (
        Field("service code", at, at + 1, named({data[at]: f"reply to {service}"})),
        Field("general status", at + 2, at + 3, named(STATUS)),
        Field("extended status size", at + 3, at + 4, show_le),
        Field("extended status", at + 4, body, show_hex),
    )
    if good and code == 0x0A and depth < _DEPTH:
        inner = _multiple(data, body, wanted, fields)
        return Call(f"reply to {service}", inner.phrase, Intent.ANSWER, inner.fields)
    phrase = "" if good else f": {STATUS.get(status, f'status 0x{status:02x}')}"
    value, value_fields = _value(data, at, body, service, reply=True) if good else ("", ())
    return Call(f"reply to {service}", phrase + value, Intent.ANSWER if good else Intent.ERROR, (*fields, *value_fields))


def _pccc(data: bytes, body: int, fields: Sequence[Field]) -> Call:
    said = pccc(data, body + data[body]) if len(data) > body else None
    if said is None:
        return Call("Execute PCCC", "", Intent.UNKNOWN, tuple(fields))
    requester = Field("PCCC requester", body, body + data[body], show_hex)
    return Call(f"PCCC {said.name}", said.phrase, said.intent, (*fields, requester, *said.fields))


def _multiple(data: bytes, body: int, wanted: int, fields: Sequence[Field]) -> Call:
    """The members of a Multiple Service Packet; the words are about the member that holds `wanted`."""
    count = min(int.from_bytes(data[body : body + 2], "little"), _MEMBERS)
    table = range(body + 2, min(body + 2 + 2 * count, len(data) - 1), 2)
    offsets = [int.from_bytes(data[at : at + 2], "little") for at in table]
    starts = [body + offset for offset in offsets if body + offset < len(data)]
    ends = [*starts[1:], len(data)]
    # Members are read flat: packets inside packets whose offsets point at each other would multiply without end.
    members = [call(data[:end], start, wanted, _DEPTH) for start, end in zip(starts, ends, strict=True) if start < end]
    head = [Field("number of services", body, body + 2, show_le)]
    head += [Field(f"offset of service {i + 1}", body + 2 + 2 * i, body + 4 + 2 * i, show_le) for i in range(len(offsets))]
    every = (*fields, *head, *(field for member in members for field in member.fields))
    for i, (start, end, member) in enumerate(zip(starts, ends, members, strict=False)):
        if start <= wanted < end:
            return Call(member.service, f"{member.phrase} ({i + 1} of {len(members)} in one packet)", member.intent, every)
    names = ", ".join(sorted({m.service for m in members})[:4])
    intents = {m.intent for m in members}
    strongest = next((intent for intent in _STRENGTH if intent in intents), Intent.UNKNOWN)
    return Call("Multiple Service Packet", f"{len(members)} services: {names}", strongest, every)


def _path(data: bytes, first: int, end: int) -> _Path:
    """A padded path: fields by the walk, text by cpppo where it can read it."""
    fields = tuple(_segments(data, first, end))
    class_id = next((int.from_bytes(data[f.first : f.end], "little") for f in fields if f.name == "class"), None)
    segments = _cpppo_path(data[first:end])
    if segments is None:
        return _Path(class_id, f"path {show_hex(data[first:end])}", fields)
    words: list[str] = []
    for segment in segments:
        for kind, value in segment.items():
            if kind == "symbolic":
                words.append(f"tag {value}" if not any(w.startswith("tag ") for w in words) else f".{value}")
            elif kind == "class":
                words.append(f"{CLASSES.get(value, f'class 0x{value:02x}')}")
            elif kind == "element":
                words.append(f"[{value}]")
            elif kind in ("instance", "attribute", "port", "connection"):
                words.append(f"{kind} {value}")
    return _Path(class_id, " ".join(words).replace(" [", "[").replace(" .", "."), fields)


def _segments(data: bytes, first: int, end: int) -> Iterator[Field]:
    at = first
    while at + 1 < end:
        kind, logical = data[at], data[at] & 0xFC
        if kind == 0x91:
            size = data[at + 1]
            yield Field("tag name", at + 2, min(at + 2 + size, end), show_text)
            at += 2 + size + size % 2
        elif logical in _LOGICAL and kind & 3 in _WIDTH:
            width = _WIDTH[kind & 3]
            start = at + (1 if width == 1 else 2)
            yield Field(_LOGICAL[logical], start, start + width, show_le)
            at = start + width
        elif 0x01 <= kind <= 0x0E:
            yield Field("port and link", at, at + 2, show_hex)
            at += 2
        else:
            return  # keys and unusual segments: what follows cannot be placed without the object's own rules


def _run(machine: Any, data: bytes) -> Any:
    """Run a cpppo state machine over the bytes; its result, a nested dictionary. Raises what cpppo raises."""
    cpppo = import_module("cpppo")
    out = cpppo.dotdict()
    with machine as parser, closing(parser.run(source=cpppo.chainable(data), data=out)) as engine:
        for _ in engine:
            pass
    return out


@lru_cache(maxsize=1024)  # a plant has few paths, a container names dozens of them, and cpppo takes 0.3 ms for each
def _cpppo_path(path: bytes) -> tuple[dict[str, Any], ...] | None:
    parser = import_module("cpppo.server.enip.parser")
    try:
        return tuple(_run(parser.EPATH(context="path"), bytes([len(path) // 2]) + path).path.get("segment", []))
    except Exception:  # cpppo asserts on every path it does not know; then the bytes are shown
        return None


def _value(data: bytes, at: int, body: int, service: str, reply: bool = False) -> tuple[str, tuple[Field, ...]]:
    """What a read brought or a write carries: typed where cpppo knows the service, else bytes."""
    if body >= len(data):
        return "", ()
    typed = ""
    if reply and "Read Tag" in service:
        typed = _read(data, at, body)
    elif not reply and "Write Tag" in service:
        typed = _cpppo_value(data[at:])
    if typed:
        start = body + (2 if reply else 4)
        fields = [Field("data type", body, body + 2, show_hex), Field("value", start, len(data), show_hex)]
        if not reply:
            fields.append(Field("number of elements", body + 2, body + 4, show_le))
        return typed, tuple(fields)
    arrow = " := " if not reply and ("Set" in service or "Write" in service) else ", data "
    return f"{arrow}{show_hex(data[body:])}", (Field("service data", body, len(data), show_hex),)


def _read(data: bytes, at: int, body: int) -> str:
    """What a read brought: numbers are read here, as cpppo does, whose import costs more than all words of a usual incident."""
    kind = data[body : body + 2]
    if body != at + 4 or kind in _LEFT_TO_CPPPO:
        return _cpppo_value(data[at:])
    code = _NUMBERS.get(kind)
    if code is None or len(data) == body + 2 or (len(data) - body - 2) % calcsize(code):
        return ""  # no type, nothing there, or a last value cut off
    return " = " + _shown([value for (value,) in iter_unpack(code, data[body + 2 :])])


def _shown(values: Sequence[object]) -> str:
    """The first few of many values."""
    return " ".join(str(v) for v in values[:4]) + (" …" if len(values) > 4 else "")


def _cpppo_value(message: bytes) -> str:
    logix = import_module("cpppo.server.enip.logix")
    try:
        out = _run(logix.Logix.parser, message)
    except Exception:  # an elementary type that cpppo does not know; the bytes are shown instead
        return ""
    for key in ("write_tag", "write_frag", "read_tag", "read_frag"):
        values = out.get(key, {}).get("data") if key in out else None
        if values:
            shown = _shown(list(values))
            return f" := {shown}" if key.startswith("write") else f" = {shown}"
    return ""

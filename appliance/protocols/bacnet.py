"""BACnet/IP and BACnet over LLC: link, network and application layer; parameters by bacpypes3, offsets by a tag walk.

Source: ANSI/ASHRAE 135-2020 clause 6.2 (NPDU), clause 20 (APDU, tags), Annex J (BVLL).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from appliance.errors import WordsError
from appliance.protocols.bacnet_tables import CONFIRMED, LINK, NESTED, NETWORK, REJECTS, TYPES, UNCONFIRMED
from appliance.protocols.shape import Field, Intent, Ranges, Words, boundary, make, named, pick, show_be, show_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "bacnet"

_LLC = b"\x82\x82\x03"
_CARRIERS = {0x04: 10, 0x09: 4, 0x0A: 4, 0x0B: 4}  # link function -> where the network layer starts
_SECRET = frozenset({"password"})  # parameters whose value is nobody's business in a report


def plausible(payload: bytes) -> bool:
    """A BVLL header whose length is the datagram's or that carries a version 1 network layer, or the latter over LLC.

    Attack tools get the length wrong and devices act all the same, so a wrong length alone refuses nothing.
    """
    if payload[:3] == _LLC:
        return len(payload) >= 6 and payload[3] == 1 and payload[4] & 0x50 == 0
    if len(payload) < 4 or payload[0] != 0x81 or payload[1] not in LINK:
        return False
    at = _CARRIERS.get(payload[1], len(payload))
    return _be(payload, 2, 4) == len(payload) or payload[at : at + 1] == b"\x01"


def words(payload: bytes, request: bool, ranges: Ranges) -> Words:
    """Words for the datagram. BACnet says itself what is asked and what is answered; `request` decides nothing here.

    Raises WordsError.
    """
    if not plausible(payload):
        raise WordsError("bacnet: the payload has no BACnet header; the finding stays without words")
    with boundary(NAME):
        return _words(payload, ranges)


def _be(data: bytes, first: int, end: int) -> int:
    return int.from_bytes(data[first:end], "big")


@dataclass(frozen=True, slots=True)
class _Said:
    service: str
    phrase: str
    intent: Intent
    fields: list[Field]


def _words(payload: bytes, ranges: Ranges) -> Words:
    if payload[:3] == _LLC:
        fields, at = [Field("LLC header", 0, 3, show_hex)], 3
    else:
        service, intent = LINK[payload[1]]
        fields = [
            Field("BVLL type", 0, 1, show_hex),
            Field("BVLL function", 1, 2, named({k: name for k, (name, _) in LINK.items()})),
            Field("BVLL length", 2, 4, show_be),
        ]
        if payload[1] not in _CARRIERS:
            if payload[1] == 0 and _be(payload, 4, 6):
                intent = Intent.ERROR
            rest = [Field("BVLL data", 4, len(payload), show_hex)]
            return make(NAME, service, service, intent, pick(payload, fields + rest, ranges))
        at = _CARRIERS[payload[1]]
        if at == 10:
            fields.append(Field("originating address", 4, 10, show_hex))
    said = _network(payload, at)
    summary = f"{said.service}{': ' if said.phrase else ''}{said.phrase}"
    return make(NAME, said.service, summary, said.intent, pick(payload, fields + said.fields, ranges))


def _network(data: bytes, at: int) -> _Said:
    """The NPDU header (clause 6.2.2), then a network message or the application layer."""
    fields = [Field("NPDU version", at, at + 1, show_be), Field("NPDU control", at + 1, at + 2, show_hex)]
    control = data[at + 1]
    at += 2
    for name, bit in (("destination", 0x20), ("source", 0x08)):
        if control & bit:
            size = data[at + 2]
            fields.append(Field(f"{name} network", at, at + 2, show_be))
            fields.append(Field(f"{name} address length", at + 2, at + 3, show_be))
            fields.append(Field(f"{name} address", at + 3, at + 3 + size, show_hex))
            at += 3 + size
    if control & 0x20:
        fields.append(Field("hop count", at, at + 1, show_be))
        at += 1
    if control & 0x80:
        service, intent = NETWORK.get(data[at], (f"network message 0x{data[at]:02x}", Intent.UNKNOWN))
        fields.append(Field("network message type", at, at + 1, named({data[at]: service})))
        fields.append(Field("network message data", at + 1, len(data), show_hex))
        return _Said(service, "", intent, fields)
    said = _application(data, at)
    return _Said(said.service, said.phrase, said.intent, fields + said.fields)


def _application(data: bytes, at: int) -> _Said:
    kind, segmented = data[at] >> 4, bool(data[at] & 0x08)
    fields = [Field("APDU type", at, at + 1, named({data[at]: TYPES.get(kind, "reserved")}))]
    if kind == 0:
        fields.append(Field("maximum response", at + 1, at + 2, show_hex))
    if kind != 1:
        place = at + 2 if kind == 0 else at + 1
        fields.append(Field("invoke id", place, place + 1, show_be))
    service_at = at + {0: 3, 1: 1}.get(kind, 2)
    if segmented and kind in (0, 3):
        fields.append(Field("sequence number", service_at, service_at + 1, show_be))
        fields.append(Field("proposed window size", service_at + 1, service_at + 2, show_be))
        service_at += 2
    if kind in (4, 6, 7):
        return _short(data, kind, service_at, fields)
    choice = data[service_at]
    table = UNCONFIRMED if kind == 1 else CONFIRMED
    service, intent = table.get(choice, (f"service {choice}", Intent.UNKNOWN))
    fields.append(Field("service choice", service_at, service_at + 1, named({choice: service})))
    known, texts = _parameters(data[at:])
    phrase = ", ".join(f"{_spaced(name)} {text}" for name, text in texts.items())
    fields += _tags(data, service_at + 1, choice if kind == 0 else -1, known, texts)
    if kind == 5:
        return _Said(f"Error to {service}", phrase, Intent.ERROR, fields)
    if kind in (2, 3):
        return _Said(f"ACK to {service}", phrase, Intent.ANSWER, fields)
    return _Said(service, phrase, intent, fields)


def _short(data: bytes, kind: int, at: int, fields: list[Field]) -> _Said:
    """Segment-ACK, Reject and Abort carry no service choice."""
    if kind == 4:
        return _Said("Segment-ACK", "", Intent.ANSWER, [*fields, Field("sequence number", at, at + 1, show_be)])
    reason = f"reason {data[at]}"
    if kind == 6:
        reason = REJECTS.get(data[at], reason)
    return _Said(TYPES[kind], reason, Intent.ERROR, [*fields, Field("reason", at, at + 1, named({data[at]: reason}))])


def _parameters(apdu: bytes) -> tuple[dict[int | None, list[str]], dict[str, str]]:
    """By bacpypes3: the parameters' names by context tag (None: untagged, in order), and their values as text.

    A message that the library refuses (segmented, vendor's own, damaged) has neither.
    """
    library, pdu = import_module("bacpypes3.apdu"), import_module("bacpypes3.pdu")
    try:
        message = library.APCISequence.decode(library.APDU.decode(pdu.PDU(apdu)))
        elements = type(message)._elements
        order = list(message._order)
        values = {name: getattr(message, name, None) for name in order}
        texts = {name: "(hidden)" if name in _SECRET else _text(v) for name, v in values.items() if v is not None}
    except Exception:  # the library raises what it happens to raise; the offsets below do not need it
        return {}, {}
    names: dict[int | None, list[str]] = {}
    for name in order:
        names.setdefault(getattr(elements.get(name), "_context", None), []).append(name)
    return names, texts


def _text(value: Any) -> str:
    """A parameter as text; constructed ones as their leaves in order."""
    contents = value.dict_contents() if hasattr(value, "dict_contents") else value
    leaves = list(_leaves(contents))
    return " ".join(leaves[:8]) + (" …" if len(leaves) > 8 else "")


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple) and not hasattr(value, "_tag"):
        for item in value:
            yield from _leaves(item.dict_contents() if hasattr(item, "dict_contents") else item)
    else:
        yield str(value)


def _spaced(name: str) -> str:
    """A parameter's name in words: objectIdentifier is "object identifier"."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()
    return parts.removeprefix("i am ")


def _tags(data: bytes, at: int, choice: int, known: dict[int | None, list[str]], texts: dict[str, str]) -> Iterator[Field]:
    """The tags of the service data as fields (clause 20.2.1), named by the service's parameters where they are known."""
    depth, opened, untagged = 0, (at, 0), iter(known.get(None, []))
    nested = NESTED.get(choice)
    while at < len(data):
        number, context, size, first = _tag(data, at)
        if size < 0:
            depth += size + 2 if size == -1 else -1
            if depth == 1 and size == -1:
                opened = (at, number)
            elif depth == 0 and not nested and opened[1] in known:
                yield _parameter(known[opened[1]][0], opened[0], first, texts)
        elif nested and context:
            yield Field(nested[min(depth, 1)].get(number, "list data"), at, first + size, show_hex)
        elif depth == 0:
            name = known.get(number, [""])[0] if context else next(untagged, "")
            yield _parameter(name or "service data", at, min(first + size, len(data)), texts)
        at = first + max(size, 0)


def _parameter(name: str, first: int, end: int, texts: dict[str, str]) -> Field:
    text = texts.get(name)
    return Field(_spaced(name), first, end, show_hex if text is None else lambda _: text)


def _tag(data: bytes, at: int) -> tuple[int, bool, int, int]:
    """(number, context specific?, size of the value or -1 opening or -2 closing, where the value starts)."""
    initial = data[at]
    number, context, size = initial >> 4, bool(initial & 0x08), initial & 0x07
    at += 1
    if number == 15:
        number, at = data[at], at + 1
    if context and size >= 6:
        return number, True, 5 - size, at
    if not context and number == 1:
        return number, False, 0, at  # a boolean's value stands in the length
    if size == 5:
        size, at = data[at], at + 1
        if size == 254:
            size, at = _be(data, at, at + 2), at + 2
        elif size == 255:
            size, at = _be(data, at, at + 4), at + 4
    return number, context, size, at

"""EtherNet/IP: the encapsulation header and the common packet format; CIP inside is read by `cip`.

Source: CIP Vol. 2 chapter 2 (encapsulation commands, common packet format), section 3-2.2 (class 0/1 I/O).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.errors import WordsError
from appliance.protocols.cip import Call, call
from appliance.protocols.enip_tables import COMMANDS, ENCAPSULATION_STATUS, ITEMS
from appliance.protocols.shape import Field, Intent, Ranges, Words, boundary, make, named, pick, show_hex, show_le

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "enip"

_HEADER = 24
_CARRIERS = (0x006F, 0x0070)  # commands that carry CIP behind interface handle, timeout and items
_IO = bytes.fromhex("020002800800")  # cyclic I/O has no header: two items, the first a sequenced address of 8 bytes
_ITEMS = 16  # items looked at; the standard uses at most five


def plausible(payload: bytes) -> bool:
    """A known command, no options, and a length that ends the payload or leads to a next message.

    A payload cut short (the head of a large one) must at least carry CIP: interface handle 0.
    """
    if payload[:6] == _IO and payload[14:16] == b"\xb1\0":
        return True
    if len(payload) < _HEADER or payload[20:24] != b"\0\0\0\0" or payload[10:12] != b"\0\0":
        return False
    command, length = _le(payload, 0, 2), _le(payload, 2, 4)
    if command not in COMMANDS or not any(payload[:20]):
        return False
    rest = payload[_HEADER + length :]
    if not rest:
        return _HEADER + length == len(payload) or (command in _CARRIERS and payload[24:28] == b"\0\0\0\0")
    return command != 0 and (len(rest) < _HEADER or _le(rest, 0, 2) in COMMANDS)


def words(payload: bytes, request: bool, ranges: Ranges) -> Words:
    """Words for the message that holds the first range (the first message without ranges). Raises WordsError."""
    if not plausible(payload):
        raise WordsError("enip: the payload has no encapsulation header; the finding stays without words")
    with boundary(NAME):
        return _io(payload, request, ranges) if payload[:6] == _IO else _words(payload, request, ranges)


def _le(data: bytes, first: int, end: int) -> int:
    return int.from_bytes(data[first:end], "little")


def _words(payload: bytes, request: bool, ranges: Ranges) -> Words:
    wanted = ranges[0][0] if ranges else -1
    start, end = _message(payload, max(wanted, 0))
    data, command, status = payload[:end], _le(payload, start, start + 2), _le(payload, start + 8, start + 12)
    service, intent = COMMANDS[command]
    fields = list(_header(start))
    summary = service
    if status and not request:
        intent = Intent.ERROR
        summary = f"{service} refused: {ENCAPSULATION_STATUS.get(status, f'status 0x{status:04x}')}"
    elif command in _CARRIERS:
        said, item_fields = _carried(data, start + _HEADER, wanted)
        fields += item_fields
        if said is not None:
            service, intent = said.service, said.intent
            summary = said.service + (f" {said.phrase}" if said.phrase and said.phrase[0] not in ":," else said.phrase)
            fields += said.fields
    elif not request:
        summary, intent = f"Answer to {service}{_identity(data, start, command)}", Intent.ANSWER
    return make(NAME, service, summary, intent, pick(data, fields, ranges))


def _message(payload: bytes, wanted: int) -> tuple[int, int]:
    start = 0
    while True:
        end = start + _HEADER + _le(payload, start + 2, start + 4)
        if wanted < end or not plausible(payload[end:]):
            return start, min(end, len(payload))
        start = end


def _header(at: int) -> Iterator[Field]:
    yield Field("encapsulation command", at, at + 2, named({k: name for k, (name, _) in COMMANDS.items()}, "little"))
    yield Field("length", at + 2, at + 4, show_le)
    yield Field("session handle", at + 4, at + 8, show_hex)
    yield Field("status", at + 8, at + 12, named(ENCAPSULATION_STATUS, "little"))
    yield Field("sender context", at + 12, at + 20, show_hex)
    yield Field("options", at + 20, at + 24, show_hex)


def _items(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """(type, first, end) of the items behind an item count at `at`; half-open offsets of their data."""
    count = min(_le(data, at, at + 2), _ITEMS)
    at += 2
    for _ in range(count):
        if at + 4 > len(data):
            return
        end = at + 4 + _le(data, at + 2, at + 4)
        yield _le(data, at, at + 2), at + 4, min(end, len(data))
        at = end


def _carried(data: bytes, at: int, wanted: int) -> tuple[Call | None, list[Field]]:
    """The CIP message in a SendRRData or SendUnitData and the fields around it."""
    fields = [
        Field("interface handle", at, at + 4, show_hex),
        Field("timeout", at + 4, at + 6, show_le),
        Field("item count", at + 6, at + 8, show_le),
    ]
    said: Call | None = None
    for kind, first, end in _items(data, at + 6):
        fields.append(Field("item type", first - 4, first - 2, named(ITEMS, "little")))
        fields.append(Field("item length", first - 2, first, show_le))
        if kind == 0x00A1:
            fields.append(Field("connection identifier", first, end, show_hex))
        elif kind == 0x00B1:
            fields.append(Field("sequence count", first, first + 2, show_le))
            said = call(data[:end], first + 2, wanted)
        elif kind == 0x00B2:
            said = call(data[:end], first, wanted)
    return said, fields


def _identity(data: bytes, start: int, command: int) -> str:
    """Vendor, product and name from a List Identity answer (CIP Vol. 2 table 2-4.4)."""
    if command != 0x0063:
        return ""
    for kind, first, end in _items(data, start + _HEADER):
        if kind == 0x000C and end >= first + 33:
            name = data[first + 33 : first + 33 + data[first + 32]].decode("latin-1")
            return f": {name}, vendor {_le(data, first + 18, first + 20)}, serial 0x{_le(data, first + 28, first + 32):08x}"
    return ""


def _io(payload: bytes, request: bool, ranges: Ranges) -> Words:
    """Cyclic I/O over UDP: the sender's process image."""
    fields = [
        Field("item count", 0, 2, show_le),
        Field("connection identifier", 6, 10, show_hex),
        Field("encapsulation sequence", 10, 14, show_le),
        Field("item length", 16, 18, show_le),
        Field("sequence count", 18, 20, show_le),
        Field("process data", 20, len(payload), show_hex),
    ]
    way = "to the device" if request else "from the device"
    summary = f"Cyclic I/O {way}, connection 0x{_le(payload, 6, 10):08x}, {max(len(payload) - 20, 0)} bytes"
    return make(NAME, "Cyclic I/O", summary, Intent.WRITE if request else Intent.ANSWER, pick(payload, fields, ranges))

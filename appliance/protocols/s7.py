"""S7comm over TPKT and COTP: words by small tables of our own; no library is needed.

Sources: RFC 1006 (TPKT), ISO 8073 (COTP). S7comm is not published; the tables follow what its open decoders agree on.
S7comm-plus (protocol id 0x72) is named and left unread: its content is integrity protected and partly encrypted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.errors import WordsError
from appliance.protocols.shape import Field, Intent, Ranges, Words, boundary, make, named, pick, show_be, show_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "s7"

_COTP = {
    0xE0: ("COTP Connection Request", Intent.SESSION),
    0xD0: ("COTP Connection Confirm", Intent.ANSWER),
    0x80: ("COTP Disconnect Request", Intent.SESSION),
    0xC0: ("COTP Disconnect Confirm", Intent.ANSWER),
}
_DATA = 0xF0
_KINDS = {1: "Job", 2: "Ack", 3: "Ack-Data", 7: "Userdata"}
_FUNCTIONS: dict[int, tuple[str, Intent]] = {
    0x00: ("CPU Services", Intent.DIAGNOSE),
    0x04: ("Read Var", Intent.READ),
    0x05: ("Write Var", Intent.WRITE),
    0x1A: ("Request Download", Intent.PROGRAM),
    0x1B: ("Download Block", Intent.PROGRAM),
    0x1C: ("Download Ended", Intent.PROGRAM),
    0x1D: ("Start Upload", Intent.PROGRAM),
    0x1E: ("Upload", Intent.PROGRAM),
    0x1F: ("End Upload", Intent.PROGRAM),
    0x28: ("PLC Control", Intent.CONTROL),
    0x29: ("PLC Stop", Intent.CONTROL),
    0xF0: ("Setup Communication", Intent.SESSION),
}
# Userdata: function group -> name and what it wants; sub-functions that want another thing stand below.
_GROUPS: dict[int, tuple[str, Intent]] = {
    0x0: ("Mode Transition", Intent.ANSWER),
    0x1: ("Programmer Commands", Intent.PROGRAM),
    0x2: ("Cyclic Data", Intent.READ),
    0x3: ("Block Functions", Intent.IDENTIFY),
    0x4: ("CPU Functions", Intent.IDENTIFY),
    0x5: ("Security", Intent.SESSION),
    0x6: ("PBC", Intent.UNKNOWN),
    0x7: ("Time Functions", Intent.READ),
}
_SUBS: dict[tuple[int, int], tuple[str, Intent]] = {
    (0x3, 0x01): ("List Blocks", Intent.IDENTIFY),
    (0x3, 0x02): ("List Blocks of Type", Intent.IDENTIFY),
    (0x3, 0x03): ("Get Block Info", Intent.IDENTIFY),
    (0x4, 0x01): ("Read System Status List", Intent.IDENTIFY),
    (0x4, 0x02): ("Message Service", Intent.SESSION),
    (0x5, 0x01): ("Password", Intent.SESSION),
    (0x7, 0x01): ("Read Clock", Intent.READ),
    (0x7, 0x02): ("Set Clock", Intent.CONTROL),
    (0x7, 0x03): ("Read Clock", Intent.READ),
    (0x7, 0x04): ("Set Clock", Intent.CONTROL),
}
_AREAS = {0x1C: "C", 0x1D: "T", 0x81: "I", 0x82: "Q", 0x83: "M", 0x84: "DB", 0x85: "DI", 0x86: "L"}
_SIZES = {1: "bit", 2: "byte", 3: "char", 4: "word", 5: "int", 6: "dword", 7: "dint", 8: "real", 0x1C: "counter", 0x1D: "timer"}
_ITEMS = 20  # items of one Read Var or Write Var that are named


def plausible(payload: bytes) -> bool:
    """A TPKT header (version 3, reserved 0) whose length holds a COTP header of a known type."""
    if len(payload) < 7 or payload[:2] != b"\3\0" or not 7 <= _be(payload, 2, 4) <= 8192:
        return False
    return payload[5] in _COTP or (payload[5] == _DATA and payload[4] == 2)


def words(payload: bytes, request: bool, ranges: Ranges) -> Words:
    """Words for the message that holds the first range (the first message without ranges). Raises WordsError."""
    if not plausible(payload):
        raise WordsError("s7: the payload has no TPKT and COTP header; the finding stays without words")
    with boundary(NAME):
        return _words(payload, request, ranges)


def _be(data: bytes, first: int, end: int) -> int:
    return int.from_bytes(data[first:end], "big")


def _words(payload: bytes, request: bool, ranges: Ranges) -> Words:
    start, end = _message(payload, ranges[0][0] if ranges else 0)
    data, kind = payload[:end], payload[start + 5]
    fields = [
        Field("TPKT version", start, start + 1, show_be),
        Field("length", start + 2, start + 4, show_be),
        Field("COTP length", start + 4, start + 5, show_be),
        Field("COTP type", start + 5, start + 6, named({**{k: name for k, (name, _) in _COTP.items()}, _DATA: "COTP Data"})),
    ]
    if kind in _COTP:
        service, intent = _COTP[kind]
        fields.append(Field("COTP parameters", start + 6, end, show_hex))
        return make(NAME, service, service, intent, pick(data, fields, ranges))
    at = start + 7
    if data[at : at + 1] == b"\x72":
        return make(NAME, "S7comm-plus", "S7comm-plus, content not read", Intent.UNKNOWN, pick(data, fields, ranges))
    if data[at : at + 1] != b"\x32" or len(data) < at + 10:
        raise WordsError("s7: COTP carries no S7comm; the finding stays without words")
    service, phrase, intent = _s7(data, at, fields)
    answer = data[at + 1] in (2, 3)
    failed = answer and _be(data, at + 10, at + 12) != 0
    if failed:
        phrase = f"error 0x{_be(data, at + 10, at + 12):04x}"
    summary = ("Error to " if failed else "Answer to " if answer or not request else "") + service
    intent = Intent.ERROR if failed else Intent.ANSWER if answer or not request else intent
    return make(NAME, service, summary + (f", {phrase}" if phrase else ""), intent, pick(data, fields, ranges))


def _message(payload: bytes, wanted: int) -> tuple[int, int]:
    start = 0
    while True:
        end = start + _be(payload, start + 2, start + 4)
        if wanted < end or not plausible(payload[end:]):
            return start, min(end, len(payload))
        start = end


def _s7(data: bytes, at: int, fields: list[Field]) -> tuple[str, str, Intent]:
    """Service, phrase and intent of the S7comm message at an offset; its fields are appended."""
    kind, size = data[at + 1], _be(data, at + 6, at + 8)
    body = at + (12 if kind in (2, 3) else 10)
    fields += [
        Field("protocol id", at, at + 1, show_hex),
        Field("message type", at + 1, at + 2, named(_KINDS)),
        Field("PDU reference", at + 4, at + 6, show_be),
        Field("parameter length", at + 6, at + 8, show_be),
        Field("data length", at + 8, at + 10, show_be),
    ]
    if body > at + 10:
        fields.append(Field("error class and code", at + 10, at + 12, show_hex))
    if body + size > len(data) or size == 0:
        return _KINDS.get(kind, f"message type {kind}"), "", Intent.UNKNOWN
    if kind == 7:
        group, sub = data[body + 5] & 0x0F, data[body + 6]
        name, intent = _SUBS.get((group, sub)) or _GROUPS.get(group) or (f"function group {group}", Intent.UNKNOWN)
        fields.append(Field("function group", body + 5, body + 6, named({data[body + 5]: _GROUPS.get(group, (name, intent))[0]})))
        fields.append(Field("sub-function", body + 6, body + 7, named({sub: name})))
        fields.append(Field("data", body + size, len(data), show_hex))
        return name, "", intent
    service, intent = _FUNCTIONS.get(data[body], (f"function 0x{data[body]:02x}", Intent.UNKNOWN))
    fields.append(Field("function code", body, body + 1, named({data[body]: service})))
    items: list[str] = []
    if kind == 1 and data[body] in (4, 5):
        fields.append(Field("item count", body + 1, body + 2, show_be))
        items = list(_items(data, body + 2, body + size, fields))
    else:
        fields.append(Field("parameters", body + 1, body + size, show_hex))
    value = data[body + size :]
    fields.append(Field("data", body + size, len(data), show_hex))
    phrase = ", ".join(items[:3]) + (" …" if len(items) > 3 else "")
    if kind == 1 and data[body] == 5:
        phrase += f" := {show_hex(value[4:])}"
    return service, phrase, intent


def _items(data: bytes, at: int, end: int, fields: list[Field]) -> Iterator[str]:
    """Addresses of Read Var and Write Var as engineers write them: "DB10.4.0 2 x byte"."""
    for _ in range(_ITEMS):
        if at + 12 > end or data[at : at + 3] != b"\x12\x0a\x10":
            return
        fields += [
            Field("transport size", at + 3, at + 4, named(_SIZES)),
            Field("number of elements", at + 4, at + 6, show_be),
            Field("DB number", at + 6, at + 8, show_be),
            Field("area", at + 8, at + 9, named(_AREAS)),
            Field("address", at + 9, at + 12, lambda raw: f"{int.from_bytes(raw, 'big') >> 3}.{raw[2] & 7}"),
        ]
        area, bit = _AREAS.get(data[at + 8], f"area 0x{data[at + 8]:02x} "), _be(data, at + 9, at + 12)
        block = f"{area}{_be(data, at + 6, at + 8)}." if area in ("DB", "DI") else area
        yield f"{block}{bit >> 3}.{bit & 7} {_be(data, at + 4, at + 6)} x {_SIZES.get(data[at + 3], 'element')}"
        at += 12

"""Self-descriptions in field protocols: Modbus, CIP, S7 and BACnet. See `describe` for what may go wrong."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.learn.site.selfsaid import Told

# Modbus application protocol 1.1b3, 6.21: basic and regular objects of the device identification
_OBJECTS: Final = {0: "vendor", 1: "code", 2: "firmware", 4: "model", 5: "model", 6: "name"}
# ODVA vendor numbers that are met often; others are given by number
_CIP_VENDORS: Final = {
    1: "Rockwell Automation/Allen-Bradley", 26: "Festo", 40: "WAGO", 47: "OMRON", 48: "TURCK", 90: "HMS Industrial Networks",
    161: "Mitsubishi Electric", 243: "Schneider Electric", 283: "Hilscher",
}  # fmt: skip
# ASHRAE vendor numbers that are met often
_BACNET_VENDORS: Final = {
    0: "ASHRAE", 2: "Trane", 5: "Johnson Controls", 7: "Siemens", 8: "Delta Controls", 10: "Schneider Electric",
    17: "Honeywell", 24: "Carrier", 35: "Reliable Controls", 36: "Tridium",
}  # fmt: skip
# BACnet properties of a device object (ASHRAE 135, clause 21)
_PROPERTIES: Final = {
    12: "software", 28: "description", 44: "firmware", 70: "model", 77: "name", 121: "vendor", 372: "serial"
}  # fmt: skip
_ANY: Final = 0x3FFFFF  # the instance that stands for whoever is asked
_SZL_TEXTS: Final = {1: "name", 2: "description", 5: "serial", 7: "model"}  # S7, SZL 0x001C: component identification
_CHARSETS: Final = {0: "utf-8", 4: "utf-16-be", 5: "latin-1"}


def modbus(payload: bytes, sender: int) -> Iterator[Told]:
    """Answers to Read Device Identification (43/14) and Report Server ID (17), per unit."""
    source, function = f"modbus/{payload[6]}", payload[7]
    if payload[2:4] != b"\0\0" or int.from_bytes(payload[4:6], "big") + 6 != len(payload):
        return
    if function == 0x11 and payload[8] == len(payload) - 9:
        text = _printable(payload[9:])
        if text:
            yield source, "description", text
    if function != 0x2B or payload[8] != 0x0E or len(payload) < 16:
        return
    at = 14
    for _ in range(payload[13]):
        number, size = payload[at], payload[at + 1]
        if at + 2 + size > len(payload):
            return
        if number in _OBJECTS:
            yield source, _OBJECTS[number], payload[at + 2 : at + 2 + size].decode("latin-1")
        at += 2 + size


def _printable(raw: bytes) -> str:
    """The longest run of four or more printable characters: what stands around it is the maker's own."""
    runs = "".join(chr(b) if 0x20 <= b < 0x7F else "\0" for b in raw).split("\0")
    best = max(runs, key=len)
    return best if len(best.strip()) >= 4 else ""


def cip(payload: bytes, sender: int) -> Iterator[Told]:
    """Identity in a List Identity answer (CIP volume 2, 2-4.2.3) or in the answer to Get_Attributes_All of the object."""
    command = int.from_bytes(payload[:2], "little")
    if command == 0x63:
        at = 26
        for _ in range(min(int.from_bytes(payload[24:26], "little"), 8)):
            kind, size = struct.unpack_from("<HH", payload, at)
            if kind == 0x0C:
                yield from _identity(payload[at + 22 : at + 4 + size], 1)
            at += 4 + size
        return
    at = {0x6F: 40, 0x70: 46}.get(command, len(payload))
    if payload[at] == 0x81 and payload[at + 2] == 0 and payload[at + 3] == 0:
        yield from _identity(payload[at + 4 :], 0)


def _identity(raw: bytes, after: int) -> Iterator[Told]:
    """Vendor, type, code, revision, status, serial, name; `after`: bytes behind the name.

    Anything that does not fit is another object's and says nothing.
    """
    vendor, kind, code, major, minor, _, serial, size = struct.unpack_from("<HHHBBHIB", raw)
    name = raw[15 : 15 + size]
    if not size or len(raw) - 15 - size not in (after, 0) or not all(0x20 <= b < 0x7F for b in name):
        return
    yield "cip", "vendor", _CIP_VENDORS.get(vendor, f"vendor {vendor}")
    yield "cip", "model", name.decode("ascii")
    yield "cip", "code", f"type {kind}, product {code}"
    yield "cip", "firmware", f"{major}.{minor:03d}"
    yield "cip", "serial", f"{serial:08x}"


def s7(payload: bytes, sender: int) -> Iterator[Told]:
    """The first part of an answer to Read SZL: 0x0011 module identification, 0x001C component identification."""
    if payload[:2] != b"\3\0" or payload[5:9] != b"\xf0\x80\x32\x07" or payload[22] & 0xCF != 0x84 or payload[23] != 1:
        return
    data = payload[17 + int.from_bytes(payload[13:15], "big") :]
    if data[0] != 0xFF:
        return
    szl, _, size, count = struct.unpack_from(">HHHH", data, 4)
    for n in range(min(count, 32)):
        record = data[12 + n * size : 12 + (n + 1) * size]
        if len(record) != size or size < 28:
            return
        index = int.from_bytes(record[:2], "big")
        if szl & 0xFF == 0x11 and index == 1:
            yield "s7", "code", record[2:22].decode("latin-1")
        elif szl & 0xFF == 0x11 and index == 7 and record[24:25] == b"V":
            yield "s7", "firmware", f"V{record[25]}.{record[26]}.{record[27]}"
        elif szl & 0xFF == 0x1C and index in _SZL_TEXTS:
            yield "s7", _SZL_TEXTS[index], record[2:].split(b"\0")[0].decode("latin-1")


def bacnet(payload: bytes, sender: int) -> Iterator[Told]:
    """I-Am, and answers to ReadProperty and ReadPropertyMultiple of a device object, per device instance."""
    if payload[0] != 0x81 or (payload[1] == 4 and payload[4:8] != (sender & 0xFFFF_FFFF).to_bytes(4, "big")):
        return  # also what a BBMD hands on for others: it does not speak of itself
    at = 10 if payload[1] == 4 else 4
    control = payload[at + 1]
    at += 2
    for bit in (0x20, 0x08):
        at += 3 + payload[at + 2] if control & bit else 0
    at += 1 if control & 0x20 else 0
    apdu = payload[at:]
    if apdu[:2] == b"\x10\0" and apdu[2] == 0xC4:
        yield from _i_am(apdu[3:])
    elif apdu[0] == 0x30 and apdu[2] in (0x0C, 0x0E) and apdu[3] == 0x0C and apdu[4] == 2:
        instance = int.from_bytes(apdu[4:8], "big") & 0x3FFFFF
        source = "bacnet" if instance == _ANY else f"bacnet/{instance}"
        for number, text in _property(apdu, 8) if apdu[2] == 0x0C else _properties(apdu, 8):
            if number in _PROPERTIES:
                yield source, _PROPERTIES[number], text


def _i_am(raw: bytes) -> Iterator[Told]:
    """Object identifier, longest APDU, segmentation, vendor: application tags 12, 2, 9, 2."""
    device = int.from_bytes(raw[:4], "big")
    if device >> 22 != 8:
        return
    source, at = f"bacnet/{device & 0x3FFFFF}", 4
    for tag in (2, 9, 2):
        if raw[at] >> 4 != tag or raw[at] & 0x0F > 4:
            return
        size = raw[at] & 7
        value, at = int.from_bytes(raw[at + 1 : at + 1 + size], "big"), at + 1 + size
    yield source, "identifier", f"device {device & 0x3FFFFF}"
    yield source, "vendor", _BACNET_VENDORS.get(value, f"vendor {value}")


def _number(raw: bytes, at: int, tag: int) -> tuple[int, int]:
    """A context number of one to four bytes: (value, where the next tag is). Raises ValueError for another tag."""
    size = raw[at] & 7
    if raw[at] >> 4 != tag or not raw[at] & 8 or not 1 <= size <= 4:
        raise ValueError("another tag")
    return int.from_bytes(raw[at + 1 : at + 1 + size], "big"), at + 1 + size


def _property(raw: bytes, at: int) -> Iterator[tuple[int, str]]:
    number, at = _number(raw, at, 1)
    if raw[at] == 0x3E:
        yield number, _string(raw, at + 1)[0]


def _properties(raw: bytes, at: int) -> Iterator[tuple[int, str]]:
    """The results of the first object; stops at the first value that is no string and not stepped over."""
    if raw[at] != 0x1E:
        return
    at += 1
    while raw[at] != 0x1F:
        number, at = _number(raw, at, 2)
        if raw[at] >> 4 == 3:
            _, at = _number(raw, at, 3)
        closing = 0x4F if raw[at] == 0x4E else 0x5F
        at += 1
        while raw[at] != closing:
            text, at = _string(raw, at)
            if text:
                yield number, text
        at += 1


def _string(raw: bytes, at: int) -> tuple[str, int]:
    """An application value: (its text, "" where it is no character string; where the next one is)."""
    tag, size = raw[at] >> 4, raw[at] & 7
    if raw[at] & 8:
        raise ValueError("no application tag")
    at += 1
    if tag == 1:
        return "", at
    if size == 5:
        size, at = raw[at], at + 1
        if size == 254:
            size, at = int.from_bytes(raw[at : at + 2], "big"), at + 2
    if at + size > len(raw):
        raise ValueError("beyond the end")
    if tag != 7 or not size:
        return "", at + size
    return raw[at + 1 : at + size].decode(_CHARSETS.get(raw[at], "latin-1"), "replace"), at + size

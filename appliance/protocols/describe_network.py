"""Self-descriptions beside field protocols: LLDP, PROFINET DCP, DHCP, SNMP, mDNS, NetBIOS names. See `describe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.learn.site.selfsaid import Told

_LLDP: Final = {5: "name", 6: "description"}  # IEEE 802.1AB 8.5
_MED: Final = {5: "hardware", 6: "firmware", 7: "software", 8: "serial", 9: "vendor", 10: "model"}  # ANSI/TIA-1057 10.2.6
_PROFINET_VENDORS: Final = {0x002A: "Siemens", 0x00B0: "Phoenix Contact", 0x011D: "WAGO"}
_SYSTEM: Final = bytes.fromhex("2b060102010101")  # 1.3.6.1.2.1.1.1: sysDescr; the last byte 5 is sysName (RFC 3418)
_LABELS = 32  # labels and jumps of a name


def lldp(payload: bytes, sender: int) -> Iterator[Told]:
    """System name and description, chassis, and what LLDP-MED says of the inventory."""
    at = 0
    while at + 2 <= len(payload):
        head = int.from_bytes(payload[at : at + 2], "big")
        kind, value = head >> 9, payload[at + 2 : at + 2 + (head & 0x1FF)]
        at += 2 + (head & 0x1FF)
        if not kind or at > len(payload):
            return
        if kind == 1 and value[0] == 4 and len(value) == 7:
            yield "lldp", "identifier", value[1:].hex(":")
        elif kind == 1 and value[0] in (1, 6, 7):
            yield "lldp", "identifier", value[1:].decode("utf-8", "replace")
        elif kind in _LLDP:
            yield "lldp", _LLDP[kind], value.decode("utf-8", "replace")
        elif kind == 127 and value[:3] == b"\x00\x12\xbb" and value[3] in _MED:
            yield "lldp", _MED[value[3]], value[4:].decode("utf-8", "replace")


def dcp(payload: bytes, sender: int) -> Iterator[Told]:
    """Blocks of a DCP answer or hello: station name, type, vendor and device id (IEC 61158-6-10, 4.3)."""
    hello = payload[:2] == b"\xfe\xfc"
    if not hello and (payload[2] not in (3, 5) or payload[3] != 1):
        return
    at, end = 12, min(12 + int.from_bytes(payload[10:12], "big"), len(payload))
    while at + 6 <= end:
        size = int.from_bytes(payload[at + 2 : at + 4], "big")
        value = payload[at + 6 : at + 4 + size]
        if at + 4 + size > end or size < 2:
            return
        block = payload[at], payload[at + 1]
        if block == (2, 1):
            yield "dcp", "model", value.decode("latin-1")
        elif block == (2, 2):
            yield "dcp", "name", value.decode("latin-1")
        elif block == (2, 3) and len(value) >= 4:
            vendor, device = int.from_bytes(value[:2], "big"), int.from_bytes(value[2:4], "big")
            yield "dcp", "vendor", _PROFINET_VENDORS.get(vendor, f"vendor 0x{vendor:04x}")
            yield "dcp", "code", f"device 0x{device:04x}"
        at += 4 + size + size % 2


def dhcp(payload: bytes, sender: int) -> Iterator[Told]:
    """Host name and vendor class of a DHCP client (RFC 2132, options 12 and 60)."""
    if payload[0] != 1 or payload[236:240] != bytes.fromhex("63825363"):
        return
    at = 240
    while payload[at] != 255:
        if payload[at] == 0:
            at += 1
            continue
        size = payload[at + 1]
        value = payload[at + 2 : at + 2 + size]
        if len(value) != size:
            return
        if payload[at] in (12, 60):
            yield "dhcp", "name" if payload[at] == 12 else "description", value.decode("utf-8", "replace")
        at += 2 + size


def snmp(payload: bytes, sender: int) -> Iterator[Told]:
    """sysDescr.0 and sysName.0 in an answer (RFC 3416): found by their object identifiers, not by walking the message."""
    if payload[0] != 0x30:
        return
    for last, attribute in ((1, "description"), (5, "name")):
        mark = b"\x06\x08" + _SYSTEM[:-1] + bytes([last, 0]) + b"\x04"
        at = payload.find(mark)
        if at < 0:
            continue
        at += len(mark)
        size, at = payload[at], at + 1
        if size in (0x81, 0x82):
            width = size & 0x7F
            size, at = int.from_bytes(payload[at : at + width], "big"), at + width
        elif size > 0x7F:
            continue
        if at + size <= len(payload):
            yield "snmp", attribute, payload[at : at + size].decode("utf-8", "replace")


def mdns(payload: bytes, sender: int) -> Iterator[Told]:
    """The host name whose address record is the sender's own (RFC 6762)."""
    if not payload[2] & 0x80:
        return
    counts = [int.from_bytes(payload[4 + 2 * i : 6 + 2 * i], "big") for i in range(4)]
    at = 12
    for _ in range(min(counts[0], 16)):
        at = _name(payload, at)[1] + 4
    for _ in range(min(sum(counts[1:]), 64)):
        name, at = _name(payload, at)
        kind, size = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 8 : at + 10], "big")
        if kind == 1 and size == 4 and int.from_bytes(payload[at + 10 : at + 14], "big") | 0xFFFF_0000_0000 == sender:
            yield "mdns", "name", name
        at += 10 + size


def _name(raw: bytes, at: int) -> tuple[str, int]:
    """A domain name (RFC 1035 4.1.4) and where what follows it is."""
    labels: list[str] = []
    after = -1
    for _ in range(_LABELS):
        size = raw[at]
        if size >= 0xC0:
            after = at + 2 if after < 0 else after
            at = (size & 0x3F) << 8 | raw[at + 1]
        elif not size:
            return ".".join(labels), at + 1 if after < 0 else after
        else:
            labels.append(raw[at + 1 : at + 1 + size].decode("utf-8", "replace"))
            at += 1 + size
    raise ValueError("a name without an end")


def nbns(payload: bytes, sender: int) -> Iterator[Told]:
    """The name that the sender registers for its own address (RFC 1002 4.2.2)."""
    if payload[2] & 0xF8 not in (0x28, 0x40, 0x48) or payload[12] != 0x20:
        return
    encoded = payload[13:45]
    if (
        len(encoded) != 32
        or not all(0x41 <= b <= 0x50 for b in encoded)
        or payload[-4:] != (sender & 0xFFFF_FFFF).to_bytes(4, "big")
    ):
        return
    raw = bytes((encoded[i] - 0x41) << 4 | (encoded[i + 1] - 0x41) for i in range(0, 32, 2))
    group = payload[-6] & 0x80  # the name of a workgroup, not of a host
    if raw[15] in (0x00, 0x20) and not group:
        yield "nbns", "name", raw[:15].decode("latin-1")

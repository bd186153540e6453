"""Where the fields of known protocols are: ground truth for changes. Detection never sees any of this.

A field is left out where its value is free: transaction numbers, sequence numbers, session keys of a connection that has just
begun, process values. Those are not promised to be found; what is left says what a message does, to whom, and how long it is.
"""

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.evaluate.capture import TCP, UDP, Capture, Place, place

Fields = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Grammar:
    """One protocol.

    port     (IP protocol, server's port), or (ethertype, 0)
    fields   (payload, to the server?) -> name -> half-open range; empty where the message is not understood
    kind     payload -> the bytes that say what kind of message it is
    selects  names of fields that say the kind: known per conversation, not per kind
    session  names of fields that a new connection may set anew
    mend     payload -> the same with the protocol's own checksum made right
    label    name of a field -> its class
    """

    name: str
    port: tuple[int, int]
    fields: Callable[[bytes, bool], Fields]
    kind: Callable[[bytes], bytes]
    selects: frozenset[str]
    mend: Callable[[bytes], bytes] | None = None
    session: frozenset[str] = frozenset()
    label: Callable[[str], str] = str

    def direction(self, where: Place) -> bool | None:
        """True for a message to the server, False from it, None where it is another protocol."""
        proto, port = self.port
        if where.proto != proto:
            return None
        if not port:
            return True
        return True if where.dport == port else False if where.sport == port else None


def _modbus(pay: bytes, to_server: bool) -> Fields:
    n = len(pay)
    if n < 10 or pay[2:4] != b"\0\0" or struct.unpack_from("!H", pay, 4)[0] != n - 6:
        return {}
    fields = {"protocol id": (2, 4), "length": (4, 6), "unit": (6, 7), "function": (7, 8)}
    if to_server and n >= 12:
        fields |= {"address": (8, 10), "quantity or value": (10, 12)}
    if not to_server and pay[7] in (1, 2, 3, 4):
        fields |= {"byte count": (8, 9)}
    return fields


def _cip_at(pay: bytes) -> int | None:
    at = {0x6F: 40, 0x70: 46}.get(struct.unpack_from("<H", pay)[0])
    return at if at is not None and len(pay) > at else None


def _enip(pay: bytes, to_server: bool) -> Fields:
    if len(pay) < 24 or struct.unpack_from("<H", pay, 2)[0] != len(pay) - 24:
        return {}
    fields = {"command": (0, 2), "length": (2, 4), "session": (4, 8), "options": (20, 24)}
    at = _cip_at(pay)
    if at is not None and len(pay) > at + 6:
        fields["cip service"] = (at, at + 1)
        if to_server and pay[at + 2] == 0x20:
            fields["cip class"] = (at + 3, at + 4)
            if pay[at + 4] == 0x24:
                fields["cip instance"] = (at + 5, at + 6)
    return fields


def _enip_kind(pay: bytes) -> bytes:
    at = _cip_at(pay)
    return pay[0:2] + (pay[at : at + 1] if at is not None else b"")


def _apdu_at(pay: bytes) -> int | None:
    """Where the APDU begins behind BVLC and NPDU (ASHRAE 135, 6.2); None for a network message or a forwarded one."""
    if len(pay) < 10 or pay[0] != 0x81 or pay[1] not in (0x0A, 0x0B) or pay[5] & 0x80:
        return None
    at = 6
    for bit in (0x20, 0x08):  # a destination's network, then a source's: number, length of the address, address
        if pay[5] & bit and at + 3 < len(pay):
            at += 3 + pay[at + 2]
    at += 1 if pay[5] & 0x20 else 0  # hop count
    return at if at + 4 <= len(pay) else None


def _bacnet(pay: bytes, to_server: bool) -> Fields:
    at = _apdu_at(pay)
    if at is None or struct.unpack_from("!H", pay, 2)[0] != len(pay):
        return {}
    fields = {"bvlc function": (1, 2), "length": (2, 4), "npdu version": (4, 5), "apdu type": (at, at + 1)}
    if pay[at] >> 4 == 0 and len(pay) > at + 10:
        fields["service"] = (at + 3, at + 4)
        if pay[at + 3] in (12, 15) and pay[at + 4] == 0x0C:
            fields |= {"object id": (at + 5, at + 9), "property id": (at + 10, at + 11)}
    return fields


def _bacnet_kind(pay: bytes) -> bytes:
    at = _apdu_at(pay) or 6
    return pay[at : at + 1] + pay[at + 3 : at + 4]


def _s7(pay: bytes, to_server: bool) -> Fields:
    """TPKT (RFC 1006), COTP data (ISO 8073), S7 header, the first item of a job or an answer."""
    n = len(pay)
    if n < 19 or pay[0] != 3 or struct.unpack_from("!H", pay, 2)[0] != n or pay[5] != 0xF0 or pay[7] != 0x32:
        return {}
    fields = {"tpkt version": (0, 1), "tpkt length": (2, 4), "cotp type": (5, 6), "protocol id": (7, 8), "message type": (8, 9),
              "parameter length": (13, 15), "data length": (15, 17)}  # fmt: skip
    if pay[8] == 1:
        fields |= {"function": (17, 18), "item count": (18, 19)}
        if pay[17] in (4, 5) and n >= 31 and pay[19:22] == b"\x12\x0a\x10":
            fields |= {"transport size": (22, 23), "item length": (23, 25), "db number": (25, 27), "area": (27, 28)}
            fields |= {"address": (28, 31)}
    elif pay[8] == 3 and n >= 21:
        fields |= {"error class": (17, 18), "function": (19, 20), "item count": (20, 21)}
        if pay[19] == 4 and n >= 25:
            fields |= {"return code": (21, 22), "data type": (22, 23), "data bits": (23, 25)}
    return fields


def _s7_kind(pay: bytes) -> bytes:
    at = 17 if pay[8] == 1 else 19
    return pay[8:9] + pay[at : at + 2]


def _opcua(pay: bytes, to_server: bool) -> Fields:
    """OPC UA connection protocol, part 6, 6.7.2 and 7.1.2: message chunk header, token, type of the body."""
    if len(pay) < 28 or pay[:3] != b"MSG" or struct.unpack_from("<I", pay, 4)[0] != len(pay):
        return {}
    fields = {"message type": (0, 3), "chunk": (3, 4), "size": (4, 8), "channel": (8, 12), "token": (12, 16)}
    if pay[24:26] == b"\x01\x00":
        fields["body type"] = (26, 28)
        if not to_server and len(pay) >= 44:
            fields["service result"] = (40, 44)
    return fields


def _cm(pay: bytes, to_server: bool) -> Fields:
    """Connectionless DCE/RPC of PROFINET IO (C706, 12.5.2)."""
    if len(pay) < 80 or pay[0] != 4:
        return {}
    return {"version": (0, 1), "packet type": (1, 2), "data representation": (4, 6), "object": (8, 24), "interface": (24, 40),
            "interface version": (60, 64), "operation": (68, 70)}  # fmt: skip


def _rt(pay: bytes, to_server: bool) -> Fields:
    """PROFINET RT cyclic data: frame id in front, cycle counter, data status and transfer status at the end."""
    if len(pay) < 44 or not 0x8000 <= struct.unpack_from("!H", pay)[0] < 0xFC00:
        return {}
    return {"frame id": (0, 2), "data status": (len(pay) - 2, len(pay) - 1), "transfer status": (len(pay) - 1, len(pay))}


MODBUS = Grammar("Modbus", (TCP, 502), _modbus, lambda p: p[7:8], frozenset({"function"}))
ENIP = Grammar(
    "EtherNet/IP", (TCP, 44818), _enip, _enip_kind, frozenset({"command", "cip service"}), session=frozenset({"session"})
)
BACNET = Grammar("BACnet/IP", (UDP, 47808), _bacnet, _bacnet_kind, frozenset({"service", "apdu type"}))
S7 = Grammar("S7comm", (TCP, 102), _s7, _s7_kind, frozenset({"message type", "function"}))
OPCUA = Grammar(
    "OPC UA",
    (TCP, 4840),
    _opcua,
    lambda p: p[24:28],
    frozenset({"message type", "body type"}),
    session=frozenset({"channel", "token"}),
)
PROFINET_CM = Grammar("PROFINET CM", (UDP, 34964), _cm, lambda p: p[1:2] + p[68:70], frozenset({"packet type", "operation"}))
PROFINET_RT = Grammar("PROFINET RT", (0x8892, 0), _rt, lambda p: p[:2], frozenset({"frame id"}))


BLOCKS = (0, 4, 8, 16, 32, 64)
STEADY, FEW, SIZE = 24, 4, 96  # messages of a direction and size learned, values a byte may have, bytes looked at


def steady_bytes(head: Capture, port: tuple[int, int], name: str, mend: Callable[[bytes], bytes] | None = None) -> Grammar:
    """A grammar for a protocol nobody has described: bytes that had few values in a conversation's messages of one size.

    A byte is taken where the head carried STEADY messages of that size and at most FEW values there, each often, none only
    late. Its class is the block of offsets it lies in. This is what "the meaning did not change" looks like from outside; it
    favours detectors that look at bytes one by one, so it is used only where there is no grammar. `mend` as in `Grammar`.
    """
    seen: dict[tuple[bytes, bytes, int], list[bytes]] = {}
    probe = Grammar(name, port, lambda _pay, _up: {}, lambda _pay: b"", frozenset())
    for _, raw in head.frames:
        where = place(raw)
        if where is not None and probe.direction(where) is not None:
            pay = raw[where.offset : where.offset + where.size]
            seen.setdefault((where.src, where.dst, where.size), []).append(pay[:SIZE])
    steady = {key: _steady(pays) for key, pays in seen.items() if len(pays) >= STEADY}
    sizes: dict[tuple[int, bool], set[int]] = {}
    for (_, _, size), offsets in steady.items():
        for up in (True, False):
            sizes[size, up] = sizes.get((size, up), offsets) & offsets
    return Grammar(
        name, port, lambda pay, up: {f"byte {o}": (o, o + 1) for o in sizes.get((len(pay), up), ())},
        lambda pay: len(pay).to_bytes(4, "big"), frozenset(), mend, label=_block,
    )  # fmt: skip


def _steady(pays: list[bytes]) -> set[int]:
    size, out = len(pays[0]), set[int]()
    early = pays[: 2 * len(pays) // 3]
    for offset in range(size):
        counts = Counter(pay[offset] for pay in pays)
        if len(counts) <= FEW and min(counts.values()) >= FEW and set(counts) == {pay[offset] for pay in early}:
            out.add(offset)
    return out


def _block(field: str) -> str:
    at = int(field.removeprefix("byte "))
    first = max(b for b in BLOCKS if b <= at)
    return f"bytes {first}-{min((b for b in BLOCKS if b > at), default=SIZE) - 1}"

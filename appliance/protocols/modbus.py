"""Modbus/TCP: words by pymodbus, offsets by the map of the MBAP header and the function's head.

Sources: MODBUS Application Protocol V1.1b3 (functions, exceptions), MODBUS Messaging on TCP/IP V1.0b (MBAP header).
Addresses are given as on the wire, counted from 0.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from appliance.errors import WordsError
from appliance.protocols.modbus_tables import EXCEPTIONS, FUNCTIONS, HEADS, MEI, SUB_FUNCTIONS
from appliance.protocols.shape import Field, Intent, Ranges, Words, boundary, make, named, pick, show_be, show_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "modbus"

_HEADER = 7  # transaction, protocol, length, unit: the length counts from the unit on
_SHOWN = 4  # values named in a summary


def plausible(payload: bytes) -> bool:
    """Protocol id 0 and a length that ends the payload exactly; where it does not, the function must be a known one.

    A message that claims more or fewer bytes than there are is what an attack may look like, so it gets words too.
    """
    if len(payload) < _HEADER + 1 or payload[2:4] != b"\0\0":
        return False
    length = int.from_bytes(payload[4:6], "big")
    if not 2 <= length <= 254 or payload[7] & 0x7F == 0:
        return False
    rest = payload[6 + length :]
    if 6 + length == len(payload):
        return True
    return payload[7] & 0x7F in FUNCTIONS and (len(rest) < _HEADER + 1 or rest[2:4] == b"\0\0")


def words(payload: bytes, request: bool, ranges: Ranges) -> Words:
    """Words for the message that holds the first range (the first message without ranges). Raises WordsError."""
    if not plausible(payload):
        raise WordsError("modbus: the payload has no MBAP header; the finding stays without words")
    with boundary(NAME):
        return _words(payload, request, ranges)


def _words(payload: bytes, request: bool, ranges: Ranges) -> Words:
    start, end = _message(payload, ranges[0][0] if ranges else 0)
    adu = payload[start:end]
    code = adu[7] & 0x7F
    service, intent = FUNCTIONS.get(code, (f"function {code}", Intent.UNKNOWN))
    pdu = _decode(adu[7:], request)
    if adu[7] & 0x80:
        said, intent = _exception(pdu, adu), Intent.ERROR
        summary = f"Exception to {service}, unit {adu[6]}: {said}"
    elif code == 8 and len(adu) >= 10:
        sub = int.from_bytes(adu[8:10], "big")
        service, intent = SUB_FUNCTIONS.get(sub, (f"Diagnostics, sub-function {sub}", Intent.DIAGNOSE))
        summary = f"{service}, unit {adu[6]}"
    elif code == 43 and len(adu) >= 9:
        service, intent = MEI.get(adu[8], (f"Encapsulated Interface, type {adu[8]}", Intent.UNKNOWN))
        summary = f"{service}, unit {adu[6]}"
    else:
        said = _said(pdu, adu[7:], code, request) if pdu is not None else _refused(code)
        summary = f"{service}, unit {adu[6]}" + (f", {said}" if said else "")
    if not request and not adu[7] & 0x80:
        intent, summary = Intent.ANSWER, f"Answer to {summary}"
    fields = pick(payload[:end], [_shift(f, start) for f in _fields(adu, code, request)], ranges)
    return make(NAME, service, summary, intent, fields)


def _message(payload: bytes, wanted: int) -> tuple[int, int]:
    """Offsets (first, end) of the message that holds `wanted`: masters may put several into one segment."""
    start = 0
    while True:
        end = start + 6 + int.from_bytes(payload[start + 4 : start + 6], "big")
        if wanted < end or not plausible(payload[end:]):
            return start, min(end, len(payload))
        start = end


def _decode(pdu: bytes, request: bool) -> Any | None:
    """The message as a pymodbus object; None when pymodbus refuses it (unknown function, illegal count, cut short)."""
    decoder = import_module("pymodbus.pdu").DecodePDU(request)
    return decoder.decode(pdu)


def _refused(code: int) -> str:
    known = code in import_module("pymodbus.pdu").DecodePDU.pdu_table
    return "the rest does not decode (illegal count or cut short)" if known else "known by its number only"


def _exception(pdu: Any | None, adu: bytes) -> str:
    code = pdu.exception_code if pdu is not None else (adu[8] if len(adu) > 8 else 0)
    return EXCEPTIONS.get(code, f"code {code}")


def _bits(bits: Any, count: int) -> str:
    shown = " ".join("ON" if bit else "OFF" for bit in bits[: min(count, _SHOWN)])
    return shown + (" …" if count > _SHOWN else "")


def _registers(values: Any) -> str:
    return " ".join(str(v) for v in values[:_SHOWN]) + (" …" if len(values) > _SHOWN else "")


def _said(pdu: Any, pdu_bytes: bytes, code: int, request: bool) -> str:
    """Address, count and values as pymodbus decoded them."""
    if code == 5:
        value = int.from_bytes(pdu_bytes[3:5], "big")  # pymodbus takes every value but 0 for ON; the standard knows two
        said = _bits(pdu.bits, 1) if value in (0x0000, 0xFF00) else f"illegal value 0x{value:04x}"
        return f"address {pdu.address} := {said}"
    if code == 6:
        return f"address {pdu.address} := {_registers(pdu.registers)}"
    if code == 22:
        return f"address {pdu.address} := (value AND 0x{pdu.and_mask:04x}) OR 0x{pdu.or_mask:04x}"
    if code in (15, 16):
        span = _span(pdu.address, pdu.count)
        if not request:
            return span
        return f"{span} := {_bits(pdu.bits, pdu.count) if code == 15 else _registers(pdu.registers)}"
    if code == 23 and request:
        values = _registers(pdu.write_registers)
        return f"writes {_span(pdu.write_address, pdu.write_count)} := {values}, reads {_span(pdu.read_address, pdu.read_count)}"
    if code in (1, 2, 3, 4) and request:
        return _span(pdu.address, pdu.count)
    if code in (1, 2):
        return f"{len(pdu.bits)} bits: {_bits(pdu.bits, len(pdu.bits))}"
    if code in (3, 4, 23):
        return f"{len(pdu.registers)} registers: {_registers(pdu.registers)}"
    return ""


def _span(address: int, count: int) -> str:
    return f"address {address}" if count == 1 else f"addresses {address}-{address + count - 1}"


def _fields(adu: bytes, code: int, request: bool) -> Iterator[Field]:
    """The field map of one message, offsets within it."""
    functions = {c: name for c, (name, _) in FUNCTIONS.items()}
    functions |= {c | 0x80: f"exception to {name}" for c, name in functions.items()}
    yield Field("transaction identifier", 0, 2, show_be)
    yield Field("protocol identifier", 2, 4, show_be)
    yield Field("length", 4, 6, show_be)
    yield Field("unit identifier", 6, 7, show_be)
    yield Field("function code", 7, 8, named(functions))
    if adu[7] & 0x80:
        yield Field("exception code", 8, 9, named(EXCEPTIONS))
        return
    head = HEADS.get((code, request), ())
    yield from head
    end = max((f.end for f in head), default=8)
    if code in (3, 4, 23, 16) and not (code == 16 and not request):
        asked = {16: adu[8:10], 23: adu[12:14]}.get(code) if request else None
        first = int.from_bytes(asked, "big") if asked else None
        for i, at in enumerate(range(end, len(adu) - 1, 2)):
            yield Field(f"register {first + i}" if first is not None else f"register {i + 1} of the answer", at, at + 2, show_be)
    elif end < len(adu):
        yield Field("data", end, len(adu), show_hex)


def _shift(field: Field, by: int) -> Field:
    return Field(field.name, field.first + by, field.end + by, field.show)

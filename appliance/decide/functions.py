"""What a kernel can see of a protocol's requests: 32 bits at one offset of the payload, and which functions they stand for.

Three protocols are known. Modbus/TCP: unit, function and register (or sub-function) stand at 6 to 9, so a rule is exact.
BACnet/IP: type, limits, invoke id and service choice stand there, so the service is seen and its object is not; a message
that is routed on (NPDU with a destination) has other things at that place. EtherNet/IP: the command of the encapsulation
stands at 0 and says little, since CIP lies behind it at places that differ.
Sources: MODBUS Messaging on TCP/IP V1.0b 3.1.3, ASHRAE 135-2020 clauses 6.2 and 20.1, CIP Vol. 2 chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from appliance.decide.rules import Pattern
from appliance.decode.framing import Framing
from appliance.protocols import Intent
from appliance.protocols.bacnet_tables import CONFIRMED, UNCONFIRMED
from appliance.protocols.enip_tables import COMMANDS
from appliance.protocols.modbus_tables import FUNCTIONS, MEI, SUB_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MODBUS, BACNET, ENIP = "modbus", "bacnet", "enip"
OFFSETS = {MODBUS: 6, BACNET: 6, ENIP: 0}
FRAMINGS = {MODBUS: Framing(4, 2, True, 6), BACNET: Framing(2, 2, True, 0), ENIP: Framing(2, 2, False, 24)}
CARRIERS = frozenset({0x006F, 0x0070})  # commands of EtherNet/IP with CIP inside
CLASSES = {str(i): i for i in Intent} | {"diagnostics": Intent.DIAGNOSE}
ALL_UNITS = tuple(range(256))
ANY = (0, 0xFFFF)


@dataclass(frozen=True, slots=True)
class Function:
    """One thing a request may ask for.

    code      function code, service choice or command
    operand   of Modbus, the two bytes behind the function: (first, last) where they choose what is done, else everything
    confirmed  BACnet: whether it is a confirmed service
    """

    protocol: str
    code: int
    name: str
    intent: Intent
    operand: tuple[int, int] = ANY
    confirmed: bool = True


def _all() -> Iterator[Function]:
    for code, (name, intent) in FUNCTIONS.items():
        if code == 8:
            yield from (Function(MODBUS, 8, n, i, (sub, sub)) for sub, (n, i) in SUB_FUNCTIONS.items())
        elif code == 43:
            yield from (Function(MODBUS, 43, n, i, (mei << 8, mei << 8 | 255)) for mei, (n, i) in MEI.items())
        else:
            yield Function(MODBUS, code, name, intent)
    yield from (Function(BACNET, code, n, i) for code, (n, i) in CONFIRMED.items())
    yield from (Function(BACNET, code, n, i, confirmed=False) for code, (n, i) in UNCONFIRMED.items())
    yield from (Function(ENIP, code, n, i) for code, (n, i) in COMMANDS.items())


FUNCTIONS_OF: dict[str, tuple[Function, ...]] = {p: tuple(f for f in _all() if f.protocol == p) for p in OFFSETS}


def named(protocol: str, word: str) -> tuple[Function, ...]:
    """The functions a word stands for: a class ("write"), a name ("Write Single Register") or a number ("6", "0x06").

    Raises ValueError with what to write instead.
    """
    known, said = FUNCTIONS_OF[protocol], " ".join(word.split()).lower()
    if said in CLASSES:
        if protocol == ENIP:
            raise ValueError(
                f"the kernel cannot see what CIP inside EtherNet/IP wants; leave functions: out, or name commands such as "
                f"'Register Session' instead of {word!r}"
            )
        return tuple(f for f in known if f.intent == CLASSES[said])
    code = _number(said)
    found = tuple(f for f in known if f.name.lower() == said or (f.code == code and f.confirmed))
    if found:
        return found
    if code is not None and protocol == MODBUS and 0 < code < 128:
        return (Function(MODBUS, code, f"function {code}", Intent.UNKNOWN),)
    names = {f.name.lower(): f.name for f in known} | {c: c for c in CLASSES}
    near = get_close_matches(said, names, 1)
    hint = f"did you mean {names[near[0]]!r}?" if near else "write a class (read, write, diagnose, ...), a name or a number"
    raise ValueError(f"{protocol} has no function {word!r}; {hint}")


def _number(text: str) -> int | None:
    try:
        return int(text, 16 if text.startswith("0x") else 10) if len(text) < 8 else None
    except ValueError:
        return None


def function_of(protocol: str, head: bytes) -> Function | None:
    """What a request asks for by its first bytes (at least 10); None where it cannot be told."""
    if protocol == ENIP:
        code = int.from_bytes(head[0:2], "little")
        return next((f for f in FUNCTIONS_OF[ENIP] if f.code == code), None)
    if protocol == MODBUS:
        operand = int.from_bytes(head[8:10], "big")
        return next((f for f in FUNCTIONS_OF[MODBUS] if f.code == head[7] and f.operand[0] <= operand <= f.operand[1]), None)
    if protocol != BACNET or len(head) < 10:
        return None
    at = _apdu(head)
    kind = head[at] >> 4 if at + 3 < len(head) else -1
    if kind not in (0, 1) or (kind == 0 and head[at] & 8):
        return None
    code = head[at + (3 if kind == 0 else 1)]
    return next((f for f in FUNCTIONS_OF[BACNET] if f.code == code and f.confirmed == (kind == 0)), None)


def _apdu(head: bytes) -> int:
    """Where the APDU of an original unicast or broadcast begins (clause 6.2.2); beyond the head where it is none."""
    control, at = head[5], 6
    if control & 0x80:
        return len(head)
    for bit in (0x20, 0x08):
        if control & bit:
            at += 3 + (head[at + 2] if at + 2 < len(head) else 0)
    return at + (1 if control & 0x20 else 0)


def is_carrier(protocol: str, head: bytes) -> bool:
    """Whether what is asked lies deeper than the kernel looks."""
    return protocol == ENIP and int.from_bytes(head[0:2], "little") in CARRIERS


def patterns_of(
    functions: Sequence[Function], units: Sequence[int], registers: Sequence[tuple[int, int]], prefixes: Sequence[tuple[int, int]]
) -> list[Pattern]:
    """Values of the window that stand for the functions.

    units, registers   Modbus: units, and ranges of first registers (empty: any) for functions that have one
    prefixes           BACnet: first two bytes of confirmed requests (type and flags, limits) that clients here use
    """
    out: list[Pattern] = []
    for f in functions:
        if f.protocol == ENIP:
            first = int.from_bytes(f.code.to_bytes(2, "little"), "big") << 16
            out.append(Pattern(first, first | 0xFFFF))
        elif f.protocol == MODBUS and not is_visible(f):
            continue
        elif f.protocol == MODBUS:
            ranges = registers if registers and f.operand == ANY else (f.operand,)
            bases = [unit << 24 | f.code << 16 for unit in units]
            out += [Pattern(base | low, base | high) for base in bases for low, high in ranges]
        elif f.confirmed:
            values = [a << 24 | b << 16 | invoke << 8 | f.code for a, b in prefixes for invoke in range(256)]
            out += [Pattern(v, v) for v in values]
        else:
            first = 0x10 << 24 | f.code << 16
            out.append(Pattern(first, first | 0xFFFF))
    return out


def sizes_of(functions: Sequence[Function]) -> set[int]:
    """Payload lengths requests of these Modbus functions have (one whole message); empty where one of them is not known."""
    sizes: set[int] = set()
    for f in functions:
        if f.protocol != MODBUS or f.code not in _SIZES:
            return set()
        sizes |= _SIZES[f.code]
    return sizes


_SIZES: dict[int, frozenset[int]] = {
    **{code: frozenset({12}) for code in (1, 2, 3, 4, 5, 6, 8)},
    **{code: frozenset({8}) for code in (7, 11, 12, 17)},
    15: frozenset(13 + n for n in range(1, 247)),
    16: frozenset(13 + 2 * n for n in range(1, 124)),
    22: frozenset({14}),
    23: frozenset(17 + 2 * n for n in range(1, 122)),
    24: frozenset({10}),
    43: frozenset({11}),
}


def example(f: Function, unit: int, register: int, prefix: tuple[int, int] = (0x02, 0x05)) -> bytes:
    """The shortest plausible request of a function, for tests of a policy and for explanations."""
    if f.protocol == MODBUS:
        operand = register if f.operand == ANY else f.operand[0]
        size = min(_SIZES.get(f.code, {12}))
        body = bytes((unit, f.code)) + operand.to_bytes(2, "big") + bytes(300)
        return b"\0\1\0\0" + (size - 6).to_bytes(2, "big") + body[: size - 6]
    if f.protocol == ENIP:
        return f.code.to_bytes(2, "little") + bytes(22)
    apdu = bytes((*prefix, 1, f.code)) if f.confirmed else bytes((0x10, f.code))
    apdu += bytes.fromhex("0c020000011955")
    return b"\x81\x0a" + (6 + len(apdu)).to_bytes(2, "big") + b"\x01\x04" + apdu


def is_visible(f: Function) -> bool:
    """Whether a request of a function reaches to the end of the window; the kernel matches none that ends before."""
    return f.protocol != MODBUS or min(_SIZES.get(f.code, {12})) >= OFFSETS[MODBUS] + 4


def merged(patterns: Sequence[Pattern]) -> tuple[Pattern, ...]:
    """The same values as sorted intervals that neither meet nor touch."""
    out: list[Pattern] = []
    for p in sorted(patterns):
        if out and p.first <= out[-1].last + 1:
            out[-1] = Pattern(out[-1].first, max(out[-1].last, p.last))
        else:
            out.append(p)
    return tuple(out)


def covers(allowed: Sequence[Pattern], wanted: Sequence[Pattern]) -> bool:
    """Whether every wanted value is allowed; `allowed` is merged."""
    return all(any(a.first <= w.first and w.last <= a.last for a in allowed) for w in wanted)

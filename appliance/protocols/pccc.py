"""PCCC, the commands of PLC-5 and SLC-500 that CIP carries. Source: Rockwell 1770-6.5.16 chapters 6 and 7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.protocols.enip_tables import PCCC
from appliance.protocols.shape import Field, Intent, named, show_le

if TYPE_CHECKING:
    from collections.abc import Iterator

# File type -> the letter that engineers write before the file number.
_FILES = dict(zip(range(0x82, 0x8B), "OISBTCRNF", strict=True)) | {0x8D: "ST", 0x8E: "A", 0x91: "L"}
_THREE = frozenset({0xA2, 0xAA, 0xAB})  # typed logical functions with file, type, element and sub-element


@dataclass(frozen=True, slots=True)
class Pccc:
    """One PCCC command: name, phrase with its address, what it wants, and the map of its fields."""

    name: str
    phrase: str
    intent: Intent
    fields: tuple[Field, ...]


def pccc(data: bytes, at: int) -> Pccc | None:
    """Read the PCCC command at an offset of the payload; None where it is cut off."""
    if len(data) < at + 4:
        return None
    command = data[at]
    function = data[at + 4] if len(data) > at + 4 else None
    fallback = f"command 0x{command:02x}" + (f" function 0x{function:02x}" if function is not None else "")
    name, intent = PCCC.get((command, function)) or PCCC.get((command, None)) or (fallback, Intent.UNKNOWN)
    fields = [
        Field("PCCC command", at, at + 1, named({})),
        Field("PCCC status", at + 1, at + 2, named({})),
        Field("PCCC transaction", at + 2, at + 4, show_le),
    ]
    if function is not None:
        fields.append(Field("PCCC function", at + 4, at + 5, named({function: name})))
    phrase = ""
    if function in _THREE and len(data) > at + 5:
        address = list(_address(data, at + 6))
        fields += [Field("byte size", at + 5, at + 6, show_le), *(f for f, _ in address)]
        if len(address) == 4:
            file, kind, element, sub = (value for _, value in address)
            phrase = f"{_FILES.get(kind, f'type 0x{kind:02x} ')}{file}:{element}" + (f".{sub}" if sub else "")
    return Pccc(name, phrase, intent, tuple(fields))


def _address(data: bytes, at: int) -> Iterator[tuple[Field, int]]:
    """File number, file type, element, sub-element: a byte each, or 0xFF and two bytes."""
    for name in ("file number", "file type", "element", "sub-element"):
        if at >= len(data):
            return
        first, end = (at + 1, at + 3) if data[at] == 0xFF else (at, at + 1)
        yield Field(name, first, end, show_le), int.from_bytes(data[first:end], "little")
        at = end

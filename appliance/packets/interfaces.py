"""Capture interfaces of a pcapng input: link type, snapshot length and clock (draft-ietf-opsawg-pcapng, 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from appliance.packets.batch import I64, U16, U64

MAX_INTERFACES = 65535
NO_LINK = 65535
_OPT_TSRESOL, _OPT_FCSLEN, _OPT_TSOFFSET = 9, 13, 14


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: LINKTYPE, snapshot length in bytes (0: none), clock as if_tsresol and if_tsoffset, FCS bytes."""

    link: int
    snap: int
    resolution: int = 6
    shift_seconds: int = 0
    trailer: int = 0


def parse_interface(body: bytes, order: str) -> Interface:
    """Read an interface description block's body (after type and length); damaged options end the list of options."""
    link, _, snap = Struct(order + "HHI").unpack_from(body)
    resolution, shift, trailer, at = 6, 0, 0, 8
    while at + 4 <= len(body):
        code, size = Struct(order + "HH").unpack_from(body, at)
        value = body[at + 4 : at + 4 + size]
        if code == 0 or len(value) < size:
            break
        if code == _OPT_TSRESOL and size == 1:
            resolution = value[0]
        elif code == _OPT_FCSLEN and size == 1:
            trailer = value[0]
        elif code == _OPT_TSOFFSET and size == 8:
            shift = Struct(order + "q").unpack(value)[0]
        at += 4 + (size + 3 & ~3)
    return Interface(link, snap, resolution, shift, trailer)


class InterfaceTable:
    """The interfaces of the present section, as columns to look up; numbers run on over the sections."""

    def __init__(self) -> None:
        """Start without a section."""
        self._known: list[Interface] = []
        self._base = 0
        self._columns: tuple[U16, U64, U64, I64, I64] | None = None

    def new_section(self) -> None:
        """Forget the interfaces; the next one continues the running number."""
        self._base += len(self._known)
        self._known = []
        self._columns = None

    def add(self, interface: Interface) -> bool:
        """Add one; returns False when there are too many to be true."""
        if self._base + len(self._known) >= MAX_INTERFACES:
            return False
        self._known.append(interface)
        self._columns = None
        return True

    def snap(self) -> int:
        """Return the snapshot length of the section's first interface, which simple packet blocks use (0: none)."""
        return self._known[0].snap if self._known else 0

    def _table(self) -> tuple[U16, U64, U64, I64, I64]:
        if self._columns is None:
            # The last row stands for an interface that was never described.
            known = [*self._known, Interface(NO_LINK, 0)]
            self._columns = (
                np.array([item.link for item in known], np.uint16),
                np.array([_factor(item.resolution)[0] for item in known], np.uint64),
                np.array([_factor(item.resolution)[1] for item in known], np.uint64),
                np.array([item.shift_seconds for item in known], np.int64),
                np.array([item.trailer for item in known], np.int64),
            )
        return self._columns

    def resolve(self, number: I64, ticks: U64) -> tuple[I64, U16, U16, I64]:
        """Return time (ns), link type, running interface number and FCS bytes for interface numbers and clock ticks."""
        links, factors, divisors, shifts, trailers = self._table()
        row = np.minimum(number, len(self._known))
        # Nonsense clocks wrap around, as nonsense should; nothing depends on time being sensible.
        with np.errstate(over="ignore"):
            nanoseconds = ticks * factors[row] // np.maximum(divisors[row], 1)
            binary = np.flatnonzero(factors[row] == 0)
            if binary.size:
                nanoseconds[binary] = _from_binary(ticks[binary], divisors[row[binary]])
            time = nanoseconds.view(np.int64) + shifts[row] * 1_000_000_000
        running = np.minimum(row + self._base, NO_LINK).astype(np.uint16)
        return time, links[row], running, trailers[row]


def _factor(resolution: int) -> tuple[int, int]:
    """Return (multiplier, divisor) from ticks to ns; (0, bits) for a binary clock. The high bit of if_tsresol says which."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return 0, min(exponent, 63)
    return (10 ** (9 - exponent), 1) if exponent <= 9 else (1, 10 ** min(exponent - 9, 19))


def _from_binary(ticks: U64, bits: U64) -> U64:
    """Turn ticks of 2**-bits s into ns without losing whole seconds: the fraction is cut to 30 bits first."""
    whole = ticks >> bits
    fraction = ticks - (whole << bits)
    surplus = np.maximum(bits.astype(np.int64) - 30, 0).astype(np.uint64)
    nanoseconds: U64 = whole * np.uint64(1_000_000_000) + (((fraction >> surplus) * np.uint64(1_000_000_000)) >> (bits - surplus))
    return nanoseconds

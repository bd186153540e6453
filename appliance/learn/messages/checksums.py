"""Checks at the end of binary messages: found by trying, and laid out as zero where they are right.

A check is a function of all that stands in front of it. As bytes like others it would make every message new that carries a
number, hide which kinds of messages there are behind its noise, and tie flags and values to each other in the rows of those that
carry none. One that is right says nothing that the rest does not say; what is left of one that is wrong is new, whatever it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST, DISTINCT = 64, 32  # messages; different ones in front of the check: a byte that comes out even by chance does not so often
VALUES = 16  # of the check: what hardly varies is no check
AGREE = 0.99  # share of messages that come out even; others were damaged on their way
MOST = 256  # different messages that are tried
SINCE = 9  # a check begins behind a mark, a length, an address: at so many places at most
WHOLE = 0.5  # share of messages that must be short enough to be seen up to their end
SHORTEST = 3  # bytes in front of a check

_Bytes = npt.NDArray[np.uint8]
_Sums = npt.NDArray[np.uint32]


class Way(IntEnum):
    """How a check is made of the bytes in front of it."""

    SUM = 1  # added
    LRC = 2  # what makes the sum a constant
    XOR = 3
    CRC = 4


# Polynomials in use (the catalogue of parametrised CRC algorithms), by bytes of the check
POLYNOMIALS = {
    1: (0x07, 0x1D, 0x2F, 0x31, 0x9B, 0xA7, 0xD5),
    2: (0x8005, 0x1021, 0x3D65, 0xC867, 0x8BB7, 0x0589, 0x5935, 0xA097),
    4: (0x04C11DB7, 0x1EDC6F41, 0xA833982B, 0x741B8CD7),
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """The last bytes of every message are a check over those from `since` on.

    width       bytes of the check; big: the highest first
    polynomial  of a CRC, and whether its bits come lowest first; full: it begins with all ones, not with zero
    rest        what a right check differs in from what is computed: what is added at the end
    """

    way: Way
    width: int
    big: bool
    since: int = 0
    polynomial: int = 0
    reflected: bool = False
    full: bool = False
    rest: int = 0

    @property
    def top(self) -> int:
        """The largest value of the check."""
        return (1 << 8 * self.width) - 1

    def right(self, heads: _Bytes, length: npt.NDArray[np.int32]) -> _Sums:
        """The right check of every message; uint32 [n].

        heads   uint8 [n, width], zero beyond the message's end; length int32 [n], at most the width
        """
        made = self.made(heads, length)
        if self.way is Way.LRC:
            made = np.uint32(self.rest) - made
        elif self.way is Way.SUM:
            made = made + np.uint32(self.rest)
        else:
            made = made ^ np.uint32(self.rest)
        return made & np.uint32(self.top)

    def made(self, heads: _Bytes, length: npt.NDArray[np.int32]) -> _Sums:
        """What is computed of the bytes in front of the check, before `rest`; arguments as for `right`."""
        ends = length - self.width
        most = max(self.since, int(ends.max(initial=0)))
        inside = (np.arange(self.since, most) < ends[:, None]).astype(np.uint8)
        part = heads[:, self.since : most] * inside
        if self.way is Way.CRC:
            return self._divided(np.ascontiguousarray(part.T), inside.astype(bool).T)
        if self.way is Way.XOR:
            return np.asarray(np.bitwise_xor.reduce(part, axis=1), np.uint32)
        return np.asarray(part.sum(axis=1, dtype=np.uint32) & np.uint32(self.top), np.uint32)

    def _divided(self, columns: _Bytes, inside: npt.NDArray[np.bool_]) -> _Sums:
        """The remainder of a CRC, byte by byte of all messages at once; columns uint8 [bytes, n], inside likewise."""
        table, up = _table(self.width, self.polynomial, self.reflected), np.uint32(8 * self.width - 8)
        state = np.full(columns.shape[1], self.top if self.full else 0, np.uint32)
        for byte, there in zip(columns, inside, strict=True):
            if self.reflected:
                after = (state >> np.uint32(8)) ^ table[(state ^ byte) & np.uint32(255)]
            else:
                after = (state << np.uint32(8)) ^ table[(state >> up) & np.uint32(255) ^ byte]
            state = np.where(there, after & np.uint32(self.top), state)
        return state

    def evened(self, heads: _Bytes, length: npt.NDArray[np.int32]) -> _Bytes:
        """The messages with what is wrong with their check in its place: zero where it is right.

        heads   uint8 [n, width], zero beyond the message's end; longer messages stay as they are
        """
        rows = self._whole(heads, length)
        if not len(rows):
            return heads
        out, size = heads.copy(), length[rows]
        off = self.right(heads[rows], size)
        for k, shift in enumerate(self._shifts()):
            out[rows, size - self.width + k] ^= (off >> np.uint32(shift)).astype(np.uint8)
        return out

    def told(self, head: bytes, length: int) -> tuple[int, bytes]:
        """Where the right check of a message stands and what it is; no bytes where the message is too long or short."""
        heads, size = np.frombuffer(head, np.uint8)[None, :], np.array([length], np.int32)
        if not len(self._whole(heads, size)):
            return 0, b""
        return length - self.width, int(self.right(heads, size)[0]).to_bytes(self.width, "big" if self.big else "little")

    def stored(self, heads: _Bytes, length: npt.NDArray[np.int32]) -> _Sums:
        """The check that every message carries; uint32 [n]."""
        rows = np.arange(len(heads))
        parts = [
            heads[rows, length - self.width + k].astype(np.uint32) << np.uint32(shift) for k, shift in enumerate(self._shifts())
        ]
        stored: _Sums = np.bitwise_or.reduce(parts)
        return stored

    def _shifts(self) -> range:
        return range(8 * self.width - 8, -1, -8) if self.big else range(0, 8 * self.width, 8)

    def _whole(self, heads: _Bytes, length: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        return np.flatnonzero((length > self.since + self.width) & (length <= heads.shape[1]))


@cache
def _table(width: int, polynomial: int, reflected: bool) -> _Sums:
    """What each byte does to the remainder; uint32 [256]."""
    bits, out = 8 * width, []
    turned = int(f"{polynomial:0{bits}b}"[::-1], 2)
    for byte in range(256):
        state = byte if reflected else byte << (bits - 8)
        for _ in range(8):
            if reflected:
                state = state >> 1 ^ (turned if state & 1 else 0)
            else:
                state = (state << 1 ^ (polynomial if state >> (bits - 1) & 1 else 0)) & (256**width - 1)
        out.append(state)
    return np.array(out, np.uint32)


def find_checksum(heads: _Bytes, length: npt.NDArray[np.int32]) -> Checksum | None:
    """The check that the messages of a service end with, in both directions; None where they end with none.

    heads   uint8 [n, width], zero beyond the message's end; length int32 [n]
    """
    whole = np.flatnonzero((length <= heads.shape[1]) & (length > max(POLYNOMIALS) + SHORTEST))
    if len(whole) < max(LEAST, WHOLE * len(length)):
        return None
    heads, length = heads[whole], length[whole]
    few, size = _different(heads, length)
    for tried in (*_divisions(few, size), *_sums()):
        found = _completed(tried, few, size)
        if found is not None and _tells(found, few, size):
            return found if np.mean(found.right(heads, length) == found.stored(heads, length)) >= AGREE else None
    return None


def _different(heads: _Bytes, length: npt.NDArray[np.int32]) -> tuple[_Bytes, npt.NDArray[np.int32]]:
    """Some messages that differ, from all of the time, those of one length together."""
    some = np.arange(0, len(heads), max(1, len(heads) // (8 * MOST)))
    alike = np.ascontiguousarray(heads[some]).view(f"V{heads.shape[1]}")[:, 0]
    some = np.sort(some[np.unique(alike, return_index=True)[1]])
    some = some[:: max(1, len(some) // MOST)]
    some = some[np.argsort(length[some], kind="stable")]
    return heads[some, : int(length[some].max())], length[some]


def _sums() -> Iterator[Checksum]:
    """Sums and exclusive ors, wide ones first."""
    for width in (2, 1):
        for big in (True, False)[:width]:
            yield from (Checksum(way, width, big, since) for since in range(SINCE) for way in (Way.SUM, Way.LRC))
    yield from (Checksum(Way.XOR, 1, True, since) for since in range(SINCE))


def _divisions(heads: _Bytes, length: npt.NDArray[np.int32]) -> Iterator[Checksum]:
    """CRCs of which two messages of one length differ as their check does: where it begins and ends is not known yet."""
    alike = np.flatnonzero(length[1:] == length[:-1])
    apart, size = heads[alike] ^ heads[alike + 1], length[alike]
    if len(alike) < DISTINCT:
        return
    for width in sorted(POLYNOMIALS, reverse=True):
        for polynomial in POLYNOMIALS[width]:
            for reflected in (True, False):
                tried = Checksum(Way.CRC, width, True, 0, polynomial, reflected)
                made = tried.right(apart, size)
                for big in (True, False)[:width]:
                    one = replace(tried, big=big)
                    if np.mean(made == one.stored(apart, size)) >= AGREE:
                        yield from (replace(one, since=since, full=full) for since in range(SINCE) for full in (True, False))


def _tells(tried: Checksum, heads: _Bytes, length: npt.NDArray[np.int32]) -> bool:
    """Whether the messages vary enough, in front of the check and in it, for it to be one."""
    values = len(np.unique(tried.stored(heads, length)))
    body = heads * (np.arange(heads.shape[1]) < (length - tried.width)[:, None])
    return values >= VALUES and len(np.unique(body, axis=0)) >= DISTINCT


def _completed(tried: Checksum, heads: _Bytes, length: npt.NDArray[np.int32]) -> Checksum | None:
    """The check with what is added at its end; None where that is not always the same."""
    made, stored = tried.made(heads, length), tried.stored(heads, length)
    rest = {Way.LRC: stored + made, Way.SUM: stored - made}.get(tried.way, stored ^ made)
    often, times = np.unique(rest & np.uint32(tried.top), return_counts=True)
    if times.max() < AGREE * len(length):
        return None
    return replace(tried, rest=int(often[times.argmax()]))

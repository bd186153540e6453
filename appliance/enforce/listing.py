"""What the kernel lists of our tables, without what moves by itself: compared, it tells whether somebody changed our rules."""

from __future__ import annotations

import re
from hashlib import sha256

_TIMED = re.compile(r" (?:expires|timeout) (?:\d+(?:ms|[wdhms]))+")
_COUNTED = re.compile(r"packets \d+ bytes \d+")
_DYNAMIC = re.compile(r"flags (?:dynamic|timeout|interval|,)*(?:timeout|dynamic)")


def normalised(listing: str) -> str:
    """The text of a table with counters at zero and without the elements of sets whose elements come and go.

    listing  what `nft list table` prints
    """
    lines: list[str] = []
    moving = skipping = False
    for line in listing.splitlines():
        stripped = line.strip()
        if stripped.startswith(("set ", "map ")):
            moving = False
        if _DYNAMIC.search(stripped):
            moving = True
        if moving and stripped.startswith("elements = {"):
            skipping = not stripped.endswith("}")
            continue
        if skipping:
            skipping = not stripped.endswith("}")
            continue
        lines.append(_COUNTED.sub("packets 0 bytes 0", _TIMED.sub("", line)).rstrip())
    return "\n".join(lines) + "\n"


def digest(listings: list[str]) -> str:
    """SHA-256 of the normalised tables, hexadecimal."""
    return sha256("\0".join(normalised(text) for text in listings).encode()).hexdigest()

"""Where: the abnormal bytes, and what is normal there, said in one phrase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.explain.texts import say

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 16  # bytes of one value that are written out


def place(ranges: Sequence[tuple[int, int]], lang: str) -> str:
    """Byte ranges as a phrase with inclusive offsets: "byte 7", "bytes 7-8, 10". Empty where there are none."""
    parts = [str(first) if end - first == 1 else f"{first}-{end - 1}" for first, end in ranges if end > first]
    if not parts:
        return ""
    single = len(parts) == 1 and "-" not in parts[0]
    return say("phrase.byte" if single else "phrase.bytes", lang, at=", ".join(parts))


def hexed(value: bytes) -> str:
    """A value as hexadecimal without spaces between its bytes, cut after 16 bytes."""
    return value[:_SHOWN].hex() + ("…" if len(value) > _SHOWN else "")


def normal(values: Sequence[bytes], lang: str) -> str:
    """What is normal at the place: "normally 01, 02, 03"; empty where nothing is known of it."""
    shown = [hexed(value) for value in values if value]
    return say("phrase.normal", lang, values=", ".join(shown)) if shown else ""

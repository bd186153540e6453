"""Where: the abnormal bytes, drawn for a text terminal and said in one phrase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.explain.texts import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_REVERSE, _PLAIN = "\x1b[7m", "\x1b[0m"
_SHOWN = 16  # bytes of one value that are written out


def marked_hex(
    payload: bytes,
    ranges: Sequence[tuple[int, int]],
    color: bool = False,
    width: int = 16,
    context: int | None = None,
) -> str:
    """The payload as lines of hexadecimal with the abnormal bytes marked.

    ranges   half-open byte ranges; what lies outside the payload is ignored
    color    True: marked in reverse video (ANSI); False: in brackets, `00 01[05]00`
    width    bytes in a line
    context  lines shown around a marked one; what lies between is folded into one line "...". None shows all
    """
    marked = {at for first, end in ranges for at in range(max(first, 0), min(end, len(payload)))}
    starts = range(0, len(payload), max(width, 1))
    lines = [_line(payload[at : at + width], at, marked, color) for at in starts]
    if context is None or not marked:
        return "\n".join(lines)
    wanted = {at // width for at in marked}
    near = {line for line in range(len(lines)) if any(abs(line - w) <= context for w in wanted)}
    return "\n".join(_fold(lines, near))


def _line(chunk: bytes, offset: int, marked: set[int], color: bool) -> str:
    pieces: list[str] = []
    for i, value in enumerate(chunk):
        here, before = offset + i in marked, i > 0 and offset + i - 1 in marked
        if color:
            pieces.append(("" if i == 0 else " ") + (f"{_REVERSE}{value:02x}{_PLAIN}" if here else f"{value:02x}"))
        else:
            pieces.append(("[" if here and not before else "]" if before and not here else " ") + f"{value:02x}")
    end = "]" if not color and offset + len(chunk) - 1 in marked else ""
    return f"{offset:04x} " + (" " if color else "") + "".join(pieces) + end


def _fold(lines: Sequence[str], near: set[int]) -> Iterator[str]:
    folded = False
    for number, line in enumerate(lines):
        if number in near:
            folded = False
            yield line
        elif not folded:
            folded = True
            yield "..."


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

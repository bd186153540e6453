"""Make any text safe to show, measure it in terminal cells, wrap it; say times, spans and numbers.

Words can come from the wire (a device's name, a decoder's text), so whatever is shown goes through `plain` first: no escape
sequence reaches a terminal and no hidden direction mark turns an address around.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59, the last one `datetime` can say


def plain(text: str) -> str:
    r"""The text with everything invisible (controls, direction marks, lone surrogates) written as \\x1b or \\u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(char) if unicodedata.category(char) in _HIDDEN else char for char in text)


def _visible(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def csv_safe(text: str) -> str:
    """The text for a spreadsheet cell: what would be run as a formula gets an apostrophe in front."""
    text = plain(text)
    return "'" + text if text.startswith(_FORMULA) else text


def cells(text: str) -> int:
    """How many columns of a terminal the text takes: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_cell(char) for char in text)


def _cell(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """The text in exactly `columns` cells: padded with spaces or cut with an ellipsis."""
    width = cells(text)
    if width <= columns:
        return text + " " * (columns - width)
    kept, used = [], 0
    for char in text:
        if used + _cell(char) > columns - 1:
            break
        kept.append(char)
        used += _cell(char)
    return "".join(kept) + "…" + " " * (columns - 1 - used)


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most `columns` cells, broken at spaces, or anywhere beside a wide character as Japanese is.

    At least one line; a word longer than a line is cut.
    """
    lines, line, used = [], "", 0
    for piece in _pieces(plain(text), columns):
        width = cells(piece)
        if line and used + cells(piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line, used = "", 0
        if line or piece != " ":
            line, used = line + piece, used + width
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _pieces(text: str, columns: int) -> Iterable[str]:
    """Words with the space behind them; wide characters one by one, closing punctuation kept with what is before it."""
    word = ""
    for char in text:
        wide = _cell(char) == 2
        if (
            word
            and char not in "、。，．）」』】：！？ー,.;:)"
            and (wide or word[-1] == " " or _cell(word[-1]) == 2)
            and char != " "
        ):
            yield word
            word = ""
        word += char
        if cells(word) >= columns:
            yield word
            word = ""
    if word:
        yield word


def moment(time_ns: int) -> str:
    """Nanoseconds since the epoch -> "2015-02-24 17:40:09.410" (UTC). Times no calendar has are shown as seconds."""
    second, rest = divmod(time_ns, 1_000_000_000)
    if not 0 <= second <= _LAST_SECOND:
        return f"{second} s"
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"


def span(seconds: float) -> str:
    """Seconds -> "0.41 s", "12 s", "1 min 02 s", "3 h 07 min", "2 d 04 h": two units at most."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, small, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small:02d} {smaller}"
    raise AssertionError(whole)


def listed(names: Iterable[str], most: int = 3) -> str:
    """A few names and how many more: "10.0.0.1, 10.0.0.2, 10.0.0.3 +204"."""
    names = list(names)
    more = len(names) - most
    return ", ".join(islice(names, most)) + (f" +{more:,}" if more > 0 else "")

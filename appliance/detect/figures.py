"""Numbers in text that have moved, grown or lost a figure: a message that says nothing new.

In binary a number has a place; in text its length follows from its value, and with it the length of the message, what says so and
the place of all that follows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FIGURES = np.frombuffer(b"0123456789.+-", np.uint8)
POINT = ord(".")
LEAST = 3  # figures in a row, from which on they are a number
GROWTH = 2  # bytes that a number may become longer or shorter at once: a figure and a sign
MAX_RUNS = 8
MAX_ROWS = 64  # learned messages that one is compared with
LENGTHS = 2  # bytes in front of the first number that may say how long the message, or a part of it, is
LATELY = 4  # messages before one, of which each may carry the same numbers: a connection also says other things
CLOSE, UNIT = 0.2, 1.0  # of a number, or of one near zero, by which it moves from one message to the next at the most

Bytes = npt.NDArray[np.uint8]


def grown(head: Bytes, before: Bytes, start: int, by: int) -> bool:
    """True where a message may be longer by so many bytes (shorter: below zero) because of its numbers in text.

    head     uint8 [WIDTH], zero beyond the message's end; before: of the answer to the same request before it
    start    first byte that is data
    """
    return 0 < abs(by) <= GROWTH * min(_numbers(head, start), _numbers(before, start), MAX_RUNS)


def explained(head: Bytes, known: Bytes, offsets: npt.NDArray[np.intp], by: int) -> bool:
    """Whether each of these bytes is a figure, as it was, or says how long something is: the message that has grown, or a number.

    known    uint8 [WIDTH]: a learned message that is shorter by `by`
    """
    more, figure = head[offsets] - known[offsets], np.isin(head, FIGURES)  # modulo 256
    left = offsets[~((more == 0) | (more == np.uint8(by % 256)) | figure[offsets])].tolist()
    return all(_figures_from(figure, at + 1) == head[at] for at in left)


def _figures_from(figure: npt.NDArray[np.bool_], at: int) -> int:
    """How many figures stand from a place on."""
    others = np.flatnonzero(~figure[at:])
    return int(others[0]) if len(others) else len(figure) - at


def reworded(head: Bytes, length: int, known: Bytes, known_length: int) -> bool:
    """Whether two messages are the same words about other numbers, which are longer or shorter in one of them.

    known   uint8 [WIDTH]: a learned message, zero where its bytes are open
    """
    changed, lengths, i, j = 0, 0, 0, 0
    end, known_end = min(length, len(head)), min(known_length, len(known))
    figure, may_be = np.isin(head, FIGURES), np.isin(known, FIGURES) | (known == 0)
    says_how_long = (known + np.uint8((length - known_length) % 256)).tolist()  # modulo 256
    here, there = head.tolist(), known.tolist()
    while i < end or j < known_end:
        if i < end and j < known_end and here[i] == there[j]:
            i, j = i + 1, j + 1
        elif i < end and j < known_end and here[i] == says_how_long[j] and lengths < LENGTHS and not changed:
            i, j, lengths = i + 1, j + 1, lengths + 1
        elif ((i and figure[i - 1]) or (i < end and figure[i])) and ((j and may_be[j - 1]) or (j < known_end and may_be[j])):
            before = i, j
            begin = _run(figure, i - 1)[0] if i and figure[i - 1] else i
            while i < end and figure[i]:
                i += 1
            while j < known_end and may_be[j]:
                j += 1
            if (i, j) == before:
                return False
            changed += i - begin >= LEAST
        else:
            return False
    return bool(changed)


def are_figures(head: Bytes, offsets: npt.NDArray[np.intp]) -> bool:
    """Whether all these bytes are."""
    return bool(np.isin(head[offsets], FIGURES).all())


def moved_on(head: Bytes, before: Bytes, offsets: npt.NDArray[np.intp], data: npt.NDArray[np.bool_]) -> bool:
    """Whether all these bytes are figures of numbers that go on from where the message before left them, with a little step.

    A clock in text, or a slow value: its upper figures come back, or come anew, without having been seen together.

    before   uint8 [WIDTH]: the message before on the same connection, of whatever length and kind
    data     bool [WIDTH]: bytes of process values; a number none of whose figures is one does not move
    """
    figure, figure_before = np.isin(head, FIGURES), np.isin(before, FIGURES)
    for offset in offsets.tolist():
        begin, end = _run(figure, offset)
        there, then = _run(figure_before, begin)
        if end - begin < LEAST or not data[begin:end].any() or there != begin:
            return False
        a, b = _value(head[begin:end]), _value(before[begin:then])
        if a is None or b is None or abs(a - b) > max(UNIT, CLOSE * max(abs(a), abs(b))):
            return False
    return bool(len(offsets))


def _run(figure: npt.NDArray[np.bool_], at: int) -> tuple[int, int]:
    """Where the run of figures that `at` is in begins and ends; where it is no figure, it ends before it begins."""
    others = np.flatnonzero(~figure)
    after = int(np.searchsorted(others, at))
    begin = int(others[np.searchsorted(others, at, side="right") - 1]) + 1 if len(others) and others[0] <= at else 0
    return begin, int(others[after]) if after < len(others) else len(figure)


def _value(figures: Bytes) -> float | None:
    try:
        return float(figures.tobytes())
    except ValueError:  # a date, an address
        return None


def _numbers(head: Bytes, start: int) -> int:
    """How many numbers in text a message carries, the first of them where its data begin; nothing need stand between them."""
    figure = np.isin(head, FIGURES)
    edges = np.flatnonzero(np.diff(np.r_[False, figure, False]))
    begin, end = edges[::2], edges[1::2]
    long = (end - begin >= LEAST) & (end > start)
    points = np.cumsum(np.r_[0, head == POINT])
    numbers = np.maximum(1, points[end] - points[begin])
    return int(numbers[long].sum()) if (long & (begin <= start)).any() else 0

"""Numbers in figures among binary ones that have grown or lost a figure: an answer that says nothing new.

Text is laid out so that its numbers have a place (`learn.messages.text`); where a service is no text as a whole, the length of a
number in figures follows from its value, and with it the length of the message and what says so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FIGURES = np.frombuffer(b"0123456789.+-", np.uint8)
POINT = ord(".")
LEAST = 3  # figures in a row, from which on they are a number
GROWTH = 2  # bytes that a number may become longer or shorter at once: a figure and a sign
MAX_RUNS = 8

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


def _numbers(head: Bytes, start: int) -> int:
    """How many numbers in text a message carries, the first of them where its data begin; nothing need stand between them."""
    figure = np.isin(head, FIGURES)
    edges = np.flatnonzero(np.diff(np.r_[False, figure, False]))
    begin, end = edges[::2], edges[1::2]
    long = (end - begin >= LEAST) & (end > start)
    points = np.cumsum(np.r_[0, head == POINT])
    numbers = np.maximum(1, points[end] - points[begin])
    return int(numbers[long].sum()) if (long & (begin <= start)).any() else 0

"""Numbers in text that have grown or lost a figure: an answer of a new length that says nothing new.

In binary a number has a place; in text its length follows from its value, and with it the length of the message and what says so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FIGURES = np.frombuffer(b"0123456789.+-", np.uint8)
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
    """Whether each of these bytes is a figure, as it was, or grown by what the message has: it says how long something is.

    known    uint8 [WIDTH]: a learned message that is shorter by `by`
    """
    more = head[offsets] - known[offsets]  # modulo 256
    return bool(((more == 0) | (more == np.uint8(by % 256)) | np.isin(head[offsets], FIGURES)).all())


def _numbers(head: Bytes, start: int) -> int:
    """How many numbers in text a message carries, the first of them where its data begin."""
    figure = np.isin(head, FIGURES)
    edges = np.flatnonzero(np.diff(np.r_[False, figure, False]))
    begin, end = edges[::2], edges[1::2]
    long = (end - begin >= LEAST) & (end > start)
    return int(np.count_nonzero(long)) if (long & (begin <= start)).any() else 0

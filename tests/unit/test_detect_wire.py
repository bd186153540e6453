"""Deviations in text are told in the bytes of the message as it came; numbers, lengths and checks that move are normal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.detect.finding import Finding, Kind
from appliance.detect.locate import Deviation
from appliance.detect.wire import Known, on_the_wire
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.text import READ
from appliance.learn.messages.text_columns import find_layout
from tests.evaluate.capture import Capture, changed, place
from tests.evaluate.detectors import Sekisho
from tests.evaluate.invented import Recipe, invented_plant

SEED = 41  # text over TCP: a number of one byte in strides, objects in two figures, an exclusive or behind all


class Watched:
    """A plant that was learned, and what is told when one of its messages is another."""

    def __init__(self) -> None:
        self.recipe = Recipe(SEED)
        head, self.rest = invented_plant(self.recipe).split(0.6)
        self.sekisho = Sekisho()
        self.sekisho.learn(head)

    def request(self, operation: bytes) -> tuple[int, bytes]:
        """A request of the rest: its frame and payload."""
        for index, (_, raw) in enumerate(self.rest.frames):
            where = place(raw)
            if where is not None and where.size:
                pay = raw[where.offset : where.offset + where.size]
                fields = self.recipe.seen.get((pay, True), {})
                if index > 200 and fields and pay[slice(*fields["operation"])] == operation:
                    return index, pay
        raise AssertionError("no such request")

    def told(self, index: int, pay: bytes) -> list[Finding]:
        """Findings at the frame when it carries this payload."""
        raw = self.rest.frames[index][1]
        where = place(raw)
        assert where is not None
        self.sekisho.detect(Capture(self.rest.frames).with_changes({index: changed(raw, where, 0, pay)}))
        return [f for incident in self.sekisho.incidents for f in incident.findings if f.frame == index + 1]


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched()


def swapped(pay: bytes, where: tuple[int, int], value: bytes) -> bytes:
    return pay[: where[0]] + value + pay[where[1] :]


@pytest.mark.parametrize(
    ("field", "value", "seen"), [("operation", b"19", b"9"), ("operation", b"\xe3\x07", b"\xe3\x07"), ("object", b"FE", b"FE")]
)
def test_what_was_changed_is_named_by_its_own_bytes(watched: Watched, field: str, value: bytes, seen: bytes) -> None:
    index, pay = watched.request(b"11")
    where = watched.recipe.seen[pay, True][field]
    (finding,) = watched.told(index, watched.recipe.mend(swapped(pay, where, value)))
    assert finding.kind is Kind.UNKNOWN_COMMAND
    assert all(where[0] <= first < end <= where[1] for first, end in finding.ranges)
    assert finding.seen.endswith(seen[-1:])
    assert finding.seen in value
    assert finding.payload[slice(*where)] == value


def test_a_check_that_does_not_come_out_is_named(watched: Watched) -> None:
    index, pay = watched.request(b"11")
    check = len(pay) - 4, len(pay) - 2
    (finding,) = watched.told(index, swapped(pay, check, b"%02X" % (int(pay[slice(*check)], 16) ^ 0x33)))
    assert finding.ranges == (check,)


def test_a_wrong_length_is_named(watched: Watched) -> None:
    index, pay = watched.request(b"11")
    fields = watched.recipe.seen[pay, True]
    right = int(pay[slice(*fields["length"])], 16)
    width = fields["length"][1] - fields["length"][0]
    (finding,) = watched.told(index, watched.recipe.mend(swapped(pay, fields["length"], b"%0*X" % (width, right + 1))))
    assert all(fields["length"][0] <= first < end <= fields["length"][1] for first, end in finding.ranges)


def test_a_word_too_many_is_named_where_it_stands(watched: Watched) -> None:
    index, pay = watched.request(b"11")
    where = watched.recipe.seen[pay, True]["object"]
    (finding,) = watched.told(index, watched.recipe.mend(swapped(pay, where, pay[slice(*where)] + b",77")))
    assert finding.kind is Kind.WRONG_LENGTH
    assert all(where[0] <= first < end <= len(pay) for first, end in finding.ranges)
    assert sum(end - first for first, end in finding.ranges) < len(pay) // 2


def test_normal_values_are_told_as_they_are_written(watched: Watched) -> None:
    index, pay = watched.request(b"11")
    (finding,) = watched.told(index, watched.recipe.mend(swapped(pay, watched.recipe.seen[pay, True]["operation"], b"19")))
    assert b"11" in finding.normal


@given(st.binary(min_size=1, max_size=120), st.integers(0, WIDTH - 1), st.sampled_from([Kind.WRONG_LENGTH, Kind.UNKNOWN_COMMAND]))
def test_whatever_a_message_holds_something_in_it_is_named(message: bytes, first: int, kind: Kind) -> None:
    learned = [b"GET /%s?unit=%d&at=%d\r\n" % (word, n % 7, 977 * n) for n in range(40) for word in (b"flow", b"level", b"t")]
    rows = np.zeros((len(learned), READ), np.uint8)
    for row, one in zip(rows, learned, strict=True):
        row[: len(one)] = np.frombuffer(one, np.uint8)
    size = np.array([len(one) for one in learned], np.int32)
    layout = find_layout(rows, size)
    assert layout is not None
    laid, length = layout.lay(rows, size)
    known = Known(laid, np.ones_like(laid, bool), length)
    deviation = Deviation(kind, ((first, min(WIDTH, first + 9)),), (laid[0, first : first + 9].tobytes(),), 0, 0.01)
    told = on_the_wire(layout, message, len(message), deviation, known)
    assert told.ranges
    assert all(0 <= a < b <= len(message) for a, b in told.ranges)

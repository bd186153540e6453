"""Deviations in text are told in the bytes of the message as it came; numbers, lengths and checks that move are normal."""

import pytest

from appliance.detect.finding import Finding, Kind
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

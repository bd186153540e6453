"""What is wrong in messages of conversations that are known: which frame, which bytes, what is normal there."""

from collections.abc import Callable

import numpy as np
import pytest

from appliance.detect.content import PER_SECOND
from appliance.detect.finding import Finding, Kind
from appliance.learn.meaning.model import Model, derive
from tests.unit.dialogue import CENTRE, MILLI, START, Plant, Wire, judge, learn, learned, request
from tests.unit.frames import SECOND

LATER = START + 3600 * SECOND
Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def model() -> Model:
    """A plant of two devices: function 3, registers 0, 100, 200 with sizes 2, 3, 4; 600 polls, the counter carried twice."""
    return learned(600)


def put(at: int, value: int) -> Change:
    return lambda payload: payload[:at] + bytes([value]) + payload[at + 1 :]


def changed(change: Change, polls: tuple[int, ...] = (50,), device: int = 0, *, asks: bool = True) -> Wire:
    """A run of a connection that is open already, in which some requests (or answers) to a device are changed."""

    def edit(n: int, d: int, is_request: bool, payload: bytes) -> bytes:
        return change(payload) if n in polls and d == device and is_request == asks else payload

    return Plant(5, opens=False, edit=edit).run(90, LATER)


def frame_of(poll: int, device: int = 0, *, asks: bool = True) -> int:
    """1-based frame number of a request or an answer in such a run."""
    return poll * 4 + device * 2 + (1 if asks else 2)


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize("seed", range(10, 16))
@pytest.mark.parametrize("opens", [True, False])
def test_other_process_values_and_counters_are_normal(model: Model, seed: int, opens: bool) -> None:
    plant = Plant(seed, opens=opens, first_number=seed * 5000 % 65536)
    assert judge(model, plant.run(150, LATER).sorted()) == []


def test_an_unknown_function_is_told_with_frame_byte_and_what_is_normal(model: Model) -> None:
    found = only(judge(model, changed(put(7, 5)).sorted()))
    assert (found.kind, found.frame) == (Kind.UNKNOWN_COMMAND, frame_of(50))
    assert (found.ranges, found.seen, found.normal) == (((7, 8),), b"\x05", (b"\x03",))
    assert (found.src, found.dst, found.client, found.service) == (CENTRE, "10.0.0.11", CENTRE, "tcp/7001")
    assert found.payload[7] == 5
    assert len(found.payload) == 12
    assert 0 < found.score <= 0.1


def test_a_repeated_unknown_function_is_told_every_time(model: Model) -> None:
    found = judge(model, changed(put(7, 5), (20, 21, 50)).sorted())
    assert [f.frame for f in found] == [frame_of(n) for n in (20, 21, 50)]


def on_new_connection(polls: tuple[int, ...]) -> Wire:
    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return put(7, 5)(payload) if asks and d == 0 and n in polls else payload

    return Plant(5, sport=50_000, edit=edit).run(90, LATER)


def test_a_repeated_unknown_function_is_told_every_time_on_a_new_connection_too(model: Model) -> None:
    found = judge(model, on_new_connection((20, 21, 50)).sorted())
    assert [f.kind for f in found] == [Kind.UNKNOWN_COMMAND] * 3


def test_an_unknown_function_on_a_new_connection_is_told_at_least_once(model: Model) -> None:
    found = judge(model, on_new_connection((20, 21, 50)).sorted())
    assert found[0].ranges == ((7, 8),)
    assert found[0].seen == b"\x05"


@pytest.mark.parametrize("seed", range(12))
def test_a_byte_changed_to_a_value_never_seen_there_is_located_exactly(model: Model, seed: int) -> None:
    random = np.random.default_rng(seed)
    at, device = int(random.choice([2, 3, 6, 7, 8, 9, 10, 11])), int(random.integers(0, 2))
    value, poll = int(random.integers(201, 256)), int(random.integers(10, 80))
    found = only(judge(model, changed(put(at, value), (poll,), device).sorted()))
    assert (found.frame, found.ranges, found.seen) == (frame_of(poll, device), ((at, at + 1),), bytes([value]))
    assert found.kind is Kind.UNKNOWN_COMMAND


def test_a_field_of_two_bytes_is_located_as_one_range(model: Model) -> None:
    found = only(judge(model, changed(lambda p: p[:8] + b"\x01\x2c" + p[10:]).sorted()))
    assert (found.ranges, found.seen) == (((8, 10),), b"\x01\x2c")
    assert set(found.normal) == {b"\x00\x00", b"\x00\x64", b"\x00\xc8"}


def test_known_values_in_a_combination_never_seen_are_told(model: Model) -> None:
    """Poll 50 asks for register 200 in size 4; register 0 is asked for in size 2 only."""
    found = only(judge(model, changed(put(9, 0)).sorted()))
    assert (found.kind, found.frame) == (Kind.UNKNOWN_COMBINATION, frame_of(50))
    assert found.ranges in (((9, 10),), ((11, 12),), ((9, 10), (11, 12)))


def test_what_another_device_is_asked_is_not_known_here(model: Model) -> None:
    """Unit 2 is known to the service, and unknown in the conversation with the device of unit 1."""
    found = only(judge(model, changed(put(6, 2)).sorted()))
    assert (found.ranges, found.seen, found.normal) == (((6, 7),), b"\x02", (b"\x01",))


def test_a_longer_message_that_says_so_has_a_wrong_length(model: Model) -> None:
    found = only(judge(model, changed(lambda p: put(5, 8)(p) + b"\0\0").sorted()))
    assert (found.kind, found.frame) == (Kind.WRONG_LENGTH, frame_of(50))
    assert found.ranges == ((5, 6),)


@pytest.mark.parametrize("lie", [0, 5, 9, 60, 255])
def test_a_length_field_that_lies_is_broken_framing_and_what_follows_is_read_on(model: Model, lie: int) -> None:
    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        if asks and d == 0 and n == 40:
            return put(5, lie)(payload)
        return put(7, 5)(payload) if asks and d == 0 and n == 42 else payload

    findings = judge(model, Plant(5, opens=False, edit=edit).run(90, LATER).sorted())
    assert [(f.kind, f.frame) for f in findings][:1] == [(Kind.BROKEN_FRAMING, frame_of(40))]
    assert findings[0].ranges == ((5, 6),)
    assert findings[0].seen == bytes([lie])
    assert findings[0].normal == (b"\x06",)
    assert (Kind.UNKNOWN_COMMAND, frame_of(42)) in [(f.kind, f.frame) for f in findings]
    assert {f.frame for f in findings} <= {frame_of(40), frame_of(40, asks=False), frame_of(42)}


def test_a_byte_in_the_second_segment_of_a_split_message_is_located_there(model: Model) -> None:
    wire = Plant(5, opens=False, edit=lambda n, d, asks, p: None if (n, d) == (60, 0) else p).run(61, LATER)
    at, bad = LATER + 8 * SECOND, put(7, 5)(request(60, 1, 3, 0, 2))
    for k, part in enumerate((bad[:6], bad[6:])):
        wire.tcp(at + k * MILLI, CENTRE, 40000, "10.0.0.11", 7001, part)
    found = only(judge(model, wire.sorted()))
    assert (found.frame, found.ranges, found.seen) == (len(wire.frames), ((1, 2),), b"\x05")


def test_a_byte_in_a_message_behind_another_one_is_located_in_the_payload(model: Model) -> None:
    wire = Plant(5, opens=False).run(60, LATER)
    good, bad = request(60, 1, 3, 0, 2), put(7, 5)(request(61, 1, 3, 100, 3))
    wire.tcp(LATER + 7 * SECOND, CENTRE, 40000, "10.0.0.11", 7001, good + bad)
    found = only(judge(model, wire.sorted()))
    assert (found.frame, found.ranges) == (len(wire.frames), ((12 + 7, 12 + 8),))
    assert found.payload[found.ranges[0][0]] == 5


def test_an_answer_of_a_kind_never_given_is_told(model: Model) -> None:
    """An exception: function with its high bit set and one byte of reason."""
    found = only(judge(model, changed(lambda p: p[:5] + b"\x03" + p[6:7] + b"\x83\x02", asks=False).sorted()))
    assert found.frame == frame_of(50, asks=False)
    assert (found.src, found.dst, found.client) == ("10.0.0.11", CENTRE, CENTRE)
    assert any(a <= 7 < b for a, b in found.ranges)


def test_the_answer_to_a_request_that_was_told_is_its_consequence(model: Model) -> None:
    """The device answers the unknown function in kind: one story, one finding."""

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes:
        return put(7, 5)(payload) if d == 0 and n == 50 else payload

    found = only(judge(model, Plant(5, opens=False, edit=edit).run(90, LATER).sorted()))
    assert found.frame == frame_of(50)


def test_a_flood_of_unknown_commands_is_sampled_and_the_plant_stays_watched(model: Model) -> None:
    wire = changed(put(7, 9), (50,), 1)
    at = LATER + SECOND + 5000 * MILLI  # within the second of poll 50
    for n in range(400):
        wire.tcp(at + n * 1000, CENTRE, 40000, "10.0.0.11", 7001, put(7, 5)(request(n, 1, 3, n, 2)))
    found = judge(model, wire.sorted())
    to_first = [f for f in found if "10.0.0.11" in (f.src, f.dst)]
    assert PER_SECOND // 2 <= len(to_first) <= 2 * PER_SECOND
    assert [f.seen for f in found if f.dst == "10.0.0.12"] == [b"\x09"]


def narrow() -> Model:
    """Learned with a counter whose high byte stayed 0x12 all the time."""
    return derive(learn(Plant(1, first_number=0x1205).run(240).sorted()))


@pytest.mark.parametrize("most", [32768, 61])
def test_a_counter_that_carries_into_a_byte_that_was_constant_is_normal(most: int) -> None:
    model = narrow()
    (service,) = model.services[6, 7001]
    assert [(c.offset, c.width) for c in service.structure.counters] == [(1, 1)]
    later = Plant(5, opens=False, first_number=0x12C0).run(150, LATER)
    assert judge(model, later.sorted(), most) == []


def test_a_high_byte_that_changes_without_a_wrap_is_told() -> None:
    later = Plant(5, opens=False, first_number=0x1220, edit=lambda n, d, asks, p: put(0, 0x13)(p) if n == 50 and d == 0 else p)
    found = judge(narrow(), later.run(90, LATER).sorted())
    assert [(f.frame, f.ranges, f.seen) for f in found if f.src == CENTRE] == [(frame_of(50), ((0, 1),), b"\x13")]


@pytest.mark.parametrize("most", [32768, 4])
@pytest.mark.parametrize("opens", [True, False])
def test_where_a_counter_goes_on_after_a_gap_its_other_half_may_be_anything(most: int, opens: bool) -> None:
    """The sensor was off, or the client began anew: how high the counter is now was never to be seen."""
    later = Plant(5, opens=opens, first_number=0x4790).run(150, LATER)
    assert judge(narrow(), later.sorted(), most) == []


def test_and_then_it_stays_until_the_counter_wraps() -> None:
    later = Plant(5, opens=False, first_number=0x4720, edit=lambda n, d, asks, p: put(0, 0x48)(p) if n == 50 and d == 0 else p)
    found = judge(narrow(), later.run(90, LATER).sorted())
    assert [(f.frame, f.ranges, f.seen) for f in found if f.src == CENTRE] == [(frame_of(50), ((0, 1),), b"\x48")]


@pytest.mark.parametrize("most", [1, 4])
def test_a_carry_is_normal_where_every_message_is_a_batch_of_its_own(most: int) -> None:
    later = Plant(5, opens=False, first_number=0x12C0).run(150, LATER)
    assert judge(narrow(), later.sorted(), most) == []


def test_a_flood_of_unknown_requests_is_sampled_and_all_of_it_counted(model: Model) -> None:
    wire = Wire()
    for n in range(20 * PER_SECOND):
        wire.tcp(LATER + n * MILLI, CENTRE, 40000, "10.0.0.11", 7001, request(n, 1, 99, n % 7, n))
    found = [f for f in judge(model, wire.sorted()) if f.kind is Kind.UNKNOWN_COMMAND]
    assert len(found) == PER_SECOND
    assert sum(f.count for f in found) == 20 * PER_SECOND

"""Lists in requests: found by their shape, taken apart, and judged item by item."""

import struct

import numpy as np
import pytest

from appliance.detect.finding import Finding, Kind
from appliance.learn.meaning.model import Model, derive
from appliance.learn.messages.containers import Container, find_container, split
from appliance.learn.messages.sample import WIDTH, Sample
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Wire, judge, learn
from tests.unit.frames import SECOND

LATER = START + 3600 * SECOND
DEVICE, PORT = "10.0.0.11", 7002
TAGS = [struct.pack("<BBHHI", 0x4C, 2, 0x7220, 0x24, 1000 * k + 8) for k in range(1, 13)]


def table(items: list[bytes], number: int) -> bytes:
    """In the shape of CIP's Multiple Service Packet behind a head of eight bytes with the length at 2."""
    offsets, at = [], 2 + 2 * len(items)
    for item in items:
        offsets.append(at)
        at += len(item)
    body = bytes([0x0A, 2, 0x20, 2]) + struct.pack(f"<H{len(items)}H", len(items), *offsets) + b"".join(items)
    return struct.pack("<HHI", 0x70, len(body), number) + body


def variables(numbers: list[int], number: int) -> bytes:
    """In the shape of S7's variable list: records of twelve bytes with a count before them."""
    items = b"".join(struct.pack(">BBBBHHBHB", 0x12, 0x0A, 0x10, 2, 1, 5, 0x84, v, 0) for v in numbers)
    return struct.pack(">BBHHBB", 3, 0, 8 + len(items), number & 0xFFFF, 4, len(numbers)) + items


def properties(numbers: list[int], number: int) -> bytes:
    """In the shape of BACnet's ReadPropertyMultiple: records without a count."""
    items = b"".join(struct.pack(">BIBBBB", 0x0C, v, 0x1E, 0x09, 0x55, 0x1F) for v in numbers)
    return struct.pack(">BBHBBBB", 0x81, 0x0A, 8 + len(items), 1, number & 0xFF, 2, 0x0E) + items


def sample(payloads: list[bytes]) -> Sample:
    heads = np.zeros((len(payloads), WIDTH), np.uint8)
    for i, payload in enumerate(payloads):
        heads[i, : len(payload)] = np.frombuffer(payload[:WIDTH], np.uint8)
    n = len(payloads)
    length = np.array([len(p) for p in payloads], np.int32)
    return Sample(heads, length, np.zeros(n, np.int32), np.zeros(n, np.int64), np.zeros(n, np.int32))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("table", Container(12, 2, False, 14, 0)),
        ("variables", Container(7, 1, True, 8, 12)),
        ("properties", Container(-1, 1, True, 8, 9)),
    ],
)
def test_the_shape_is_found_and_items_come_out_as_they_went_in(shape: str, expected: Container) -> None:
    random = np.random.default_rng(3)
    payloads, lists = [], []
    for k in range(120):
        chosen = sorted(random.choice(12, size=int(random.integers(1, 9)), replace=False).tolist())
        numbers = [1000 * v + 8 for v in chosen]
        if shape == "table":
            payloads.append(table([TAGS[v] for v in chosen], k))
        else:
            payloads.append((variables if shape == "variables" else properties)(numbers, k))
        lists.append(len(chosen))
    found = find_container(sample(payloads))
    assert found is not None
    assert (found.count, found.width, found.big, found.start, found.stride) == (
        expected.count,
        expected.width,
        expected.big,
        expected.start,
        expected.stride,
    )
    assert {(f.offset, f.width, f.big, f.constant) for f in found.follows} >= {
        (2, 2, shape != "table", 8 if shape == "table" else 0)
    }
    items = split(found, sample(payloads).heads, sample(payloads).length)
    assert np.bincount(items.message).tolist() == lists
    first = [payloads[m][a:b] for m, a, b in zip(items.message, items.first, items.end, strict=True)][: lists[0]]
    assert b"".join(first) == payloads[0][-sum(map(len, first)) :]


def test_plain_messages_hold_no_list() -> None:
    random = np.random.default_rng(4)
    payloads = [struct.pack(">HHHBBHH", k, 0, 6, 1, 3, int(random.integers(0, 900)), 4) + bytes(k % 3) for k in range(200)]
    assert find_container(sample(payloads)) is None


def test_a_table_that_lies_is_no_list() -> None:
    good = table(TAGS[:3], 1)
    container = Container(12, 2, False, 14, 0)
    bad = [
        good[:12] + b"\xff\xff" + good[14:],
        good[:14] + b"\x00\x00" + good[16:],
        good[:16] + b"\xf0\xff" + good[18:],
        good[:16] + good[18:20] + good[16:18] + good[20:],
        good[:15],
    ]
    for payload in bad:
        assert not len(split(container, sample([payload]).heads, sample([payload]).length).message), payload
    assert len(split(container, sample([good]).heads, sample([good]).length).message) == 3


def dialogue(lists: list[list[bytes]], start: int) -> Frames:
    wire = Wire()
    wire.open(start - 10 * MILLI, CENTRE, 4000, DEVICE, PORT)
    for k, items in enumerate(lists):
        at = start + k * 100 * MILLI
        wire.tcp(at, CENTRE, 4000, DEVICE, PORT, table(items, k))
        reply = bytes([0x8A, 0, 0, 0]) + b"".join(struct.pack("<I", 77 * k + len(item)) for item in items)
        wire.tcp(at + MILLI, DEVICE, PORT, CENTRE, 4000, struct.pack("<HHI", 0x70, len(reply), k) + reply)
    return wire.sorted()


POLLS = [TAGS[0:3], TAGS[3:8], TAGS[8:10], TAGS[10:11], [TAGS[0], TAGS[11]]]


@pytest.fixture(scope="module")
def model() -> Model:
    return derive(learn(dialogue([POLLS[k % 5] for k in range(300)], START)))


def found_in(model: Model, special: list[bytes]) -> list[Finding]:
    lists = [POLLS[k % 5] for k in range(60)]
    lists[40] = special
    return [f for f in judge(model, dialogue(lists, LATER)) if f.src == CENTRE]


def test_a_new_list_of_known_items_is_normal(model: Model) -> None:
    assert found_in(model, [TAGS[2], TAGS[9], TAGS[5]]) == []


def test_a_new_item_is_told_by_its_own_bytes(model: Model) -> None:
    new = struct.pack("<BBHHI", 0x4D, 2, 0x7220, 0x24, 1008)
    (finding,) = found_in(model, [TAGS[2], new, TAGS[5]])
    assert finding.frame == 84
    first = 12 + 2 + 2 * 3 + len(TAGS[2])
    assert finding.kind is Kind.UNKNOWN_COMMAND
    assert finding.ranges == ((first, first + 1),)
    assert finding.seen == b"\x4d"


def test_an_item_of_another_size_is_new_as_a_whole(model: Model) -> None:
    new = b"\x4e\x0b\x91\x14LMS_NEW_ORDER\x00\x01\x00\x01\xff"
    (finding,) = found_in(model, [TAGS[0], TAGS[1], new])
    first = 12 + 2 + 2 * 3 + 20
    assert (finding.kind, finding.ranges, finding.seen) == (Kind.UNKNOWN_COMMAND, ((first, first + len(new)),), new)


def test_known_items_under_another_head_are_told(model: Model) -> None:
    frames = dialogue([POLLS[k % 5] for k in range(60)], LATER)
    at = next(i for i, (_, frame) in enumerate(frames) if table(POLLS[0], 40) in frame)
    time, frame = frames[at]
    frames[at] = time, frame.replace(b"\x0a\x02\x20\x02", b"\x0b\x02\x20\x02")
    (finding,) = [f for f in judge(model, frames) if f.src == CENTRE]
    assert (finding.frame, finding.ranges, finding.seen) == (at + 1, ((8, 9),), b"\x0b")


def written(numbers: list[int], data: bytes, number: int) -> bytes:
    """A list of variables as S7 writes it: records, then what is written to them."""
    pay = variables(numbers, number)
    return pay[:2] + struct.pack(">H", len(pay) + len(data)) + pay[4:6] + b"\x05" + pay[7:] + data


def panel(special: bytes | None, start: int) -> Frames:
    """Lists that are read, and one that is written in two orders; `special` comes once in place of it."""
    wire, reads = Wire(), [[1], [2, 3], [4, 5, 6], [7, 8, 9, 10]]
    wire.open(start - 10 * MILLI, CENTRE, 4000, DEVICE, PORT)
    for k in range(300):
        number = 500 + k
        pay = (
            variables(reads[k % 5], number)
            if k % 5 < 4
            else written([[4, 5, 6, 7], [7, 4, 5, 6]][k // 5 % 2], b"\0\1\0\1", number)
        )
        wire.tcp(start + k * 100 * MILLI, CENTRE, 4000, DEVICE, PORT, special if special and k == 204 else pay)
        wire.tcp(
            start + k * 100 * MILLI + MILLI, DEVICE, PORT, CENTRE, 4000, b"\x03\0\0\x07" + number.to_bytes(2, "big") + b"\xff"
        )
    return wire.sorted()


@pytest.fixture(scope="module")
def writes() -> Model:
    return derive(learn(panel(None, START)))


@pytest.mark.parametrize(
    ("special", "told"),
    [
        (written([6, 4, 7, 5], b"\1\0\1\0", 704), False),
        (written([6, 4, 8, 5], b"\1\0\1\0", 704), True),
        (written([6, 4, 7, 5], b"\1\1\1\0", 704), True),
    ],
    ids=["another order", "another record", "other data"],
)
def test_what_is_written_to_a_list_may_come_in_another_order(writes: Model, special: bytes, told: bool) -> None:
    found = [f for f in judge(writes, panel(special, LATER)) if f.src == CENTRE]
    assert [f.frame for f in found] == ([3 + 2 * 204 + 1] if told else [])


def test_any_bytes_are_split_or_left(model: Model) -> None:
    random = np.random.default_rng(9)
    heads = random.integers(0, 6, (4000, 64), np.uint8)
    length = random.integers(1, 64, 4000).astype(np.int32)
    for shape in (Container(0, 2, False, 2, 0), Container(1, 1, True, 2, 5), Container(-1, 1, True, 4, 6, ((0, 1),))):
        items = split(shape, heads, length)
        assert (items.first < items.end).all()
        assert (items.end <= length[items.message]).all()

"""What went to the spool is read back as it would have been watched; several rings come in the order of their time."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.packets.batch import PacketBatch
from appliance.packets.join import ALL, PATIENCE, SET_BACK, Joiner
from appliance.packets.ring import RingReader
from appliance.packets.ringshape import RingShape
from appliance.packets.spool import Kind, SpoolReader, chunk_head
from tests.unit.rings import Sent, block

BLOCK = 1 << 16


def reader(sent: list[Sent], interface: int = 0) -> RingReader:
    shape = RingShape(BLOCK, 2)
    memory = np.frombuffer(bytearray(block(sent, BLOCK).ljust(shape.size, b"\0")), np.uint8)
    return RingReader(memory, shape, 1, interface)


def chunk(ring: RingReader, kind: Kind) -> bytes:
    ring.take(1)
    window = ring.window
    return chunk_head(kind, window.used, ring.link, ring.interface) + window.data[: window.used].tobytes()


def rows(batch: PacketBatch) -> list[tuple[int, int, int, bytes]]:
    return [(int(batch.frame[i]), int(batch.time[i]), int(batch.interface[i]), batch.bytes_of(i)) for i in range(len(batch))]


def read(raw: bytes) -> list[list[tuple[int, int, int, bytes]]]:
    return [rows(batch) for batch in SpoolReader().batches(io.BytesIO(raw))]


def test_one_ring_comes_back_batch_by_batch() -> None:
    one, two = [Sent(b"a" * 60, time=5), Sent(b"b" * 61, time=6)], [Sent(b"c" * 70, time=7, tag=(0x8100, 9))]
    raw = chunk(reader(one), Kind.ALONE) + chunk(reader(two), Kind.ALONE)
    tagged = b"c" * 12 + b"\x81\x00\x00\x09" + b"c" * 58
    assert read(raw) == [[(1, 5, 0, b"a" * 60), (2, 6, 0, b"b" * 61)], [(3, 7, 0, tagged)]]


@given(st.integers(0, 400))
def test_a_file_that_ends_early_gives_what_was_whole(cut: int) -> None:
    first = chunk(reader([Sent(b"a" * 60, time=5)]), Kind.ALONE)
    raw = (first + chunk(reader([Sent(b"b" * 60, time=6)]), Kind.ALONE))[: len(first) + cut]
    assert read(raw)[0] == [(1, 5, 0, b"a" * 60)]
    assert len(read(raw)) == (2 if len(raw) >= 2 * len(first) else 1)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_to_an_end(raw: bytes) -> None:
    read(raw)
    read(chunk(reader([Sent(b"a" * 60)]), Kind.ALONE) + raw)
    read(chunk_head(Kind.ALONE, len(raw) // 8 * 8) + raw)


times = st.lists(st.integers(1, 50), max_size=12)


@given(st.lists(st.tuples(times, times, st.integers(0, 60)), max_size=4))
def test_frames_of_two_rings_are_in_the_order_of_their_time(looks: list[tuple[list[int], list[int], int]]) -> None:
    """Two rings, several looks; every frame comes once, none before its horizon, sorted within each cut."""
    joiner, horizon = Joiner(), 0
    out: list[tuple[int, int, int, bytes]] = []
    expected = []
    kept: list[RingReader] = []
    raw = b""
    for look, (left, right, step) in enumerate(looks):
        for interface, when in ((0, left), (1, right)):
            if when:
                sent = [Sent(bytes([look, interface, i]) * 20, time=t) for i, t in enumerate(when)]
                kept.append(reader(sent, interface))
                batch = kept[-1].take(1)
                assert batch is not None
                joiner.add(batch)
                expected += [(t, s.raw) for t, s in zip(when, sent, strict=True)]
                raw += chunk(reader(sent, interface), Kind.TOGETHER)
        horizon += step
        for limit in (horizon, ALL) if look == len(looks) - 1 else (horizon,):
            raw += chunk_head(Kind.CUT, horizon=limit)
            joined = joiner.cut(limit, len(out) + 1)
            if joined is not None:
                assert (np.diff(joined.time) >= 0).all()
                assert joined.time.max() <= limit
                out += rows(joined)
    assert sorted((t, raw) for _, t, _, raw in out) == sorted(expected)
    assert [number for number, _, _, _ in out] == list(range(1, len(out) + 1))
    assert [row for batch in read(raw) for row in batch] == out


HOUR = 3600 * 10**9


def batch(when: list[int], interface: int) -> PacketBatch:
    taken = reader([Sent(bytes([i]) * 20, time=t) for i, t in enumerate(when)], interface).take(1)
    assert taken is not None
    return taken


def test_an_answer_stays_behind_its_request_where_the_clock_was_set_back_between_them() -> None:
    """Requests and answers come in over two rings; the clock is set back by an hour while the device thinks."""
    joiner, second = Joiner(), 10**9
    joiner.add(batch([HOUR, HOUR + second], 0))
    joiner.add(batch([HOUR + 1], 1))
    joined = joiner.cut(HOUR + 5, 1)
    assert joined is not None
    assert joined.time.tolist() == [HOUR, HOUR + 1]
    joiner.add(batch([second + 1, 2 * second + 1], 1))  # the answers by the new time
    joiner.add(batch([2 * second], 0))
    assert joiner.cut(3 * second, 3) is None, "the request of before has the later time: the answers wait with it"
    joined = joiner.cut(ALL, 3)
    assert joined is not None
    assert joined.time.tolist() == [HOUR + second, second + 1, 2 * second, 2 * second + 1]
    assert joined.interface.tolist() == [0, 1, 0, 1]
    joiner.add(batch([3 * second], 0))
    assert joiner.cut(2 * second, 7) is None, "and then horizons hold again"


def test_frames_are_late_by_less_than_a_setting_and_nobody_waits_for_ever() -> None:
    joiner = Joiner()
    joiner.add(batch([SET_BACK + 5, 5], 0))
    joined = joiner.cut(SET_BACK + 5, 1)
    assert joined is not None
    assert joined.time.tolist() == [5, SET_BACK + 5]
    joiner.add(batch([3 * SET_BACK, 4], 0))
    cuts = [joiner.cut(SET_BACK, 3) for _ in range(PATIENCE)]
    assert [cut is None for cut in cuts] == [True] * (PATIENCE - 1) + [False]

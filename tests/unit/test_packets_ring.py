"""A ring is read as a capture would be: same columns, in order, whatever stands in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decode.headers import DecodeState, decode
from appliance.packets.ring import STAMPED_NS, RingReader, Window
from appliance.packets.ringshape import RingShape
from tests.unit.rings import Sent, block

BLOCK = 1 << 16
SHAPE = RingShape(BLOCK, 4)
MACS = bytes(range(12))


def ring(blocks: list[bytes]) -> RingReader:
    memory = np.frombuffer(bytearray(b"".join(blocks).ljust(SHAPE.size, b"\0")), np.uint8)
    return RingReader(memory, SHAPE)


frames = st.lists(
    st.builds(Sent, raw=st.binary(min_size=14, max_size=200), time=st.integers(0, 2**31 * 10**9), wire=st.integers(200, 9000)),
    max_size=40,
)


@given(st.lists(frames, max_size=4))
def test_columns_say_what_was_written(blocks: list[list[Sent]]) -> None:
    reader = ring([block(part, BLOCK) for part in blocks])
    batch = reader.take(1)
    sent = [one for part in blocks for one in part]
    if not sent:
        assert batch is None
        return
    assert batch is not None
    assert [batch.bytes_of(i) for i in range(len(batch))] == [one.raw for one in sent]
    assert batch.time.tolist() == [one.time for one in sent]
    assert batch.wire.tolist() == [one.wire for one in sent]
    assert batch.frame.tolist() == list(range(1, len(sent) + 1))
    assert reader.window.damaged == 0


def test_blocks_are_given_back_and_taken_round_and_round() -> None:
    reader = ring([])
    number = 1
    for turn in range(11):
        at = turn % SHAPE.blocks
        raw = block([Sent(bytes([turn]) * 60)], BLOCK)
        reader.ring[at * BLOCK : (at + 1) * BLOCK] = np.frombuffer(raw, np.uint8)
        assert reader.waiting() == 1
        batch = reader.take(number)
        assert batch is not None
        assert (batch.bytes_of(0), batch.frame.tolist()) == (bytes([turn]) * 60, [number])
        assert not reader.waiting()
        assert reader.take(number) is None
        number += 1


def test_a_block_that_the_kernel_still_fills_is_not_touched() -> None:
    reader = ring([block([Sent(b"a" * 60)], BLOCK), block([Sent(b"b" * 60)], BLOCK, status=0), block([Sent(b"c" * 60)], BLOCK)])
    batch = reader.take(1)
    assert batch is not None
    assert [batch.bytes_of(i)[:1] for i in range(len(batch))] == [b"a"]
    assert reader.take(2) is None


def test_what_was_not_taken_yet_began_when_the_kernel_opened_its_block() -> None:
    opened = 1_700_000_000_987_654_321
    reader = ring([block([Sent(b"a" * 60)], BLOCK), block([Sent(b"b" * 60)], BLOCK, status=0, opened=opened)])
    reader.take(1)
    assert reader.unread() == opened - STAMPED_NS  # its frame's time is not written yet
    frame = block([Sent(b"b" * 60, time=opened + 7), Sent(b"c" * 60, time=opened + 9)], BLOCK, status=0, opened=opened)
    reader.ring[BLOCK : 2 * BLOCK] = np.frombuffer(frame, np.uint8)
    assert reader.unread() == opened + 7
    reader.ring[BLOCK : 2 * BLOCK] = np.frombuffer(block([], BLOCK, status=0, opened=opened), np.uint8)
    assert reader.unread() is None


def test_a_ring_that_was_full_and_is_read_empty_holds_nothing_unread() -> None:
    reader = ring([block([Sent(b"a" * 60)], BLOCK, opened=5)] * SHAPE.blocks)
    reader.take(1)
    assert reader.unread() is None


def test_own_outgoing_frames_are_left_out() -> None:
    reader = ring([block([Sent(b"a" * 60), Sent(b"b" * 60, pkttype=4), Sent(b"c" * 60, pkttype=0)], BLOCK)])
    batch = reader.take(1)
    assert batch is not None
    assert [batch.bytes_of(i)[:1] for i in range(len(batch))] == [b"a", b"c"]
    assert batch.frame.tolist() == [1, 2]


def test_the_tag_that_the_kernel_took_out_is_back_and_decoded() -> None:
    arp = MACS + b"\x08\x06" + bytes(28)
    reader = ring([block([Sent(arp, tag=(0x8100, 0x600A)), Sent(arp), Sent(arp, tag=(0x88A8, 0x0FFF))], BLOCK)])
    batch = reader.take(1)
    assert batch is not None
    assert batch.bytes_of(0) == MACS + b"\x81\x00\x60\x0a\x08\x06" + bytes(28)
    assert batch.bytes_of(2) == MACS + b"\x88\xa8\x0f\xff\x08\x06" + bytes(28)
    assert (batch.wire - batch.captured).tolist() == [0, 0, 0]
    decoded = decode(batch, DecodeState())
    assert decoded.vlan.tolist() == [10, 0, 4095]
    assert decoded.ethertype.tolist() == [0x0806] * 3


def test_blocks_that_were_read_once_read_the_same_again() -> None:
    arp = MACS + b"\x08\x06" + bytes(28)
    reader = ring([block([Sent(arp, tag=(0x8100, 10)), Sent(arp)], BLOCK)])
    first = reader.take(1)
    assert first is not None
    kept = reader.window.data[: reader.window.used].copy()
    before = [first.bytes_of(i) for i in range(len(first))]
    again = Window()
    again.put(kept)
    second = again.batch(1, 1, 0)
    assert second is not None
    assert [second.bytes_of(i) for i in range(len(second))] == before


def test_a_payload_that_looks_like_a_header_is_no_frame() -> None:
    inner = block([Sent(b"x" * 60), Sent(b"y" * 60)], BLOCK)[48:400]
    sent = [Sent(b"z" * 60), Sent(bytes(6) + inner), Sent(bytes(14) + inner), Sent(b"w" * 61)]
    reader = ring([block(sent, BLOCK)])
    batch = reader.take(1)
    assert batch is not None
    assert [batch.bytes_of(i) for i in range(len(batch))] == [one.raw for one in sent]


@given(st.binary(min_size=48, max_size=2000), st.integers(0, 60), st.integers(0, 300))
def test_any_bytes_give_frames_within_the_block_or_none(raw: bytes, number: int, first: int) -> None:
    crafted = bytearray(raw)
    crafted[12:20] = number.to_bytes(4, "little") + first.to_bytes(4, "little")
    window = Window()
    window.put(np.frombuffer(bytes(crafted), np.uint8))
    batch = window.batch(1, 1, 0)
    if batch is not None:
        assert (batch.offset >= 48).all()
        assert (batch.offset + batch.captured <= len(raw)).all()
        decode(batch, DecodeState())


def test_a_ring_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        RingReader(np.zeros(BLOCK, np.uint8), SHAPE)

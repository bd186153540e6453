"""Payloads cut into messages: where each lies, which frame completes it, and what a bound or a loss costs."""

import numpy as np

from appliance.decode.conversation import ConversationTable, Port
from appliance.decode.cutter import MAX_HELD, Cutter
from appliance.decode.framing import WHOLE, Framing, chain
from appliance.decode.heads import heads_of
from appliance.decode.messages import Messages
from appliance.decode.numbers import read_number
from tests.unit.dialogue import MILLI, Frames, Wire, passes

CLIENT, SERVER, PORT = ("10.0.0.1", 40000), ("10.0.0.2", 7001), (6, 7001)
FRAMING = Framing(2, 2, True, 4)


def message(size: int, mark: int = 0) -> bytes:
    return bytes([mark, 0xEE]) + (size - 4).to_bytes(2, "big") + b"\xff" * (size - 4)


def segments(*payloads: bytes, back: bool = False) -> Wire:
    """One payload a frame, from frame 1 on, in a connection that was open before."""
    wire = Wire()
    for n, payload in enumerate(payloads):
        wire.tcp(n * 10 * MILLI, *((*SERVER, *CLIENT) if back else (*CLIENT, *SERVER)), payload)
    return wire


def cut(frames: Frames, framings: dict[Port, Framing], port: Port = PORT) -> tuple[Messages, list[bytes], Cutter]:
    table, cutter = ConversationTable(), Cutter(framings)
    table.know([((0, 0xFFFF_0000_0000 | 0x0A000002), port)])
    (batch,) = passes(frames)()
    m = cutter.cut(batch, table.assign(batch), table.conversations)
    return m, [batch.data[int(a) : int(a) + int(n)].tobytes() for a, n in zip(m.at, m.length, strict=True)], cutter


def test_a_message_tells_its_frame_its_place_and_the_frame_that_completes_it() -> None:
    one, two, three = message(10, 1), message(20, 2), message(8, 3)
    m, data, _ = cut(segments(one + two[:5], two[5:] + three).frames, {PORT: FRAMING})
    by_mark = {raw[0]: i for i, raw in enumerate(data)}
    assert data[by_mark[2]] == two
    for mark, frame, first, split, last in ((1, 1, 0, 10, 1), (2, 1, 10, 5, 2), (3, 2, 15, 8, 2)):
        i = by_mark[mark]
        told = [int(x[i]) for x in (m.frame, m.first, m.split, m.last_frame)]
        assert told == [frame, first, split, last]
    assert not m.broken.any()


def test_a_service_without_framing_gives_a_message_a_payload() -> None:
    payloads = [message(10) + message(20), b"x", message(9)[:5]]
    for framings in ({}, {PORT: WHOLE}):
        m, data, _ = cut(segments(*payloads).frames, framings)
        assert data == payloads
        assert m.request.all()


def test_directions_of_a_connection_are_cut_apart() -> None:
    """Both sides split a message; what one side sends completes nothing of the other."""
    wire = Wire()
    one, two = message(30, 1), message(25, 2)
    wire.tcp(0, *CLIENT, *SERVER, one[:11])
    wire.tcp(1, *CLIENT, *SERVER, one[11:])
    wire.tcp(2, *SERVER, *CLIENT, two[:9])
    wire.tcp(3, *SERVER, *CLIENT, two[9:] + message(9, 3))
    m, data, cutter = cut(wire.frames, {PORT: FRAMING})
    assert sorted(data) == sorted([one, two, message(9, 3)])
    assert [bool(r) for r in m.request] == [raw[0] == 1 for raw in data]
    assert not cutter.held


def test_a_long_answer_is_joined_though_the_client_asks_on_meanwhile() -> None:
    wire, long = Wire(), message(4000, 1)
    wire.tcp(0, *SERVER, *CLIENT, long[:1460])
    wire.tcp(1, *CLIENT, *SERVER, message(12, 2))
    wire.tcp(2, *SERVER, *CLIENT, long[1460:2920])
    wire.tcp(3, *SERVER, *CLIENT, long[2920:])
    m, data, _ = cut(wire.frames, {PORT: FRAMING})
    assert sorted(data) == sorted([long, message(12, 2)])
    assert not m.broken.any()


def test_a_datagram_is_never_waited_for() -> None:
    wire = Wire()
    for n in range(3):
        wire.udp(n, *CLIENT, *SERVER, message(30, n)[: 30 if n != 1 else 12])
    m, data, cutter = cut(wire.frames, {(17, 7001): FRAMING}, (17, 7001))
    assert [len(raw) for raw in data] == [30, 12, 30]
    assert m.broken.tolist() == [False, True, False]
    assert not cutter.held


def test_a_lost_segment_costs_the_message_it_lay_in_and_no_other() -> None:
    wire = segments(message(40, 1)[:25], message(40, 1)[25:], message(12, 2), message(16, 3))
    del wire.frames[1]
    m, data, _ = cut(wire.frames, {PORT: FRAMING})
    sound = [raw for raw, broken in zip(data, m.broken, strict=True) if not broken]
    assert sound == [message(12, 2), message(16, 3)]
    assert m.broken.sum() == 1


def test_a_length_beyond_what_is_held_breaks_the_payload_at_once() -> None:
    wide = Framing(2, 4, True, 6)
    huge = bytes([1, 0xEE]) + (MAX_HELD + 1).to_bytes(4, "big") + b"\xff" * 20
    following = bytes([2, 0xEE]) + (20).to_bytes(4, "big") + b"\xff" * 20
    m, data, cutter = cut(segments(huge, following).frames, {PORT: wide})
    assert data == [huge, following]
    assert m.broken.tolist() == [True, False]
    assert not cutter.held


def test_what_is_still_held_comes_out_broken_when_flushed() -> None:
    table, cutter = ConversationTable(), Cutter({PORT: FRAMING})
    table.know([((0, 0xFFFF_0000_0000 | 0x0A000002), PORT)])
    (batch,) = passes(segments(message(9), message(50)[:20]).frames)()
    first = cutter.cut(batch, table.assign(batch), table.conversations)
    left = cutter.flush(batch)
    assert (first.broken.tolist(), left.broken.tolist(), left.frame.tolist()) == ([False], [True], [2])
    at = int(left.at[0])
    assert batch.data[at : at + int(left.length[0])].tobytes() == message(50)[:20]
    assert not cutter.held


def test_a_repeated_segment_adds_no_message() -> None:
    wire = segments(message(10, 1), message(10, 2))
    again = Wire()
    again.tcp(30 * MILLI, *CLIENT, *SERVER, message(10, 1))
    _, data, _ = cut([*wire.frames, *again.frames], {PORT: FRAMING})
    assert data == [message(10, 1), message(10, 2)]


def test_heads_are_zero_beyond_the_end_of_their_message() -> None:
    data = np.arange(1, 101, dtype=np.uint8)
    heads = heads_of(data, np.array([0, 50]), np.array([3, 8], np.int32), 6)
    assert heads.tolist() == [[1, 2, 3, 0, 0, 0], [51, 52, 53, 54, 55, 56]]
    assert heads_of(data, np.zeros(0, np.int64), np.zeros(0, np.int32), 6).shape == (0, 6)


def test_numbers_are_read_in_either_byte_order() -> None:
    heads = np.array([[0, 1, 2, 3, 4]], np.uint8)
    assert read_number(heads, 1, 2, big=True).tolist() == [0x0102]
    assert read_number(heads, 1, 4, big=False).tolist() == [0x04030201]


def test_a_chain_stops_where_a_length_leads_out_of_the_payload_or_nowhere() -> None:
    good = message(10) + message(7)
    assert chain(good, FRAMING) == ([(0, 10), (10, 17)], 17)
    assert chain(good + message(30)[:8], FRAMING) == ([(0, 10), (10, 17)], 17)
    assert chain(b"\0\0\0\0" * 4, Framing(2, 2, True, 0)) == ([], 0)  # a length of nothing would never end
    assert chain(message(5) * 10, FRAMING, limit=3)[1] == 15

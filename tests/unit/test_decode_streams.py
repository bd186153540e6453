import random
from collections.abc import Callable

import pytest

from appliance.decode.headers import DecodeState
from appliance.decode.tcp import StreamTable
from tests.unit.frames import MAC_B, decoded, ethernet, ipv4, segment, tcp, udp

TEXT = bytes(range(48, 112))


def delivered(frames: list[bytes], together: bool) -> tuple[list[bytes], list[str]]:
    """Payloads and marks of frames, decoded in one batch or each in its own."""
    state = DecodeState()
    batches = [decoded(frames, state)] if together else [decoded([raw], state) for raw in frames]
    payloads, marks = [], []
    for batch in batches:
        for row in range(len(batch)):
            payloads.append(batch.payload_of(row))
            marks.append("".join(name[0] for name in ("gap", "repeat", "overlap", "dup") if getattr(batch, name)[row]))
    return payloads, marks


CASES: dict[str, tuple[list[tuple[int, bytes]], list[bytes], list[str]]] = {
    "in order": ([(1, b"abc"), (4, b"de")], [b"abc", b"de"], ["", ""]),
    "over the end of numbers": ([(0xFFFFFFFE, b"abc"), (1, b"de")], [b"abc", b"de"], ["", ""]),
    "repeated": ([(1, b"abc"), (1, b"abc"), (4, b"d")], [b"abc", b"", b"d"], ["", "r", ""]),
    "repeated later": ([(1, b"abc"), (4, b"d"), (1, b"abc"), (5, b"e")], [b"abc", b"d", b"", b"e"], ["", "", "r", ""]),
    "repeated with more": ([(1, b"abc"), (1, b"abcde"), (6, b"f")], [b"abc", b"de", b"f"], ["", "r", ""]),
    "two repeated as one": ([(1, b"abc"), (4, b"def"), (1, b"abcdef")], [b"abc", b"def", b""], ["", "", "r"]),
    "part of one repeated": ([(1, b"abcdef"), (3, b"cd")], [b"abcdef", b""], ["", "r"]),
    "differs": ([(1, b"abc"), (1, b"aXc")], [b"abc", b"aXc"], ["", "o"]),
    "differs in part": ([(1, b"abcdef"), (4, b"dEfgh")], [b"abcdef", b"dEfgh"], ["", "o"]),
    "missing": ([(1, b"abc"), (9, b"de"), (11, b"f")], [b"abc", b"de", b"f"], ["", "g", ""]),
    "filled": ([(1, b"abc"), (6, b"f"), (4, b"de"), (7, b"g")], [b"abc", b"f", b"de", b"g"], ["", "g", "g", ""]),
    "keep-alive": ([(1, b"abc"), (3, b"\0"), (4, b"d")], [b"abc", b"", b"d"], ["", "r", ""]),
    "forged far ahead": ([(1, b"abc"), (1 << 30, b"!"), (4, b"de"), (6, b"f")], [b"abc", b"!", b"de", b"f"], ["", "g", "g", ""]),
}  # fmt: skip


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_streams(case: str, together: bool) -> None:
    given, payloads, marks = CASES[case]
    assert delivered([segment(seq, body) for seq, body in given], together) == (payloads, marks)


@pytest.mark.parametrize("together", [True, False])
def test_a_syn_starts_anew_also_where_the_port_is_used_again(together: bool) -> None:
    frames = [
        segment(99, flags=0x02), segment(100, b"abc"), segment(103, flags=0x11),
        segment(50, flags=0x02), segment(51, b"xyz"), segment(54, b"!"), segment(54, b"?"),
    ]  # fmt: skip
    payloads, marks = delivered(frames, together)
    assert payloads == [b"", b"abc", b"", b"", b"xyz", b"!", b"?"]
    assert marks == ["", "", "", "", "", "", "o"]


def test_directions_stand_alone_and_do_not_disturb_each_other() -> None:
    frames = []
    for turn in range(40):
        for client in range(1, 9):
            ask, answer = f"10.0.1.{client}", "10.0.0.2"
            frames.append(ethernet(0x0800, ipv4(6, tcp(1000 + turn * 12, bytes([turn]) * 12), ask, answer)))
            frames.append(ethernet(0x0800, ipv4(6, tcp(9 + turn * 30, bytes([client]) * 30, 502, 40000), answer, ask)))
    batch = decoded(frames)
    assert not (batch.gap | batch.repeat | batch.overlap).any()
    assert int(batch.payload_len.sum()) == 40 * 8 * 42


def test_random_retransmissions_lose_nothing_and_change_nothing() -> None:
    generator = random.Random(5)
    stream = bytes(generator.randrange(256) for _ in range(4000))
    for together in (True, False):
        frames, at = [segment(1, stream[:10])], 10
        while at < len(stream):
            back = generator.choice((0, 0, 0, 2, generator.randrange(min(at, 60))))
            size = generator.randrange(2, 60)
            frames.append(segment(1 + at - back, stream[at - back : at + size]))
            at = max(at, at - back + size)
        payloads, marks = delivered(frames, together)
        assert b"".join(payloads) == stream
        assert "r" in marks
        assert not {"g", "o"} & set("".join(marks))


COPIES: dict[str, Callable[[bytes], bytes]] = {
    "tagged": lambda body: ethernet(0x0800, ipv4(6, body, ipid=7), [(0x8100, 5)]),
    "routed": lambda body: ethernet(0x0800, ipv4(6, body, ipid=7, ttl=63), src=MAC_B),
    "same": lambda body: ethernet(0x0800, ipv4(6, body, ipid=7)),
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_a_mirror_are_marked_and_emptied(kind: str, together: bool) -> None:
    state = DecodeState()
    frames = [COPIES["same"](tcp(1, b"abc")), COPIES[kind](tcp(1, b"abc"))]
    batches = [decoded(frames, state, step=1_000_000)] if together else [decoded([raw], state) for raw in frames]
    assert [flag for batch in batches for flag in batch.dup.tolist()] == [False, True]
    assert [int(size) for batch in batches for size in batch.payload_len] == [3, 0]
    assert not any(batch.repeat.any() for batch in batches)


def test_equal_messages_are_no_copies_without_an_identification_or_after_a_while() -> None:
    silent = [ethernet(0x0800, ipv4(17, udp(b"cyclic"))) for _ in range(4)]
    assert not decoded(silent, step=1_000_000).dup.any()
    constant = [ethernet(0x0800, ipv4(17, udp(b"cyclic"), ipid=1)) for _ in range(9)]
    assert not decoded(constant, step=1_000_000).dup.any()
    slow = [ethernet(0x0800, ipv4(17, udp(b"cyclic"), ipid=9)) for _ in range(2)]
    assert not decoded(slow, step=60_000_000).dup.any()
    other = [ethernet(0x0800, ipv4(17, udp(body), ipid=9)) for body in (b"cyclic", b"cyclix")]
    assert not decoded(other, step=1_000_000).dup.any()


def test_the_table_of_directions_is_bounded() -> None:
    table = StreamTable(most=100)
    state = DecodeState(streams=table)
    for port in range(1, 500, 50):
        decoded([segment(1, b"abc", sport=port + number) for number in range(50)], state)
        assert len(table) <= 100
    late = decoded([segment(4, b"d", sport=500), segment(8, b"d", sport=499)], state)
    assert late.gap.tolist() == [False, True], "the newest directions are still known"

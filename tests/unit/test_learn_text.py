"""Text laid out in columns: numbers of any length stand at their place, lengths and checks that are right are zero."""

from functools import reduce

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.learn.baselines.codec import PLAIN, baseline_digest, baseline_from, baseline_json
from appliance.learn.messages.cells import Check, cells_of, values_of
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.text import BEYOND, NUMBER, READ, Layout
from appliance.learn.messages.text_columns import LEAST, find_layout
from tests.evaluate.detectors import Sekisho
from tests.evaluate.invented import Recipe, invented_plant

Bytes = npt.NDArray[np.uint8]


def heads(*messages: bytes) -> tuple[Bytes, npt.NDArray[np.int32]]:
    """First bytes of messages, and how long they are."""
    out = np.zeros((len(messages), READ), np.uint8)
    for row, message in zip(out, messages, strict=True):
        row[: len(message)] = np.frombuffer(message, np.uint8)[:READ]
    return out, np.array([len(message) for message in messages], np.int32)


def words(message: bytes, separators: bytes) -> list[tuple[bytes, bytes]]:
    """Gap and word of every cell."""
    cells = cells_of(*heads(message), separators)
    return [(message[g:b], message[b:e]) for g, b, e in zip(cells.gap, cells.begin, cells.end, strict=True)]


def layout_of(*messages: bytes) -> Layout:
    """What is learned of these messages, repeated until they are enough."""
    layout = find_layout(*heads(*messages * (1 + LEAST // len(messages))))
    assert layout is not None
    return layout


def xor(raw: bytes) -> int:
    return reduce(lambda a, b: a ^ b, raw, 0)


def test_a_message_is_cut_at_separators_and_what_ends_it_is_a_cell_without_a_word() -> None:
    cut = [(b"", b"S"), (b" ", b"S"), (b" ", b"-100.00"), (b" ", b"g"), (b"\r\n", b"")]
    assert words(b"S S -100.00 g\r\n", b" \r\n") == cut
    assert words(b"", b" ") == [(b"", b"")]


def test_an_empty_field_keeps_its_place() -> None:
    assert [word for _, word in words(b"$GPGGA,,4807.038,N,,1*47\r\n", b"$,*\r\n")] == [
        b"GPGGA", b"", b"4807.038", b"N", b"", b"1", b"47", b"",
    ]  # fmt: skip


@given(st.lists(st.decimals(-10_000, 10_000, places=3), min_size=1, max_size=20))
def test_decimal_numbers_have_their_value(numbers: list[object]) -> None:
    texts = [str(number).encode() for number in numbers]
    cells = cells_of(*heads(*texts), b",")
    at = np.flatnonzero(cells.size > 0)
    number, value = values_of(cells, np.full(len(at), 10), np.full(len(at), 3), at)
    assert number.all()
    assert value.tolist() == [round(float(text) * 1000) for text in texts]


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20))
def test_hexadecimal_numbers_have_their_value(numbers: list[int]) -> None:
    cells = cells_of(*heads(*(f"{number:X}".encode() for number in numbers)), b",")
    at = np.flatnonzero(cells.size > 0)
    number, value = values_of(cells, np.full(len(at), 16), np.zeros(len(at), np.int64), at)
    assert number.all()
    assert value.tolist() == numbers


@pytest.mark.parametrize("word", [b"-", b".", b"1.", b".5", b"1.2.3", b"1-2", b"12 3", b"0x1f", b"\xb2\xb3", b"9" * 19])
def test_what_is_no_number_is_a_word(word: bytes) -> None:
    cells = cells_of(*heads(word + b","), b",")
    number, _ = values_of(cells, np.array([10, 10]), np.array([2, 2]), np.arange(2))
    assert not number.any()


def test_a_number_with_another_figure_moves_nothing() -> None:
    layout = layout_of(*(f'{{"level": {n / 10:.1f}, "ok": true}}'.encode() for n in range(5, 995, 33)))
    laid, length = layout.lay(
        *heads(b'{"level": 9.9, "ok": true}', b'{"level": 10.1, "ok": true}', b'{"level": 9.9, "ok": false}')
    )
    differs = np.flatnonzero(laid[0] != laid[1])
    assert length[0] == length[1]
    assert len(differs) == 1, "of the number itself its low byte alone"
    assert layout.words[1][0] <= differs[0] < layout.words[1][1]
    assert np.flatnonzero(laid[0] != laid[2])[0] >= layout.words[2][1]


def test_a_word_in_place_of_a_number_is_seen_whatever_its_bytes() -> None:
    layout = layout_of(*(b"A,%d,on,end\r\n" % n for n in range(0, 60_000, 977)))
    laid, _ = layout.lay(*heads(b"A,16705,on,end\r\n", b"A,AA,on,end\r\n"))
    assert laid[0, layout.words[1][0] - 1] ^ laid[1, layout.words[1][0] - 1] == NUMBER


def test_what_finds_no_room_still_tells_words_apart() -> None:
    layout = layout_of(b"get,red,on,end\r\n", b"set,tan,on,end\r\n")
    laid, _ = layout.lay(*heads(b"get,redder,on,end\r\n", b"get,reddest,on,end\r\n", b"get,,on,end\r\n", b"get,  red,on,end\r\n"))
    assert len(np.unique(laid, axis=0)) == 4


def framed(body: bytes, wrong: int = 0) -> bytes:
    """A message that says how long it is in four hexadecimal figures."""
    return b"GET,%04X,%s,0\r\n" % (len(body) + 13 + wrong, body)


def test_a_length_that_is_right_is_zero_and_a_wrong_one_is_not() -> None:
    layout = layout_of(*(framed(b"x" * n) for n in range(1, 30)))
    assert [column.length for column in layout.columns].count(0) == 1
    laid, _ = layout.lay(*heads(framed(b"x" * 7), framed(b"x" * 7, wrong=1)))
    first, end = layout.words[1]
    assert not laid[0, first:end].any()
    assert laid[1, first:end].any()


CHECKED = {
    Check.XOR: lambda body: b"$%s*%02X\r\n" % (body, xor(body)),  # NMEA 0183: what stands between $ and *
    Check.SUM: lambda body: b"%s,%02X\r\n" % (body, sum(body + b",") & 0xFF),
    Check.LRC: lambda body: b":%s;%02X\r\n" % (body, -sum(body + b";") & 0xFF),
}


@pytest.mark.parametrize("check", CHECKED)
def test_a_check_that_comes_out_even_is_zero_and_a_wrong_one_is_not(check: Check) -> None:
    messages = [CHECKED[check](b"RD,%d,%d,ok" % (n, 977 * n)) for n in range(LEAST)]
    layout = layout_of(*messages)
    assert layout.check is check
    right = CHECKED[check](b"RD,7,1234,ok")
    wrong = right[:-4] + bytes([right[-4] ^ 1]) + right[-3:]
    laid, length = layout.lay(*heads(right, wrong))
    place = layout.check_of(int(length[0]))
    assert not laid[0, place].any()
    assert laid[1, place].any()


def test_binary_and_few_words_and_few_messages_are_not_laid_out() -> None:
    rng = np.random.default_rng(7)
    assert find_layout(*heads(*(rng.bytes(40) for _ in range(200)))) is None
    assert find_layout(*heads(*(b"@01RD%04d*\r" % n for n in range(200)))) is None
    assert find_layout(*heads(*(b"a,b,c,%d\r\n" % n for n in range(LEAST - 1)))) is None


@given(st.lists(st.binary(max_size=90), min_size=1, max_size=8))
def test_any_bytes_can_be_laid_out_each_message_by_itself(messages: list[bytes]) -> None:
    layout = layout_of(*(framed(b"%d" % n) for n in range(60)))
    laid, length = layout.lay(*heads(*messages))
    assert laid.shape == (len(messages), WIDTH)
    assert ((length >= 0) & (length <= BEYOND)).all()
    for message, row in zip(messages, laid, strict=True):
        assert (layout.lay(*heads(message))[0][0] == row).all()


def test_a_message_longer_than_what_is_read_says_so() -> None:
    layout = layout_of(*(framed(b"%d" % n) for n in range(60)))
    _, length = layout.lay(*heads(framed(b"x" * READ), framed(b"x")))
    assert length[0] == BEYOND != length[1]


def test_how_text_is_laid_out_is_kept_in_the_baseline_and_only_there() -> None:
    sekisho = Sekisho()
    for seed, version in ((41, 3), (12, PLAIN)):
        assert Recipe(seed).text is (version > PLAIN)
        sekisho.learn(invented_plant(Recipe(seed)).split(0.3)[0])
        assert sekisho.model is not None
        head, arrays = baseline_json(sekisho.model.baseline)
        again = baseline_from(head, arrays)
        assert head["version"] == version
        assert baseline_digest(*baseline_json(again)) == baseline_digest(head, arrays)

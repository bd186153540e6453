"""Numbers are found in bytes without types: width, order, singles and integers, states bit by bit; and written back."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.learn.numbers.series import Field, encode, find_fields, read

N = 600
DICE = np.random.default_rng(5)
WALK = 40 + np.cumsum(DICE.normal(0, 0.3, N))


def column(write: Callable[[float], bytes]) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Messages that begin with two constant bytes."""
    return np.array([list(b"\x07\x00" + write(float(v))) for v in WALK], np.uint8)


@pytest.mark.parametrize(
    ("write", "reading"),
    [
        (lambda v: struct.pack(">f", v), "float"),
        (lambda v: struct.pack("<f", v), "float-little"),
        (lambda v: struct.pack(">f", v)[2:] + struct.pack(">f", v)[:2], "float-words"),
        (lambda v: struct.pack(">H", round(v * 100)), "int"),
        (lambda v: struct.pack("<H", round(v * 100)), "int-little"),
    ],
)
def test_a_number_is_read_as_it_was_written(write: Callable[[float], bytes], reading: str) -> None:
    data = column(write)
    (found,) = find_fields(data, 5)
    assert (found.offset, found.reading) == (7, reading)
    scale = 1.0 if reading.startswith("float") else 100.0
    assert np.allclose(read(data, found, 5) / scale, WALK, atol=0.01)


def test_a_number_through_zero_has_a_sign() -> None:
    data = column(lambda v: struct.pack(">h", round((v - WALK.mean()) * 100)))
    (found,) = find_fields(data, 0)
    assert found.signed
    assert read(data, found).min() < 0 < read(data, found).max()


def test_states_side_by_side_in_a_byte_are_bits() -> None:
    time = np.arange(N)
    packed = (time // 37 % 2) | (time // 91 % 2) << 3
    fields = find_fields(packed.astype(np.uint8)[:, None], 9)
    assert {f.bit for f in fields} == {-1, 0, 3}
    assert all(f.offset == 9 for f in fields)


def test_noise_is_no_wide_number() -> None:
    data = DICE.integers(0, 256, (N, 8), np.uint8)
    assert {f.reading for f in find_fields(data, 0)} == {"byte"}


def test_what_never_moves_and_what_was_hardly_seen_are_no_numbers() -> None:
    assert find_fields(np.full((N, 6), 7, np.uint8), 0) == []
    assert find_fields(column(lambda v: struct.pack(">f", v))[:20], 0) == []


@given(st.sampled_from(["float", "float-little", "float-words", "int", "int-little", "byte"]), st.integers(0, 255))
def test_what_is_encoded_reads_back(reading: str, number: int) -> None:
    field = Field(3, reading)
    data = np.frombuffer(encode(float(number), field), np.uint8)[None, :]
    assert read(data, field, 3)[0] == number


@given(st.floats(allow_nan=True, allow_infinity=True), st.booleans())
def test_any_value_can_be_encoded(value: float, signed: bool) -> None:
    assert len(encode(value, Field(0, "int", signed))) in (0, 2)
    assert len(encode(value, Field(0, "float"))) in (0, 4)

"""Words for functions, and the 32 bits they stand for."""

import pytest

from appliance.decide.functions import (
    BACNET,
    ENIP,
    FUNCTIONS_OF,
    MODBUS,
    covers,
    example,
    function_of,
    is_visible,
    merged,
    named,
    patterns_of,
    sizes_of,
)
from appliance.decide.rules import Pattern


def codes(protocol: str, word: str) -> set[int]:
    return {f.code for f in named(protocol, word)}


def test_a_class_a_name_and_a_number_name_functions() -> None:
    assert codes(MODBUS, "read") == {1, 2, 3, 4, 20, 24}
    assert codes(MODBUS, "write single register") == codes(MODBUS, "6") == codes(MODBUS, "0x06") == {6}
    assert codes(BACNET, "WriteProperty") == {15}
    assert codes(MODBUS, "65") == {65}


def test_diagnostics_leave_out_what_takes_a_device_off_the_line() -> None:
    subs = {f.operand[0] for f in named(MODBUS, "diagnostics") if f.code == 8}
    assert 0 in subs
    assert not subs & {1, 3, 4}


@pytest.mark.parametrize(
    ("protocol", "word", "says"),
    [
        (MODBUS, "write singel register", "did you mean 'Write Single Register'"),
        (BACNET, "99", "bacnet has no function '99'"),
        (ENIP, "write", "cannot see what CIP"),
        (MODBUS, "0", "has no function"),
        (MODBUS, "200", "has no function"),
    ],
)
def test_a_word_that_is_unknown_says_what_to_write(protocol: str, word: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        named(protocol, word)


def test_a_modbus_write_to_some_registers_is_intervals_per_unit() -> None:
    found = patterns_of(named(MODBUS, "6"), (1, 2), ((40, 49), (60, 60)), ())
    assert merged(found) == (
        Pattern(0x01060028, 0x01060031),
        Pattern(0x0106003C, 0x0106003C),
        Pattern(0x02060028, 0x02060031),
        Pattern(0x0206003C, 0x0206003C),
    )


@pytest.mark.parametrize("protocol", [MODBUS, BACNET, ENIP])
def test_every_function_is_recognised_in_its_own_example_and_matched_by_its_own_pattern(protocol: str) -> None:
    offset = 0 if protocol == ENIP else 6
    for f in FUNCTIONS_OF[protocol]:
        payload = example(f, 7, 4000 if f.code not in (8, 43) else 0)
        assert function_of(protocol, payload) == f
        value = int.from_bytes(payload[offset : offset + 4], "big")
        patterns = merged(patterns_of((f,), (7,), (), ((0x02, 0x05),)))
        assert covers(patterns, [Pattern(value, value)]) == is_visible(f)
        assert not sizes_of((f,)) or len(payload) in sizes_of((f,))


def test_requests_too_short_for_the_window_are_told() -> None:
    assert {f.code for f in FUNCTIONS_OF[MODBUS] if not is_visible(f)} == {7, 11, 12, 17}

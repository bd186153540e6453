"""How exactly a kernel could check what was learned."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from appliance.decide.functions import FRAMINGS, MODBUS
from appliance.decide.learned import HEAD, Ask, Talk, exactness_of, offset_for, patterns_for
from appliance.decide.rules import Exactness, Pattern, Service
from appliance.decode.conversation import Conversation
from appliance.protocols import Intent

CLOSED = bytes([0, 0]) + bytes([1]) * (HEAD - 2)


def ask(text: str, size: int = 12, openly: tuple[int, ...] = ()) -> Ask:
    closed = bytes(0 if i in openly else c for i, c in enumerate(CLOSED))
    return Ask(bytes.fromhex(text).ljust(HEAD, b"\0"), closed, size, 10, Intent.READ, "x")


def talk(*asks: Ask, protocol: str = MODBUS, port: int = 502) -> Talk:
    c = Conversation((0, 0xFFFF0A000001), (0, 0xFFFF0A00000B), (6, port))
    pair = ip_network("10.0.0.1"), ip_network("10.0.0.11"), Service("tcp", port)
    return Talk(c, *pair, protocol, asks, True, True, framing=FRAMINGS[MODBUS])


READ, WRITE = ask("0000 0000 0006 01 03 0000 0002"), ask("0000 0000 0006 01 06 0004 0002")


def test_modbus_is_exact_and_says_where_it_is_not() -> None:
    assert exactness_of(talk(READ, WRITE), 6, []) == (Exactness.FUNCTION, "")
    walking = replace(READ, closed=bytes(0 if i in (8, 9) else c for i, c in enumerate(CLOSED)))
    assert exactness_of(talk(walking), 6, [])[0] is Exactness.COMMAND
    assert patterns_for([walking], 6) == (Pattern(0x01030000, 0x0103FFFF),)


def test_what_the_kernel_does_not_see_is_said() -> None:
    for what, says in (
        (replace(talk(READ), whole=False), "share segments"),
        (replace(talk(READ), opaque="its content keeps changing"), "keeps changing"),
        (talk(ask("0000 0000 0002 01 07", 8)), "end before"),
        (talk(replace(READ, size=0)), "any length"),
    ):
        level, why = exactness_of(what, 6, [])
        assert level is Exactness.L4
        assert says in why
    assert exactness_of(replace(talk(READ), service=None), 6, [])[0] is Exactness.NONE


def test_two_protocols_over_one_service_share_one_place() -> None:
    other = talk(ask("9900 0000 1122 33 44 5555 6666"), protocol="")
    assert offset_for([talk(READ), talk(WRITE), other]) == 6
    level, why = exactness_of(talk(READ), 0, [])
    assert level is Exactness.L4
    assert "another protocol" in why


def test_open_bytes_are_written_out_before_closed_ones_and_are_a_range_behind_them() -> None:
    assert ask("00" * 6 + "01030a0b", openly=(9,)).window(6) == [Pattern(0x01030A00, 0x01030AFF)]
    spelled = ask("00" * 6 + "01030a0b", openly=(7,)).window(6)
    assert spelled is not None
    assert len(spelled) == 256
    assert spelled[3] == Pattern(0x01030A0B, 0x01030A0B)
    assert ask("00" * 6 + "01030a0b", openly=(6, 7)).window(6) is None

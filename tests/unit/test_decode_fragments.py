import itertools
import struct

from appliance.decode.columns import Damage
from appliance.decode.fragments import FragmentLimits, FragmentTable
from appliance.decode.headers import DecodeState
from tests.unit.frames import decoded, ethernet, ipv4, ipv6, udp

DATAGRAM = udp(bytes(range(200)), 1000, 2000)
PARTS = [(0, DATAGRAM[:64], 1), (64, DATAGRAM[64:128], 1), (128, DATAGRAM[128:], 0)]


def four(start: int, body: bytes, more: int, ipid: int = 77) -> bytes:
    return ethernet(0x0800, ipv4(17, body, ipid=ipid, place=start // 8 | more << 13))


def six(start: int, body: bytes, more: int, ipid: int = 77) -> bytes:
    return ethernet(0x86DD, ipv6(44, struct.pack(">BBHI", 17, 0, start | more, ipid) + body))


def test_fragments_in_any_order_give_the_datagram_with_the_frame_that_completes_it() -> None:
    for make, order in itertools.product((four, six), itertools.permutations(PARTS)):
        state = DecodeState()
        batch = decoded([make(*part) for part in order], state)
        assert batch.fragment.tolist() == [True, True, False]
        assert batch.payload_of(2) == bytes(range(200))
        assert (batch.sport[2], batch.dport[2]) == (1000, 2000)
        assert batch.payload_len[:2].tolist() == [0, 0]
        assert not batch.damage.any()
        assert (len(state.fragments), state.fragments.held) == (0, 0)


def test_a_datagram_may_be_spread_over_batches() -> None:
    state = DecodeState()
    for part in PARTS[:2]:
        decoded([four(*part)], state)
    assert decoded([four(*PARTS[2])], state).payload_of(0) == bytes(range(200))


def test_repeated_fragments_are_no_damage_and_different_ones_are() -> None:
    first, second, third = PARTS
    assert not decoded([four(*part) for part in (first, first, second, third)]).damage.any()
    changed = (first[0], first[1][:-1] + b"!", 1)
    batch = decoded([four(*part) for part in (first, changed, second, third)])
    assert batch.damage.tolist() == [0, Damage.FRAGMENT_OVERLAP, 0, Damage.FRAGMENT_OVERLAP]
    assert batch.payload_of(3) == bytes(range(200)), "what came first stays"


def test_impossible_fragments_are_bad() -> None:
    beyond = four(65528, bytes(64), 0)
    odd = four(0, bytes(13), 1)
    assert decoded([beyond, odd]).damage.tolist() == [Damage.BAD_FRAGMENT] * 2


def test_fragments_that_wait_too_long_are_forgotten() -> None:
    state = DecodeState()
    batch = decoded([four(*part) for part in PARTS], state, step=40_000_000_000)
    assert batch.fragment.all()
    assert len(state.fragments) <= 1


def test_a_flood_of_first_fragments_stays_in_bounds() -> None:
    limits = FragmentLimits(datagrams=50, held=10_000, pieces=4)
    state = DecodeState(fragments=FragmentTable(limits))
    decoded([four(0, bytes(64), 1, ipid) for ipid in range(1, 400)], state, step=1000)
    assert 0 < len(state.fragments) <= 50
    assert 0 < state.fragments.held <= 10_000
    many = decoded([four(start * 16, bytes(8), 1) for start in range(6)], state, step=1000)
    assert Damage.FRAGMENT_LIMIT in many.damage.tolist()

"""Frames of one pair of addresses go to one share, in both directions, whatever surrounds them; kernel and numbers agree."""

import ipaddress
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.packets.fanout import MAX_PINS, Partition, ip_word, pair_hash
from appliance.packets.filters import MAX_INSTRUCTIONS
from tests.unit.shares import run

ONE, OTHER = bytes.fromhex("020000000101"), bytes.fromhex("0200000002ff")
addresses4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
addresses6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
pairs = st.tuples(addresses4, addresses4) | st.tuples(addresses6, addresses6)
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def halves(address: Ip) -> tuple[int, int]:
    number = int(address)
    return (0, 0xFFFF << 32 | number) if address.version == 4 else (number >> 64, number & 2**64 - 1)


def frame(source: Ip, target: Ip, tag: bytes = b"", fragment: int = 0, rest: bytes = bytes(40)) -> bytes:
    if source.version == 4:
        head = b"\x08\x00\x45\0\0\x3c\0\0" + fragment.to_bytes(2, "big") + bytes([64, 6, 0, 0])
    else:
        head = b"\x86\xdd\x60\0\0\0\0\x14\x06\x40"
    return OTHER + ONE + tag + head + source.packed + target.packed + rest


@given(
    pairs,
    st.integers(1, 16),
    st.sampled_from([b"", bytes.fromhex("8100200a"), bytes.fromhex("88a80014810 0001e".replace(" ", ""))]),
)
def test_the_program_agrees_with_the_numbers_in_both_directions(pair: tuple[Ip, Ip], shares: int, tag: bytes) -> None:
    partition = Partition(shares)
    wanted = partition.share_of(halves(pair[0]), halves(pair[1]))
    program = partition.program()
    for source, target in (pair, pair[::-1]):
        for fragment in (0, 0x2000, 0x0100):
            assert run(program, frame(source, target, tag, fragment)) % shares == wanted


@given(st.lists(pairs, min_size=1, max_size=40), st.integers(2, 16), st.data())
def test_a_pinned_pair_goes_where_it_is_pinned(chosen: list[tuple[Ip, Ip]], shares: int, data: st.DataObject) -> None:
    hashes = [pair_hash(*(ip_word(*halves(a)) for a in pair)) for pair in chosen]
    pins = {h: data.draw(st.integers(0, shares - 1)) for h in hashes}
    partition = Partition(shares, pins)
    program = partition.program()
    for pair, hashed in zip(chosen, hashes, strict=True):
        assert run(program, frame(*pair)) % shares == pins[hashed] == partition.share_of(halves(pair[1]), halves(pair[0]))


@given(st.integers(2, 16), st.binary(min_size=46, max_size=60), st.sampled_from([0x8892, 0x88B8, 0x88CC, 0x0026, 0x8137]))
def test_frames_without_ip_are_divided_by_their_hardware(shares: int, rest: bytes, kind: int) -> None:
    program = Partition(shares).program()
    there, back = (a + b + kind.to_bytes(2, "big") + rest for a, b in ((OTHER, ONE), (ONE, OTHER)))
    assert run(program, there) % shares == run(program, back) % shares


def test_arp_goes_to_the_first_also_with_a_tag_within_a_tag() -> None:
    program = Partition(7).program()
    for tag in (b"", bytes.fromhex("8100200a"), bytes.fromhex("88a800148100001e")):
        assert run(program, b"\xff" * 6 + ONE + tag + b"\x08\x06" + bytes(28)) == 0


@pytest.mark.parametrize("cut", range(0, 47, 2))
def test_a_frame_that_ends_early_goes_somewhere(cut: int) -> None:
    raw = frame(ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.2"), rest=b"")
    assert run(Partition(4).program(), raw[:14] + raw[14 : 14 + cut]) >= 0


@pytest.mark.parametrize(
    ("shares", "network"), [(2, "10.0.1.0/24"), (4, "192.168.0.0/23"), (8, "fd00:17::/120"), (16, "172.16.0.0/21")]
)
def test_one_master_and_its_devices_spread_evenly(shares: int, network: str) -> None:
    partition = Partition(shares)
    master, *devices = (ipaddress.ip_address(str(host)) for host in ipaddress.ip_network(network).hosts())
    load = Counter(partition.share_of(halves(master), halves(device)) for device in devices)
    assert set(load) == set(range(shares))
    assert max(load.values()) < 1.5 * len(devices) / shares


def test_neighbours_that_talk_in_a_chain_spread_too() -> None:
    hosts = [ipaddress.IPv4Address(0x0A000000 + number) for number in range(1024)]
    load = Counter(Partition(4).share_of(halves(a), halves(b)) for a, b in pairwise(hosts))
    assert max(load.values()) < 1.5 * len(hosts) / 4


def test_the_longest_program_is_one_that_the_kernel_takes() -> None:
    pins = {number * 0x9E3779B1 & 0xFFFFFFFF: number % 16 for number in range(MAX_PINS)}
    program = Partition(16, pins).program()
    assert len(program) < MAX_INSTRUCTIONS // 2
    assert all(0 <= i.jt <= 255 and 0 <= i.jf <= 255 and 0 <= i.k <= 0xFFFFFFFF for i in program)


@pytest.mark.parametrize("shares", [0, 17])
def test_a_division_into_none_or_too_many_is_refused(shares: int) -> None:
    with pytest.raises(ValueError, match="too many"):
        Partition(shares)
    with pytest.raises(ValueError, match="pinned"):
        Partition(2, {1: 2})

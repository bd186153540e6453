"""Bytes that count and bytes that name a connection, in messages made with seeds."""

import numpy as np
import pytest

from appliance.learn.messages.dynamics import Counter, Scope, find_counters, find_identities
from appliance.learn.messages.sample import WIDTH, Sample

SEEDS = range(6)


def sample(rows: list[tuple[int, int, int, bytes]]) -> Sample:
    """Messages as (flow, conversation, client, bytes), in time order."""
    heads = np.zeros((len(rows), WIDTH), np.uint8)
    for i, (_, _, _, raw) in enumerate(rows):
        heads[i, : len(raw)] = np.frombuffer(raw, np.uint8)
    columns = np.array([row[:3] for row in rows], np.int64)
    length = np.array([len(row[3]) for row in rows], np.int32)
    return Sample(heads, length, columns[:, 1].astype(np.int32), columns[:, 0], columns[:, 2].astype(np.int32))


def counting(n: int, random: np.random.Generator, first: int = 200, width: int = 2, big: bool = True, at: int = 3) -> list[bytes]:
    """Messages with noise, a counter at `at` that now and then leaves a number out, a function byte and noise again."""
    value, out = first, []
    for _ in range(n):
        number = (value % 256**width).to_bytes(width, "big" if big else "little")
        out.append(bytes(random.integers(0, 256, at, np.uint8)) + number + b"\x03" + bytes(random.integers(0, 256, 4, np.uint8)))
        value += int(random.choice([1, 1, 1, 1, 2, 3]))
    return out


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("big", [True, False])
def test_a_counter_that_carries_is_found_with_its_width_and_byte_order(seed: int, big: bool) -> None:
    raw = counting(300, np.random.default_rng(seed), big=big)
    assert find_counters(sample([(1, 1, 1, r) for r in raw])) == (Counter(3, 2, big, Scope.FLOW),)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_counter_whose_carry_was_not_seen_is_one_byte_wide(seed: int) -> None:
    raw = counting(60, np.random.default_rng(seed), first=0x1205)
    (found,) = find_counters(sample([(1, 1, 1, r) for r in raw]))
    assert (found.offset, found.width) == (4, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_counters_of_connections_that_interleave_are_found_per_connection(seed: int) -> None:
    random = np.random.default_rng(seed)
    flows = [counting(120, random, first=int(random.integers(0, 65000))) for _ in range(4)]
    rows = [(f, f // 2, 0, flows[f][n]) for n in range(120) for f in random.permutation(4).tolist()]
    (found,) = find_counters(sample(rows))
    assert found.scope is Scope.FLOW
    assert found.offset <= 4 < found.offset + found.width


@pytest.mark.parametrize(("scope", "conversations"), [(Scope.STREAM, 1), (Scope.CLIENT, 20)])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_counter_that_runs_on_over_connections_belongs_to_the_conversation_or_client(
    seed: int, scope: Scope, conversations: int
) -> None:
    """Every poll is a connection of its own; the number runs on."""
    raw = counting(400, np.random.default_rng(seed))
    rows = [(n, n % conversations, 0, r) for n, r in enumerate(raw)]
    assert find_counters(sample(rows)) == (Counter(3, 2, True, scope),)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_counter_survives_overtaking(seed: int) -> None:
    """Up to six requests are under way and reach the wire in any order."""
    random = np.random.default_rng(seed)
    raw = counting(400, random)
    late = np.argsort(np.arange(400) + random.uniform(0, 6, 400))
    assert find_counters(sample([(1, 1, 1, raw[i]) for i in late.tolist()])) == (Counter(3, 2, True, Scope.FLOW),)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_invoke_id_of_one_byte_that_wraps_and_is_reset_is_a_counter(seed: int) -> None:
    """As in BACnet: one byte, from 0 again after 255, and after every restart of the client."""
    random = np.random.default_rng(seed)
    ids, now = [], 0
    for _ in range(900):
        now = 0 if random.random() < 0.004 else (now + 1) % 256
        ids.append(now)
    (found,) = find_counters(sample([(1, 1, 1, bytes([1, 4, 0, i, 12])) for i in ids]))
    assert (found.offset, found.width) == (3, 1)


@pytest.mark.parametrize(("stride", "count"), [(4099, 200), (137, 2600), (0x3001, 120), (-137, 2600), (4099, 6000), (1000, 600)])
def test_a_number_that_goes_on_in_strides_is_a_counter(stride: int, count: int) -> None:
    """The number is shared with others whom nobody hears, or the client counts so."""
    ids = [(7 + stride * n) % 65_536 for n in range(count)]
    (found,) = find_counters(sample([(1, 1, 1, bytes([1, 4, 0]) + i.to_bytes(2, "big") + b"\x0c") for i in ids]))
    assert (found.offset, found.width, found.big) == (3, 2, True)


@pytest.mark.parametrize("big", [True, False])
def test_a_stride_keeps_its_byte_order_and_survives_overtaking_and_loss(big: bool) -> None:
    random = np.random.default_rng(3)
    order = np.argsort(np.arange(900) + random.uniform(0, 4, 900))
    ids = [(9 + 4099 * n) % 65_536 for n in order.tolist() if random.random() < 0.98]
    (found,) = find_counters(sample([(1, 1, 1, i.to_bytes(2, "big" if big else "little") + b"\x03") for i in ids]))
    assert (found.offset, found.width, found.big) == (0, 2, big)


@pytest.mark.parametrize(("length", "step"), [(30, 60), (40, 100), (60, 16), (500, 10), (100, 40)])
@pytest.mark.parametrize("rounds", [2, 5, 40])
def test_registers_that_are_read_in_equal_steps_are_no_counter(length: int, step: int, rounds: int) -> None:
    reads = [bytes([0, 3]) + (step * (n % length)).to_bytes(2, "big") + b"\x01" for n in range(rounds * length)]
    assert find_counters(sample([(1, 1, 1, r) for r in reads])) == ()


def test_a_counter_is_found_beside_few_messages_that_are_too_short_for_it() -> None:
    """As Who-Is beside confirmed requests in BACnet; others that hardly speak do not hide it."""
    polls = [(0, 0, 0, bytes([0x81, 0x0A, 0, 17, 1, 4, 2, 0x43, n % 256, 12])) for n in range(2000)]
    rare = [(9 + n % 5, 9 + n % 5, 9 + n % 5, bytes([0x81, 0x0B, 0, 8, 1, 0, 0x10, 8])) for n in range(40)]
    mixed = [row for n, row in enumerate(polls) for row in ([row, rare[n // 50]] if n % 50 == 0 else [row])]
    (found,) = find_counters(sample(mixed))
    assert (found.offset, found.width) == (8, 1)


def poll_list(length: int, step: int) -> Sample:
    """A list of addresses read over and over: rises like a counter, but every address comes back."""
    return sample([(1, 1, 1, bytes([0, 3, step * (n % length), 1])) for n in range(40 * length)])


@pytest.mark.parametrize(("length", "step"), [(24, 1), (60, 1), (150, 1), (24, 2), (60, 2), (24, 4), (30, 4), (16, 8)])
def test_a_cycle_of_addresses_is_no_counter(length: int, step: int) -> None:
    assert find_counters(poll_list(length, step)) == ()


@pytest.mark.parametrize(("length", "step"), [(24, 8), (30, 8), (60, 4), (200, 1)])
def test_a_cycle_of_addresses_over_most_of_a_byte_is_no_counter(length: int, step: int) -> None:
    assert find_counters(poll_list(length, step)) == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_and_slow_process_values_are_no_counters(seed: int) -> None:
    random = np.random.default_rng(seed)
    walk = np.cumsum(random.integers(-3, 4, 500)) + 3000
    rows = [(1, 1, 1, bytes(random.integers(0, 256, 3, np.uint8)) + int(v).to_bytes(2, "big")) for v in walk]
    assert find_counters(sample(rows)) == ()


def sessions(random: np.random.Generator, flows: int, each: int, *, steady: bool = True) -> Sample:
    """Connections with a session number at bytes 4 to 8 that the device gave; one conversation."""
    rows = []
    for flow in range(flows):
        number = bytes(random.integers(0, 256, 4, np.uint8))
        for n in range(each):
            if not steady:
                number = bytes(random.integers(0, 256, 4, np.uint8))
            rows.append((flow, 0, 0, b"\x70\x00\x00\x08" + number + bytes([n % 3, 1])))
    return sample(rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_number_is_an_identity(seed: int) -> None:
    found = find_identities(sessions(np.random.default_rng(seed), 6, 20))
    assert np.flatnonzero(found).tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_changes_within_connections_is_no_identity(seed: int) -> None:
    assert not find_identities(sessions(np.random.default_rng(seed), 6, 20, steady=False)).any()


def test_connections_of_a_single_poll_make_nothing_an_identity() -> None:
    """Where every poll is a connection of its own, everything is constant within one."""
    assert not find_identities(sessions(np.random.default_rng(1), 200, 1)).any()
    assert not find_identities(sessions(np.random.default_rng(1), 1, 400)).any()


def test_what_only_tells_conversations_apart_is_no_identity() -> None:
    """A unit number is constant in every connection, but the same in all of one conversation."""
    rows = [(flow, flow % 3, 0, bytes([0, flow % 3, 3, n % 5])) for flow in range(9) for n in range(10)]
    assert not find_identities(sample(rows)).any()


@pytest.mark.parametrize(("rounds", "whole"), [(1, False), (4, True)])
def test_a_counter_that_came_round_without_a_carry_is_whole(rounds: int, whole: bool) -> None:
    raw = [bytes([9, n % 256, 12, 0]) for n in range(256 * rounds)]
    (counter,) = find_counters(sample([(1, 1, 1, r) for r in raw]))
    assert (counter.offset, counter.width, counter.whole) == (1, 1, whole)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("width", "big"), [(1, True), (2, True), (2, False), (4, True)])
def test_a_counter_that_counts_down_is_found_with_its_width_and_byte_order(seed: int, width: int, big: bool) -> None:
    random = np.random.default_rng(seed)
    raw = counting(600, random, first=200, width=width, big=big)
    turned = [r[:3] + bytes(255 - b for b in r[3 : 3 + width]) + r[3 + width :] for r in raw]
    (found,) = find_counters(sample([(1, 1, 1, r) for r in turned]))
    assert found.down
    assert (found.offset, found.width) == ((3, 1) if width == 1 else (found.offset, 2))
    assert found.offset >= 3
    assert found.offset + found.width <= 3 + width


def test_a_stride_into_bytes_that_count_needs_not_come_round() -> None:
    """137 a message: the upper bytes count by one now and then, and four bytes never end while learning."""
    random = np.random.default_rng(7)
    rows = []
    for flow in range(5):
        value = int(random.integers(1 << 20))
        for n in range(400):
            value += 137
            rows.append((n, flow, bytes([0x7E, *value.to_bytes(4, "big"), 3, n % 3])))
    found = find_counters(sample([(flow, flow, 1, raw) for _, flow, raw in sorted(rows, key=lambda row: row[0])]))
    assert found == (Counter(1, 4, True, Scope.FLOW),)

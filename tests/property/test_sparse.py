"""Sparse counts of pairs add up in any order and grouping, also where a thing has too many partners."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from appliance.learn.counting.sparse import FULL, Pairs, counted, merge_pairs
from appliance.learn.timing.rhythm import bin_start, gap_bin

MOST = 3
events = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6), st.integers(1, 1000)), max_size=30)


def pairs(drawn: list[tuple[int, int, int]]) -> Pairs:
    a, b, time = (np.array([e[k] for e in drawn], np.int64) for k in range(3))
    return counted(a.astype(np.uint64), b.astype(np.uint64), time, MOST)


def columns(p: Pairs) -> list[list[int]]:
    return [getattr(p, name).tolist() for name in ("a", "b", "count", "first")]


@given(events, events, events)
def test_any_order_and_grouping_gives_what_all_events_give_at_once(x: list, y: list, z: list) -> None:  # type: ignore[type-arg]
    a, b, c = pairs(x), pairs(y), pairs(z)
    whole = columns(pairs(x + y + z))
    assert columns(merge_pairs(merge_pairs(a, b, MOST), c, MOST)) == whole
    assert columns(merge_pairs(c, merge_pairs(b, a, MOST), MOST)) == whole


@given(events)
def test_a_thing_with_too_many_partners_keeps_its_sum_only(drawn: list) -> None:  # type: ignore[type-arg]
    p = pairs(drawn)
    for a in {e[0] for e in drawn}:
        mine = p.take(p.a == np.uint64(a))
        assert int(mine.count.sum()) == sum(e[0] == a for e in drawn)
        too_many = len({e[1] for e in drawn if e[0] == a}) > MOST
        assert mine.b.tolist() == [int(FULL)] if too_many else FULL not in mine.b


@given(st.integers(32, 1 << 60))
def test_a_gap_lies_in_its_bin_and_bins_are_three_percent_wide_at_most(gap: int) -> None:
    which = gap_bin(np.array([gap]))
    low, high = bin_start(which)[0], bin_start(which + 1)[0]
    assert low <= gap < high
    assert high - low <= max(1, low / 32)

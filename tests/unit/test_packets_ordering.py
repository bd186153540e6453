"""Ordering and finding keys: as NumPy's own stable sort, unique and membership, whatever the keys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from appliance.packets.ordering import FEW, Table, distinct, firsts, grouped, lasts, quantile, stable_order

DTYPES = [np.uint8, np.int16, np.int32, np.int64, np.uint64]


def columns() -> st.SearchStrategy[np.ndarray]:
    """Integer columns, few values or many, the extremes of their type among them."""
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 3 * FEW), fill=st.nothing()))


@given(columns())
def test_order_is_that_of_a_stable_sort(keys: np.ndarray) -> None:
    assert stable_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()


@given(columns())
def test_groups_are_those_of_unique(keys: np.ndarray) -> None:
    values, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    groups = grouped(keys)
    assert keys[groups.first].tolist() == values.tolist()
    assert groups.first.tolist() == first.tolist()
    assert groups.size.tolist() == counts.tolist()
    assert groups.spread(np.arange(len(values))).tolist() == inverse.tolist()
    assert groups.last.tolist() == [int(np.flatnonzero(keys == value)[-1]) for value in values]


@given(columns())
def test_distinct_values_are_those_of_unique(keys: np.ndarray) -> None:
    assert distinct(keys).tolist() == np.unique(keys).tolist()


@pytest.mark.parametrize("spread", [1, 300, 1 << 62])
@pytest.mark.parametrize("count", [0, 1, 500, 50_000])
def test_first_and_last_rows_are_those_of_the_groups(spread: int, count: int) -> None:
    keys = np.random.default_rng(count).integers(-spread, spread, count)
    keys[1::2] = keys[: 2 * (count // 2) : 2]  # each second one is the one before
    for column in (keys, keys.astype(np.uint64), np.stack([keys, keys], axis=1)[:, 0]):
        assert firsts(column).tolist() == np.sort(grouped(column).first).tolist()
        assert lasts(column).tolist() == np.sort(grouped(column).last).tolist()


@given(hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(-(1 << 50), 1 << 50)), st.floats(0, 1))
def test_a_quantile_is_that_of_numpy(values: np.ndarray, share: float) -> None:
    assert quantile(values, share) == np.quantile(values, share)


@pytest.mark.parametrize("spread", [1 << 12, 1 << 30, 1 << 62])
def test_many_keys_of_every_spread(spread: int) -> None:
    drawn = np.random.default_rng(spread).integers(-spread, spread, 5000)
    keys = np.r_[drawn, drawn[:2000]]
    assert stable_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()


def test_keys_that_differ_in_their_lowest_bits_only() -> None:
    keys = np.r_[np.arange(1000, dtype=np.uint64)[::-1], np.uint64(2**64 - 1)]
    keys = np.r_[keys, keys]
    assert stable_order(keys).tolist() == np.argsort(keys, kind="stable").tolist()


@given(st.sets(st.integers(0, 2**64 - 1), max_size=600), st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_a_table_finds_what_it_holds_and_nothing_else(held: set[int], others: list[int]) -> None:
    keys = np.array(sorted(held), np.uint64)
    sought = np.array([*held, *others], np.uint64)
    place, there = Table(keys).find(sought)
    assert there.tolist() == [int(value) in held for value in sought]
    assert keys[place[there]].tolist() == sought[there].tolist()


def test_a_table_of_keys_that_share_their_slot() -> None:
    odd = pow(0x9E3779B97F4A7C15, -1, 1 << 64)  # undoes the table's own hashing, as whoever wants it to be slow would
    keys = np.sort(np.array([(n * odd) % 2**64 for n in range(500)], np.uint64))
    place, there = Table(keys).find(np.r_[keys, keys + np.uint64(1)])
    assert there.tolist() == np.isin(np.r_[keys, keys + np.uint64(1)], keys).tolist()
    assert (keys[place[: len(keys)]] == keys).all()


@given(columns())
def test_what_was_before_each_row_of_its_group(keys: np.ndarray) -> None:
    groups, number = grouped(keys), np.arange(len(keys))
    before = groups.before(number, -1 - np.arange(len(groups.start)))
    places = {int(key): -1 - place for place, key in enumerate(keys[groups.first])}
    expected = []
    for row, key in enumerate(keys.tolist()):
        expected.append(places[key])
        places[key] = row
    assert before.tolist() == expected

"""What is remembered of keys from batch to batch: as a dictionary would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.learn.timing import visits
from appliance.learn.timing.visits import Memory
from appliance.packets.ordering import grouped

BATCHES = st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2**40)), max_size=60), max_size=6)


def follow(memory: Memory, batch: list[tuple[int, int]]) -> list[tuple[int, bool]]:
    """Value before each event (0 for none) and whether there was one; the second value of each is twice the first."""
    keys = np.array([key << 58 | key for key, _ in batch], np.uint64)
    values = np.array([(value, 2 * value) for _, value in batch], np.int64).reshape(-1, 2)
    before, there = memory.follow(keys, values)
    assert (before[:, 1] == 2 * before[:, 0]).all()
    return list(zip(before[:, 0].tolist(), there.tolist(), strict=True))


@given(BATCHES)
def test_each_event_meets_the_last_one_of_its_key(batches: list[list[tuple[int, int]]]) -> None:
    memory, last = Memory(2), dict[int, int]()
    for batch in batches:
        expected = []
        for key, value in batch:
            expected.append((last.get(key, 0), key in last))
            last[key] = value
        assert follow(memory, batch) == expected
    assert dict(zip(memory.keys.tolist(), memory.values[:, 0].tolist(), strict=True)) == {k << 58 | k: v for k, v in last.items()}


def test_who_has_the_groups_in_another_order_gets_the_same() -> None:
    keys = np.array([9, 3, 9, 7, 3, 3], np.uint64)
    values = np.arange(6, dtype=np.int64)[:, None]
    one, other = Memory(1), Memory(1)
    for _ in range(2):
        plain = one.follow(keys, values)
        turned = other.follow(keys, values, grouped(np.uint64(100) - keys))
        assert [x.tolist() for x in plain] == [x.tolist() for x in turned]
    held = [dict(zip(m.keys.tolist(), m.values[:, 0].tolist(), strict=True)) for m in (one, other)]
    assert held[0] == held[1] == {3: 5, 7: 3, 9: 2}


def test_when_it_is_full_those_that_came_first_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MAX_KEYS", 3)
    memory = Memory(1)
    for keys in ([50, 40, 30], [20, 50, 10]):
        memory.follow(np.array(keys, np.uint64), np.array(keys, np.int64)[:, None])
    assert sorted(memory.keys.tolist()) == [30, 40, 50]
    memory.forget(memory.keys == 40)
    memory.follow(np.array([70, 60, 5], np.uint64), np.array([[7], [6], [5]], np.int64))
    assert sorted(memory.keys.tolist()) == [40, 60, 70]

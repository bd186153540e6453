"""Keys that keep coming: numbered as they come, found again, whatever they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.packets.slots import PROBES, Slots

FULL = 2**64


@given(st.lists(st.sets(st.one_of(st.integers(0, 500), st.integers(0, FULL - 1)), max_size=80), max_size=8))
def test_each_key_has_the_number_in_which_it_came(parts: list[set[int]]) -> None:
    slots, expected = Slots(), dict[int, int]()
    for part in parts:
        keys = np.array(sorted(part), np.uint64)
        assert slots.find(keys).tolist() == [expected.get(key, -1) for key in sorted(part)]
        new = [key for key in sorted(part) if key not in expected]
        slots.add(np.array(new, np.uint64))
        expected.update({key: len(expected) + k for k, key in enumerate(new)})
    assert slots.keys.tolist() == list(expected)
    assert slots.find(slots.keys).tolist() == list(range(len(expected)))


def test_what_is_forgotten_is_not_found_and_the_rest_is_numbered_anew() -> None:
    keys = np.random.default_rng(1).integers(0, FULL - 1, 5000, np.uint64)
    slots = Slots()
    slots.add(np.unique(keys))
    kept = np.arange(len(slots)) % 3 == 0
    before = slots.keys.copy()
    slots.keep(kept)
    assert slots.keys.tolist() == before[kept].tolist()
    assert slots.find(before[kept]).tolist() == list(range(int(kept.sum())))
    assert (slots.find(before[~kept]) == -1).all()


@pytest.mark.parametrize("count", [20_000])
def test_no_key_of_many_needs_the_last_probe(count: int) -> None:
    keys = np.unique(np.random.default_rng(2).integers(0, FULL - 1, count, np.uint64))
    slots = Slots()
    for part in np.array_split(np.random.default_rng(3).permutation(keys), 7):
        slots.add(part)
        assert (slots.find(part) >= 0).all()


def test_keys_made_to_collide_cost_no_more_than_the_probes() -> None:
    """Whoever knows the hash can let keys share their way; those beyond the probes are not found, and the others are."""
    back = pow(0x9E3779B97F4A7C15, -1, FULL)
    candidates = np.arange(200_000, dtype=np.uint64) * np.uint64(back)  # their first slot is the lowest one
    keys = candidates[candidates * np.uint64(0xC2B2AE3D27D4EB4F) >> np.uint64(54) == 0]  # and their step the shortest
    slots = Slots()
    slots.add(keys)
    found = slots.find(keys)
    assert len(keys) > PROBES == np.count_nonzero(found >= 0)
    assert found[found >= 0].tolist() == np.flatnonzero(found >= 0).tolist()
    others = np.array([5, 6, 7], np.uint64)
    slots.add(others)
    assert slots.find(others).tolist() == [len(keys), len(keys) + 1, len(keys) + 2]

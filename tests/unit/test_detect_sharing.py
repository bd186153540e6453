"""What a process ties together stays with one share; everything else is divided by its pair of addresses."""

from types import SimpleNamespace

import numpy as np
import pytest

from appliance.decode.conversation import Conversation
from appliance.detect.sharing import owner, partition_of
from appliance.learn.baselines.baseline import Baseline
from appliance.learn.meaning.model import Model
from appliance.learn.numbers.grid import Series
from appliance.learn.numbers.process import ProcessModel
from appliance.learn.numbers.residual import Relation, Term
from appliance.learn.numbers.series import Field
from appliance.learn.site.topology import stream_key

PORT, NOWHERE = (6, 502), np.zeros(0)


def pair(device: int) -> Conversation:
    return Conversation((0, 0xFFFF_0A00_0001), (0, 0xFFFF_0A00_0100 + device), PORT)


def relation(target: int, *others: int) -> Relation:
    terms = tuple(Term(column) for column in others)
    return Relation(target, False, terms, (1.0,) * len(terms), 0.0, 1.0, (1,), NOWHERE, NOWHERE, 1.0)


def model(devices: int, *relations: Relation) -> Model:
    """Row n is said by device n and holds number n."""
    pairs = [pair(n) for n in range(devices)]
    table = SimpleNamespace(row=np.arange(devices, dtype=np.uint64), stream=np.array([stream_key(p) for p in pairs], np.uint64))
    baseline = Baseline()
    baseline.services[PORT] = {"d": SimpleNamespace(table=table)}  # type: ignore[dict-item]
    series = tuple(Series((PORT, "d", n), Field(0, "int")) for n in range(devices))
    process = ProcessModel(series, relations=relations)
    return Model(baseline, streams={stream_key(p): p for p in pairs}, process=process)


@pytest.mark.parametrize("shares", [2, 3, 8])
def test_what_a_relation_joins_has_one_owner(shares: int) -> None:
    partition = partition_of(model(40, relation(0, 1, 2), relation(2, 7), relation(20, 21), relation(30, 30)), shares)
    owners = [owner(partition, pair(n)) for n in range(40)]
    assert len({owners[n] for n in (0, 1, 2, 7)}) == 1
    assert owners[20] == owners[21] != owners[0]  # the next group goes to the share with the least
    assert len(partition.pins) == 6
    assert set(owners) == set(range(shares))


def test_more_than_can_be_pinned_is_divided_like_the_rest() -> None:
    partition = partition_of(model(400, relation(0, *range(1, 300)), relation(350, 351)), 2)
    assert len(partition.pins) == 2


def test_one_share_owns_all() -> None:
    partition = partition_of(model(9, relation(0, 1)), 1)
    assert {owner(partition, pair(n)) for n in range(9)} == {0}
    assert not partition.pins

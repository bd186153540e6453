"""The short form of the order/time suite: `python -m tests.order_time` is the long one, with recorded captures."""

import pytest

from tests.order_time.changes import CLASSES
from tests.order_time.plants import Plant, made
from tests.order_time.score import clean_variants, score

PLANTS = {plant.name: plant for plant in made(7)}


@pytest.fixture(params=sorted(PLANTS), scope="module")
def plant(request: pytest.FixtureRequest) -> Plant:
    return PLANTS[request.param]


def test_each_class_is_found_wherever_it_is_put_and_nothing_before_it(plant: Plant) -> None:
    rows, clean = score(plant, list(CLASSES), 2, 7)
    assert clean == 0
    assert {name: row.tried for name, row in rows.items()} == dict.fromkeys(CLASSES, 2)
    assert {name: row.found for name, row in rows.items()} == dict.fromkeys(CLASSES, 2)
    assert not any(row.elsewhere for row in rows.values())


def test_jitter_repetitions_copies_and_a_set_clock_are_not_told(plant: Plant) -> None:
    told = clean_variants(plant, 7)
    assert told == dict.fromkeys(told, 0)
    assert len(told) == 7

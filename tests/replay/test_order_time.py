"""The short form of the order/time suite: `python -m tests.order_time` is the long one, with recorded captures."""

import pytest

from tests.order_time.changes import CLASSES, Change
from tests.order_time.others import others
from tests.order_time.plants import Plant, made
from tests.order_time.reach import Oracle
from tests.order_time.score import clean_variants, key_of, period_of, score
from tests.order_time.traffic import SECOND, exchanges

PLANTS = {plant.name: plant for plant in [*made(7), *others(7)]}
UNANSWERED = {"published", "pushed"}  # nothing can stay without its answer


@pytest.fixture(params=sorted(PLANTS), scope="module")
def plant(request: pytest.FixtureRequest) -> Plant:
    return PLANTS[request.param]


def test_each_class_is_found_wherever_it_is_put_and_nothing_before_it(plant: Plant) -> None:
    classes = [name for name in CLASSES if name != "dropped" or plant.name not in UNANSWERED]
    rows, clean = score(plant, classes, 2, 7)
    assert clean == 0
    assert {name: row.tried for name, row in rows.items()} == dict.fromkeys(classes, 2)
    assert {name: row.found for name, row in rows.items()} == dict.fromkeys(classes, 2)
    assert not any(row.elsewhere for row in rows.values())


def test_jitter_repetitions_copies_and_a_set_clock_are_not_told(plant: Plant) -> None:
    told = clean_variants(plant, 7)
    assert told == dict.fromkeys(told, 0)
    assert len(told) == 7


def test_what_the_clean_half_shows_itself_is_out_of_reach(plant: Plant) -> None:
    """A stretch of clean traffic is no change that an oracle could tell; a request moved by half a period is one."""
    clean, key = exchanges(plant.test), key_of(plant)
    oracle = Oracle(exchanges(plant.train), clean, key)
    conversation = clean.exchanges[-1].conversation
    mine = clean.of(conversation)
    for which in range(len(mine) // 4, len(mine) // 2, 7):
        start, end = mine[which].at, mine[which].at + 10 * SECOND
        assert not oracle.reaches(Change(clean, start, end), conversation)
    here = mine[len(mine) // 2]
    later = here.moved(here.at + period_of(mine, key) // 2)
    assert oracle.reaches(Change(clean.with_({here}, [later]), here.at, later.at + SECOND), conversation)

"""Which request an answer belongs to, what kinds of messages there are and which of their bytes are data."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from appliance.learn.messages.kinds import open_ends
from appliance.learn.messages.pairing import LAST, back_references, least_agreement
from appliance.learn.messages.sample import WIDTH, Sample
from appliance.learn.messages.structure import Side, Structure
from appliance.learn.messages.templates import Node
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Plant, Wire, answer, learn, request
from tests.unit.frames import SECOND

SEEDS = range(4)


def test_back_references_are_the_last_requests_of_the_same_connection_latest_first() -> None:
    random = np.random.default_rng(3)
    flow = random.integers(0, 4, 200)
    asks = random.random(200) < 0.5
    back = back_references(flow, asks)
    for i in range(200):
        before = [j for j in range(i - 1, -1, -1) if flow[j] == flow[i] and asks[j]][:LAST]
        assert back[i].tolist() == before + [-1] * (LAST - len(before))


def structure(frames: Frames, port: int = 7001) -> Structure:
    (learned,) = learn(frames).services[6, port].values()
    return learned.structure


def closed(s: Structure, side: Side) -> set[tuple[int, ...]]:
    """Open bytes of the templates of one side, among the first 16."""
    return {tuple(np.flatnonzero(~t.closed[:16]).tolist()) for t in s.templates if t.side is side}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_polled_plant_has_one_request_kind_that_counts_at_its_head(seed: int) -> None:
    s = structure(Plant(seed).run(300).sorted())
    assert (s.framing.offset, s.framing.width, s.framing.big, s.framing.constant) == (4, 2, True, 6)
    assert [(c.offset, c.width) for c in s.counters] == [(0, 2)]
    assert (1, 1) in {(e.request, e.answer) for e in s.echoes}
    assert closed(s, Side.REQUEST) == {(0, 1)}


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_are_open_where_process_values_are_and_closed_before(seed: int) -> None:
    s = structure(Plant(seed).run(300).sorted())
    answers = closed(s, Side.ANSWER)
    assert answers
    for opened in answers:
        assert set(opened) & {2, 3, 4, 5, 6, 7, 8} == set()
        assert {0, 1, 9, 10, 11, 12} <= set(opened)


def writing(seed: int) -> Frames:
    """Function 3 reads two registers; function 6 writes any value to one."""
    random, wire = np.random.default_rng(seed), Wire()
    wire.open(START, CENTRE, 40000, "10.0.0.11", 7001)
    for n in range(500):
        at = START + (n + 1) * SECOND
        if n % 3 == 2:
            ask = request(n, 1, 6, 300, int(random.integers(0, 65536)))
            tell = ask
        else:
            ask = request(n, 1, 3, 100 * (n % 3), 4)
            tell = answer(n, 1, 3, random.integers(0, 256, 8, np.uint8).tobytes())
        wire.tcp(at, CENTRE, 40000, "10.0.0.11", 7001, ask)
        wire.tcp(at + MILLI, "10.0.0.11", 7001, CENTRE, 40000, tell)
    return wire.sorted()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_written_value_is_data_while_the_read_beside_it_stays_closed(seed: int) -> None:
    s = structure(writing(seed))
    assert closed(s, Side.REQUEST) == {(0, 1), (0, 1, 10, 11)}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_that_repeats_the_written_value_holds_it_open(seed: int) -> None:
    s = structure(writing(seed))
    write = next(t for t in s.templates if t.side is Side.ANSWER and not t.closed[10] and t.closed[9])
    assert write.closed[6:10].all()


def rows_asked(frames: Frames) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Rows of requests, and of the requests that answers were counted for."""
    (learned,) = learn(frames).services[6, 7001].values()
    sides = np.array([t.side for t in learned.structure.templates])[learned.table.template]
    return learned.table.row[sides == Side.REQUEST], learned.table.asked[sides == Side.ANSWER]


def pipelining(seed: int, under_way: int, *, in_order: bool) -> Frames:
    """So many requests are sent, then their answers come; each register has an answer size of its own."""
    random, wire = np.random.default_rng(seed), Wire()
    wire.open(START, CENTRE, 40000, "10.0.0.11", 7001)
    for n in range(0, 600, under_way):
        at = START + (n + 1) * SECOND
        for k in range(n, n + under_way):
            wire.tcp(at + k - n, CENTRE, 40000, "10.0.0.11", 7001, request(k, 1, 3, 100 * (k % 4), k % 4 + 1))
        turn = np.arange(under_way) if in_order else random.permutation(under_way)
        for i, k in enumerate((n + turn).tolist()):
            tell = answer(k, 1, 3, random.integers(0, 256, 2 * (k % 4 + 1), np.uint8).tobytes())
            wire.tcp(at + MILLI + i, "10.0.0.11", 7001, CENTRE, 40000, tell)
    return wire.sorted()


def check_pairs(frames: Frames) -> None:
    """One row of answers for each of the four requests: no answer was taken for another request's."""
    requests, asked = rows_asked(frames)
    assert len(requests) == 4
    assert sorted(asked.tolist()) == sorted(requests.tolist())


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("under_way", [1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_belongs_to_the_request_it_echoes_also_when_several_are_under_way(
    seed: int, under_way: int, in_order: bool
) -> None:
    check_pairs(pipelining(seed, under_way, in_order=in_order))


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("under_way", [4, 6])
def test_an_answer_belongs_to_its_request_with_many_under_way(under_way: int, in_order: bool) -> None:
    check_pairs(pipelining(1, under_way, in_order=in_order))


def test_what_nobody_asked_for_is_a_push() -> None:
    """A device that reports by itself four times for every request."""
    random, wire = np.random.default_rng(1), Wire()
    wire.open(START, CENTRE, 40000, "10.0.0.11", 7001)
    for n in range(200):
        at = START + (n + 1) * SECOND
        if n % 4 == 0:
            wire.tcp(at, CENTRE, 40000, "10.0.0.11", 7001, b"\x05\x64\x05ask!")
        wire.tcp(
            at + MILLI, "10.0.0.11", 7001, CENTRE, 40000, b"\x05\x64\x44rep" + random.integers(0, 256, 4, np.uint8).tobytes()
        )
    s = structure(wire.sorted())
    assert {t.side for t in s.templates} == {Side.REQUEST, Side.PUSH}
    assert closed(s, Side.PUSH) == {(6, 7, 8, 9)}


def test_two_equal_sessions_have_equal_structures_and_rows() -> None:
    """What was sent decides, not when or with which values."""
    one, other = (learn(Plant(seed).run(200, START + seed * 10**13).sorted()) for seed in (1, 9))
    assert one.services[6, 7001].keys() == other.services[6, 7001].keys()
    for a, b in pairwise([*one.services[6, 7001].values(), *other.services[6, 7001].values()]):
        assert a.table.row.tolist() == b.table.row.tolist()


def test_what_agrees_in_less_than_the_answers_besides_was_unasked() -> None:
    """Twenty requests, each answered in full; six events of their device agree in its unit."""
    agree, source = [3] * 20 + [1] * 6, [*range(20), 2, 5, 7, 7, 11, 19]
    assert least_agreement(np.array(agree, np.int16), np.array(source), strict=False) == 3


def test_answers_that_repeat_less_are_answers_where_their_request_has_no_other() -> None:
    agree, source = np.array([3] * 20 + [1] * 6, np.int16), np.arange(26)
    assert least_agreement(agree, source, strict=False) == 1
    assert least_agreement(agree[:6], source[:6], strict=False) == 0


def test_a_kind_that_hardly_came_ends_with_a_check_as_all_others_do() -> None:
    def leaf(*opened: int, number: int = 0) -> Node:
        mask = np.zeros(WIDTH, bool)
        mask[list(opened)] = True
        return Node(0, open=mask, template=number)

    tree = Node(0, {1: leaf(4, 5), 2: leaf(2, 5, 6), 3: leaf(1)})
    raw = [bytes([1, n % 3, 0, 0, n, 7 * n % 256]) for n in range(60)] + [bytes([2, 0, n, 0, 0, n, 9]) for n in range(60)]
    raw += [bytes([3, n, 1, 2, 3, 4, n, n]) for n in range(5)]
    heads = np.zeros((len(raw), WIDTH), np.uint8)
    for i, one in enumerate(raw):
        heads[i, : len(one)] = list(one)
    same = np.zeros(len(raw), np.int32)
    open_ends(tree, Sample(heads, np.array([len(one) for one in raw], np.int32), same, same.astype(np.int64), same))
    rare = tree.children[3].open
    assert rare is not None
    assert np.flatnonzero(rare).tolist() == [1, 6, 7]

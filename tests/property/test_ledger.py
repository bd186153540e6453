"""What people said of a baseline merges like all else: any order, any grouping, nothing undone comes back."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.learn.baselines import ledger as module
from appliance.learn.baselines.baseline import Baseline, merge
from appliance.learn.baselines.codec import baseline_digest, baseline_from, baseline_json
from appliance.learn.baselines.ledger import Acceptance, Allowed, Ledger, Signed, ledger_from, ledger_json, merge_ledgers

words = st.text("ab c", max_size=3)
signed = st.builds(Signed, st.integers(0, 3), words, words)
numbers = st.integers(0, 9)
allowed = st.builds(
    Allowed, st.sampled_from(["scan", "silence"]), words, words, words, st.booleans(), st.just(""),
    st.lists(st.tuples(numbers, numbers), max_size=2).map(tuple), st.binary(max_size=3),
    st.lists(st.binary(min_size=1, max_size=2), max_size=2).map(tuple), st.integers(1, 9),
)  # fmt: skip
acceptances = st.builds(Acceptance, words, signed, st.lists(allowed, max_size=2).map(tuple))
names = st.sampled_from(["r-1", "r-2", "10.0.0.1", "10.0.0.2"])


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    accepted = {a.id: a for a in draw(st.lists(acceptances, max_size=4))}
    chosen = draw(st.sets(st.sampled_from([*accepted, "a-elsewhere"]), max_size=3))
    marks = st.dictionaries(names, signed, max_size=3)
    ledger = Ledger(accepted, {name: draw(signed) for name in sorted(chosen)}, draw(marks), draw(marks))
    return merge_ledgers(ledger, Ledger())


@pytest.mark.parametrize("most", [2, 4096])
@given(a=ledgers(), b=ledgers(), c=ledgers())
def test_ledgers_merge_in_any_order_and_grouping_also_where_they_are_full(most: int, a: Ledger, b: Ledger, c: Ledger) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_ENTRIES", most)
        a, b, c = (merge_ledgers(x, Ledger()) for x in (a, b, c))
        assert merge_ledgers(a, b) == merge_ledgers(b, a)
        assert merge_ledgers(merge_ledgers(a, b), c) == merge_ledgers(a, merge_ledgers(b, c))
        assert merge_ledgers(a, a) == a


@given(a=ledgers(), b=ledgers())
def test_what_was_undone_in_one_copy_stays_undone_in_the_merged_one(a: Ledger, b: Ledger) -> None:
    undone = a.undone.keys() | b.undone.keys()
    assert not {x.id for x in merge_ledgers(a, b).in_force()} & undone


@given(ledger=ledgers())
def test_a_ledger_is_read_back_as_it_was_and_belongs_to_the_digest(ledger: Ledger) -> None:
    assert ledger_from(json.loads(json.dumps(ledger_json(ledger)))) == ledger
    head, arrays = baseline_json(Baseline(ledger=ledger))
    assert baseline_from(json.loads(json.dumps(head)), arrays).ledger == ledger
    assert (baseline_digest(head, arrays) == baseline_digest(*baseline_json(Baseline()))) == (not ledger)


def test_merged_baselines_know_what_either_was_told() -> None:
    a, b = (Acceptance(title, Signed(1, "A. Sato", "new read list"), ()) for title in ("one", "two"))
    both = merge(Baseline(ledger=Ledger({a.id: a})), Baseline(ledger=Ledger({b.id: b}, {a.id: Signed(2, "B", "again")})))
    assert [x.title for x in both.ledger.in_force()] == ["two"]


@given(junk=st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda x: st.lists(x) | st.dictionaries(words, x)))
def test_a_damaged_ledger_is_refused_and_no_crash(junk: object) -> None:
    for key in ("accepted", "undone", "confirmed", "forgotten"):
        value = ledger_json(Ledger()) | {key: junk}
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            ledger_from(value)

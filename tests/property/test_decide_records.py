"""Generations as records: what is written is read back, and anything else is one RulesError."""

from __future__ import annotations

import itertools
import json
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.functions import covers, merged
from appliance.decide.records import generation_json, generation_text, read_generation
from appliance.decide.rules import Allow, Exactness, Generation, Lease, Mode, Pattern, Protected, Service, Step
from appliance.decode.framing import Framing
from appliance.errors import RulesError

networks = st.ip_addresses().map(lambda a: ip_network(str(a)))
services = st.builds(Service, st.sampled_from(["tcp", "udp"]), st.integers(1, 65_535))
patterns = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda p: Pattern(min(p), max(p)))
framings = st.builds(Framing, st.integers(0, 16), st.sampled_from([0, 1, 2, 4]), st.booleans(), st.integers(0, 64))
texts = st.text(max_size=40)
allows = st.builds(
    Allow,
    *(networks, networks, services, st.integers(0, 60)),
    *(st.lists(patterns, max_size=5).map(tuple), st.lists(st.integers(0, 1500), max_size=5).map(tuple)),
    *(st.sampled_from(list(Exactness)), texts, framings),
)
leases = st.builds(
    Lease,
    *(texts, st.sampled_from(list(Step)), networks, st.none() | networks, st.none() | services, st.integers(0, 60)),
    *(st.none() | patterns, st.integers(0, 2**62), texts, texts),
)
generations = st.builds(
    Generation,
    st.integers(0, 2**40),
    st.lists(networks, max_size=3).map(tuple),
    st.lists(st.builds(Protected, networks, services, st.sampled_from(list(Mode))), max_size=3).map(tuple),
    st.lists(allows, max_size=3).map(tuple),
    st.lists(leases, max_size=3).map(tuple),
    st.booleans(),
    st.lists(texts, max_size=2).map(tuple),
)


@given(generations)
def test_what_is_written_is_read_back(g: Generation) -> None:
    text = generation_text(g)
    again = read_generation("g", text.encode())
    assert again == g
    assert generation_text(again) == text


@given(generations, st.data())
def test_a_bent_record_is_a_generation_or_a_rules_error(g: Generation, data: st.DataObject) -> None:
    value = generation_json(g)
    key = data.draw(st.sampled_from(sorted(value)))
    value[key] = data.draw(st.none() | st.integers() | texts | st.lists(st.integers(), max_size=3) | st.just({}))
    told = ""
    try:
        read_generation("g", json.dumps(value).encode())
    except RulesError as error:
        told = str(error)
    assert "\n" not in told


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(RulesError) as refused:
        read_generation("rules.json", data)
    assert str(refused.value).startswith("rules.json: ")
    assert "\n" not in str(refused.value)


@given(st.lists(patterns, max_size=12), st.integers(0, 2**32 - 1))
def test_merged_intervals_hold_the_same_values(found: list[Pattern], value: int) -> None:
    together = merged(found)
    point = [Pattern(value, value)]
    assert covers(together, point) == any(p.first <= value <= p.last for p in found)
    assert covers(together, found)
    assert all(b.first > a.last + 1 for a, b in itertools.pairwise(together))

"""The map and the time line: bounded, complete, without overlaps, the same every time."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from appliance.incident.incident import Cause, Incident
from appliance.report.assets import AssetRow
from appliance.report.drawing import NODE_HEIGHT, NODE_WIDTH, WIDTH, draw
from appliance.report.plant import (
    BOTH,
    BROADCAST,
    CLIENTS,
    ELSEWHERE,
    HARDWARE,
    SERVERS,
    Conversation,
    address_key,
    network_of,
    plant,
)
from appliance.report.timeline import Buckets, timeline

S = 1_000_000_000
addresses = st.builds("10.{}.{}.{}".format, st.integers(0, 2), st.integers(0, 3), st.integers(1, 40))
services = st.sampled_from([f"tcp/{port}" for port in range(500, 515)])
conversations = st.lists(
    st.builds(Conversation, addresses, addresses, services, st.integers(1, 10**6), st.booleans()),
    max_size=120,
    unique_by=lambda c: (c.client, c.server, c.service),
)


def fan(servers: int) -> list[Conversation]:
    return [Conversation("10.0.0.1", f"10.0.{i // 200}.{10 + i % 200}", "tcp/502", 100) for i in range(servers)]


@given(conversations, st.data())
def test_every_address_has_one_node_and_no_message_is_lost(talk: list[Conversation], data: st.DataObject) -> None:
    concerned = {(c.client, c.server, c.service): {1} for c in talk if data.draw(st.booleans())}
    graph = plant([], talk, concerned)
    members = Counter(address for node in graph.nodes for address in node.members)
    assert set(members) == {a for c in talk if c.client != c.server for a in (c.client, c.server)}
    assert all(count == 1 for count in members.values())
    assert all(sum(node.column == column for node in graph.nodes) <= 26 for column in (CLIENTS, BOTH, SERVERS))
    place = {address: i for i, node in enumerate(graph.nodes) for address in node.members}
    between = sum(c.messages for c in talk if c.client != c.server and place[c.client] != place[c.server])
    drawn = sum(link.messages for link in graph.links)
    assert drawn == between if not graph.unseen else drawn < between


@given(conversations)
def test_nodes_do_not_overlap_and_stay_in_the_picture(talk: list[Conversation]) -> None:
    graph = plant([], talk, {})
    picture = draw(graph)
    assert picture == draw(plant([], talk, {}))
    assert len(picture.spots) == len(graph.nodes)
    assert len(picture.curves) == len(graph.links)
    for x in {spot.x for spot in picture.spots}:
        tops = sorted(spot.y for spot in picture.spots if spot.x == x)
        assert all(b - a >= NODE_HEIGHT for a, b in itertools.pairwise(tops))
    for spot in picture.spots:
        assert 0 <= spot.x <= WIDTH - NODE_WIDTH
        assert 0 <= spot.y <= picture.height - NODE_HEIGHT
        assert any(b.x < spot.x and b.y < spot.y and spot.y + NODE_HEIGHT < b.y + b.height for b in picture.boxes)


def test_few_assets_are_drawn_one_by_one() -> None:
    graph = plant([], fan(20), {})
    assert (len(graph.nodes), graph.folded) == (21, 0)
    assert [node.column for node in graph.nodes].count(SERVERS) == 20


def test_three_hundred_alike_are_folded_but_the_one_concerned_stands_alone() -> None:
    graph = plant([], fan(300), {("10.0.0.1", "10.0.1.33", "tcp/502"): {2}})
    hit = [node for node in graph.nodes if node.incidents == (2,) and node.column == SERVERS]
    assert [node.members for node in hit] == [("10.0.1.33",)]
    assert graph.folded == 299
    assert len(graph.nodes) <= 6


def test_what_only_an_incident_names_is_drawn_as_new() -> None:
    graph = plant([AssetRow("10.0.0.1")], fan(1), {("10.0.0.9", "10.0.0.1", "tcp/502"): {1}})
    new = [node for node in graph.nodes if node.new]
    assert [node.members for node in new] == [("10.0.0.9",)]
    assert [link.abnormal for link in graph.links] == [True, False]


def test_an_asset_is_new_when_its_row_says_so() -> None:
    graph = plant([AssetRow("10.0.0.10", known=False), AssetRow("10.0.0.1")], fan(1), {})
    assert {node.members[0]: node.new for node in graph.nodes} == {"10.0.0.1": False, "10.0.0.10": True}


def test_networks_are_named() -> None:
    assert network_of("10.1.2.3") == "10.1.2.0/24"
    assert network_of("fe80::1") == "fe80::/64"
    assert {network_of(a) for a in ("10.1.2.255", "239.1.1.1", "ff02::1", "01:0e:cf:00:00:00")} == {BROADCAST}
    assert network_of("00:0e:cf:00:00:00") == HARDWARE
    assert network_of("<nobody>") == ELSEWHERE
    assert sorted(["10.0.0.10", "x", "10.0.0.2", "::1"], key=address_key) == ["10.0.0.2", "10.0.0.10", "::1", "x"]


def incident(start: int, end: int) -> Incident:
    return Incident("i-1", start, end, cause=Cause.FAULT)


@given(
    st.integers(0, 2**62),
    st.integers(1, 10**15),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=600),
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 10**16)), max_size=40),
)
def test_any_time_line_stays_in_its_picture(start: int, step: int, frames: list[int], spans: list[tuple[int, int]]) -> None:
    line = timeline(Buckets(start, step, tuple(frames)), [incident(a, a + b) for a, b in spans])
    assert line is not None
    assert line.bars.count("M") <= 240
    assert len(line.ticks) <= 12
    assert len(line.marks) == len(spans)
    for mark in line.marks:
        assert 0 <= mark.x <= mark.x + mark.width <= 1000.001
        assert 0 <= mark.y <= line.height - 18
    named = sorted((m.y, m.x, m.width) for m in line.marks if m.named)
    assert all(y != y2 or x + w <= x2 for (y, x, w), (y2, x2, _) in itertools.pairwise(named))


def test_a_mark_stands_where_its_incident_was() -> None:
    line = timeline(Buckets(0, S, (1,) * 100), [incident(50 * S, 75 * S)])
    assert line is not None
    assert (line.marks[0].x, line.marks[0].width) == (528.0, 236.0)
    assert [text for _, text in line.ticks][:3] == ["00:00:00", "00:00:15", "00:00:30"]


def test_nothing_captured_has_no_time_line() -> None:
    assert timeline(Buckets(0, S, ()), []) is None

"""Many that nobody knows: one incident, counted, in bounded room, while the known plant stays watched."""

import numpy as np
import pytest

import appliance.decode.conversation as module
from appliance.decode.conversation import POOL, POOLED, ConversationTable
from appliance.detect.crowd import CROWD
from appliance.detect.detector import Detector
from appliance.detect.finding import Finding, Kind
from appliance.incident.grouping import CROWD as STORIES
from appliance.incident.grouping import Grouping
from appliance.learn.meaning.model import Model
from tests.unit.dialogue import MILLI, START, Frames, Plant, Wire, judge, learned, passes
from tests.unit.frames import SECOND


@pytest.fixture(scope="module")
def model() -> Model:
    return learned(200)


def forged(count: int, begin: int = START + 2 * SECOND, step: int = MILLI) -> Frames:
    """Datagrams to a known device, each from an address of its own."""
    wire = Wire()
    for i in range(count):
        wire.udp(begin + i * step, f"77.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}", 4000, "10.0.0.11", 9000, b"?")
    return wire.frames


def odd(n: int, d: int, asks: bool, payload: bytes) -> bytes:
    return payload[:7] + b"\x5a" + payload[8:] if asks and d == 0 and n == 95 else payload


def attacked(count: int) -> Frames:
    return sorted([*Plant(2, edit=odd).run(100).sorted(), *forged(count)], key=lambda f: f[0])


def test_a_crowd_is_counted_and_not_told_one_by_one(model: Model) -> None:
    told = [f for f in judge(model, attacked(6000)) if f.src.startswith("77.")]
    crowds = [f for f in told if f.count > 1]
    assert len(told) < 6000
    assert [f.kind for f in crowds] == [Kind.SCAN]
    assert crowds[0].count == CROWD


def test_a_crowd_is_one_incident_and_the_plant_stays_watched(model: Model) -> None:
    grouping = Grouping()
    for finding in judge(model, attacked(4000)):
        grouping.add(finding)
    commands = [i for i in grouping.incidents.values() if any(f.kind is Kind.UNKNOWN_COMMAND for f in i.findings)]
    assert len(commands) == 1
    assert len(grouping.incidents) == STORIES + 2  # the first ones by themselves, all the rest, the command
    crowd = grouping.incidents["newcomer", "crowd"]
    assert crowd.total > CROWD
    assert len(crowd.assets) <= 64


def finding(i: int, at: int) -> Finding:
    address = f"77.0.{i >> 8}.{i & 255}"
    return Finding(i + 1, at, address, "10.0.0.11", address, "tcp/502", Kind.NEW_ASSET)


def test_newcomers_with_time_between_them_are_stories_of_their_own() -> None:
    slow, fast = Grouping(), Grouping()
    for i in range(60):
        slow.add(finding(i, START + i * 60 * SECOND))
        fast.add(finding(i, START + i * SECOND))
    assert len(slow.incidents) == 60
    assert len(fast.incidents) == STORIES + 1
    assert fast.incidents["newcomer", "crowd"].total == 60 - STORIES


@pytest.mark.parametrize("most", [1, 17, 5000])
def test_the_table_keeps_room_for_what_is_known(most: int, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known plant begins to talk after the table is full; the same for any batches."""
    monkeypatch.setattr(module, "MAX_CONVERSATIONS", 50)
    frames = sorted([*forged(300, START, 100_000), *Plant(3, opens=False).run(10).sorted()], key=lambda f: f[0])
    table = ConversationTable()
    table.know({(c.server, c.port) for c in model.baseline.conversations})
    table.reserve(model.baseline.conversations)
    assigned = [table.assign(batch) for batch in passes(frames, most)()]
    conversation, flow = (np.concatenate([getattr(a, name) for a in assigned]) for name in ("conversation", "flow"))
    assert len(table.conversations) == 50 + len(model.baseline.conversations)
    pooled = conversation == POOLED
    assert int(pooled.sum()) == 250
    assert set(flow[pooled].tolist()) == {POOL}
    assert POOL not in flow[~pooled]
    assert len(table.flows) == len(table.conversations)


def test_findings_of_a_crowd_do_not_depend_on_batches(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONVERSATIONS", 500)
    frames = attacked(3500)
    whole = judge(model, frames)
    assert judge(model, frames, 333) == whole
    assert Detector(model).table.reserved is model.baseline.conversations
    assert any(f.kind is Kind.UNKNOWN_COMMAND for f in whole)
    assert sum(f.count for f in whole if f.kind is Kind.SCAN) >= CROWD

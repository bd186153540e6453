"""Where one batch ends and the next begins is chance: it may change nothing of what is learned or found."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from appliance.decode.columns import DecodedBatch
from appliance.decode.conversation import ConversationTable
from appliance.decode.cutter import Cutter
from appliance.detect.finding import Kind
from appliance.learn.baselines.codec import baseline_json
from appliance.learn.counting.counts import RowCounter, RowTable
from appliance.learn.meaning.model import derive
from appliance.learn.messages.classify import Classifier
from appliance.learn.session import Sampler, by_service
from appliance.learn.site.roles import RoleStats
from appliance.learn.site.topology import TopologyCounter, stream_keys
from tests.unit.dialogue import CENTRE, MILLI, START, Frames, Plant, Wire, judge, learn, learned, passes
from tests.unit.frames import SECOND

PORT = (6, 7001)
SIZES = (1, 60)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """A plant of 90 s with a pause, a second master and group chatter."""
    wire = Plant(1).run(150)
    later = Plant(2, sport=41000).run(150, START + 75 * SECOND)
    for n in range(40):
        wire.udp(START + n * 3 * SECOND, "10.0.0.50", 5353, "224.0.0.251", 5353, bytes([n]) * 20)
        wire.arp(START + n * 3 * SECOND + MILLI, CENTRE, f"10.0.0.{11 + n % 4}")
    return sorted([*wire.frames, *later.frames], key=lambda frame: frame[0])


def counted(frames: Frames, most: int) -> RowTable:
    """Rows of the plant's service, roles and structure learned in one batch and only the counting done in small ones."""
    roles = RoleStats()
    for batch in passes(frames)():
        roles.add(batch)
    table = ConversationTable()
    table.know(roles.servers())
    sampler = Sampler(table)
    for batch in passes(frames)():
        sampler.add(batch)
    structure = sampler.structures()[PORT]
    table = ConversationTable()
    keys: list[int] = []
    table.know(roles.servers())
    cutter, classifier, counter = Cutter({PORT: structure.framing}), Classifier(structure), RowCounter(structure)
    for batch in passes(frames, most)():
        messages = cutter.cut(batch, table.assign(batch), table.conversations)
        hashes = stream_keys(table.conversations, keys)
        for port, part in by_service(messages, table.conversations):
            if port == PORT:
                counter.add(classifier.classify(part, batch.data, hashes), hashes)
    return counter.table


def columns(table: RowTable) -> dict[str, npt.NDArray[np.generic]]:
    names = ("row", "template", "length", "stream", "asked", "bytes", "truncated")
    return {name: getattr(table, name) for name in names} | dict(table.numbers)


def differing(a: RowTable, b: RowTable) -> set[str]:
    one, other = columns(a), columns(b)
    return {name for name in one if not np.array_equal(one[name], other[name])}


@pytest.mark.parametrize("most", SIZES)
def test_rows_are_counted_alike_in_one_batch_and_in_many(frames: Frames, most: int) -> None:
    whole = counted(frames, 32768)
    assert len(whole) == 12  # two devices, three registers, asked and answered; the two masters are one client
    assert whole.numbers["count"].sum() == 1200
    assert differing(whole, counted(frames, most)) == set()


def topology(batches: Iterator[DecodedBatch]) -> TopologyCounter:
    table, counter = ConversationTable(), TopologyCounter()
    for batch in batches:
        assigned = table.assign(batch)
        counter.add(batch, assigned, len(table.conversations))
    return counter


@pytest.mark.parametrize("most", SIZES)
def test_assets_and_conversations_are_counted_alike_in_one_batch_and_in_many(frames: Frames, most: int) -> None:
    whole, parts = topology(passes(frames)()), topology(passes(frames, most)())
    assert whole.assets == parts.assets
    assert len(whole.assets) >= 4
    assert whole.arp_targets == parts.arp_targets
    assert (whole.frames, whole.first, whole.last) == (parts.frames, parts.first, parts.last)
    for name, column in whole.columns.items():
        assert column.tolist() == parts.columns[name].tolist(), name
    assert max(whole.columns["gap_max"]) > 4 * SECOND
    assert max(whole.columns["blocks"]) >= 10


def test_a_conversation_is_counted_in_every_block_it_was_active_in() -> None:
    wire = Wire()
    for second in (0, 1, 9, 10, 35, 3601, 90_000):
        wire.udp(second * SECOND, "10.0.0.1", 6000, "10.0.0.2", 6001, b"x")
    counter = topology(passes(wire.sorted(), 2)())
    numbers = {name: int(column[0]) for name, column in counter.columns.items()}
    assert [numbers[name] for name in ("frames", "blocks", "minutes", "hours", "days")] == [7, 5, 3, 3, 2]
    assert (numbers["rate_max"], numbers["gap_max"]) == (3, (90_000 - 3601) * SECOND)


@pytest.mark.parametrize("most", SIZES)
def test_a_session_has_one_digest_whatever_the_batches(most: int) -> None:
    frames = Plant(1).run(100).sorted()
    head, arrays = baseline_json(learn(frames))
    other_head, other = baseline_json(learn(frames, most))
    assert head == other_head
    for name in arrays:
        keep = slice(None) if not name.endswith("numbers") else [i for i in range(len(arrays[name])) if i != 6]  # 6: returns
        assert np.array_equal(arrays[name][keep], other[name][keep]), name


def dosing(start: int, seed: int) -> Frames:
    """Polls as in `Plant` with an unknown function, a lying length, a refused connection, a stranger and a counter that wraps."""

    def edit(n: int, d: int, asks: bool, payload: bytes) -> bytes | None:
        if asks and d == 0 and n in (40, 41, 90):
            return payload[:7] + b"\x05" + payload[8:]
        return payload[:5] + b"\x09" + payload[6:] if asks and d == 1 and n == 60 else payload

    wire = Plant(seed, first_number=65_500, edit=edit).run(150, start)
    for n in range(3):
        wire.tcp(start + (4 + n) * SECOND, CENTRE, 45000 + n, "10.0.0.11", 7001, flags=0x02)
        wire.refuse(start + (4 + n) * SECOND + MILLI, "10.0.0.11", 7001, CENTRE, 45000 + n)
    wire.udp(start + 9 * SECOND, "10.0.0.77", 999, "10.0.0.11", 888, b"hello")
    return wire.sorted()


@pytest.mark.parametrize("most", SIZES)
def test_findings_are_the_same_whatever_the_batches(most: int) -> None:
    model = learned(800)
    frames = dosing(START + 3600 * SECOND, 5)
    whole = judge(model, frames)
    kinds = {finding.kind for finding in whole}
    assert {Kind.CONNECTION_FAILURE, Kind.NEW_ASSET, Kind.BROKEN_FRAMING} <= kinds
    assert any(finding.ranges == ((7, 8),) and finding.seen == b"\x05" for finding in whole)
    assert judge(model, frames, most) == whole


def test_a_busy_stranger_gives_the_same_findings_whatever_the_batches() -> None:
    wire = Wire()
    for n in range(40):
        wire.udp(START + SECOND + n * MILLI, "10.0.0.77", 999, "10.0.0.11", 888, bytes([n]) * 9)
    model = learned(60)
    assert judge(model, wire.sorted(), 10) == judge(model, wire.sorted())


def contextual(n: int, tell: bool) -> bytes:
    """A protocol without a length that repeats a random context at bytes 12 to 16."""
    context = np.random.default_rng(n).integers(0, 256, 4, np.uint8).tobytes()
    return bytes([7, tell]) + bytes(10) + context + bytes([n % 3]) * 4


def contexts(start: int, short: bool) -> Frames:
    wire = Wire()
    wire.open(start, CENTRE, 40000, "10.0.0.11", 7002)
    for n in range(200):
        at = start + (n + 1) * SECOND
        wire.tcp(at, CENTRE, 40000, "10.0.0.11", 7002, contextual(n, False))
        wire.tcp(at + MILLI, "10.0.0.11", 7002, CENTRE, 40000, contextual(n, True))
        if short and n == 120:
            wire.tcp(at + 3 * MILLI, "10.0.0.11", 7002, CENTRE, 40000, b"\x07\x01")
    return wire.sorted()


@pytest.mark.parametrize("most", SIZES)
def test_a_payload_shorter_than_the_echo_is_told_even_alone_in_its_batch(most: int) -> None:
    model = derive(learn(contexts(START, False)))
    (service,) = model.services[6, 7002]
    assert min(echo.answer for echo in service.structure.echoes) >= 12
    frames = contexts(START + 9000 * SECOND, True)
    found = judge(model, frames)
    assert len(found) == 1
    assert found[0].payload == b"\x07\x01"
    assert judge(model, frames, most) == found

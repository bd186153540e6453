"""Baselines add up: any order and any grouping gives the same digest, also where caps are reached; files are whole or refused."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.decode.conversation import Conversation
from appliance.decode.framing import Framing
from appliance.errors import BaselineError
from appliance.host.baselines import load_baseline, save_baseline
from appliance.learn.baselines import baseline as baseline_module
from appliance.learn.baselines.baseline import Baseline, Learned, bounded, merge
from appliance.learn.baselines.codec import VERSION, baseline_digest, baseline_json
from appliance.learn.counting import counts
from appliance.learn.counting.counts import MAXS, MINS, SUMS, RowTable, capped
from appliance.learn.counting.sparse import Pairs, counted
from appliance.learn.messages.sample import WIDTH
from appliance.learn.messages.structure import Side, Structure, Template
from appliance.learn.messages.structure_codec import structure_digest
from appliance.learn.messages.words import no_limits
from appliance.learn.site import topology
from appliance.learn.site.topology import NUMBERS, Asset
from appliance.learn.timing import rhythm as rhythm_module
from appliance.learn.timing.rhythm import COUNTS, Rhythm
from tests.unit.dialogue import START, Plant, Wire, learn
from tests.unit.frames import SECOND

SMALL, ROOMY = 4, 1000
CLOSED = np.arange(WIDTH) < 8
STRUCTURES = [Structure(Framing(0, 1, True, k), templates=[Template(Side.REQUEST, CLOSED)] * 2) for k in range(2)]
DARK = [n * 2_654_435_761 % (1 << 32) for n in range(1, 17)]  # a set of these has no order that could help
numbers = st.integers(0, 1 << 40)


def digest(baseline: Baseline) -> str:
    return baseline_digest(*baseline_json(baseline))


@contextmanager
def caps(most: int) -> Iterator[None]:
    """At most so many entries in every table; the bounds are constants of the modules, so they are set there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "MAX_ROWS", most)
        patch.setattr(topology, "MAX_MACS", most)
        patch.setattr(rhythm_module, "MAX_BINS", 4)
        patch.setattr(rhythm_module, "MAX_NEXT", 4)
        patch.setattr(rhythm_module, "MAX_LEADS", 4)
        for name in ("MAX_ASSETS", "MAX_CONVERSATIONS", "MAX_DARK"):
            patch.setattr(baseline_module, name, most)
        yield


@st.composite
def tables(draw: st.DrawFn) -> RowTable:
    """Rows out of a small world: what a row is follows from its hash, how often it came is drawn."""
    row = np.array(sorted(draw(st.sets(st.integers(1, 24), max_size=12))), np.uint64)
    size = len(row)
    columns = {name: np.array(draw(st.lists(numbers, min_size=size, max_size=size)), np.int64) for name in SUMS + MINS + MAXS}
    data = np.zeros((size, WIDTH), np.uint8)
    data[:, 0] = row
    keys = ((row % np.uint64(2)).astype(np.int32), row.astype(np.int32), row // np.uint64(5), row // np.uint64(7))
    limits = no_limits(size)
    limits[:, :, 0, 0] = (
        draw(st.lists(st.lists(st.integers(0, 0xFFFF), min_size=3, max_size=3), min_size=size, max_size=size)) or 0
    )
    return capped(RowTable(row, *keys, data, columns, limits, np.zeros(2, bool)))


@st.composite
def rhythms(draw: st.DrawFn) -> Rhythm:
    """Gaps, steps and counts out of the same small world as the rows."""
    row = st.integers(1, 24)
    gaps = draw(st.lists(st.tuples(row, st.integers(300, 306), numbers), max_size=20))
    steps, leads = (draw(st.lists(st.tuples(row, row, numbers), max_size=20)) for _ in range(2))
    lost = draw(st.lists(st.tuples(row, st.just(0), numbers), max_size=20))
    rows = np.array(sorted(draw(st.sets(row, max_size=8))), np.uint64)
    streams = np.array(sorted(draw(st.sets(st.integers(0, 4)))), np.uint64)
    busy = np.array([draw(st.integers(1, 50)) for _ in rows], np.int64)
    counts = np.array([[draw(st.integers(0, 9)) for _ in COUNTS] for _ in streams], np.int64).reshape(len(streams), len(COUNTS))
    return Rhythm(_pairs(gaps), _pairs(steps), rows, busy, streams, counts, _pairs(leads), _pairs(lost))


def _pairs(events: list[tuple[int, int, int]]) -> Pairs:
    a, b, time = (np.array([e[k] for e in events], np.int64) for k in range(3))
    return counted(a.astype(np.uint64), b.astype(np.uint64), time, 4)


def _learned(kind: int, draw: st.DrawFn) -> Learned:
    structure, table, rhythm = STRUCTURES[kind], draw(tables()), draw(rhythms())
    return Learned(structure, table, rhythm=rhythm.only(table.row))


@st.composite
def services(draw: st.DrawFn) -> dict[tuple[int, int], dict[str, Learned]]:
    chosen = draw(st.sets(st.tuples(st.integers(1, 2), st.integers(0, 1))))
    found: dict[tuple[int, int], dict[str, Learned]] = {}
    for port, kind in sorted(chosen):
        found.setdefault((6, port), {})[structure_digest(STRUCTURES[kind])] = _learned(kind, draw)
    return found


@st.composite
def baselines(draw: st.DrawFn) -> Baseline:
    """Baselines whose tables overlap, each within the caps that hold while it is drawn."""
    world = st.integers(1, 12)
    hosts = draw(st.dictionaries(world, st.tuples(st.sets(st.integers(1, 6)), numbers, numbers), max_size=9))
    pairs = draw(st.dictionaries(world, st.lists(numbers, min_size=len(NUMBERS), max_size=len(NUMBERS)), max_size=9))
    return bounded(
        Baseline(
            {(0, a): Asset(macs, first, last, first).merged(Asset()) for a, (macs, first, last) in hosts.items()},
            {Conversation((0, c), (0, 1), (6, 502)): np.array(values, np.int64) for c, values in pairs.items()},
            draw(services()),
            draw(st.sets(st.sampled_from(DARK), max_size=9)),
            frames=draw(numbers),
            sessions=draw(numbers),
            watched=draw(numbers),
            first=draw(numbers),
            last=draw(numbers),
            truncated=draw(st.sets(st.sampled_from(["assets", "conversations"]))),
        )
    )


@given(data=st.data())
@settings(max_examples=40)
def test_merging_is_associative_and_commutative_and_the_empty_baseline_changes_nothing(data: st.DataObject) -> None:
    with caps(data.draw(st.sampled_from([SMALL, ROOMY]))):
        a, b, c = (data.draw(baselines()) for _ in range(3))
        assert digest(merge(a, b)) == digest(merge(b, a))
        assert digest(merge(merge(a, b), c)) == digest(merge(a, merge(b, c)))
        assert digest(merge(a, Baseline())) == digest(merge(Baseline(), a)) == digest(a)


@given(data=st.data())
def test_merging_changes_neither_of_its_arguments(data: st.DataObject) -> None:
    with caps(SMALL):
        a, b = data.draw(baselines()), data.draw(baselines())
        before = digest(a), digest(b)
        merge(merge(a, b), a)
        assert (digest(a), digest(b)) == before


@pytest.fixture(scope="module")
def sessions() -> list[Baseline]:
    """Real learning: three sessions of one plant, one of another service, one of a stranger, one of nothing."""
    plant = [learn(Plant(seed).run(80, START + seed * 3600 * SECOND).sorted()) for seed in (1, 2, 3)]
    other = learn(Plant(4, port=9000).run(80).sorted())
    wire = Wire()
    for target in range(40):
        wire.arp(START + target, "10.0.0.99", f"10.0.0.{target + 1}")
        wire.udp(START + target, "10.0.0.99", 5000, f"10.0.0.{target + 1}", 6000, bytes([target]))
    return [*plant, other, learn(wire.sorted()), Baseline()]


def grouped(parts: list[Baseline], random: np.random.Generator) -> Baseline:
    """Merge in a random order and a random grouping."""
    left: list[Baseline] = [parts[int(i)] for i in random.permutation(len(parts))]
    while len(left) > 1:
        at = int(random.integers(0, len(left) - 1))
        left[at : at + 2] = [merge(left[at], left[at + 1])]
    return left[0]


@pytest.mark.parametrize("most", [ROOMY, SMALL])
def test_learned_sessions_give_one_digest_in_any_order_and_grouping(sessions: list[Baseline], most: int) -> None:
    with caps(most):
        random = np.random.default_rng(most)
        found = {digest(grouped(sessions, random)) for _ in range(12)}
        whole = sessions[0]
        for other in sessions[1:]:
            whole = merge(whole, other)
        assert found == {digest(whole)}
        assert whole.frames == sum(s.frames for s in sessions)
        assert ("conversations" in whole.truncated) == (most == SMALL)


def test_equal_plants_share_a_structure_so_that_their_rows_are_added(sessions: list[Baseline]) -> None:
    merged = merge(sessions[0], sessions[1])
    (one,) = merged.services[6, 7001].values()
    (alone,) = sessions[0].services[6, 7001].values()
    assert one.table.numbers["count"].sum() == 2 * alone.table.numbers["count"].sum()
    assert len(one.table) == len(alone.table)


@given(baseline=baselines())
def test_a_saved_baseline_is_read_back_with_its_digest(baseline: Baseline, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("saved") / "b"
    written = save_baseline(path, baseline)
    again, told = load_baseline(path)
    assert written == told == digest(baseline) == digest(again)


@pytest.fixture(scope="module")
def saved(sessions: list[Baseline], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "plant"
    save_baseline(path, merge(sessions[0], sessions[4]))
    return path


def test_equal_baselines_are_equal_files(sessions: list[Baseline], saved: Path, tmp_path: Path) -> None:
    save_baseline(tmp_path / "again", merge(sessions[4], sessions[0]))
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def flipped(saved: Path, tmp_path: Path, at: int, bit: int) -> str:
    """Digest told of a file with one bit flipped, or "refused"; any error but BaselineError goes up."""
    raw = bytearray(saved.read_bytes())
    raw[at] ^= 1 << bit
    path = tmp_path / "flipped"
    path.write_bytes(raw)
    try:
        return load_baseline(path)[1]
    except BaselineError as error:
        return "refused" if re.fullmatch(f"{path}: .*", str(error)) else f"in other words: {error}"


def spans(saved: Path) -> list[tuple[int, int]]:
    """Where the packed contents of the archive's members lie."""
    with zipfile.ZipFile(saved) as archive:
        return [(e.header_offset + 30 + len(e.filename), e.compress_size) for e in archive.infolist()]


def test_a_flipped_byte_in_any_member_is_refused(saved: Path, tmp_path: Path) -> None:
    """Save the few bits that fill up the last byte of what is packed: unpacked, they are nothing."""
    random = np.random.default_rng(5)
    places = [start + int(random.integers(0, size)) for start, size in spans(saved) for _ in range(12)]
    assert len(places) > 100
    told = [flipped(saved, tmp_path, at, int(random.integers(0, 8))) for at in places]
    assert set(told) <= {"refused", load_baseline(saved)[1]}
    assert told.count("refused") >= 0.95 * len(told)


def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(saved: Path, tmp_path: Path) -> None:
    """Dates and attributes inside the archive say nothing about the baseline; whatever is taken must be the same baseline."""
    random = np.random.default_rng(6)
    size = saved.stat().st_size
    told = {flipped(saved, tmp_path, int(at), int(at) % 8) for at in random.integers(0, size, 100)}
    with zipfile.ZipFile(saved) as archive:
        directory = archive.start_dir
    told |= {flipped(saved, tmp_path, at, at % 8) for at in range(directory, size, 3)}
    assert told <= {"refused", load_baseline(saved)[1]}


def test_a_file_cut_short_is_refused(saved: Path, tmp_path: Path) -> None:
    raw = saved.read_bytes()
    for size in (0, 1, 100, len(raw) // 2, len(raw) - 1):
        (tmp_path / "cut").write_bytes(raw[:size])
        with pytest.raises(BaselineError, match="not a baseline or damaged"):
            load_baseline(tmp_path / "cut")


def rewritten(saved: Path, target: Path, **changes: object) -> Path:
    """The same archive with other values in its head."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            raw = old.read(name)
            new.writestr(name, json.dumps(json.loads(raw) | changes) if name == "baseline.json" else raw)
    return target


def test_a_newer_version_is_refused_by_name(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "newer", version=VERSION + 1)
    with pytest.raises(BaselineError, match=r"newer version.*update sekisho"):
        load_baseline(path)


def test_a_changed_number_with_a_sound_archive_is_refused(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "changed", frames=1)
    with pytest.raises(BaselineError, match="digest does not match"):
        load_baseline(path)


def test_an_array_that_asks_for_pickle_is_refused(saved: Path, tmp_path: Path) -> None:
    packed = io.BytesIO()
    np.lib.format.write_array(packed, np.array([{}], object))  # writing one is allowed by default
    path = rewritten(saved, tmp_path / "pickled")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.npy", packed.getvalue())
    with pytest.raises(BaselineError):
        load_baseline(path)

"""The evaluation measures what it says: changes keep checksums, scores follow from what a detector points at, pages are whole."""

import random
import re
import struct
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.evaluate import grammars as g
from tests.evaluate.capture import Capture, changed, internet_checksum, load, place
from tests.evaluate.cases import score
from tests.evaluate.detectors import Cry, Sekisho, UnseenValues, Whitelist
from tests.evaluate.invented import Recipe, invented_plant
from tests.evaluate.mutate import SPACING, Known, measure, messages, repetition
from tests.evaluate.page import page
from tests.evaluate.plots import bars, dots
from tests.evaluate.run import Measured, Results, evaluate
from tests.evaluate.strangers import LINE, SKID, crc16, plant
from tests.evaluate.suites import own

GRAMMARS = {False: SKID, True: LINE}


def transport_checksum_is_right(raw: bytes) -> bool:
    where = place(raw)
    assert where is not None
    l4 = 14 + (raw[14] & 15) * 4
    segment = raw[l4 : where.offset + where.size]
    return internet_checksum(where.src + where.dst + struct.pack("!BBH", 0, where.proto, len(segment)) + segment) == 0


@pytest.fixture(scope="module", params=[False, True], ids=["binary", "text"])
def strangers(request: pytest.FixtureRequest) -> tuple[Capture, g.Grammar]:
    return plant(request.param, 120, 3), GRAMMARS[request.param]


class Teller:
    """Knows the truth: points at the payload bytes that differ from the clean capture, `extra` bytes more, or at nothing."""

    def __init__(self, clean: Capture, extra: int = 0, silent: bool = False, noise: int = 0) -> None:
        self.name, self.clean, self.extra, self.silent, self.noise = "teller", clean, extra, silent, noise

    def learn(self, capture: Capture) -> None:
        pass

    def detect(self, capture: Capture) -> list[Cry]:
        cries = [Cry(n, 0, f"n{n}", ((0, 1),)) for n in range(1, self.noise + 1)]
        for number, ((_, now), (_, then)) in enumerate(zip(capture.frames, self.clean.frames, strict=True), 1):
            where = place(now)
            if now != then and where is not None and not self.silent:
                differs = [i - where.offset for i in range(where.offset, len(now)) if now[i] != then[i]]
                cries.append(Cry(number, 0, f"i{number}", ((differs[0], differs[-1] + 1 + self.extra),)))
        return cries


def test_a_plant_of_strangers_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert plant(True, 20, 1) == plant(True, 20, 1)
    assert plant(True, 20, 1) != plant(True, 20, 2)


def test_strangers_are_understood_by_their_grammar_and_have_right_checks(strangers: tuple[Capture, g.Grammar]) -> None:
    capture, grammar = strangers
    found = list(messages(capture, grammar))
    assert len(found) > 1000
    assert {m.who[2] for m in found} == {True, False}
    for m in found:
        assert grammar.mend is not None
        assert grammar.mend(m.pay) == m.pay
    assert all(transport_checksum_is_right(raw) for _, raw in capture.frames if place(raw))


def test_the_crc_is_that_of_serial_field_buses() -> None:
    assert crc16(bytes.fromhex("010300000001")) == 0x0A84  # MODBUS over serial line V1.02: a known frame, low byte first


def test_strangers_are_sound_tcp(strangers: tuple[Capture, g.Grammar]) -> None:
    for batch in strangers[0].decoded():
        assert not batch.damage.any()
        assert not (batch.repeat | batch.overlap | batch.gap).any()


def test_a_change_keeps_a_right_checksum_right_and_a_wrong_one_wrong(strangers: tuple[Capture, g.Grammar]) -> None:
    m = next(messages(*strangers))
    raw = strangers[0].frames[m.index][1]
    assert transport_checksum_is_right(changed(raw, m.where, 1, b"\xee\xdd"))
    assert changed(raw, m.where, 1, b"\xee\xdd")[m.where.offset + 1 :][:2] == b"\xee\xdd"
    wrong = raw[:50] + b"\x12\x34" + raw[52:]
    assert not transport_checksum_is_right(changed(wrong, m.where, 1, b"\xee\xdd"))


def test_a_detector_that_knows_the_truth_scores_full_and_a_silent_one_nothing(strangers: tuple[Capture, g.Grammar]) -> None:
    capture, grammar = strangers
    head, rest = capture.split(0.6)
    told = measure([Teller(rest)], head, rest, grammar, 5, 1)["teller"]
    assert told.worst(told.found)[0] == told.share(told.found, True) == 1.0
    assert (told.false_frames, told.false_incidents, told.clean) == (0, 0, [])
    assert len(told.classes()) >= 10
    silent = measure([Teller(rest, silent=True)], head, rest, grammar, 5, 1)["teller"]
    assert silent.total == told.total
    assert silent.worst(silent.found)[0] == silent.share(silent.exact, False) == 0.0


def test_bytes_beside_the_changed_ones_cost_exactness_and_cries_elsewhere_are_false() -> None:
    head, rest = plant(False, 120, 3).split(0.6)
    wide = measure([Teller(rest, extra=20)], head, rest, SKID, 5, 1)["teller"]
    assert wide.worst(wide.found)[0] == 1.0
    assert wide.share(wide.exact, False) == 0.0
    noisy = measure([Teller(rest, noise=len(rest))], head, rest, SKID, 5, 1)["teller"]
    assert noisy.false_frames > 0.4 * noisy.frames
    assert noisy.clean_incidents == len(rest)


def test_values_are_new_where_they_claim_to_be_and_known_where_swapped() -> None:
    head, rest = plant(False, 120, 3).split(0.6)
    known, rng = Known(head, SKID), random.Random(1)
    seen: Counter[str] = Counter()
    for m in list(messages(rest, SKID))[:200]:
        learned = {x.pay[slice(*x.fields["register"])] for x in messages(head, SKID) if (x.who, x.kind) == (m.who, m.kind)}
        for source in ("borrowed", "near", "random", "swapped"):
            value = known.new_value(source, "register", m, rng)
            if value is not None:
                seen[source] += 1
                assert (value in learned) == (source == "swapped")
                assert value != m.pay[slice(*m.fields["register"])]
    assert all(seen[source] for source in ("borrowed", "near", "random"))


def test_changes_stand_apart() -> None:
    head, rest = plant(False, 120, 3).split(0.6)
    touched: list[list[int]] = []

    class Watcher(Teller):
        def detect(self, capture: Capture) -> list[Cry]:
            pairs = enumerate(zip(capture.frames, rest.frames, strict=True))
            touched.append([i for i, (now, then) in pairs if now != then])
            return []

    measure([Watcher(rest)], head, rest, SKID, 5, 1)
    assert touched[0] == []  # the unchanged rest comes first
    assert len(touched) > 1
    for places in touched[1:]:
        assert places
        assert all(b - a >= 1 and b // SPACING - a // SPACING >= 2 for a, b in pairwise(places))


def test_a_plant_repeats_itself_and_a_reordered_one_does_not() -> None:
    head, rest = plant(False, 300, 3).split(0.6)
    assert repetition(head, rest, SKID).share > 0.99
    one = next(m for m in messages(rest, SKID) if m.who[2])
    strange = Capture([(0, changed(rest.frames[one.index][1], one.where, 7, bytes((n, 9)))) for n in range(50)])
    assert repetition(head, strange, SKID).share == 0.0


def test_steady_bytes_are_found_without_a_grammar() -> None:
    head, rest = plant(False, 240, 3).split(0.6)
    grammar = g.steady_bytes(head, SKID.port, "unknown")
    offsets = {name for m in messages(rest, grammar) for name in m.fields}
    assert {"byte 0", "byte 1", "byte 5", "byte 6"} <= offsets  # magic, unit, operation
    assert "byte 4" not in offsets  # the sequence number
    assert {grammar.label(name) for name in offsets} <= {"bytes 0-3", "bytes 4-7", "bytes 8-15", "bytes 16-31"}


def test_the_baselines_tell_what_they_are_said_to_tell() -> None:
    head, rest = plant(True, 120, 3).split(0.6)
    m = next(messages(rest, LINE))
    bent = rest.with_changes({m.index: changed(rest.frames[m.index][1], m.where, 3, b"\xff")})
    stranger = plant(False, 30, 3)  # other port: every pair is unknown
    whitelist, values = Whitelist(), UnseenValues()
    whitelist.learn(head)
    values.learn(head)
    assert whitelist.detect(bent) == []
    assert len(whitelist.detect(stranger)) == len(stranger)
    assert (m.index + 1, ((3, 4),)) in {(c.frame, c.ranges) for c in values.detect(bent)}
    assert values.detect(head) == []


def test_cases_are_scored_for_every_detector(root: Path) -> None:
    scores = score(root / "pcaps" / "unknown-protocol-attack", [Sekisho(), Whitelist()])
    ours, theirs = scores["Sekisho"], scores["conversation whitelist"]
    assert (ours.episodes, ours.found) == (4, {1, 2, 3, 4})
    assert theirs.found < ours.found
    assert sum(ours.causes.values()) >= 1
    assert not theirs.causes


def test_loopback_captures_get_an_ethernet_header(tmp_path: Path) -> None:
    packet = bytes.fromhex("4500001d00000000401100000a0000010a000002") + struct.pack("!HHHH", 5000, 5001, 9, 0) + b"x"
    file = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 0) + struct.pack("<IIII", 1, 0, 33, 33) + b"\2\0\0\0" + packet
    (tmp_path / "l.pcap").write_bytes(file)
    capture = load(tmp_path / "l.pcap")
    where = place(capture.frames[0][1])
    assert where is not None
    assert (where.sport, where.dport, where.size) == (5000, 5001, 1)


def test_pages_and_plots_are_whole() -> None:
    subject = own()[4]
    head, rest = plant(False, 60, 3).split(0.6)
    tallies = {}
    for name in ("Sekisho", "conversation whitelist", "unseen values per offset"):
        teller = Teller(rest, silent=name != "Sekisho")
        tallies[name] = measure([teller], head, rest, SKID, 3, 1)["teller"]
    results = Results(quick=True, per_class=3, seed=1, with_shared=False)
    results.measured.append(Measured(subject, "Skid", len(head), repetition(head, rest, SKID), tallies))
    text, plots = page(results)
    assert "shared captures were not at hand" in text
    assert f"| {subject.name} | Skid |" in text
    for name, drawing in plots.items():
        assert ET.fromstring(drawing).tag.endswith("svg"), name  # noqa: S314 - our own drawing


def test_what_there_is_no_time_for_is_left_out_and_told() -> None:
    results = evaluate(None, True, 1, lambda _: None, lambda: True)
    assert (results.measured, results.timed, results.covered) == ([], [], {})
    text, _ = page(results)
    assert "There was no time for: changes in lab modbus-normal, " in text
    assert re.search(r"^\| Sekisho \| (\d+) of \1 \|", text, flags=re.M)  # the cases come first and are always there


def test_plots_draw_a_mark_for_every_value_there_is() -> None:
    drawing = dots("t <&>", ["a", "b"], [("one", [0.5, float("nan")]), ("two", [1.0, 0.0])], 0.9)
    assert drawing.count("<circle") == 1 + 1  # legend, a
    assert drawing.count("<rect") == 1 + 1 + 2  # paper, legend, a, b
    assert ">t &lt;&amp;&gt;<" in drawing
    assert bars("t", ["a"], [("one", [3.0]), ("two", [0.0])]).count("<rect") == 1 + 1 + 2  # paper, legend, two bars


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_protocol_drawn_by_lot_says_what_its_fields_say(seed: int) -> None:
    """Every message made is sound, and each of its fields lies in it; the same seed gives the same frames."""
    recipe = Recipe(seed)
    recipe.seconds = 20.0
    capture = invented_plant(recipe)
    assert recipe.seen
    for (pay, _), fields in recipe.seen.items():
        assert recipe.mend(pay) == pay
        assert all(0 <= first < end <= len(pay) for first, end in fields.values())
        assert {"operation"} <= fields.keys()
    again = Recipe(seed)
    again.seconds = 20.0
    assert invented_plant(again) == capture

"""The doctor is told of everything that is wrong with a mirror, and says nothing of a sound one."""

from __future__ import annotations

import json
import random
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decode.headers import DecodeState, decode
from appliance.decode.names import address_halves
from appliance.explain import texts_doctor, texts_doctor_machine
from appliance.host.files import open_capture
from appliance.packets.batch import PacketBatch, batch_of
from appliance.packets.frames import Frames
from appliance.packets.reader import batches
from appliance.report.doctor import Check, judge
from appliance.report.doctor_text import MEANS, SEEN, check_record, closing, doctor_lines
from appliance.report.machine import Facts, judge_machine
from appliance.report.mirror import Address, Mirror
from appliance.report.wording import cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "pcaps" / "cases"
TRAIN = ROOT / "pcaps" / "modbus-normal" / "train.pcap"
Frame = tuple[int, bytes]


def read(path: Path) -> list[Frame]:
    with open_capture(path) as source:
        return [(int(b.time[i]), b.bytes_of(i)) for b in batches(source) for i in range(len(b))]


CLEAN = read(TRAIN)
DEVICE = bytes([10, 40, 0, 11])


def checks(parts: Iterable[PacketBatch], own: frozenset[Address] = frozenset()) -> dict[str, Check]:
    mirror, state = Mirror(own), DecodeState()
    for part in parts:
        mirror.add(decode(part, state))
    return {check.name: check for check in judge(mirror)}


def look(frames: list[Frame]) -> dict[str, Check]:
    return checks(batch_of(frames[at : at + 700]) for at in range(0, len(frames), 700))


def ip(raw: bytes) -> bool:
    return raw[12:14] == b"\x08\x00"


def problems(found: dict[str, Check]) -> set[str]:
    return {f"{check.name}.{check.outcome}" for check in found.values() if check.state == "problem"}


def busiest() -> bytes:
    """The device that sends most."""
    sources = [raw[26:30] for _, raw in CLEAN if ip(raw) and raw[23] == 6]
    servers = {raw[26:30] for _, raw in CLEAN if ip(raw) and raw[23] == 6 and raw[34:36] == b"\x01\xf6"}
    return max(servers, key=sources.count)


@pytest.mark.parametrize("path", sorted((ROOT / "pcaps").glob("*/train.pcap")), ids=lambda path: path.parent.name)
def test_a_sound_capture_has_no_problem(path: Path) -> None:
    assert problems(look(read(path))) == set()


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/pcaps beside the repository")
@pytest.mark.parametrize("name", ["enip-clean", "modbus-clean", "bacnet-clean", "modbus-plant-a1", "modbus-fake-command"])
def test_a_real_sound_capture_has_no_problem(name: str) -> None:
    for part in ("train", "test"):
        assert problems(look(read(SHARED / name / f"{part}.pcap"))) == set()


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/pcaps beside the repository")
def test_a_real_capture_of_one_side_and_one_before_and_behind_a_router_are_told() -> None:
    one = look(read(SHARED / "enip-lock-plc" / "test.pcap"))["directions"]
    assert (one.state, one.outcome, one.numbers["who"]) == ("problem", "one", ["192.168.10.230"])
    routed = look(read(SHARED / "enip-ctf" / "train.pcap"))
    assert routed["copies"].numbers["kinds"] == ["routed"]
    assert problems(routed) == {"copies.many", "loss.some"}


def test_one_device_of_which_nothing_is_seen_is_named() -> None:
    gone = busiest()
    found = look([(t, raw) for t, raw in CLEAN if not (ip(raw) and raw[26:30] == gone)])
    assert problems(found) == {"directions.one"}
    assert found["directions"].numbers["who"] == [".".join(map(str, gone))]


def test_a_mirror_of_one_direction_only_is_told_with_all_who_are_not_heard() -> None:
    servers = {raw[26:30] for _, raw in CLEAN if ip(raw) and raw[23] == 6 and raw[34:36] == b"\x01\xf6"}
    found = look([(t, raw) for t, raw in CLEAN if not (ip(raw) and raw[26:30] in servers)])
    assert found["directions"].outcome == "one"
    assert set(found["directions"].numbers["who"]) >= {".".join(map(str, s)) for s in servers}  # type: ignore[arg-type]


def twice(change: Callable[[bytes], bytes]) -> list[Frame]:
    return [frame for t, raw in CLEAN for frame in ((t, raw), (t + 20_000, change(raw)))]


def tagged(raw: bytes) -> bytes:
    return raw[:12] + b"\x81\x00\x00\x0a" + raw[12:]


def routed(raw: bytes) -> bytes:
    if not ip(raw):
        return raw
    return b"\x02\xaa\0\0\0\x01\x02\xaa\0\0\0\x02" + raw[12:22] + bytes([raw[22] - 1]) + raw[23:]


@pytest.mark.parametrize(
    ("change", "kind"), [(lambda raw: raw, "same"), (tagged, "tagged"), (routed, "routed")], ids=["same", "tagged", "routed"]
)
def test_every_frame_twice_is_told_and_how(change: Callable[[bytes], bytes], kind: str) -> None:
    found = look(twice(change))
    assert "copies.many" in problems(found)
    assert found["copies"].numbers["kinds"] == [kind]
    assert found["copies"].numbers["share"] == pytest.approx(0.5, abs=0.02)
    assert "loss.some" not in problems(found)


@pytest.mark.parametrize("share", [0.005, 0.03, 0.2])
def test_frames_that_the_mirror_lost_are_told_from_what_was_acknowledged(share: float) -> None:
    chance = random.Random(4)
    left = [frame for frame in CLEAN if chance.random() >= share]
    found = look(left)
    assert problems(found) == {"loss.some"}
    assert found["loss"].numbers["share"] == pytest.approx(share, rel=0.6)


def test_what_the_plant_itself_loses_and_sends_again_is_no_loss_of_ours() -> None:
    faulty = look(read(ROOT / "pcaps" / "network-fault" / "test.pcap"))
    assert faulty["loss"].state == "ok"
    assert problems(faulty) == set()


def test_a_capture_that_cuts_frames_is_told() -> None:
    batch = batch_of(CLEAN)
    short = batch.captured.clip(max=60)
    cut = PacketBatch(
        batch.time, batch.frame, batch.offset, short, batch.wire, batch.link, batch.interface, batch.data, batch.used, batch.arena
    )
    assert problems(checks([cut])) == {"cut.some"}


def test_tags_in_one_direction_only_are_told_and_tags_in_both_are_not() -> None:
    master = max({r[26:30] for _, r in CLEAN if ip(r)}, key=[r[26:30] for _, r in CLEAN if ip(r)].count)
    mixed = look([(t, tagged(raw) if ip(raw) and raw[26:30] == master else raw) for t, raw in CLEAN])
    assert problems(mixed) == {"vlan.mixed"}
    every = look([(t, tagged(raw)) for t, raw in CLEAN])
    assert problems(every) == set()
    assert every["vlan"].numbers["vlans"] == ["10"]


def test_frames_that_a_driver_joined_are_told() -> None:
    big = CLEAN[200][1][:16] + (3000).to_bytes(2, "big") + CLEAN[200][1][18:]
    joined = [(t, big.ljust(3014, b"x")) if i % 20 == 0 else (t, raw) for i, (t, raw) in enumerate(CLEAN)]
    assert "size.some" in problems(look(joined))


def test_a_port_that_gets_broadcasts_only_is_no_mirror() -> None:
    group = [(t, raw) for t, raw in CLEAN if raw[0] & 1]
    assert len(group) < 50
    many = [(t + i * 10**9, raw) for i in range(5) for t, raw in group]
    assert "traffic.group" in problems(look(sorted(many)))


def test_clocks_that_jump_back_or_were_never_set_are_told() -> None:
    half = len(CLEAN) // 2
    assert problems(look([*CLEAN[half:], *CLEAN[:half]])) >= {"clock.back"}
    assert problems(look([(t - CLEAN[0][0] + 10**9, raw) for t, raw in CLEAN])) == {"clock.wrong"}
    assert problems(look([(0, raw) for _, raw in CLEAN])) >= {"clock.none"}


def test_our_own_traffic_is_told() -> None:
    own = address_halves(".".join(map(str, busiest())))
    assert checks([batch_of(CLEAN)], own=frozenset({own}))["own"].state == "problem"
    assert checks([batch_of(CLEAN)], own=frozenset({(0, 1)}))["own"].state == "ok"


def test_a_tap_whose_directions_come_over_two_interfaces_is_sound() -> None:
    servers = {raw[26:30] for _, raw in CLEAN if ip(raw) and raw[23] == 6 and raw[34:36] == b"\x01\xf6"}
    one = Mirror()
    two = Mirror(flows=one.flows, senders=one.senders, receivers=one.receivers)
    states = DecodeState(), DecodeState()
    for at in range(0, len(CLEAN), 200):
        halves: tuple[list[Frame], list[Frame]] = ([], [])
        for when, raw in CLEAN[at : at + 200]:
            halves[ip(raw) and raw[26:30] in servers].append((when, raw))
        for mirror, half, state in zip((one, two), halves, states, strict=True):
            mirror.add(decode(batch_of(half), state))
    for mirror in (one, two):
        assert problems({check.name: check for check in judge(mirror)}) == set()


def test_nothing_and_next_to_nothing_are_no_traceback() -> None:
    assert problems(look([])) == {"traffic.none"}
    assert problems(look(CLEAN[:3])) == set()
    assert look(CLEAN[:3])["traffic"].outcome == "few"


def test_texts_are_complete_in_both_languages_and_take_the_same_numbers() -> None:
    assert SEEN["en"].keys() == SEEN["ja"].keys()
    assert MEANS["en"].keys() == MEANS["ja"].keys()
    fine = {"traffic.ok", "directions.udp", "learning.watching", "rules.unused", "rules.untried"}
    assert {key for key in SEEN["en"] if not key.endswith(".ok") and key not in fine} == set(MEANS["en"])
    for key, text in SEEN["en"].items():
        names = [{name for _, name, _, _ in string.Formatter().parse(t) if name} for t in (text, SEEN["ja"][key])]
        assert names[0] == names[1], key
    assert texts_doctor.TITLES.keys() | texts_doctor_machine.TITLES.keys() == {key.split(".")[0] for key in SEEN["en"]}


def test_every_outcome_in_the_code_has_a_text() -> None:
    used = set()
    for name in ("doctor.py", "machine.py"):
        code = (ROOT / "appliance" / "report" / name).read_text(encoding="utf-8")
        used |= {f"{a}.{b}" for a, b in re.findall(r'Check\(\s*"(\w+)", "(\w+)"', code)}
    assert used <= set(SEEN["en"])
    assert len(used) > 25


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_lines_fit_a_terminal_and_records_keep_their_schema(lang: str) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((ROOT / "docs" / "schema" / "check.json").read_text(encoding="utf-8"))
    facts = Facts(
        now=CLEAN[0][0], snapshot=None, silence="/run/x/keeper.sock: nobody", ports={"eth1": None, "eth2": False, "eth3": True},
        offloads={"eth3": ("rx-gro",), "eth2": ()}, refused={"eth3": "start as root"}, free=10, size=1000, rules="no nftables",
        enforces=True,
    )  # fmt: skip
    found = [*look(twice(tagged)).values(), *look(CLEAN).values(), *judge_machine(facts)]
    assert all(cells(line) <= 100 for line in doctor_lines("x.pcap", found, lang))
    for check in found:
        record = check_record(check, "x.pcap", lang)
        Draft202012Validator(schema).validate(record)
        assert list(record) == list(schema["properties"])
        assert bool(record["means"]) == bool(record["advice"]) == (check.state != "ok")


def test_the_machine_is_judged() -> None:
    sensor = {"mode": "watching", "interfaces": [{"name": "eth1", "frames": 1000, "dropped": 5}]}
    snapshot = {"incidents": {"open": 2}, "sensor": sensor, "problems": [{"what": "w", "since": 1, "advice": "a{b}"}]}
    facts = Facts(
        now=CLEAN[0][0],
        snapshot=snapshot,
        ports={"eth1": True},
        cards={"eth1": (10**6, 50)},
        free=10**11,
        size=10**12,
        synchronised=False,
    )
    found = judge_machine(facts)
    told = {f"{c.name}.{c.outcome}": c.state for c in found}
    assert told["running.told"] == told["drops.some"] == "problem"
    assert told["sync.none"] == told["card.some"] == "note"
    assert judge_machine(Facts(now=CLEAN[0][0], cards={"eth1": (1000, 1)}))[1].state == "problem"
    assert told["port.ok"] == told["disk.ok"] == told["rules.untried"] == told["learning.watching"] == "ok"
    assert check_record(found[0], "", "en")["advice"] == "a{b}"


def test_a_kernel_that_cannot_look_into_payloads_is_a_problem_only_where_rules_are_wanted() -> None:
    can = {"payload": False, "reset": True}
    for enforces, outcome, state in ((True, "weak", "problem"), (False, "ok", "ok")):
        found = judge_machine(Facts(now=CLEAN[0][0], enforces=enforces, abilities=can))[-1]
        assert (found.name, found.outcome, found.state) == ("rules", outcome, state)
        assert check_record(found, "", "ja")["numbers"] == {"payload": "no", "reset": "yes"}


def test_what_the_look_itself_lost_is_not_blamed_on_the_mirror() -> None:
    chance = random.Random(4)
    mirror = Mirror()
    mirror.add(decode(batch_of([frame for frame in CLEAN if chance.random() >= 0.05]), DecodeState()))
    mirror.missed = 100
    assert "loss.missed" not in problems({c.name: c for c in judge(mirror)})
    assert {c.name: c.outcome for c in judge(mirror)}["loss"] == "missed"


@pytest.mark.parametrize(
    ("states", "said"),
    [("ok ok", "All fine"), ("ok note", "No problem, 1 note"), ("note problem", "1 problem"), ("problem problem", "2 problems")],
)
def test_the_last_line_counts(states: str, said: str) -> None:
    assert closing([Check("vlan", "ok", state) for state in states.split()], "en") == said  # type: ignore[arg-type]


some = st.lists(st.tuples(st.integers(0, 2**61), st.binary(min_size=1, max_size=120)), max_size=30)


@given(some, st.sampled_from([1, 101, 113, 9]))
def test_any_bytes_are_judged(frames: list[Frame], link: int) -> None:
    mirror, state = Mirror(frozenset({(0, 5)})), DecodeState()
    for at in range(0, len(frames), 7):
        mirror.add(decode(batch_of(frames[at : at + 7], link), state))
    for check in judge(mirror, 10**18):
        json.dumps(check_record(check, "x", "en"), allow_nan=False)


@given(st.integers(0, 2**32), st.floats(0, 0.2))
def test_true_frames_with_any_damage_are_judged(seed: int, share: float) -> None:
    chance = random.Random(seed)
    bent = []
    for at, raw in CLEAN[:400]:
        frame = bytearray(raw[: chance.randint(1, len(raw))] if chance.random() < share else raw)
        if chance.random() < share:
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        bent.append((at + chance.randint(-(10**10), 10**10) * (chance.random() < share), bytes(frame)))
    assert len(look(bent)) >= 9


def test_a_capture_that_is_written_is_judged_the_same(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(Frames.of(batch_of(CLEAN)).pcap())
    assert look(read(tmp_path / "x.pcap")) == look(CLEAN)

"""The learner over hours of made-up time: it says how far it is, when it may be enough, and ends when it is."""

import struct
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Learning
from appliance.host.sensor.learner import BASELINE, Learner
from appliance.host.sensor.spool import segment_path
from appliance.learn.meaning.adequacy import ENOUGH
from appliance.packets.spool import Kind
from tests.unit.dialogue import START, Frames, Wire
from tests.unit.frames import SECOND
from tests.unit.rings import Sent
from tests.unit.test_packets_spool import chunk, reader

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
STEP = 5 * MINUTE  # of plant in one segment
EVERY = 20 * SECOND  # between two tables of a device
DEVICES = 40  # conversations: 150 hours of them are enough where nothing new comes (3 / 150 is 2 %)


def polls(wire: Wire, begin: int, end: int) -> Frames:
    """A centre reads four tables of each of forty devices in turn."""
    wire.frames.clear()
    for k in range(begin // EVERY, end // EVERY):
        for device in range(DEVICES):
            at = START + k * EVERY + device * SECOND // 8
            server, sport = f"10.0.0.{11 + device}", 40_000 + device
            if k == 0:
                wire.open(at - SECOND // 10, "10.0.0.1", sport, server, 502)
            wire.tcp(at, "10.0.0.1", sport, server, 502, struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 40 * (k % 4), 2))
            answer = struct.pack(">HHHBBBHH", 1, 0, 7, 1, 3, 4, 500, 9)
            wire.tcp(at + SECOND // 100, server, 502, "10.0.0.1", sport, answer)
    return sorted(wire.frames)


def segment(folder: Path, number: int, frames: Frames) -> int:
    """Write a segment as the sensor does; returns its number."""
    parts = [frames[at : at + 200] for at in range(0, len(frames), 200)]
    raw = b"".join(chunk(reader([Sent(data, time=when) for when, data in part]), Kind.ALONE) for part in parts)
    segment_path(folder / "spool", number).write_bytes(raw)
    return number


def learned(folder: Path, settings: Learning, hours: int) -> tuple[list[dict[str, Any]], Learner]:
    (folder / "spool").mkdir()
    said: list[dict[str, Any]] = []
    learner, wire = Learner(folder, settings, said.append), Wire()
    for number in range(hours * HOUR // STEP):
        if learner.done:
            break
        learner.take(segment(folder, number + 1, polls(wire, number * STEP, (number + 1) * STEP)))
    return said, learner


def test_it_learns_until_it_is_enough_and_says_meanwhile_how_far_it_is(tmp_path: Path) -> None:
    said, learner = learned(tmp_path, Learning(), 5)
    assert learner.done
    assert (tmp_path / BASELINE).exists()
    (done,), told = [s for s in said if "done" in s], [s for s in said if "done" not in s]
    assert set(done) == {"done", "digest"}
    watched = [s["watched"] for s in told]
    assert watched == sorted(watched)
    assert 2.5 * HOUR < watched[-1] < 4 * HOUR  # an hour counts as soon as it is begun
    assert told[0]["stage"] == "survey"
    assert {s["readiness"] for s in told if s["watched"] < 2 * HOUR - STEP} == {"short"}  # an hour has to be knowable
    assert {s["readiness"] for s in told if 2 * HOUR + STEP < s["watched"] < watched[-1] - STEP} == {"learning"}
    assert told[-1]["new"] <= ENOUGH < told[-3]["new"]
    # what it says it takes at the least it takes, and an hour more at the most
    left = [s["watched"] + s["ready_in"] for s in told[:-2] if s["ready_in"] is not None]
    assert max(left) <= watched[-1] + STEP
    assert min(left) > watched[-1] - HOUR
    assert all(s["damaged"] == 0 for s in told)


@pytest.mark.parametrize("hours", [1, 2])
def test_with_a_time_to_learn_for_it_counts_down_to_it(tmp_path: Path, hours: int) -> None:
    said, learner = learned(tmp_path, Learning(for_ns=hours * HOUR, survey_ns=10 * MINUTE), 4)
    assert learner.done
    told = [s for s in said if "done" not in s]
    assert all(s["ready_in"] == max(hours * HOUR - s["watched"], 0) for s in told)
    assert told[-1]["watched"] >= hours * HOUR > told[-2]["watched"]


def test_damaged_frames_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    said: list[dict[str, Any]] = []
    learner, wire = Learner(tmp_path, Learning(for_ns=HOUR, survey_ns=6 * MINUTE), said.append), Wire()
    for number in range(6):
        frames = polls(wire, number * STEP, (number + 1) * STEP)
        frames += [(frames[-1][0] + k, frames[-1][1][: 20 + k]) for k in range(1, 6)]  # ends inside a header
        learner.take(segment(tmp_path, number + 1, frames))
    assert said[-1]["stage"] == "counting"
    assert said[-1]["damaged"] == 6 * 5

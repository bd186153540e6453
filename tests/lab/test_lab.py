"""The lab itself: each kind of peer really talks over the bridge, and what is recorded agrees with what is said of it."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.lab import dose, labels, net, plants, recording, scripts_modbus
from tests.lab.cases import CASES
from tests.lab.net import LabError
from tests.lab.stage import Host, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def _namespaces(namespaces: None) -> Iterator[None]:
    """Skip where no namespaces can be made; leave none behind."""
    yield
    assert [name for name in net.namespaces() if name.startswith(f"{net.PREFIX}{os.getpid()}-")] == []


def watch(hosts: list[Host], seconds: float, path: Path) -> list[labels.Frame]:
    """Return the frames that cross a plant's bridge in `seconds`."""
    with Stage("test", hosts, 7) as stage:
        stage.record(path)
        time.sleep(seconds)
        report = stage.stop_recording()
    frames = list(labels.read_frames(path))
    assert report == {"frames": len(frames), "dropped": 0}
    return frames


def modbus_poll(frame: labels.Frame) -> bool:
    return frame.ports[0] == 502 and frame.payload[7:9] == b"\x03\x14" and len(frame.payload) == 29


def enip_poll(frame: labels.Frame) -> bool:
    return frame.ports[0] == 44818 and frame.payload[:1] == b"\x6f" and frame.payload[8:12] == bytes(4)


def bacnet_poll(frame: labels.Frame) -> bool:
    # complex acknowledgement (3) of ReadPropertyMultiple (14)
    return frame.ports == (47808, 47808) and frame.payload[6:7] == b"\x30" and frame.payload[8:9] == b"\x0e"


def dose_poll(frame: labels.Frame) -> bool:
    return frame.ports[0] == dose.PORT and frame.payload[6:7] == bytes([dose.STATUS | 0x80])


@pytest.mark.parametrize(
    ("plant", "answer"),
    [(plants.modbus, modbus_poll), (plants.enip, enip_poll), (plants.bacnet, bacnet_poll), (plants.dosing, dose_poll)],
    ids=["modbus", "enip", "bacnet", "dose"],
)
def test_polls_are_answered_over_the_bridge(
    plant: Callable[[str], list[Host]], answer: Callable[[labels.Frame], bool], tmp_path: Path
) -> None:
    frames = watch([*plants.office("10.49.0"), *plant("10.49.0")], 4, tmp_path / "a.pcap")
    assert sum(map(answer, frames)) >= 3
    assert any(frame.ports == (5353, 5353) or frame.ports[1] in (123, 1900, 22350) for frame in frames) or len(frames) > 40


def test_process_values_move_between_polls(tmp_path: Path) -> None:
    frames = watch(plants.modbus("10.49.1"), 4, tmp_path / "a.pcap")
    assert len({frame.payload[9:13] for frame in frames if modbus_poll(frame)}) >= 3


def test_a_killed_device_refuses_and_a_frozen_one_is_silent(tmp_path: Path) -> None:
    with Stage("test", plants.modbus("10.49.2"), 7) as stage:
        time.sleep(2)
        stage.record(tmp_path / "a.pcap")
        killed = stage.kill("tank")
        frozen = stage.freeze("heater", on=True)
        time.sleep(5)
        stage.stop_recording()
        tank, heater = stage.address("tank"), stage.address("heater")
    frames = list(labels.read_frames(tmp_path / "a.pcap"))
    after = [frame for frame in frames if frame.time > max(killed, frozen) + 0.1]
    assert not [frame for frame in after if frame.src in (tank, heater) and frame.payload]
    assert [frame for frame in after if frame.dst == heater and frame.payload], "the masters go on asking the silent device"
    assert [frame for frame in after if frame.src == tank], "the dead device's kernel refuses connections"


def test_a_bad_cable_loses_frames_only_while_it_is_bad(tmp_path: Path) -> None:
    with Stage("test", plants.modbus("10.49.3", cable="tank"), 7) as stage:
        time.sleep(2)
        stage.ask("tank-cable", "impair", loss=1.0, double=0.0)
        stage.record(tmp_path / "bad.pcap")
        time.sleep(3)
        lost = stage.ask("tank-cable", "impair", loss=0.0, double=0.0).result["lost"]
        stage.record(tmp_path / "good.pcap")
        time.sleep(5)
        stage.stop_recording()
        tank = stage.address("tank")
    assert lost > 0
    assert not [frame for frame in labels.read_frames(tmp_path / "bad.pcap") if frame.src == tank]
    assert [frame for frame in labels.read_frames(tmp_path / "good.pcap") if frame.src == tank and frame.payload]


def test_a_short_recording_is_complete_and_labelled(tmp_path: Path) -> None:
    def script(stage: Stage) -> None:
        done = stage.ask("intruder", "tcp_send", host=stage.address("tank"), port=502, payloads=["000100000006010500000000"])
        scripts_modbus.rogue(stage, 1, "write", done.start, done.end)

    case = dataclasses.replace(CASES["modbus-attack"], train=3, test=3, script=script)
    facts = recording.record(case, tmp_path, "test")
    folder = tmp_path / case.name
    assert recording.check(folder) == []
    assert facts["episodes"] == 1
    frames = list(labels.read_frames(folder / "test.pcap"))
    rows = [line.split(";") for line in (folder / "labels.csv").read_text().splitlines()]
    marked = [frame for frame, row in zip(frames, rows, strict=True) if row[1] == "1"]
    assert {frame.src for frame in marked} == {"10.40.2.66"}
    assert sum(frame.payload.hex() == "000100000006010500000000" for frame in marked) == 1


def test_a_script_that_did_nothing_is_not_accepted_as_an_attack(tmp_path: Path) -> None:
    case = dataclasses.replace(CASES["modbus-attack"], train=1, test=1, script=scripts_modbus.quiet)
    with pytest.raises(LabError, match="without a positive frame"):
        recording.record(case, tmp_path, "test")
    assert list(tmp_path.iterdir()) == []


def test_a_peer_that_cannot_start_is_named() -> None:
    with pytest.raises(LabError, match="nobody"), Stage("test", [Host("nobody", "10.49.4.1", "no_such_peer")], 7):
        pass

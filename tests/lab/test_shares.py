"""Several cores: shares judge, the sensor tells; one story, and nothing is lost where a share dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appliance.host.baselines import load_baseline
from appliance.packets.fanout import Partition
from tests.bench.sender import udp
from tests.lab.daemon import Daemon, Record
from tests.lab.test_daemon import CASE, FIELDS, Recorder, config, frames_of, play, polled, sekisho, told
from tests.lab.wires import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

MASTER = (0, 0xFFFF_0A00_0001)
SHARE = [Partition(2).share_of(MASTER, (0, 0xFFFF_0A00_0100 + device)) for device in range(6)]
ZERO, ONE = SHARE.index(0), SHARE.index(1)  # a device whose polls go to the first share, one whose go to the second
ANY_FRAME = tuple(name for name in FIELDS if name != "frame")  # shares count frames of their own


@pytest.fixture
def wire(namespaces: None) -> Iterator[Wire]:
    with Wire("shr") as made:
        yield made


def forged(device: int, register: int) -> bytes:
    payload = b"\0" + bytes([device]) + b"\0\0\0\x06\x01\x06\0" + bytes([register]) + b"\0\x0a"
    return udp(1, 256 + device, 502, payload, 20_000 + device)


def divided(daemon: Daemon) -> None:
    """Wait until the shares judge."""
    end = time.monotonic() + 90
    while "by 2 shares" not in daemon.notes():
        assert time.monotonic() < end, daemon.notes()
        time.sleep(0.1)


def shares(daemon: Daemon) -> dict[int, int]:
    """Number of a share -> its process."""
    found = {}
    for child in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = child.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"appliance.host.sensor.share" in words and os.fsencode(daemon.config) in words:
            at = words.index(b"appliance.host.sensor.share")
            found[int(words[at + 2])] = int(child.parent.name)
    return found


def findings(daemon: Daemon, client: str, kind: str | None = None) -> list[Record]:
    return [
        line for line in daemon.lines if line["type"] == "finding" and line["client"] == client and kind in (None, line["kind"])
    ]


def test_it_learns_alone_then_two_judge_and_each_attack_is_one_incident(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "4s", "cores = 2")) as daemon:
        with polled(wire):
            daemon.ready("watching")
            divided(daemon)
            wire.send(forged(ZERO, 100), forged(ONE, 100))
            for _ in range(2):
                daemon.finding("unknown-command")
            for device in range(6):  # a stranger, to devices of both shares
                wire.send(udp(0x1042, 256 + device, 502, b"\0\0\0\0\0\x06\x01\x05\0\1\xff\0", 30_000))
            wire.send(*[udp(0x1042, 256 + device, 502, b"\0\0\0\0\0\x06\x01\x05\0\1\xff\0", 30_000) for device in range(6, 10)])
            daemon.until(lambda line: line["type"] == "finding" and line["kind"] == "scan")
            daemon.until(lambda line: line["type"] == "packets")
            time.sleep(1)
            status = daemon.status()
        time.sleep(0.5)
        assert daemon.stop() == 0
    assert {line["dst"] for line in findings(daemon, "10.0.0.1", "unknown-command")} == {f"10.0.1.{ZERO}", f"10.0.1.{ONE}"}
    assert len(findings(daemon, "10.0.0.1", "unknown-command")) == 2
    stranger = findings(daemon, "10.0.16.66")
    assert {line["incident"] for line in stranger} == {stranger[0]["incident"]}
    assert {line["dst"] for line in stranger} == {f"10.0.1.{device}" for device in range(10)}
    assert status["interfaces"][0]["dropped"] == 0
    packets = [line for line in daemon.lines if line["type"] == "packets" and line["incident"] == stranger[0]["incident"]][-1]
    kept = frames_of(tmp_path / "state" / packets["file"])  # of both shares, in the order of their times
    assert len(kept) == packets["frames"] >= 10
    assert [when for when, _ in kept] == sorted(when for when, _ in kept)
    assert {raw[33] for _, raw in kept if raw[26:30] == bytes([10, 0, 16, 66])} == set(range(10))
    assert daemon.lines[-1]["type"] == "summary"
    learned, _ = load_baseline(tmp_path / "state" / "baseline")
    # every frame was learned or judged; those of the moment in which the rings were exchanged are counted by both
    seen = next(line for line in reversed(daemon.lines) if line["type"] == "status")["interfaces"][0]["frames"]
    assert 0 <= seen - learned.frames - daemon.lines[-1]["frames"] < 50


def test_two_shares_find_live_what_one_finds_offline(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    sekisho("learn", CASE / "train.pcap", "--baseline", tmp_path / "state" / "baseline")
    sent = frames_of(CASE / "test.pcap")
    with Daemon(wire, tmp_path, config(tmp_path, more="cores = 2")) as daemon:
        daemon.ready("watching")
        divided(daemon)
        recorder = Recorder(wire)
        play(wire, sent)
        recorder.write(tmp_path / "seen.pcap")
        assert daemon.stop() == 0
    live = daemon.lines
    assert [raw for _, raw in recorder.frames] == [raw for _, raw in sent]
    offline = sekisho("detect", tmp_path / "seen.pcap", "--baseline", tmp_path / "state" / "baseline", "--format", "jsonl")
    assert told(live, *ANY_FRAME) == told(offline, *ANY_FRAME)
    assert len(told(live, *ANY_FRAME)) > 30
    assert live[-1]["frames"] == len(sent)
    last = {line["id"]: line for line in live if line["type"] == "incident"}
    titles = sorted((line["title"], line["cause"], line["technique"]) for line in last.values())
    assert titles == sorted((r["title"], r["cause"], r["technique"]) for r in offline if r["type"] == "incident")


def test_the_death_of_a_share_costs_the_others_nothing_and_its_frames_wait(wire: Wire, tmp_path: Path) -> None:
    roomy = config(tmp_path, "4s", "cores = 2").replace("ring_mib = 8", "ring_mib = 64").replace("= 100", "= 300")
    with Daemon(wire, tmp_path, roomy) as daemon, polled(wire):
        daemon.ready("watching")
        divided(daemon)
        killed = shares(daemon)
        assert sorted(killed) == [0, 1]
        os.kill(killed[0], signal.SIGKILL)
        wire.send(forged(ZERO, 100), forged(ONE, 100))
        dead = time.monotonic()
        first = daemon.finding("unknown-command")
        assert (first["dst"], time.monotonic() - dead < 4) == (f"10.0.1.{ONE}", True)  # the other goes on
        assert daemon.finding("unknown-command")["dst"] == f"10.0.1.{ZERO}"  # it waited in the ring
        again = shares(daemon)
        assert again[0] != killed[0]
        assert again[1] == killed[1]
        assert daemon.status()["interfaces"][0]["dropped"] == 0
        assert "share 0: died (code -9); it is started again" in daemon.notes()
        daemon.config.write_text(roomy.replace("= 64", "= 32"), encoding="utf-8")  # other rings, for both
        daemon.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while daemon.notes().count("by 2 shares") < 2:
            assert time.monotonic() < end, daemon.notes()
            time.sleep(0.1)
        wire.send(forged(ZERO, 101), forged(ONE, 101))
        found = {daemon.finding("unknown-command")["dst"] for _ in range(2)}
        assert found == {f"10.0.1.{ZERO}", f"10.0.1.{ONE}"}


def test_the_shares_end_with_their_sensor_and_begin_with_the_next(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "4s", "cores = 2")) as daemon, polled(wire):
        daemon.ready("watching")
        divided(daemon)
        before = shares(daemon)
        os.kill(daemon.child("sensor.process"), signal.SIGKILL)
        end = time.monotonic() + 60
        while not (len(shares(daemon)) == 2 and not set(before.values()) & set(shares(daemon).values())):
            assert time.monotonic() < end, daemon.notes()
            time.sleep(0.2)
        while daemon.notes().count("by 2 shares") < 2:
            assert time.monotonic() < end, daemon.notes()
            time.sleep(0.2)
        wire.send(forged(ONE, 100))
        assert daemon.finding("unknown-command")["dst"] == f"10.0.1.{ONE}"

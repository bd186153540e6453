"""The daemon on a wire: it finds live what it finds offline, learns by itself, and survives what happens to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appliance.host.baselines import load_baseline
from appliance.host.capture.af_packet import MappedRing, open_ring
from appliance.host.control import ask
from appliance.host.files import open_capture
from appliance.packets.reader import batches
from appliance.packets.ringshape import RingShape
from tests.bench.sender import polls, udp
from tests.lab import net
from tests.lab.daemon import ROOT, Daemon, Record
from tests.lab.wires import Wire, entered

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

CASE = ROOT / "pcaps" / "modbus-attack"
PACE = 5  # times faster than it was recorded
CONTENT = {"unknown-command", "unknown-value", "unknown-combination", "wrong-length"}  # what does not depend on the pace
FIELDS = ("frame", "src", "dst", "client", "service", "kind", "bytes", "seen", "normal", "score")


@pytest.fixture
def wire(namespaces: None) -> Iterator[Wire]:
    with Wire("run") as made:
        yield made


def config(folder: Path, learn: str = "1h", more: str = "") -> str:
    return (
        f'[capture]\ninterfaces = ["w0"]\nring_mib = 8\nlatency_ms = 100\n{more}\n[learning]\nfor = "{learn}"\n'
        f'[state]\ndirectory = "{folder}/state"\n[output]\nstatus_every = "0.5s"\n'
    )


def sekisho(*arguments: object) -> list[Record]:
    command = [sys.executable, "-m", "appliance", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "appliance", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)


def frames_of(path: Path) -> list[tuple[int, bytes]]:
    with open_capture(path) as source:
        return [(int(b.time[i]), b.bytes_of(i)) for b in batches(source) for i in range(len(b))]


def play(wire: Wire, frames: list[tuple[int, bytes]]) -> None:
    """Send frames at PACE times their own pace."""
    begin, first = time.monotonic(), frames[0][0]
    with wire.sending() as send:
        for when, raw in frames:
            late = begin + (when - first) * 1e-9 / PACE - time.monotonic()
            if late > 0:
                time.sleep(late)
            send(raw)


class Recorder:
    """A second ring on the same interface, written to a capture: what the daemon sees, seen by somebody else."""

    def __init__(self, wire: Wire) -> None:
        shape = RingShape(1 << 16, 128, 10)
        with entered(wire.near):
            self.ring = MappedRing(open_ring("w0", 2, shape, promiscuous=False), shape, 1, 0)
        self.frames: list[tuple[int, bytes]] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while True:
            ended = self.over.is_set()
            batch = self.ring.reader.take(1)
            if batch is not None:
                self.frames += [(int(batch.time[i]), batch.bytes_of(i)) for i in range(len(batch))]
            elif ended:
                return
            else:
                time.sleep(0.02)

    def write(self, path: Path) -> None:
        time.sleep(0.3)
        self.over.set()
        self.thread.join()
        self.ring.close()
        head = bytes.fromhex("4d3cb2a1020004000000000000000000000004000100 0000".replace(" ", ""))
        with path.open("wb") as file:
            file.write(head)
            for when, raw in self.frames:
                seconds, part = divmod(when, 10**9)
                file.write(b"".join(n.to_bytes(4, "little") for n in (seconds, part, len(raw), len(raw))) + raw)


def told(records: list[Record], *fields: str) -> list[str]:
    return sorted(json.dumps([r[f] for f in fields]) for r in records if r["type"] == "finding")


def test_live_it_finds_what_it_finds_offline(wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    sekisho("learn", CASE / "train.pcap", "--baseline", tmp_path / "state" / "baseline")
    sent = frames_of(CASE / "test.pcap")
    with Daemon(wire, tmp_path, config(tmp_path)) as daemon:
        daemon.ready("watching")
        recorder = Recorder(wire)
        play(wire, sent)
        recorder.write(tmp_path / "seen.pcap")
        assert daemon.stop() == 0
    live = daemon.lines
    assert [raw for _, raw in recorder.frames] == [raw for _, raw in sent]
    assert live[-1]["type"] == "summary"
    assert live[-1]["frames"] == len(sent)
    arguments = ("--baseline", tmp_path / "state" / "baseline", "--format", "jsonl")
    offline = sekisho("detect", tmp_path / "seen.pcap", *arguments)
    assert told(live, *FIELDS) == told(offline, *FIELDS)
    assert len(told(live, *FIELDS)) > 30
    assert live[-1] | {"seconds": 0} == offline[-1] | {"seconds": 0}
    recorded = sekisho("detect", CASE / "test.pcap", *arguments)
    content = [[r for r in records if r.get("kind") in CONTENT] for records in (live, recorded)]
    assert told(content[0], *FIELDS) == told(content[1], *FIELDS)
    last = {r["id"]: r for r in live if r["type"] == "incident"}
    titles = sorted((r["title"], r["cause"], r["technique"]) for r in last.values())
    assert titles == sorted((r["title"], r["cause"], r["technique"]) for r in offline if r["type"] == "incident")


@contextlib.contextmanager
def polled(wire: Wire, rate: float = 400) -> Iterator[None]:
    """Six devices are polled meanwhile."""
    over = threading.Event()

    def run() -> None:
        at, frames = 0, polls(6)
        with wire.sending() as send:
            while not over.wait(1 / rate):
                send(frames[at % len(frames)])
                at += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


FORGED = udp(1, 258, 502, b"\0\x02\0\0\0\x06\x01\x06\0\x64\0\x0a", 20002)


def test_it_learns_by_itself_then_watches_and_nobody_has_a_capability_too_many(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon:
        with polled(wire):
            daemon.ready("learning")
            assert (tmp_path / "state" / "spool").is_dir()
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
            held = {name: capabilities(daemon.child(name)) for name in ("sensor.process", "capture.opener")}
            assert held == {"sensor.process": "0" * 16, "capture.opener": "0" * 12 + "3000"}
            wire.send(FORGED)
            found = daemon.finding("unknown-command")
            words = daemon.until(lambda line: line["type"] == "incident" and line["revision"] > 1)
        assert (found["kind"], found["src"], found["dst"], found["bytes"]) == (
            "unknown-command",
            "10.0.0.1",
            "10.0.1.2",
            [[7, 8]],
        )
        assert words["title"]
        time.sleep(0.5)
        assert daemon.stop() == 0
    assert daemon.lines[-1]["type"] == "summary"
    status = next(line for line in reversed(daemon.lines) if line["type"] == "status")
    learned, _ = load_baseline(tmp_path / "state" / "baseline")
    # what came while learning ended was judged: every frame was either learned or judged
    assert learned.frames + daemon.lines[-1]["frames"] == status["interfaces"][0]["frames"]
    assert list((tmp_path / "state" / "spool").iterdir()) == []
    assert (tmp_path / "state" / "baseline").stat().st_mode & 0o777 == 0o640


def capabilities(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("CapPrm"))


@pytest.mark.parametrize("name", ["capture.opener", "sensor.process", "sensor.learner"])
def test_a_process_that_is_killed_while_learning_comes_back_and_nothing_in_the_spool_is_lost(
    wire: Wire, tmp_path: Path, name: str
) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "10s")) as daemon, polled(wire):
        daemon.ready("learning")
        daemon.until(lambda line: line["type"] == "status" and line["learned"] > 2)
        victim = daemon.child(name)
        assert victim
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        while daemon.child(name) in (0, victim):
            assert time.monotonic() - began < 8
            time.sleep(0.05)
        watching = daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        assert watching["interfaces"][0]["dropped"] == 0
        wire.send(FORGED)
        assert daemon.finding("unknown-command")["dst"] == "10.0.1.2"
        assert daemon.stop() == 0


def test_sighup_takes_a_good_configuration_and_refuses_a_bad_one(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path)) as daemon:
        daemon.ready("learning")
        for text, said in (
            ("[capture]\n", "configuration not taken over"),
            (config(tmp_path).replace("/state", "/other"), "[state] directory cannot change"),
            (config(tmp_path, more='ignore = ["not ethertype 0x88b6"]'), "configuration taken over"),
        ):
            daemon.config.write_text(text, encoding="utf-8")
            daemon.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + 10
            while said not in daemon.notes():
                assert time.monotonic() < end, daemon.notes()
                time.sleep(0.05)
        before = daemon.ready()["frames"]
        time.sleep(1)
        wire.send(*[(bytes(12) + kind).ljust(60, b"\0") for kind in (b"\x88\xb6", b"\x88\xb5", b"\x88\xb6")])
        daemon.until(lambda line: line["type"] == "status" and line["frames"] > before)
        assert daemon.status()["frames"] == before + 1
        assert daemon.stop() == 0
    refused = [line for line in daemon.notes().splitlines() if "not taken over" in line]
    assert len(refused) == 2


def test_a_cable_that_is_pulled_is_told_though_no_frame_comes(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon:
        daemon.ready("learning")
        with polled(wire):
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        assert daemon.finding("silence")["frame"] is None
        wire.unplug()
        assert daemon.until(lambda line: line["type"] == "status" and not line["interfaces"][0]["up"])
        wire.plug()
        daemon.ready("watching")
        with polled(wire):
            time.sleep(1)
        assert daemon.status()["frames"] > 0
        assert daemon.stop() == 0


def test_a_second_daemon_on_the_same_state_is_refused(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path)) as daemon:
        daemon.ready()
        command = [sys.executable, "-m", "appliance", "run", "--config", str(daemon.config)]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, cwd=ROOT)
        assert (second.returncode, len(second.stderr.splitlines())) == (2, 1)
        assert "another sekisho runs with this state" in second.stderr


def test_an_incident_keeps_the_very_frames_of_its_findings(wire: Wire, tmp_path: Path) -> None:
    from scapy.utils import RawPcapReader

    with Daemon(wire, tmp_path, config(tmp_path, "4s") + '[packets]\nafter = "1s"\n') as daemon, polled(wire):
        daemon.ready("learning")
        daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
        time.sleep(1)
        tagged = FORGED[:12] + b"\x81\x00\x20\x07" + FORGED[12:]
        wire.send(FORGED, tagged)
        incident = daemon.finding("unknown-command")["incident"]
        first = daemon.until(lambda line: line["type"] == "packets" and line["incident"] == incident)
        last = daemon.until(lambda line: line["type"] == "packets" and line["incident"] == incident)
        for more, said in (([], "whole.pcap"), (["--headers-only"], "bare.pcap")):
            arguments = ["incident", "export", incident, "--config", daemon.config, "--output", tmp_path / said, *more]
            done = command(*arguments)
            assert done.returncode == 0, done.stderr
        assert FORGED in [raw for _, raw in frames_of(tmp_path / "whole.pcap")]
        bare = [raw for _, raw in frames_of(tmp_path / "bare.pcap")]
        assert FORGED[:42] + bytes(len(FORGED) - 42) in bare
        assert FORGED not in bare
        assert daemon.stop() == 0
    last = [line for line in daemon.lines if line["type"] == "packets" and line["incident"] == incident][-1]
    path = tmp_path / "state" / last["file"]
    assert last["frames"] > first["frames"] > 20
    assert hashlib.sha256(path.read_bytes()).hexdigest() == last["sha256"]
    ours = [raw for _, raw in frames_of(path)]
    assert ours.count(FORGED) == ours.count(tagged) == 1
    with RawPcapReader(str(path)) as theirs:
        assert [raw for raw, _ in theirs] == ours
        assert theirs.nano
    assert {raw[26:34] for raw in ours if raw[12:14] == b"\x08\x00"} == {
        bytes([10, 0, 0, 1, 10, 0, 1, 2]), bytes([10, 0, 1, 2, 10, 0, 0, 1])
    }  # fmt: skip


def test_a_full_disk_is_one_line_and_the_sensor_goes_on(wire: Wire, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "packets"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "packets", str(folder)], check=True, timeout=30)
    try:
        (folder / "full").write_bytes(b"x" * 16384)
        with Daemon(wire, tmp_path, config(tmp_path, "4s")) as daemon, polled(wire):
            daemon.ready("learning")
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
            wire.send(FORGED)
            incident = daemon.finding("unknown-command")["incident"]
            said = daemon.until(lambda line: line["type"] == "status" and line["packets"]["problem"] != "")
            assert "No space left on device" in said["packets"]["problem"]
            before = daemon.status()["frames"]
            assert daemon.status()["frames"] > before
            assert daemon.notes().count("packets of incidents cannot be written") == 1
            assert [path.name for path in folder.iterdir()] == ["full"]
            subprocess.run(["mount", "-o", "remount,ro,size=4m", str(folder)], check=True, timeout=30)
            daemon.until(lambda line: line["type"] == "status" and "Read-only" in line["packets"]["problem"], 30)
            subprocess.run(["mount", "-o", "remount,rw,size=4m", str(folder)], check=True, timeout=30)
            told = daemon.until(lambda line: line["type"] == "packets" and line["incident"] == incident, 30)
            assert FORGED in [raw for _, raw in frames_of(tmp_path / "state" / told["file"])]
            assert daemon.stop() == 0
    finally:
        subprocess.run(["umount", str(folder)], check=False, timeout=30)


def test_the_doctor_sees_the_mirror_beside_the_sensor(wire: Wire, tmp_path: Path) -> None:
    with Daemon(wire, tmp_path, config(tmp_path)) as daemon, polled(wire):
        daemon.ready("learning")
        net.ip_batch(["addr add 192.0.2.1/24 dev w0"], wire.near)
        end = time.monotonic() + 20
        while ask(tmp_path / "state" / "keeper.sock", {"verb": "snapshot"})["snapshot"]["problems"]:  # "not opened yet"
            assert time.monotonic() < end
            time.sleep(0.1)
        with entered(wire.near):
            done = command("doctor", "--config", daemon.config, "--seconds", "2", "--format", "jsonl")
            bad = tmp_path / "bad.toml"
            bad.write_text(config(tmp_path).replace('"w0"', '"w0", "w9"').replace("/state", "/other"), encoding="utf-8")
            other = command("doctor", "--config", bad, "--seconds", "1")
        lost = daemon.status()["interfaces"][0]["dropped"]
        assert daemon.stop() == 0
    told = {(r["about"], r["name"]): r for r in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == int(any(r["state"] == "problem" for r in told.values()))
    assert told["w0", "traffic"]["outcome"] == "ok"
    assert 200 < told["w0", "traffic"]["numbers"]["frames"] < 2000
    assert told["w0", "directions"]["state"] == told["w0", "own"]["state"] == "ok"
    assert told["", "running"]["outcome"] == "ok"
    assert told["", "rules"]["numbers"] == {"payload": "yes", "reset": "yes"}
    assert (told["", "learning"]["outcome"], told["", "port"]["state"]) == ("learning", "ok")
    assert lost == 0
    assert other.returncode == 1
    for said in ("there is no w9", "the keeper does not answer", "No such file or directory"):
        assert said in other.stdout


def test_an_excerpt_holds_what_came_over_both_interfaces_of_a_tap(wire: Wire, tmp_path: Path) -> None:
    net.ip_batch([f"link add w1 type veth peer name w1 netns {wire.far}"], wire.near)
    for name in (wire.near, wire.far):
        net.ip_batch(["link set w1 addrgenmode none", "link set w1 up"], name)
    with entered(wire.far):
        second = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        second.bind(("w1", 0))
    text = config(tmp_path, "4s").replace('["w0"]', '["w0", "w1"]') + '[packets]\nafter = "1s"\n'
    over = threading.Event()

    def run() -> None:
        with wire.sending() as first:
            while not over.is_set():
                for at, frame in enumerate(polls(6)):
                    (second.send if at % 2 else first)(frame)
                    time.sleep(0.002)

    thread = threading.Thread(target=run)
    with Daemon(wire, tmp_path, text) as daemon, second:
        thread.start()
        try:
            daemon.ready("learning")
            daemon.until(lambda line: line["type"] == "status" and line["mode"] == "watching")
            with entered(wire.near):
                done = command("doctor", "--config", daemon.config, "--seconds", "2", "--format", "jsonl")
            checks = {(r["about"], r["name"]): r for r in map(json.loads, done.stdout.splitlines())}
            assert checks["w0, w1", "directions"]["state"] == "ok"
            assert checks["w1", "traffic"]["outcome"] == "ok"
            assert ("w1", "directions") not in checks
            second.send(FORGED)
            incident = daemon.finding("unknown-command")["incident"]
            kept: list[bytes] = []
            while kept.count(FORGED) == 0:
                told = daemon.until(lambda line: line["type"] == "packets" and line["incident"] == incident)
                kept = [raw for _, raw in frames_of(tmp_path / "state" / told["file"])]
            assert daemon.stop() == 0
        finally:
            over.set()
            thread.join()
    kept = [raw for _, raw in frames_of(tmp_path / "state" / told["file"])]
    assert kept.count(FORGED) == 1
    asked, answered = (sum(raw[26:30] == source for raw in kept) for source in (bytes([10, 0, 0, 1]), bytes([10, 0, 1, 2])))
    assert asked > 20
    assert answered > 20

"""The keeper behind its socket, asked by a real client: receipts, limits, and nonsense that ends nobody."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from appliance.errors import LiveError
from appliance.host.control import KEEPER, ask, listen, read_line
from appliance.host.keeper import store_file
from appliance.host.keeper.keeper import WAITING, Keeper
from appliance.host.lines import MAX_PEERS, LineServer
from appliance.host.sensor.feed import WATCH, Feeder, next_run
from tests.unit.test_store import finding, incident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OWN = frozenset({os.getuid()})
STATUS = {"type": "status", "time": 1.0, "mode": "watching", "interfaces": [], "lost": 0}


class Running:
    """A keeper that answers in a thread."""

    def __init__(
        self, folder: Path, feeders: frozenset[int] = OWN, operators: frozenset[int] = OWN, trusted: bool = True
    ) -> None:
        self.path = folder / "keeper.sock"
        self.keeper = Keeper(folder / "keeper.sqlite", 64 << 20, feeders, operators)
        self.server = LineServer(listen(self.path), KEEPER, self.keeper.answer, feeders if trusted else frozenset())
        self.over = False
        self.wanted: queue.Queue[Callable[[], object]] = queue.Queue()
        self.done: queue.Queue[object] = queue.Queue()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.keeper.open()
        while not self.over:
            self.server.turn(0.05)
            self.keeper.tick()
            while not self.wanted.empty():
                self.done.put(self.wanted.get()())
        if self.keeper.store is not None:
            self.keeper.store.shut()

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        self.thread.join()
        self.server.close()

    def sql(self, *statements: str) -> None:
        """In the keeper's own thread."""

        def run() -> None:
            assert self.keeper.store is not None
            for statement in statements:
                self.keeper.store._db.execute(statement)

        self.wanted.put(run)
        self.done.get(timeout=10)

    def ask(self, **wanted: Any) -> dict[str, Any]:
        return ask(self.path, wanted)

    def feed(self, run: int, first: int, *records: object) -> dict[str, Any]:
        return self.ask(verb="feed", run=run, first=first, records=list(records))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path) as made:
        yield made


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_receipt_says_what_is_on_the_disk_and_nothing_is_taken_twice(running: Running) -> None:
    assert running.feed(3, 1, incident("i-3-1"), incident("i-3-1", 2))["receipt"] == 2
    assert running.feed(3, 2, incident("i-3-1", 2), incident("i-3-2"))["receipt"] == 3
    events = running.ask(verb="since", after=0, limit=10)["events"]
    assert [e["record"]["id"] for e in events] == ["i-3-1", "i-3-2"]
    assert running.feed(4, 1, incident("i-4-1"))["receipt"] == 1, "a new run begins at 1"
    assert running.ask(verb="snapshot")["snapshot"]["incidents"]["total"] == 3


def test_records_without_their_form_are_counted_and_said_and_do_not_stop_the_others(running: Running) -> None:
    answer = running.feed(3, 1, incident("i-3-1"), {"type": "incident", "id": "../x"}, incident("i-3-2"))
    assert answer["receipt"] == 3
    assert "record 2: id '../x' is no id" in answer["refused"]
    assert running.ask(verb="snapshot")["snapshot"]["store"]["refused"] == 1
    assert len(running.ask(verb="incidents", state="all", limit=9)["incidents"]) == 2


def test_a_snapshot_tells_of_the_sensor_and_says_when_it_is_silent(running: Running) -> None:
    assert running.ask(verb="snapshot")["snapshot"]["sensor"] is None
    running.feed(1, 1, STATUS | {"interfaces": [{"name": "eth1", "problem": "no such interface"}], "lost": 7})
    said = running.ask(verb="snapshot")["snapshot"]
    assert said["sensor"]["mode"] == "watching"
    assert said["sensor_age"] < 5
    told = [p["what"] for p in said["problems"]]
    assert any("7 records" in t for t in told)
    assert any("eth1: no such interface" in t for t in told)
    running.keeper.status_s, running.keeper._heard = 1.0, time.monotonic() - 100
    told = [p["what"] for p in running.ask(verb="snapshot")["snapshot"]["problems"]]
    assert any("nothing for 100 s" in t for t in told)


NONSENSE: list[bytes] = [
    b"\n", b"x\n", b"null\n", b"[]\n", b"{}\n", b'{"verb":7}\n', b'{"verb":"drop"}\n', b'{"verb":"snapshot","x":1}\n',
    b'{"verb":"since"}\n', b'{"verb":"since","after":-1,"limit":1}\n', b'{"verb":"since","after":true,"limit":1}\n',
    b'{"verb":"since","after":1e99,"limit":1}\n', b'{"verb":"since","after":NaN,"limit":1}\n',
    b'{"verb":"incidents","state":"x","limit":1}\n', b'{"verb":"incident","id":"i-1; DROP TABLE incidents"}\n',
    b'{"verb":"incident","id":["i-1"]}\n', b'{"verb":"close","id":"i-1","by":"","note":""}\n',
    b'{"verb":"close","id":"i-1","by":"a\\u001b[31m","note":""}\n', b'{"verb":"feed","run":1,"first":0,"records":[]}\n',
    b'{"verb":"feed","run":1,"first":1,"records":{}}\n', b'{"verb":"feed","run":1.5,"first":1,"records":[]}\n',
    b'{"verb":"feed","run":1,"first":1,"records":' + b"[" * 100_000 + b"\n", b"\xff\xfe\x00\n",
    b'{"verb":"since","after":' + b"9" * 6000 + b',"limit":1}\n',
    b'{"verb":"feed","run":1,"first":1,"records":[{"type":"status","time":1.0,"memory":1e999}]}\n',
    b'{"verb":"feed","run":1,"first":1,"records":[{"type":"finding","incident":"i-1","score":-1e999}]}\n',
    b'{"verb":"feed","run":1,"first":1,"records":[{"type":"status","time":1.0,"x":' + b"[" * 900 + b"]" * 900 + b"}]}\n",
    b'{"verb":"feed","run":1,"first":1,"records":[{"type":"status","time":1.0,"x":' + b"[" * 14 + b"]" * 14 + b"}]}\n",
]  # fmt: skip


def test_nonsense_gets_one_line_each_and_the_keeper_lives(running: Running) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(running.path))
        for line in NONSENSE:
            peer.sendall(line)
            answer = json.loads(read_line(peer, KEEPER.answer))
            assert answer["ok"] is False, line[:60]
            assert 10 < len(answer["error"]) < 1001, line[:60]
    assert running.ask(verb="snapshot")["snapshot"]["version"] == 1


BAD: list[object] = [
    None, 1, [], {}, {"type": "x"}, {"type": "finding"},
    {"type": "finding", "incident": "i-1"}, {"type": "status", "time": "now"},
    incident("i-1", cause="bad luck"), incident("i-1", revision=-1), incident("i-1", opened=1e300),
    finding("i-1", frame="x"), finding("i-1", bytes=[[7]]), finding("i-1", bytes=[[-1, 2]]), finding("i-1", seen=None),
    incident("i-1", advice=[7]), incident("i-1", confidence=7), incident("i-1", plan=None),
    incident("i-1", findings=True), incident("i-1", assets=None),
    {"type": "response", "incident": "i-1"},
    {"type": "response", "incident": "i-1", "time": 1.0, "act": "ended", "done": True, "posture": "enforce", "step": "log",
     "reasons": [], "lease": None},  # sound, but of the keeper's own making only
]  # fmt: skip


@pytest.mark.parametrize("value", BAD)
def test_no_form_of_record_gets_through_that_the_keeper_cannot_read_back(running: Running, value: object) -> None:
    assert "record 1" in running.feed(1, 1, value)["refused"]
    running.ask(verb="snapshot")
    assert running.ask(verb="incidents", state="all", limit=9)["incidents"] == []


def test_a_line_without_an_end_is_cut_off_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    with Running(tmp_path, trusted=False) as running, socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(running.path))
        peer.sendall(b"x" * KEEPER.others)
        assert running.ask(verb="snapshot")["snapshot"]["version"] == 1
        peer.sendall(b"x")
        assert json.loads(read_line(peer, KEEPER.answer)) == {
            "ok": False,
            "error": f"a line of more than {KEEPER.others:,} bytes; ask for less at once",
        }
        assert peer.recv(1) == b""


def test_too_many_at_once_are_told_so_and_it_answers_again_when_they_leave(tmp_path: Path) -> None:
    with Running(tmp_path, trusted=False) as running:
        peers = [socket.socket(socket.AF_UNIX) for _ in range(MAX_PEERS)]
        for peer in peers:
            peer.connect(str(running.path))
        until(lambda: len(running.server.peers) == MAX_PEERS)
        with pytest.raises(LiveError, match=r"too many|does not answer"):
            running.ask(verb="snapshot")
        for peer in peers:
            peer.close()
        until(lambda: not running.server.peers)
        assert running.ask(verb="snapshot")["snapshot"]["version"] == 1


def test_who_does_not_read_his_answers_is_not_heard_either(running: Running) -> None:
    running.feed(1, 1, *[incident(f"i-1-{n}", title="x" * 2000) for n in range(300)])
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(running.path))
        peer.sendall(b'{"verb":"incidents","state":"all","limit":500}\n' * 200)
        until(lambda: any(p.answers for p in running.server.peers.values()))
        assert all(len(p.answers) <= KEEPER.answer for p in running.server.peers.values())
        assert running.ask(verb="snapshot")["snapshot"]["incidents"]["total"] == 300
        with peer.makefile("rb") as answers:
            assert all(json.loads(answers.readline())["ok"] for _ in range(200))


def test_who_wants_to_know_hears_that_an_incident_was_closed(running: Running) -> None:
    heard: list[tuple[str, str]] = []
    running.keeper.closers.append(lambda record: heard.append((record["id"], record["state"])))
    running.feed(1, 1, incident("i-1-1"))
    running.ask(verb="close", id="i-1-1", by="A. Sato", note="")
    with pytest.raises(LiveError, match="no such incident"):
        running.ask(verb="close", id="i-1-2", by="A. Sato", note="")
    assert heard == [("i-1-1", "closed")]


def test_only_the_sensor_feeds_and_only_operators_close(tmp_path: Path) -> None:
    with Running(tmp_path, frozenset(), frozenset()) as running:
        with pytest.raises(LiveError, match="only the sensor feeds"):
            running.feed(1, 1, incident("i-1-1"))
        with pytest.raises(LiveError, match="may not close incidents"):
            running.ask(verb="close", id="i-1-1", by="me", note="")


def test_learning_ends_when_an_operator_says_so_and_something_was_learned(running: Running, tmp_path: Path) -> None:
    with pytest.raises(LiveError, match="told nothing lately"):
        running.ask(verb="watch", by="A. Sato")
    for status, said in ((STATUS, "watches already"), (STATUS | {"mode": "learning", "learned": 0.0}, "nothing is learned yet")):
        running.feed(1, 1 if said == "watches already" else 2, status)
        with pytest.raises(LiveError, match=said):
            running.ask(verb="watch", by="A. Sato")
    feeder = Feeder(running.path, 2, lambda _: None)
    feeder.give(json.dumps(STATUS | {"mode": "learning", "learned": 720.5, "adequacy": {"new": 0.25}}))
    until(lambda: feeder.counts()[0] == 0)
    assert feeder.wish() == ""
    assert running.ask(verb="watch", by="A. Sato") == {"learned": 720.5, "adequacy": {"new": 0.25}}
    until(lambda: feeder.wish() == WATCH)
    assert feeder.wish() == "", "said once"
    feeder.close(5)


def test_a_disk_that_cannot_be_written_gives_no_receipt_and_loses_nothing(running: Running) -> None:
    running.feed(1, 1, incident("i-1-1"))
    taken: list[str] = []
    running.keeper.takers.append(lambda record: taken.append(record["id"]))
    running.sql("PRAGMA max_page_count = 1")  # what SQLite then says is what it says of a full disk
    big = [incident(f"i-1-{n}", title="x" * 3000) for n in range(2, 40)]
    for _ in range(2):
        with pytest.raises(LiveError, match="cannot be written; kept in memory"):
            running.feed(1, 2, *big)
    said = running.ask(verb="snapshot")["snapshot"]
    assert [
        p["what"] for p in said["problems"] if "cannot be written to the disk" in p["what"] and "38 records wait" in p["what"]
    ]
    assert taken == [r["id"] for r in big], "handed on at once, and once"
    running.sql("PRAGMA max_page_count = 100000")
    until(lambda: running.ask(verb="snapshot")["snapshot"]["store"]["waiting"] == 0)
    assert running.feed(1, 2, *big)["receipt"] == 39
    said = running.ask(verb="snapshot")["snapshot"]
    assert (said["incidents"]["total"], said["problems"]) == (39, [])


def test_a_store_of_a_later_version_is_told_left_alone_and_used_once_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sqlite"
    store_file.connect(path, store_file.VERSION + 1, {store_file.VERSION: "CREATE TABLE later (x)"}).close()
    before = path.read_bytes()
    with Running(tmp_path) as running:
        with pytest.raises(LiveError, match="kept in memory"):
            running.feed(1, 1, incident("i-1-1"))
        (problem,) = running.ask(verb="snapshot")["snapshot"]["problems"]
        assert "written by a newer sekisho (format 2, this one knows 1)" in problem["what"]
        assert "install the newer one again" in problem["advice"]
        assert path.read_bytes() == before
        path.unlink()  # moved away, as it says
        until(lambda: running.ask(verb="snapshot")["snapshot"]["store"]["waiting"] == 0)
        assert running.ask(verb="snapshot")["snapshot"]["problems"] == []


def test_a_keeper_that_was_begun_on_a_read_only_disk_knows_that_it_is_shut_out(tmp_path: Path) -> None:
    assert not Keeper(tmp_path / "none.sqlite", 64 << 20, OWN, OWN).shut_out()
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    folder = tmp_path / "ro"
    folder.mkdir()
    mount = ["unshare", "-m", "--", "sh", "-c", 'mount -t tmpfs -o ro none "$0" && exec "$1" -c "$2" "$0"', str(folder)]
    script = (
        "import sys; from pathlib import Path; from appliance.host.keeper.keeper import Keeper\n"
        "keeper = Keeper(Path(sys.argv[1]) / 'keeper.sqlite', 64 << 20, frozenset(), frozenset()); keeper.open()\n"
        "print(keeper.shut_out(), keeper.snapshot()['problems'][0]['what'])"
    )
    done = subprocess.run([*mount, sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("True incidents cannot be written to the disk"), done.stderr


@pytest.mark.parametrize("hours", [3, -3])
def test_a_clock_that_was_set_is_told(running: Running, hours: int) -> None:
    running.feed(1, 1, STATUS)
    assert running.ask(verb="snapshot")["snapshot"]["problems"] == []
    running.keeper.clock._told -= hours * 3600 * 10**9  # as if the machine's clock stood elsewhere before
    until(lambda: running.ask(verb="snapshot")["snapshot"]["problems"])
    (problem,) = running.ask(verb="snapshot")["snapshot"]["problems"]
    assert problem["what"] == f"the clock of this box was set by {hours * 3600:+,} s"


def test_memory_is_bounded_while_the_disk_cannot_be_written(running: Running) -> None:
    running.feed(1, 1, incident("i-1-1"))
    running.sql("PRAGMA query_only = 1")
    taken = 0
    for first in range(2, 3 * WAITING, 4000):
        with pytest.raises(LiveError, match="cannot be written"):
            running.feed(1, first, *[incident("i-1-1")] * 4000)
        taken = max(taken, len(running.keeper._waiting))
    assert WAITING <= taken < WAITING + 4001
    with pytest.raises(LiveError, match="memory is full"):
        running.feed(1, 1, incident("i-1-1"))


def test_a_store_that_breaks_while_it_runs_is_begun_anew_and_told(running: Running) -> None:
    running.feed(1, 1, *[incident(f"i-1-{n}", title="x" * 3000) for n in range(1, 200)])
    running.sql("PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA cache_size = 1")
    with running.keeper.path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        file.write(b"\xa5" * size)
    with contextlib.suppress(LiveError):  # this one finds it: "send again"
        running.feed(1, 200, *[incident(f"i-1-{n}") for n in range(200, 210)])
    until(lambda: running.ask(verb="snapshot")["snapshot"]["store"]["waiting"] == 0)
    assert running.feed(1, 200, *[incident(f"i-1-{n}") for n in range(200, 210)])["receipt"] == 209
    said = running.ask(verb="snapshot")["snapshot"]
    assert any("set aside as keeper.sqlite.damaged-" in p["what"] for p in said["problems"])
    kept = {r["id"] for r in running.ask(verb="incidents", state="all", limit=500)["incidents"]}
    assert kept == {f"i-1-{n}" for n in range(200, 210)}


def test_the_feeder_waits_for_a_keeper_and_sends_all_in_order(tmp_path: Path) -> None:
    notes: list[str] = []
    feeder = Feeder(tmp_path / "keeper.sock", 5, notes.append)
    for n in range(1, 3001):
        feeder.give(json.dumps(incident(f"i-5-{n}"), separators=(",", ":")))
    until(lambda: bool(notes))
    assert feeder.counts() == (3000, 0)
    with Running(tmp_path) as running:
        feeder.close(20)
        assert feeder.counts() == (0, 0)
        assert running.ask(verb="snapshot")["snapshot"]["incidents"]["total"] == 3000
    assert "no keeper answers" in notes[0]
    assert notes[-1] == "keeper: takes records again"


def test_an_incident_goes_at_once_with_its_findings_and_what_follows_costs_few_writes(running: Running) -> None:
    batches: list[int] = []
    running.keeper.takers.append(lambda record: batches.append(time.monotonic_ns() // 50_000_000))
    feeder = Feeder(running.path, 6, lambda _: None)
    began = time.monotonic()
    feeder.give(json.dumps(incident("i-6-1"), separators=(",", ":")))
    feeder.give(json.dumps(finding("i-6-1"), separators=(",", ":")))
    feeder.push()
    until(lambda: feeder.counts() == (0, 0))
    assert time.monotonic() - began < 1
    assert len(batches) == 2
    while time.monotonic() - began < 3:
        feeder.give(json.dumps(finding("i-6-1"), separators=(",", ":")))
        feeder.push()
        time.sleep(0.02)
    feeder.close(10)
    assert feeder.counts() == (0, 0)
    assert len(batches) > 50
    assert len(set(batches)) < 15, "some hundred findings in a few requests"


def test_what_finds_no_room_is_counted_and_incidents_have_room_of_their_own(tmp_path: Path) -> None:
    feeder = Feeder(tmp_path / "keeper.sock", 5, lambda _: None)
    finding = json.dumps({"type": "finding", "x": "y" * 100_000}, separators=(",", ":"))
    for _ in range(200):
        feeder.give(finding)
    waiting, lost = feeder.counts()
    assert waiting + lost == 200
    assert lost > 20
    feeder.give(json.dumps(incident("i-5-1"), separators=(",", ":")))
    assert feeder.counts() == (waiting + 1, lost)


def test_runs_are_numbered_and_never_twice(tmp_path: Path) -> None:
    assert [next_run(tmp_path, 1e9) for _ in range(3)] == [1, 2, 3]
    (tmp_path / "run").write_text("no number\n")
    assert next_run(tmp_path, 1e9) == 10**9
    assert next_run(tmp_path / "nowhere", 1e9 + 1) == 10**9 + 1

"""The store: what it acknowledged is there after any end, it stays under its cap, and a broken file is no end."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from appliance.errors import StoreError
from appliance.host.keeper import store_file
from appliance.host.keeper.store import KEPT, DamagedError, Store

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_000.0
CAP = 64 << 20


def incident(name: str, revision: int = 1, findings: int = 1, **more: Any) -> dict[str, Any]:
    record = {
        "type": "incident", "id": name, "revision": revision, "state": "open", "opened": NOW, "updated": NOW + revision,
        "cause": "security", "confidence": 0.9, "title": "Unknown command", "technique": "T0855", "assets": ["10.0.0.9"],
        "advice": [], "impact": "", "findings": findings, "plan": "",
    }  # fmt: skip
    return record | more


def finding(name: str, **more: Any) -> dict[str, Any]:
    record = {
        "type": "finding", "incident": name, "file": None, "frame": 1, "time": NOW, "src": "10.0.0.9", "dst": "10.0.0.1",
        "client": "10.0.0.9", "service": "tcp/502", "kind": "unknown-command", "bytes": [[7, 8]], "seen": "05", "normal": "01",
        "score": 0.1, "count": 1, "match": "",
    }  # fmt: skip
    return record | more


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "s.sqlite", CAP, NOW)


def reopened(store: Store, cap: int = CAP) -> Store:
    store.shut()
    return Store.open(store.path, cap, NOW)


def test_what_was_written_is_there_after_it_was_opened_again(store: Store) -> None:
    store.write([incident("i-1-1"), finding("i-1-1"), finding("i-1-1", count=3)], 1, 3)
    store = reopened(store)
    told = store.incident("i-1-1", 1 << 20)
    assert told is not None
    assert (told["record"], len(told["findings"])) == (incident("i-1-1"), 2)
    assert (store.last(1), store.last(2), store.counts()["findings"]) == (3, 0, 4)
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_changes_come_in_their_order_and_an_incident_once_in_its_last_revision(store: Store) -> None:
    store.write([incident("i-1-1"), incident("i-1-2"), incident("i-1-1", 2)], 1, 3)
    events, last = store.since(0, 10, 1 << 20)
    assert [(e["record"]["id"], e["record"]["revision"]) for e in events] == [("i-1-2", 1), ("i-1-1", 2)]
    assert events[-1]["seq"] == last > events[0]["seq"]
    assert store.since(last, 10, 1 << 20) == ([], last)
    assert [e["seq"] for e in store.since(0, 1, 1 << 20)[0]] == [events[0]["seq"]]
    assert len(store.since(0, 10, 10)[0]) == 1, "at least one, however small the answer may be"


def test_closed_it_stays_closed_while_words_come_and_opens_again_when_it_grows(store: Store) -> None:
    store.write([incident("i-1-1", findings=4)], 1, 1)
    before = store.since(0, 10, 1 << 20)[1]
    closed = store.close_incident("i-1-1", "A. Sato", "ticket 7", NOW + 9)
    assert closed is not None
    assert (closed["state"], closed["revision"]) == ("closed", 2)
    assert [e["record"]["state"] for e in store.since(before, 10, 1 << 20)[0]] == ["closed"]
    store.write([incident("i-1-1", 2, 4)], 1, 2)
    record = store.incidents("all", 5, 1 << 20)[0]
    assert (record["state"], record["revision"]) == ("closed", 3)
    store.write([incident("i-1-1", 3, 5)], 1, 3)
    record = store.incidents("all", 5, 1 << 20)[0]
    assert (record["state"], record["revision"]) == ("open", 5), "revisions only grow"
    told = store.incident("i-1-1", 1 << 20)
    assert told is not None
    assert told["closings"] == [{"time": NOW + 9, "by": "A. Sato", "note": "ticket 7"}]
    assert store.close_incident("i-9-9", "A. Sato", "", NOW) is None


def test_findings_of_an_incident_are_bounded_and_the_rest_is_counted(store: Store) -> None:
    store.write([incident("i-1-1"), *[finding("i-1-1")] * (KEPT + 7), finding("i-1-99")], 1, KEPT + 9)
    told = store.incident("i-1-1", 1 << 30)
    assert told is not None
    assert len(told["findings"]) == KEPT
    counts = store.counts()
    assert (counts["findings"], counts["store"]["dropped_findings"]) == (KEPT + 8, 8)


def test_what_was_done_comes_back_in_order_of_the_doing_without_what_else_belongs_to_incidents(store: Store) -> None:
    done = [{"type": "response", "incident": f"i-1-{n % 2}", "act": act} for n, act in enumerate(("applied", "applied", "ended"))]
    others = [finding("i-1-0"), {"type": "packets", "incident": "i-1-1"}]
    store.write([incident("i-1-0"), done[0], incident("i-1-1"), *others, done[1], done[2]], 1, 7)
    assert store.responses() == done


def test_beyond_its_cap_the_oldest_closed_ones_go_first(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.sqlite", 1 << 20, NOW)
    names = [f"i-1-{n}" for n in range(400)]
    for n, name in enumerate(names):
        store.write([incident(name, updated=NOW + n, title="x" * 4000)], 1, n + 1)
        if n % 2:
            store.close_incident(name, "A. Sato", "", NOW)
    left = {r["id"]: r["state"] for r in store.incidents("all", 500, 1 << 30)}
    counts = store.counts()
    assert counts["store"]["bytes"] <= 1 << 20
    assert names[-1] in left
    dropped = [n for n in names if n not in left]
    assert counts["store"]["dropped_closed"] + counts["store"]["dropped_open"] == len(dropped) > 100
    assert sum(1 for s in left.values() if s == "open") > sum(1 for s in left.values() if s == "closed")
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) < 8 << 20, "pages and log are used again"


@pytest.mark.parametrize("damage", ["head", "middle", "all"])
def test_a_broken_file_is_set_aside_and_numbers_go_on(store: Store, damage: str) -> None:
    store.write([incident(f"i-1-{n}", title="y" * 2000) for n in range(300)], 1, 300)
    last = store.since(0, 1, 1 << 20)[1]
    store.shut()
    raw = bytearray(store.path.read_bytes())
    where = {"head": slice(0, 200), "middle": slice(len(raw) // 3, 2 * len(raw) // 3), "all": slice(0, len(raw))}[damage]
    raw[where] = b"\xa5" * len(raw[where])
    store.path.write_bytes(raw)
    later = Store.open(store.path, CAP, NOW + 3600)
    assert later.aside.startswith("s.sqlite.damaged-2026")
    assert (store.path.parent / later.aside).read_bytes()[4096:] == bytes(raw[4096:])
    later.write([incident("i-2-1")], 2, 1)
    assert later.since(last, 10, 1 << 20)[0][0]["record"]["id"] == "i-2-1", "who pulled up to `last` misses nothing"


def test_damage_that_shows_while_it_is_open_is_told_as_such(store: Store) -> None:
    store.write([incident(f"i-1-{n}", title="y" * 2000) for n in range(300)], 1, 300)
    store = reopened(store)
    store._db.executescript("PRAGMA cache_size = 1; PRAGMA shrink_memory")
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    again = [incident(f"i-1-{n}", 2) for n in range(300)]
    with pytest.raises(DamagedError, match="damaged"):
        store.write(again, 1, 600)


def test_only_so_many_broken_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    for n in range(6):
        path.write_bytes(b"no database at all, but long enough to be looked at" * 30)
        Store.open(path, CAP, NOW + 60 * n).shut()
    assert len(list(tmp_path.glob("s.sqlite.damaged-*Z"))) == store_file.COPIES


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(store: Store) -> None:
    store.shut()
    with sqlite3.connect(store.path) as database:
        database.execute("PRAGMA user_version = 99")
    before = store.path.read_bytes()
    with pytest.raises(store_file.NewerError, match="written by a newer sekisho"):
        Store.open(store.path, CAP, NOW)
    assert store.path.read_bytes() == before


def test_an_older_version_is_taken_forward_and_a_copy_stays(store: Store) -> None:
    store.write([incident("i-1-1")], 1, 1)
    store.shut()
    steps = {1: "ALTER TABLE incidents ADD COLUMN site TEXT NOT NULL DEFAULT 'here'", 2: "CREATE TABLE more (x INTEGER)"}
    database = store_file.connect(store.path, 3, steps)
    assert database.execute("SELECT id, site FROM incidents").fetchall() == [("i-1-1", "here")]
    assert database.execute("PRAGMA user_version").fetchone() == (3,)
    database.close()
    with sqlite3.connect(store.path.with_name("s.sqlite.format-1")) as copy:
        assert copy.execute("SELECT id FROM incidents").fetchall() == [("i-1-1",)]
        assert copy.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_migration_that_fails_changes_nothing(store: Store) -> None:
    store.write([incident("i-1-1")], 1, 1)
    store.shut()
    with pytest.raises(sqlite3.Error):
        store_file.connect(store.path, 2, {1: "CREATE TABLE more (x INTEGER); CREATE TABLE incidents (x INTEGER)"})
    again = Store.open(store.path, CAP, NOW)
    assert [r["id"] for r in again.incidents("all", 5, 1 << 20)] == ["i-1-1"]


def test_where_nothing_can_be_written_it_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Store.open(tmp_path / "nowhere" / "s.sqlite", CAP, NOW)
    assert "\n" not in str(caught.value)

"""The outbox loses nothing, orders everything, and says what it had to let go."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ReportError
from appliance.host.reporter.courier import FIRST_S, LONGEST_S, back_off
from appliance.host.reporter.outbox import COPIES, DamagedError, FullError, Outbox
from tests.unit.test_report_out import FINDING, RECORD

MIB = 1 << 20
SECOND = 10**9


def incident(number: int, revision: int = 1, **changed: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return RECORD | {"id": f"i-1-{number}", "revision": revision} | changed, [FINDING]


def opened(folder: Path, *names: str, cap: int = 64 * MIB, when_full: str = "drop-oldest") -> Outbox:
    return Outbox(folder / "reporter.sqlite", names or ("a",), cap, when_full, now=SECOND)


def seqs(outbox: Outbox, name: str = "a", most: int = 10_000) -> list[int]:
    return [event.seq for event in outbox.batch(name, most)]


def test_what_was_put_comes_out_in_order_after_a_crash(tmp_path: Path) -> None:
    outbox = opened(tmp_path, "a", "b")
    outbox.put([incident(1), incident(2)], 7, 5 * SECOND)
    outbox.put([incident(1, 2), incident(3)], 9, 6 * SECOND)
    outbox.done("a", 2, 8 * SECOND, sent=2)
    again = opened(tmp_path, "a", "b")  # the first one is not closed: as after kill -9
    assert (seqs(again), seqs(again, "b"), again.mark("pulled")) == ([3, 4], [1, 2, 3, 4], 9)
    first, second, third, _ = again.batch("b", 4)
    assert (first.record["id"], first.first, first.logged) == ("i-1-1", True, 5 * SECOND)
    assert (third.record["revision"], third.first) == (2, False)
    assert second.findings == (FINDING,)
    assert (again.cursors["a"].sent, again.cursors["a"].last, again.cursors["a"].times) == (2, 8 * SECOND, [8 * SECOND])
    assert again.waiting() == {"a": (2, 6 * SECOND), "b": (4, 5 * SECOND)}


def test_a_revision_is_reported_once(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.put([incident(1, 3)], 1, 0) == 1
    assert outbox.put([incident(1, 3), incident(1, 2)], 2, 0) == 0
    assert outbox.put([incident(1, 4)], 3, 0) == 1
    assert seqs(outbox) == [1, 2]


def test_what_every_destination_has_goes_and_a_new_one_begins_now(tmp_path: Path) -> None:
    outbox = opened(tmp_path, "a", "b")
    outbox.put([incident(n) for n in range(4)], 1, 0)
    outbox.done("a", 4, 0, sent=4)
    outbox.done("b", 3, 0, sent=3)
    outbox.close()
    database = sqlite3.connect(tmp_path / "reporter.sqlite")
    assert database.execute("SELECT seq FROM events").fetchall() == [(4,)]
    database.close()
    later = opened(tmp_path, "b", "c")
    later.put([incident(9)], 2, 0)
    assert (seqs(later, "b"), seqs(later, "c")) == ([4, 5], [5])
    assert set(later.cursors) == {"b", "c"}


def test_a_full_outbox_lets_the_oldest_go_and_counts_them_where_they_were_not_sent(tmp_path: Path) -> None:
    outbox = opened(tmp_path, "fast", "slow", cap=MIB)
    put = 0
    while not outbox.cursors["slow"].dropped:
        outbox.put([incident(put + n) for n in range(50)], put + 50, 0)
        put += 50
        outbox.done("fast", put, 0, sent=50)
        assert put < 10_000
    for _ in range(20):
        outbox.put([incident(put + n) for n in range(50)], put + 50, 0)
        put += 50
        outbox.done("fast", put, 0, sent=50)
    kept = seqs(outbox, "slow")
    assert kept == list(range(kept[0], put + 1))
    assert outbox.cursors["slow"].dropped == put - len(kept)
    assert outbox.cursors["fast"].dropped == 0
    assert outbox.size() <= MIB
    assert opened(tmp_path, "fast", "slow").cursors["slow"].dropped == put - len(kept)


def test_an_outbox_that_is_to_stop_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    outbox = opened(tmp_path, cap=MIB, when_full="stop")
    put = 0
    while outbox.size() <= MIB:
        outbox.put([incident(put + n) for n in range(50)], put + 50, 0)
        put += 50
    with pytest.raises(FullError, match="set to stop"):
        outbox.put([incident(put)], put + 1, 0)
    assert (seqs(outbox), outbox.mark("pulled")) == (list(range(1, put + 1)), put)
    outbox.done("a", put, 0, sent=put)
    assert outbox.put([incident(99_999)], put + 1, 0) == 1


def test_a_full_disk_takes_all_or_nothing_and_cursors_go_on_in_memory(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.put([incident(n) for n in range(10)], 10, 0)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite says then is what it says of a full disk
    with pytest.raises(ReportError, match="make room"):
        outbox.put([incident(100 + n) for n in range(200)], 210, 0)
    assert (seqs(outbox), outbox.mark("pulled")) == (list(range(1, 11)), 10)
    outbox._db.execute("PRAGMA max_page_count = 100000")
    assert outbox.put([incident(100 + n) for n in range(200)], 210, 0) == 200
    outbox._db.execute("PRAGMA query_only = ON")  # a disk that became read-only
    with pytest.raises(ReportError, match="cannot be written"):
        outbox.done("a", 5, 0, sent=5)
    assert seqs(outbox)[0] == 6
    outbox._db.execute("PRAGMA query_only = OFF")
    outbox.save()
    assert seqs(opened(tmp_path))[0] == 6


def test_a_broken_file_is_set_aside_and_a_newer_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "reporter.sqlite"
    for n in range(COPIES + 2):
        opened(tmp_path).close()
        whole = path.read_bytes()
        path.write_bytes(b"x" * 100 + whole[100:])
        outbox = Outbox(path, ["a"], MIB, now=n * SECOND)
        assert outbox.aside == f"reporter.sqlite.damaged-19700101T00000{n}Z"
        assert outbox.put([incident(1)], 1, 0) == 1
        outbox.close()
    assert len(list(tmp_path.glob("*damaged*Z"))) == COPIES
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ReportError, match="a later version of sekisho wrote it"):
        opened(tmp_path)


def test_a_file_that_breaks_while_it_is_used_is_told_as_broken(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.put([incident(n) for n in range(300)], 1, 0)
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    outbox._db.execute("PRAGMA cache_size = 1")
    path = tmp_path / "reporter.sqlite"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:8192] + b"\xff" * (size - 8192))
    outbox._db.execute("PRAGMA shrink_memory")
    with pytest.raises(DamagedError, match="damaged"):
        outbox.batch("a", 300)


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be used"):
        opened(tmp_path / "none")


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_wait_after_a_failure_grows_and_ends(failures: int, chance: float) -> None:
    wait = back_off(failures, chance)
    assert FIRST_S / 2 <= wait <= LONGEST_S
    assert back_off(failures + 1, chance) >= wait

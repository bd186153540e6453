"""The outbox: what is to leave the site, on disk until every destination has it.

One SQLite file (WAL, synchronous=FULL) with one writer, the reporter. What was pulled from the keeper and the mark up to where is
written in one transaction: nothing is lost between the two, and nothing comes twice. Each destination has a cursor of its own;
an event goes when all cursors are behind it. The file has a cap. When it is reached, the oldest event that waits goes and is
counted for every destination that had not got it ("drop-oldest"), or nothing new is taken ("stop"): then the keeper keeps it.

A cursor in memory may be ahead of the one on disk, while the disk cannot be written: then something is sent twice after a
crash, and nothing twice without one.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from appliance.errors import ReportError
from appliance.report.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

Json = dict[str, Any]
VERSION = 1
KNOWN = 100_000  # incidents whose reported revision is remembered
SPARE = 0.95  # a full outbox is emptied down to this part of its cap
COPIES = 2  # broken files that are kept
_SCHEMA = """
CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, logged INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE destinations (name TEXT PRIMARY KEY, after INTEGER NOT NULL, sent INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0, last INTEGER, times TEXT NOT NULL DEFAULT '[]');
CREATE TABLE known (id TEXT PRIMARY KEY, revision INTEGER NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX known_seq ON known (seq);
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class FullError(ReportError):
    """There is no room, and nothing may be dropped."""


class DamagedError(ReportError):
    """The file itself is broken: no waiting mends it."""


@dataclass(slots=True)
class Cursor:
    """Where one destination is. Times are ns since the epoch; `times` are those of its last deliveries, oldest first."""

    after: int
    sent: int = 0
    refused: int = 0
    dropped: int = 0
    last: int | None = None
    times: list[int] = field(default_factory=list)
    unsaved: bool = False


class Outbox:
    """The file; its methods may be called from any thread.

    names      the destinations there are: a new one begins with what comes from now on, one that is gone is forgotten
    aside      where a broken file was put when this one was opened, "" where none was
    """

    def __init__(self, path: Path, names: Sequence[str], cap: int, when_full: str = "drop-oldest", *, now: int = 0) -> None:
        """Open or begin the file; a broken one is set aside. Raises ReportError."""
        self.path, self.cap, self.when_full, self.aside = path, cap, when_full, ""
        self._lock = threading.RLock()
        try:
            try:
                self._db = self._open()
            except sqlite3.Error as error:
                if not _broken(error):
                    raise
                self.aside = set_aside(path, now)
                self._db = self._open()
            self.cursors = self._begin(names)
        except sqlite3.Error as error:
            raise ReportError(f"{path}: cannot be used ({error}); check the disk, its room and the file's owner") from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, isolation_level=None, timeout=5, check_same_thread=False)
        try:
            self.path.chmod(0o600)
            for pragma in (
                "auto_vacuum = INCREMENTAL",
                "journal_mode = WAL",
                "synchronous = FULL",
                "journal_size_limit = 4194304",
            ):
                database.execute(f"PRAGMA {pragma}")
            if (said := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise _damage(said)
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise ReportError(f"{self.path}: a later version of sekisho wrote it; install that one, or move the file away")
            if version < VERSION:
                database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        except BaseException:
            database.close()
            raise
        return database

    def _begin(self, names: Sequence[str]) -> dict[str, Cursor]:
        newest = self._number("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'events'")
        with self._writing():
            for name in names:
                self._db.execute("INSERT OR IGNORE INTO destinations (name, after) VALUES (?, ?)", (name, newest))
            there = [name for (name,) in self._db.execute("SELECT name FROM destinations").fetchall()]
            self._db.executemany("DELETE FROM destinations WHERE name = ?", [(name,) for name in there if name not in names])
            rows = self._db.execute("SELECT name, after, sent, refused, dropped, last, times FROM destinations").fetchall()
            cursors = {row[0]: Cursor(row[1], row[2], row[3], row[4], row[5], json.loads(row[6])) for row in rows}
            self._sweep(cursors)
        return cursors

    def _number(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])

    def _writing(self) -> _Writing:
        return _Writing(self._db)

    def mark(self, name: str) -> int:
        """A number kept under a name, 0 where there is none. Raises ReportError."""
        with self._lock, self._told():
            row = self._db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
            return int(row[0]) if row else 0

    def put(self, events: Iterable[tuple[Json, Sequence[Json]]], mark: int, now: int) -> int:
        """Take incidents with their findings, and the mark up to where they were pulled; how many of them were new.

        A revision that was reported before is left out. Raises FullError where there is no room and nothing may go,
        ReportError where the disk does not take it; nothing is taken then.
        """
        with self._lock, self._told():
            if self.when_full == "stop" and self.used() > self.cap:
                raise FullError(
                    f"the outbox is full ({self.cap >> 20} MiB) and set to stop; nothing new is taken until there is room"
                )
            taken = 0
            cursors = {name: Cursor(**_plain(cursor)) for name, cursor in self.cursors.items()}
            with self._writing():
                for record, findings in events:
                    taken += self._put(record, findings, now)
                self._db.execute("INSERT OR REPLACE INTO marks VALUES ('pulled', ?)", (mark,))
                self._db.execute("DELETE FROM known WHERE seq <= (SELECT MAX(seq) FROM known) - ?", (KNOWN,))
                self._make_room(cursors)
            self.cursors = cursors
            return taken

    def _put(self, record: Json, findings: Sequence[Json], now: int) -> bool:
        name, revision = record["id"], record["revision"]
        row = self._db.execute("SELECT revision FROM known WHERE id = ?", (name,)).fetchone()
        if row is not None and row[0] >= revision:
            return False
        body = json.dumps({"record": record, "findings": list(findings), "first": row is None}, separators=(",", ":"))
        seq = self._db.execute("INSERT INTO events (logged, body) VALUES (?, ?) RETURNING seq", (now, body)).fetchone()[0]
        self._db.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?)", (name, revision, seq))
        return True

    def _make_room(self, cursors: dict[str, Cursor]) -> None:
        if self.when_full == "stop" or self.used() <= self.cap:
            return
        while self.used() > SPARE * self.cap:
            row = self._db.execute("SELECT seq FROM events ORDER BY seq LIMIT 1 OFFSET 15").fetchone()
            if row is None:
                break
            for cursor in cursors.values():
                lost = self._number(f"SELECT COUNT(*) FROM events WHERE seq > {cursor.after:d} AND seq <= {row[0]:d}")  # noqa: S608  # numbers
                cursor.dropped, cursor.after = cursor.dropped + lost, max(cursor.after, row[0])
            self._sweep(cursors)
        for name, cursor in cursors.items():
            self._save(name, cursor)

    def _sweep(self, cursors: dict[str, Cursor]) -> None:
        """What every destination has goes."""
        if cursors:
            self._db.execute("DELETE FROM events WHERE seq <= ?", (min(cursor.after for cursor in cursors.values()),))

    def _save(self, name: str, cursor: Cursor) -> None:
        values = cursor.after, cursor.sent, cursor.refused, cursor.dropped, cursor.last, json.dumps(cursor.times), name
        sql = "UPDATE destinations SET after = ?, sent = ?, refused = ?, dropped = ?, last = ?, times = ? WHERE name = ?"
        self._db.execute(sql, values)

    def batch(self, name: str, most: int) -> list[Event]:
        """The next events of a destination, in order, at most `most`. Raises ReportError."""
        with self._lock, self._told():
            sql = "SELECT seq, logged, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
            rows = self._db.execute(sql, (self.cursors[name].after, most)).fetchall()
        return [_event(*row) for row in rows]

    def done(self, name: str, after: int, now: int, *, sent: int = 0, refused: int = 0, span: int = 3600 * 10**9) -> None:
        """The destination has everything up to `after`; `sent` of it now. Raises ReportError where it cannot be noted yet."""
        with self._lock, self._told():
            cursor = self.cursors[name]
            cursor.after, cursor.sent, cursor.refused = max(cursor.after, after), cursor.sent + sent, cursor.refused + refused
            cursor.unsaved = True
            if sent:
                cursor.last, cursor.times = now, [*[t for t in cursor.times if now - span < t <= now][-63:], now]
            self.save()

    def save(self) -> bool:
        """Write the cursors that are not on disk yet; whether there were any. Raises ReportError."""
        with self._lock, self._told():
            unsaved = [(name, cursor) for name, cursor in self.cursors.items() if cursor.unsaved]
            if not unsaved:
                return False
            with self._writing():
                for name, cursor in unsaved:
                    self._save(name, cursor)
                self._sweep(self.cursors)
                self._db.execute("PRAGMA incremental_vacuum(64)").fetchall()
            for _, cursor in unsaved:
                cursor.unsaved = False
            return True

    def waiting(self) -> dict[str, tuple[int, int | None]]:
        """For each destination how many events wait, and since when the oldest of them (ns), None where none. ReportError."""
        sql = "SELECT COUNT(*), MIN(logged) FROM events WHERE seq > ?"
        with self._lock, self._told():
            return {name: tuple(self._db.execute(sql, (cursor.after,)).fetchone()) for name, cursor in self.cursors.items()}

    def used(self) -> int:
        """Bytes in use. Raises sqlite3.Error."""
        return (self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")) * self._number("PRAGMA page_size")

    def size(self) -> int:
        """Bytes in use. Raises ReportError."""
        with self._lock, self._told():
            return self.used()

    def _told(self) -> _Told:
        return _Told(self.path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class _Writing:
    """All or nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
                return
            except sqlite3.Error:
                self._roll_back()
                raise
        self._roll_back()

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite has often done so itself
            self._db.execute("ROLLBACK")


class _Told:
    """Errors of SQLite become ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            if _broken(error):
                raise DamagedError(f"{self._path}: damaged ({error})") from error
            raise ReportError(f"{self._path}: cannot be written ({error}); make room on the disk") from error


def _event(seq: int, logged: int, body: str) -> Event:
    plain = json.loads(body)
    return Event(seq, logged, plain["record"], tuple(plain["findings"]), first=plain["first"])


def _plain(cursor: Cursor) -> dict[str, Any]:
    return {name: getattr(cursor, name) for name in ("after", "sent", "refused", "dropped", "last", "times", "unsaved")}


def _broken(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _BROKEN


def _damage(said: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(str(said)[:200])
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def set_aside(path: Path, now: int) -> str:
    """Give a broken file and what belongs to it another name; that name. Older ones beyond COPIES go. Raises ReportError."""
    stamp = datetime.fromtimestamp(now // 10**9, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        for file, end in _parts(path):
            file.rename(aside.with_name(aside.name + end))
        for old in sorted(path.parent.glob(f"{path.name}.damaged-*Z"))[:-COPIES]:
            for file, _ in _parts(old):
                file.unlink()
    except OSError as error:
        raise ReportError(f"{path}: damaged, and cannot be set aside ({error}); move it away") from error
    return aside.name


def _parts(path: Path) -> Iterator[tuple[Path, str]]:
    for end in ("-wal", "-shm", ""):
        file = path.with_name(path.name + end)
        if file.exists():
            yield file, end

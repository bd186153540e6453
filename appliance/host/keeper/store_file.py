"""The file of the store: schema, migrations with a copy before each, and where a broken file goes."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from appliance.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION = 1
COPIES = 3  # broken files that are kept
_SCHEMA = """
CREATE TABLE incidents (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, state TEXT NOT NULL, cause TEXT NOT NULL,
    opened REAL NOT NULL, updated REAL NOT NULL,
    shift INTEGER NOT NULL,                       -- revisions that were made here: closed, opened again
    closed_findings INTEGER NOT NULL DEFAULT 0,   -- findings it had when it was closed
    record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX by_state ON incidents (state, updated);
CREATE INDEX by_cause ON incidents (cause, state);
CREATE TABLE parts (incident TEXT NOT NULL, finding INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX by_incident ON parts (incident, finding);
CREATE TABLE closings (incident TEXT NOT NULL, time REAL NOT NULL, who TEXT NOT NULL, note TEXT NOT NULL);
CREATE TABLE runs (run INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
# version -> what makes the next one of it
MIGRATIONS: Mapping[int, str] = {}


class NewerError(StoreError):
    """Another version wrote it; only a person can say what is to be done."""


def connect(path: Path, version: int = VERSION, migrations: Mapping[int, str] = MIGRATIONS) -> sqlite3.Connection:
    """The file with the schema of this version. Raises NewerError for a newer one, sqlite3.Error where it cannot be used."""
    database = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        if path.stat().st_mode & 0o077:  # not where it is right already: a disk that is read-only refuses even that
            path.chmod(0o600)
        found = int(database.execute("PRAGMA user_version").fetchone()[0])
        if found > version:  # before anything is written: it is another one's
            raise NewerError(
                f"{path}: written by a newer sekisho (format {found}, this one knows {version}); install that one again, "
                "or move the file away to begin anew"
            )
        empty = not database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if empty:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only a new file takes it, another one is written in vain
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA journal_size_limit = 4194304")
        if (said := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise _corrupt(str(said))
        if found == 0 and empty:
            _run(database, _SCHEMA, version)
        else:
            _migrate(database, path, found, version, migrations)
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, path: Path, found: int, version: int, migrations: Mapping[int, str]) -> None:
    """Step by step to this version; a copy of what was there is kept beside the file."""
    if found == version:
        return
    if any(step not in migrations for step in range(found, version)):
        raise StoreError(f"{path}: format {found} is none that sekisho ever wrote; move the file away to begin anew")
    copy = path.with_name(f"{path.name}.format-{found}")
    with contextlib.closing(sqlite3.connect(copy)) as target:
        database.backup(target)
    copy.chmod(0o600)
    for step in range(found, version):
        _run(database, migrations[step], step + 1)


def _run(database: sqlite3.Connection, script: str, version: int) -> None:
    """All of it or nothing."""
    try:
        database.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {version};COMMIT;")
    except sqlite3.Error:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _corrupt(said: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(said)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def set_aside(path: Path, now: float) -> str:
    """Rename a broken file and what belongs to it; the new name. The oldest of COPIES goes. Raises StoreError."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        for end in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
        path.rename(aside)
        old = sorted(p for p in path.parent.glob(f"{path.name}.damaged-*Z"))[:-COPIES]
        for file in old:
            for end in ("", "-wal", "-shm"):
                file.with_name(file.name + end).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: damaged, and cannot be set aside ({error}); move it away") from error
    return aside.name

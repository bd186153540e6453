"""Incidents on disk: one SQLite file with one writer, the keeper. What it acknowledged is on the disk.

WAL and synchronous=FULL; the schema's version is `PRAGMA user_version`. `seq` numbers changes of incidents: it grows for ever,
also in a file that was begun anew, so that who pulls changes never misses one. The file has a cap; the oldest closed incidents
go first. Every failure of SQLite is a StoreError; `damaged` says whether the file itself is broken.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.errors import StoreError
from appliance.host.keeper.store_file import connect, set_aside

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]
KEPT = 500  # findings kept of one incident; others are counted
OTHERS = 100  # records of other types (packets, response) kept of one incident
LATELY = 1000  # incidents that changed last: a lease of an earlier one is long over
SPARE = 0.95  # where the cap was reached, room is made down to this part of it
_AT_ONCE = 64  # incidents that go in one step when room is made
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def broken(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, and not only out of reach or room."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _BROKEN


class DamagedError(StoreError):
    """The file itself is broken: no waiting mends it."""


@dataclass(slots=True)
class Store:
    """The file. Times are seconds since the epoch.

    aside   where a broken file was put when this one was opened, "" where none was
    """

    path: Path
    cap: int
    aside: str = ""
    _db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        self._db = connect(self.path)

    @classmethod
    def open(cls, path: Path, cap: int, now: float) -> Store:
        """Open or begin the file; a broken one is set aside. Raises StoreError."""
        try:
            store = cls(path, cap)
            store._begin(now)
        except sqlite3.Error as error:
            if not broken(error):
                raise StoreError(f"{path}: cannot be used ({error}); check the disk, its room and the file's owner") from error
            return cls.anew(path, cap, now)
        return store

    @classmethod
    def anew(cls, path: Path, cap: int, now: float) -> Store:
        """Set a broken file aside and begin a new one. Raises StoreError."""
        latest = now
        with contextlib.suppress(OSError):  # where the clock was set back, numbers of changes grow all the same
            latest = max(now, path.stat().st_mtime)
        aside = set_aside(path, now)
        try:
            store = cls(path, cap, aside)
            store._begin(latest)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be begun ({error}); check the disk, its room and the folder's owner") from error
        return store

    def _begin(self, now: float) -> None:
        # seq begins at the clock, so that it goes on growing where a file was lost
        self._db.execute("INSERT OR IGNORE INTO counts VALUES ('seq', ?)", (int(now * 1000),))

    def write(self, records: Iterable[Json], run: int, last: int) -> list[str]:
        """Keep records of one run up to number `last`, all or none; returns the ids of incidents that changed. StoreError."""
        changed: list[str] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for record in records:
                if record["type"] == "incident":
                    self._incident(record)
                    changed.append(record["id"])
                elif "incident" in record:
                    self._part(record)
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (run, last))
            self._db.execute("DELETE FROM runs WHERE run NOT IN (SELECT run FROM runs ORDER BY rowid DESC LIMIT 16)")
            self._make_room()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return changed

    def _failed(self, error: sqlite3.Error) -> StoreError:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass
        if broken(error):
            return DamagedError(f"{self.path}: damaged ({error})")
        return StoreError(f"{self.path}: {error}")

    def _incident(self, record: Json) -> None:
        """A new incident, or its next revision. One that was closed and grew is open again."""
        name, state, shift = record["id"], record["state"], 0
        found = self._db.execute("SELECT state, shift, closed_findings FROM incidents WHERE id = ?", (name,)).fetchone()
        if found is not None:
            was, shift, at_closing = found
            if was == "closed" and record["findings"] <= at_closing:
                state = "closed"
            elif was == "closed":
                shift += 1
        told = {**record, "state": state, "revision": record["revision"] + shift}
        values = (self._count("seq"), state, record["cause"], record["opened"], record["updated"], shift, json.dumps(told))
        if found is None:
            self._db.execute(
                "INSERT INTO incidents (seq, state, cause, opened, updated, shift, record, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, name),
            )
        else:
            self._db.execute(
                "UPDATE incidents SET seq=?, state=?, cause=?, opened=?, updated=?, shift=?, record=? WHERE id=?", (*values, name)
            )

    def _part(self, record: Json) -> None:
        """A finding, or what else belongs to an incident; what finds no room is counted."""
        name, kind = record["incident"], record["type"]
        if kind == "finding":
            self._count("findings", record["count"])
        if kind == "packets":  # of an excerpt that grows only the last hash counts
            sql = "DELETE FROM parts WHERE incident = ? AND finding = 0 AND json_extract(record, '$.type') = 'packets'"
            self._db.execute(sql, (name,))
        where = (name, int(kind == "finding"))
        kept = self._db.execute("SELECT COUNT(*) FROM parts WHERE incident = ? AND finding = ?", where).fetchone()[0]
        known = self._db.execute("SELECT 1 FROM incidents WHERE id = ?", (name,)).fetchone()
        if known is None or kept >= (KEPT if kind == "finding" else OTHERS):
            self._count("findings_dropped" if kind == "finding" else "others_dropped")
            return
        self._db.execute("INSERT INTO parts (incident, finding, record) VALUES (?, ?, ?)", (*where, json.dumps(record)))

    def _count(self, name: str, step: int = 1) -> int:
        sql = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value RETURNING value"
        return int(self._db.execute(sql, (name, step)).fetchone()[0])

    def _make_room(self) -> None:
        """Beyond the cap the oldest go, closed ones first."""
        if self.used() <= self.cap:
            return
        while self.used() > SPARE * self.cap:
            order = "SELECT id FROM incidents ORDER BY state = 'open', updated LIMIT ?"
            oldest = [name for (name,) in self._db.execute(order, (_AT_ONCE,)).fetchall()]
            if len(oldest) <= 1:
                return
            for name in oldest[: max(1, min(_AT_ONCE, len(oldest) - 1))]:
                open_ = self._db.execute("DELETE FROM incidents WHERE id = ? RETURNING state", (name,)).fetchone()[0] == "open"
                for table in ("parts", "closings"):
                    self._db.execute(f"DELETE FROM {table} WHERE incident = ?", (name,))  # noqa: S608  # names of ours
                self._count("open_dropped" if open_ else "closed_dropped")
        self._db.execute("PRAGMA incremental_vacuum").fetchall()

    def used(self) -> int:
        """Bytes in use. Raises sqlite3.Error."""
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def last(self, run: int) -> int:
        """The last number kept of a run, 0 where it is not known. Raises StoreError."""
        row = self._one("SELECT last FROM runs WHERE run = ?", (run,))
        return int(row[0]) if row else 0

    def counts(self) -> Json:
        """What a snapshot says of the store. Raises StoreError."""
        numbers = {str(k): int(v) for k, v in self._all("SELECT name, value FROM counts")}
        causes = self._all("SELECT cause, COUNT(*), SUM(state = 'open') FROM incidents GROUP BY cause")
        try:
            used = self.used()
        except sqlite3.Error as error:
            raise self._failed(error) from error
        dropped = {name: numbers.get(f"{name}_dropped", 0) for name in ("closed", "open", "findings", "others")}
        return {
            "incidents": {
                "total": sum(int(n) for _, n, _ in causes),
                "open": sum(int(n) for _, _, n in causes),
                "by_cause": {str(cause): int(n) for cause, n, _ in causes},
                "open_by_cause": {str(cause): int(n) for cause, _, n in causes},
            },
            "findings": numbers.get("findings", 0),
            "store": {
                "bytes": used,
                "cap": self.cap,
                "dropped": sum(dropped.values()),
                **{f"dropped_{k}": v for k, v in dropped.items()},
            },
        }

    def since(self, after: int, limit: int, size: int) -> tuple[list[Json], int]:
        """Incidents that changed after `after` in the order of their last change, and the last number there is; StoreError."""
        events: list[Json] = []
        for seq, record in self._all("SELECT seq, record FROM incidents WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)):
            size -= len(record) + 40
            if size < 0 and events:
                break
            events.append({"seq": int(seq), "record": json.loads(record)})
        row = self._one("SELECT MAX(seq) FROM incidents", ())
        return events, int(row[0] or 0) if row else 0

    def incidents(self, state: str, limit: int, size: int) -> list[Json]:
        """The latest incidents, latest first. Raises StoreError."""
        where = "" if state == "all" else "WHERE state = ?"
        values = (limit,) if state == "all" else (state, limit)
        told = []
        for (record,) in self._all(f"SELECT record FROM incidents {where} ORDER BY updated DESC, seq DESC LIMIT ?", values):  # noqa: S608  # no value in it
            size -= len(record)
            if size < 0:
                break
            told.append(json.loads(record))
        return told

    def incident(self, name: str, size: int) -> Json | None:
        """One incident with its findings, other records and closings. Raises StoreError."""
        row = self._one("SELECT record FROM incidents WHERE id = ?", (name,))
        if row is None:
            return None
        told: Json = {"record": json.loads(row[0]), "findings": [], "others": [], "closings": []}
        for finding, record in self._all("SELECT finding, record FROM parts WHERE incident = ? ORDER BY finding, rowid", (name,)):
            size -= len(record)
            if size < 0:
                break
            told["findings" if finding else "others"].append(json.loads(record))
        rows = self._all("SELECT time, who, note FROM closings WHERE incident = ? ORDER BY time", (name,))
        told["closings"] = [{"time": time, "by": by, "note": note} for time, by, note in rows]
        return told

    def responses(self) -> list[Json]:
        """What was done about the incidents that changed last, in order of the doing. Raises StoreError."""
        sql = (
            "SELECT record FROM parts WHERE finding = 0 AND incident IN (SELECT id FROM incidents ORDER BY updated DESC LIMIT ?) "
            "AND json_extract(record, '$.type') = 'response' ORDER BY rowid"
        )
        return [json.loads(record) for (record,) in self._all(sql, (LATELY,))]

    def close_incident(self, name: str, by: str, note: str, now: float) -> Json | None:
        """Closed from now on until it grows; its record, or None where it is not known. Raises StoreError."""
        row = self._one("SELECT record FROM incidents WHERE id = ?", (name,))
        if row is None:
            return None
        record: Json = json.loads(row[0])
        if record["state"] == "closed":
            return record
        record |= {"state": "closed", "revision": record["revision"] + 1}
        try:
            self._db.execute("BEGIN IMMEDIATE")
            sql = "UPDATE incidents SET seq=?, state='closed', shift=shift+1, closed_findings=?, record=? WHERE id=?"
            self._db.execute(sql, (self._count("seq"), record["findings"], json.dumps(record), name))
            self._db.execute("INSERT INTO closings VALUES (?, ?, ?, ?)", (name, now, by, note))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return record

    def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _one(self, sql: str, values: tuple[Any, ...]) -> Any:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def shut(self) -> None:
        """Close the file."""
        self._db.close()

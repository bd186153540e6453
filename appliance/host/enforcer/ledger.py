"""Acts that must not be forgotten: one SQLite file, written through to the disk before anything is acknowledged."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from appliance.errors import RulesError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEPT = 100_000  # acts kept; older ones go
_SCHEMA = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS acts (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Ledger:
    """State and acts of one process; it is the file's only writer."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.executescript(_SCHEMA)
            self.states_known = self._db.execute("SELECT COUNT(*) FROM state WHERE name = 'rules'").fetchone()[0] > 0
        except sqlite3.Error as error:
            raise RulesError(f"{path}: cannot be used ({error}); check disk and owner, or restore a copy") from error
        self._path = path

    def write(self, time: int, record: dict[str, Any], states: dict[str, Any] | None = None) -> None:
        """One act and the named states after it, all or none. Raises RulesError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            row = time, str(record["what"]), json.dumps(record, sort_keys=True)
            self._db.execute("INSERT INTO acts (time, what, detail) VALUES (?, ?, ?)", row)
            self._keep(states or {})
            self._db.execute("DELETE FROM acts WHERE id <= (SELECT MAX(id) FROM acts) - ?", (KEPT,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise RulesError(f"{self._path}: cannot be written ({error}); nothing was changed, make room on the disk") from error

    def keep(self, states: dict[str, Any]) -> None:
        """States alone, where no act changed them. Raises RulesError."""
        try:
            self._keep(states)
        except sqlite3.Error as error:
            raise RulesError(f"{self._path}: cannot be written ({error}); make room on the disk") from error

    def _keep(self, states: dict[str, Any]) -> None:
        self.states_known = self.states_known or "rules" in states
        for name, value in states.items():
            self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, json.dumps(value, sort_keys=True)))

    def states(self) -> dict[str, Any]:
        """The last states by name. Raises RulesError where they are damaged."""
        try:
            return {name: json.loads(value) for name, value in self._db.execute("SELECT name, value FROM state")}
        except (sqlite3.Error, ValueError) as error:
            raise RulesError(f"{self._path}: damaged ({error}); restore a copy, or remove it to begin anew") from error

    def acts(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last acts, newest first: time (ns), what, by and details. Raises RulesError."""
        return self._read("SELECT time, detail FROM acts ORDER BY id DESC LIMIT ?", (limit,))

    def since(self, after: int, kinds: Sequence[str], limit: int = 1000) -> list[dict[str, Any]]:
        """As `acts`, of these kinds and after a time (ns since the epoch). Raises RulesError."""
        places = ", ".join("?" * len(kinds))
        sql = f"SELECT time, detail FROM acts WHERE time > ? AND what IN ({places}) ORDER BY id DESC LIMIT ?"  # noqa: S608  # no value in it
        return self._read(sql, (after, *kinds, limit))

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        try:
            return [{"time": time, **json.loads(detail)} for time, detail in self._db.execute(sql, values)]
        except sqlite3.Error as error:
            raise RulesError(f"{self._path}: cannot be read ({error}); restore a copy, or remove it to begin anew") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

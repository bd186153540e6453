"""The keeper: what the sensor found is on the disk before it is acknowledged, and whoever may ask is answered.

It parses no traffic and holds no capability. Records come over `keeper.sock` and go into one SQLite file; where that cannot be
written they wait in memory, bounded, without a receipt, so that the sensor keeps them too. Whatever the disk does, what came is
handed on (`takers`) once.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from appliance.errors import LiveError, SekishoError, StoreError
from appliance.host.clock import SetClock
from appliance.host.control import Json, named, verb_of
from appliance.host.keeper.store import DamagedError, Store
from appliance.host.keeper.store_file import NewerError
from appliance.report.intake import MAX_RECORDS, is_count, is_id, wrong_with
from appliance.report.problems import Problems, of_sensor, told

STORE = "keeper.sqlite"  # in the state directory
WAITING, WAITING_BYTES = 20_000, 32 << 20  # records that wait in memory while the disk cannot be written
AGAIN_S = 2.0  # after a failure the disk is tried again
MOST, SAID = 500, 1 << 20  # events of an answer, bytes of it
CLOCK_S = 3600.0  # that it is told that the clock was set
LATE_S = 30.0  # that the sensor may be silent, at the least
KEYS: dict[str, set[str]] = {
    "feed": {"run", "first", "records"},
    "snapshot": set(),
    "since": {"after", "limit"},
    "incidents": {"state", "limit"},
    "incident": {"id"},
    "close": {"id", "by", "note"},
    "watch": {"by"},
}
MADE = Path(__file__).stat().st_mtime  # no clock that is right says less


@dataclass(slots=True)
class Keeper:
    """One store and what was said of the sensor.

    feeders    uids whose feed is taken; operators: uids that may close incidents
    takers     called once with every finding, incident and other record that is kept, in order; must not wait
    closers    called with the record of an incident that a person closed
    more       what others in this process add to the snapshot
    """

    path: Path
    cap: int
    feeders: frozenset[int]
    operators: frozenset[int]
    status_s: float = 60.0
    lang: str = "en"
    takers: list[Callable[[Json], None]] = field(default_factory=list)
    more: list[Callable[[], Json]] = field(default_factory=list)
    closers: list[Callable[[Json], object]] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    store: Store | None = None
    refused: int = 0  # records of the sensor that had not their form
    _sensor: Json | None = None
    _heard: float = field(default_factory=time.monotonic)
    _seen: dict[int, int] = field(default_factory=dict)  # run -> last number taken
    _run: int = 0
    _wish: str = ""  # what the sensor is to hear with its next receipt
    _waiting: list[Json] = field(default_factory=list)
    _size: int = 0
    _problems: Problems = field(default_factory=Problems)
    _again: float = 0.0
    clock: SetClock = field(default_factory=SetClock)
    _set: float = field(default_factory=time.monotonic)  # when it was, s

    def open(self, *, broken: bool = False) -> None:
        """Open the store; where it cannot be used, for want of a disk or as it is a later version's, it is tried again."""
        try:
            self.store = (Store.anew if broken else Store.open)(self.path, self.cap, time.time())
        except StoreError as error:
            wrong, other = ("store-newer", "store") if isinstance(error, NewerError) else ("store", "store-newer")
            self._problems.fine(other)
            self._wrong(wrong, str(error))
            self._again = time.monotonic() + AGAIN_S
            return
        if self.store.aside:
            self._wrong("store-aside", self.store.aside)
        self._problems.fine("store", "store-newer")

    def answer(self, asked: Json, uid: int) -> Json:
        """Answer one request. Raises SekishoError in one line."""
        verb = verb_of(asked, KEYS)
        if verb in ("feed", "watch"):
            return self._feed(asked, uid) if verb == "feed" else self._watch(asked, uid)
        if verb == "snapshot":
            return {"snapshot": self.snapshot()}
        if verb == "since":
            events, last = self._opened().since(_number(asked, "after"), min(MOST, max(1, _number(asked, "limit"))), SAID)
            return {"events": events, "last": last}
        if verb == "incidents":
            if asked["state"] not in ("open", "closed", "all"):
                raise LiveError("incidents: state is one of open, closed, all")
            return {"incidents": self._opened().incidents(asked["state"], min(MOST, max(1, _number(asked, "limit"))), SAID)}
        return self._one(verb, asked, uid)

    def _one(self, verb: str, asked: Json, uid: int) -> Json:
        name = asked["id"]
        if not is_id(name):
            raise LiveError(f"{str(name)[:40]!r} is no id of an incident; see `sekisho incident list`")
        if verb == "incident":
            found = self._opened().incident(name, SAID)
        else:
            by, note = asked["by"], asked["note"]
            _allowed("close incidents", by, uid, self.operators)
            if not isinstance(note, str) or len(note) > 1000 or not note.isprintable():
                raise LiveError("note: at most a thousand characters on one line")
            record = self._opened().close_incident(name, by, note, time.time())
            found = None if record is None else {"record": record}
            if record is not None:
                for call in self.closers:
                    call(record)
        if found is None:
            raise LiveError(f"{name}: there is no such incident; see `sekisho incident list --state all`")
        return found

    def _opened(self) -> Store:
        if self.store is None:
            raise StoreError("the incident store cannot be used now; see `sekisho status`")
        return self.store

    def _feed(self, asked: Json, uid: int) -> Json:
        """Take records; a receipt says up to which number they are on the disk."""
        run, first, records = asked["run"], asked["first"], asked["records"]
        if uid not in self.feeders:
            raise LiveError(f"user {uid} is not the sensor's; only the sensor feeds the keeper")
        if not is_count(run) or not is_count(first) or first < 1 or not isinstance(records, list) or len(records) > MAX_RECORDS:
            raise LiveError(f"feed: run and first are whole numbers, records a list of at most {MAX_RECORDS:,}")
        if self._size > WAITING_BYTES or len(self._waiting) > WAITING:
            self._write()
            if self._waiting:
                raise StoreError("the disk cannot be written and memory is full; keep them and send them again")
        why = ""
        new: list[Json] = []
        seen = self._known(run)
        for number, record in enumerate(records, first):
            if number > seen:
                said = wrong_with(record) or ("what was done is not the sensor's to tell" if record["type"] == "response" else "")
                why = f"record {number}: {said}" if said and not why else why
                self.refused += bool(said)
                if not said:
                    new.append(record)
        self._seen[run], self._run = max(seen, first + len(records) - 1), run
        self._take(new)
        self._write()
        self._hand_on(new)
        if self._waiting:
            raise StoreError("the disk cannot be written; kept in memory, send again")
        wish, self._wish = self._wish, ""
        return {"receipt": self._seen[run]} | {key: said for key, said in (("refused", why), ("wish", wish)) if said}

    def _watch(self, asked: Json, uid: int) -> Json:
        """An operator ends learning: the sensor hears of it with its next receipt."""
        _allowed("end learning", asked["by"], uid, self.operators)
        sensor = self._sensor
        if sensor is None or time.monotonic() - self._heard > max(LATE_S, 3 * self.status_s):
            raise LiveError("watch: the sensor has told nothing lately; see `sekisho status`")
        if sensor.get("mode") != "learning":
            raise LiveError("watch: it watches already")
        if not sensor.get("learned"):
            raise LiveError("watch: nothing is learned yet; it needs traffic first (is the cable in, does the mirror work?)")
        self._wish = "watch"
        return {"learned": sensor["learned"], "adequacy": sensor.get("adequacy")}

    def responses(self) -> list[Json]:
        """What was done lately about incidents, as far as the store can say."""
        with contextlib.suppress(StoreError):
            return [record for record in self._opened().responses() if not wrong_with(record)]
        return []

    def keep(self, records: list[Json]) -> None:
        """Store records of this process itself, such as what the response did; they wait where the disk cannot be written."""
        self._take([record for record in records if not wrong_with(record)])
        self._write()

    def _known(self, run: int) -> int:
        if run not in self._seen:
            self._write()  # what waits is of another run
            self._seen = {run: self.store.last(run) if self.store is not None else 0}
        return self._seen[run]

    def _take(self, records: list[Json]) -> None:
        for record in records:
            if record["type"] == "status":
                self._sensor, self._heard = record, time.monotonic()
            elif record["type"] != "summary":
                self._waiting.append(record)
                self._size += len(str(record))

    def _hand_on(self, records: list[Json]) -> None:
        for record in records:
            for taker in self.takers:
                if record["type"] not in ("status", "summary"):
                    taker(record)

    def _write(self) -> None:
        """Write what waits, if the disk lets us."""
        if not self._waiting:
            return
        if self.store is None:
            self.open()
        if self.store is None:
            return
        try:
            self.store.write(self._waiting, self._run, self._seen.get(self._run, 0))
        except DamagedError:
            self.store.shut()
            self.store = None
            self.open(broken=True)  # the new one is written at the next try
            return
        except StoreError as error:
            self._wrong("store", str(error))
            self._again = time.monotonic() + AGAIN_S
            return
        self._waiting, self._size = [], 0
        self._problems.fine("store")

    def tick(self) -> None:
        """Now and then: what could not be done is tried again, and whether somebody has set the clock."""
        if moved := self.clock.moved():
            self._wrong("clock", f"{moved * 1e-9:+,.0f} s")
            self._set = time.monotonic()
        elif time.monotonic() - self._set > CLOCK_S:
            self._problems.fine("clock")
        if (self._waiting or self.store is None) and time.monotonic() >= self._again:
            self._again = time.monotonic() + AGAIN_S
            if self.store is None:
                self.open()
            self._write()

    def shut_out(self) -> bool:
        """Whether the store could never be opened, as its disk is read-only in what this process sees of it.

        A unit sees disks as they were mounted when it was started: it may be writable for all others by now.
        """
        try:
            return self.store is None and bool(os.statvfs(self.path.parent).f_flag & os.ST_RDONLY)
        except OSError:
            return False

    def say(self, name: str, why: str) -> None:
        """Something else in this process is wrong, or is not ("") any more."""
        if why:
            self._wrong(name, why)
        else:
            self._problems.fine(name)

    def _wrong(self, name: str, why: str) -> None:
        self._problems.wrong(name, why, time.time())

    def snapshot(self) -> Json:
        """What is known now, for `status`, metrics and `doctor`. Never fails."""
        nothing = {"incidents": {"total": 0, "open": 0, "by_cause": {}, "open_by_cause": {}}, "findings": 0}
        counts: Json = {**nothing, "store": {"bytes": 0, "cap": self.cap, "dropped": 0}}
        if self.store is not None:
            try:
                counts = self.store.counts()
            except StoreError as error:
                self._wrong("store", str(error))
        now = time.time()
        said: Json = {
            "version": 1,
            "started": self.started,
            "now": now,
            "run": self._run,
            "sensor": self._sensor,
            "sensor_age": None if self._sensor is None else round(time.monotonic() - self._heard, 3),
            **counts,
            "enforcer": None,
            "response": None,
            "reporter": None,
        }
        problems: list[Json] = []
        said["store"] |= {"waiting": len(self._waiting), "refused": self.refused}
        for part in self.more:
            try:
                found = part()
                problems += found.pop("problems", [])
                said |= found
            except SekishoError:
                continue  # it is null then, and its own process says why
        said["problems"] = self._told(now, counts) + problems
        return said

    def _told(self, now: float, counts: Json) -> list[Json]:
        """Problems in words, those that are found by looking included."""
        found = self._problems.all()
        age, sensor = time.monotonic() - self._heard, self._sensor
        if now < MADE:
            found.append(("clock-behind", now, f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"))
        if age > max(LATE_S, 3 * self.status_s):
            found.append(("sensor" if sensor else "sensor-never", now - age, f"{age:.0f}"))
        if counts["store"].get("dropped_open"):
            found.append(("store-full", now, str(counts["store"]["dropped_open"])))
        return told(found + (of_sensor(sensor) if sensor is not None else []), self.lang, len(self._waiting))


def _allowed(what: str, by: object, uid: int, operators: frozenset[int]) -> None:
    """Raises LiveError where this user may not, or says not who it is."""
    if uid not in operators:
        raise LiveError(f"user {uid} may not {what}; ask an operator of this appliance")
    named(by)


def _number(asked: Json, key: str) -> int:
    value = asked[key]
    if not is_count(value):
        raise LiveError(f"{key}: {str(value)[:40]!r} is no whole number from 0")
    return int(value)

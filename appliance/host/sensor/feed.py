"""Feeds the keeper: records wait, bounded, until it says that they are on its disk. The sensor never waits for it.

Records of a run are numbered from 1; a receipt says up to which number the keeper has them. A keeper that died, is not there
yet or has no disk gets them again. What finds no room is counted: findings first, incidents have room of their own.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from appliance.errors import UsageError
from appliance.host.control import KEEPER, Json, read_line
from appliance.host.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WATCH = "watch"  # what an operator may wish of the sensor
CALM_S = 1.0  # findings of incidents that are known go in one request of so long: each costs the keeper's disk a write
POLL_S = 2.0  # without a record the keeper is asked so often whether anything is wished
RUN = "run"  # in the state directory: the number of the sensor's last run
ROOM, RESERVE = 16 << 20, 8 << 20  # bytes that wait; and so many more for incidents
BATCH = 1000  # records of one request
_INCIDENT = b'{"type":"incident"'  # how the line of an incident begins
_LINE = KEEPER.trusted - 4096  # bytes of the records of one request
PATIENCE_S, FIRST_S, LONGEST_S = 10.0, 0.1, 2.0  # for a receipt; between two tries, growing


def next_run(directory: Path, now: float) -> int:
    """The number of the run that begins now: one more than the last one's.

    Where it cannot be kept, the time (s): ids never repeat, they only jump.
    """
    path = directory / RUN
    try:
        text = path.read_text(encoding="ascii")[:20].strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if path.exists() and not text.isdigit():
        return int(now)
    run = int(text or 0) + 1
    try:
        write_whole(path, f"{run}\n".encode())
    except UsageError:
        return int(now)
    return run


class Feeder:
    """Use `give` for every record, `push` when those that belong together were given, `close` at the end.

    path   of keeper.sock; note: one line for a person
    """

    def __init__(self, path: Path, run: int, note: Callable[[str], None]) -> None:
        self.path, self.run, self.note = path, run, note
        self.lost = 0
        self._waiting: deque[bytes] = deque()
        self._size, self._first, self._over = 0, 1, False
        self._change = threading.Condition()
        self._peer: socket.socket | None = None
        self._told, self._wish = "", ""
        self._urgent, self._sent = False, 0.0
        self._thread = threading.Thread(target=self._speak, name="feed", daemon=True)
        self._thread.start()

    def give(self, text: str) -> None:
        """One record as its line of JSON."""
        record = text.encode()
        room = ROOM + (RESERVE if record.startswith(_INCIDENT) else 0)
        with self._change:
            if self._size + len(record) > room or len(record) > _LINE:
                self.lost += 1
                return
            self._waiting.append(record)
            self._size += len(record)
            self._urgent = self._urgent or record.startswith(_INCIDENT)

    def push(self) -> None:
        """What was given may go: at once where an incident is among it, else with what comes within CALM_S."""
        with self._change:
            if self._waiting:
                self._change.notify()

    def counts(self) -> tuple[int, int]:
        """Records without a receipt, records lost."""
        return len(self._waiting), self.lost

    def wish(self) -> str:
        """What an operator wished since it was asked for last, "" where nothing."""
        with self._change:
            wish, self._wish = self._wish, ""
        return wish

    def close(self, seconds: float) -> None:
        """Wait so long for the last receipt; what has none then is told."""
        with self._change:
            self._over = True
            self._change.notify()
        self._thread.join(seconds)
        waiting = len(self._waiting)
        if waiting:
            self.note(f"{waiting} records were not acknowledged by the keeper and are not in its store")

    def _speak(self) -> None:
        pause = FIRST_S
        while True:
            with self._change:
                if not self._waiting and not self._over:
                    self._change.wait(POLL_S)
                if not self._waiting and self._over:
                    self._drop()
                    return
                while not self._hurry() and (left := self._sent + CALM_S - time.monotonic()) > 0:
                    self._change.wait(left)
                batch, self._urgent, self._sent = self._batch(), False, time.monotonic()
            try:
                self._receipt(self._exchange(batch))
                pause = FIRST_S
                if self._told:
                    self.note("keeper: takes records again")
                    self._told = ""
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._failed(error)
                self._urgent = True
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_S)

    def _hurry(self) -> bool:
        return self._urgent or self._over or len(self._waiting) >= BATCH

    def _batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        for record in self._waiting:
            size += len(record) + 1
            if len(batch) >= BATCH or size > _LINE:
                break
            batch.append(record)
        return batch

    def _exchange(self, batch: list[bytes]) -> Json:
        """Send, and the answer. Raises OSError, ValueError."""
        if self._peer is None:
            self._peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            self._peer.settimeout(PATIENCE_S)
            self._peer.connect(os.fspath(self.path))
        head = f'{{"verb":"feed","run":{self.run},"first":{self._first},"records":['.encode()
        self._peer.sendall(head + b",".join(batch) + b"]}\n")
        answer = json.loads(read_line(self._peer, KEEPER.answer))
        if not isinstance(answer, dict):
            raise ValueError("no answer that can be read")
        return answer

    def _receipt(self, answer: Json) -> None:
        """Forget what is on the keeper's disk. Raises ValueError where it refuses."""
        if answer.get("ok") is not True:
            raise ValueError(str(answer.get("error"))[:300])
        if why := answer.get("refused"):
            self.note(f"keeper: refused {str(why)[:200]}; please report this")
        with self._change:
            self._wish = str(answer["wish"])[:20] if answer.get("wish") else self._wish
            for _ in range(min(int(answer["receipt"]) - self._first + 1, len(self._waiting))):
                self._size -= len(self._waiting.popleft())
                self._first += 1

    def _failed(self, error: Exception) -> None:
        """Say it once; the next try has a connection of its own."""
        self._drop()
        said = str(error) if isinstance(error, ValueError) else f"{self.path}: no keeper answers ({error})"
        if said != self._told:
            self._told = said
            self.note(f"{said}; records wait in the sensor's memory")

    def _drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None

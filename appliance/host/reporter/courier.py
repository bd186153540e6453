"""One destination and the thread that serves it: takes what waits, sends it, notes how far it came, waits after a failure."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appliance.config.report import Destination
from appliance.errors import ReportError
from appliance.host.clock import now_ns
from appliance.host.reporter.outbox import Outbox
from appliance.host.reporter.senders import Sender, SendError
from appliance.report.event import About
from appliance.report.redact import Redaction

if TYPE_CHECKING:
    from appliance.report.event import Event

FIRST_S, LONGEST_S = 1.0, 300.0  # waited after a failure: twice as long each time, a random part of it left out
IDLE_S = 5.0  # without a call it looks for work now and then


def back_off(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row; `chance` (0 to 1) spreads many gateways over the time."""
    longest: float = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + 0.5 * chance)


@dataclass(slots=True)
class Courier:
    """State of one destination besides its cursor; `failed` counts tries, `error` is the last one's line, "" after success."""

    destination: Destination
    sender: Sender
    outbox: Outbox
    about: About
    redaction: Redaction
    note: Callable[[str], None]
    failed: int = 0
    error: str = ""
    call: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    _said: str = ""  # how the last ones arrived
    _row: int = 0  # failures in a row
    _most: int = 0  # events at once, after it was told that fewer would do
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._serve, name=f"to-{self.destination.name}", daemon=True)
        self._thread.start()

    def stop(self, patience: float) -> None:
        """Let a batch that is under way end, as long as patience lasts."""
        self.over.set()
        self.call.set()
        if self._thread is not None:
            self._thread.join(patience)

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                wait = self.turn()
            except Exception as error:  # outermost loop of the thread: counted, told, tried again
                self._failure(f"a defect of sekisho: {type(error).__name__}; please report it")
                wait = back_off(self._row, 1.0)
            if self._row:
                self.over.wait(wait)  # new events do not shorten the wait after a failure
            elif wait:
                self.call.wait(wait)
                self.call.clear()
        self.sender.close()

    def turn(self) -> float:
        """Send one batch, if there is one; seconds until the next look."""
        now, name = now_ns(), self.destination.name
        try:
            events = self.outbox.batch(name, min(self._most or self.sender.most, self.sender.most))
            if not events:
                self.error, self._row = "", 0
                return IDLE_S
            wanted = [event for event in events if event.record["cause"] in self.destination.causes]
            hold = self.sender.hold(wanted, self.outbox.cursors[name].times, now) if wanted else 0.0
            if hold > 0:
                return min(hold, IDLE_S)
            return self._send(events, wanted)
        except ReportError as error:  # the outbox's
            self._failure(str(error))
            return min(IDLE_S, back_off(max(1, self._row), 1.0))

    def _send(self, events: list[Event], wanted: list[Event]) -> float:
        last, name = events[-1].seq, self.destination.name
        try:
            if wanted:
                said = self.sender.send([self.redaction.event(event) for event in wanted], self.about, now_ns())
                if said != self._said:
                    self.note(f"report to {name}: {said}")
                    self._said = said
        except Exception as caught:  # nothing else watches this thread; one event that we cannot send must not stop all others
            defect = SendError(f"a defect of sekisho: {type(caught).__name__}; please report it", smaller=True, refused=True)
            error = caught if isinstance(caught, SendError) else defect
            if error.smaller and len(events) > 1:
                self._most = max(1, len(events) // 2)
                return 0.0
            self._failure(str(error))
            if error.refused and len(wanted) == 1:
                self.note(f"report to {name}: {error}; incident {wanted[0].record['id']} is left out for this destination")
                self.outbox.done(name, last, now_ns(), refused=1)
                return 0.0
            return max(error.after or 0.0, back_off(self._row, random.random()))  # noqa: S311  # no secret
        self.error, self._row = "", 0
        self._most = min(self._most * 2, self.sender.most) if self._most else 0
        self.outbox.done(name, last, now_ns(), sent=len(wanted))
        return 0.0

    def _failure(self, why: str) -> None:
        self.failed, self._row = self.failed + 1, self._row + 1
        if why != self.error:
            self.note(f"report to {self.destination.name}: {why}")
            self._said = ""
        self.error = why

    def told(self, waiting: int, oldest: int | None) -> dict[str, Any]:
        """What the snapshot says of it; times are seconds since the epoch."""
        cursor = self.outbox.cursors[self.destination.name]
        return {
            "name": self.destination.name,
            "kind": self.destination.kind,
            "waiting": waiting,
            "oldest": None if oldest is None else oldest * 1e-9,
            "sent": cursor.sent,
            "failed": self.failed,
            "refused": cursor.refused,
            "dropped": cursor.dropped,
            "last_error": self.error,
            "last_sent": None if cursor.last is None else cursor.last * 1e-9,
        }

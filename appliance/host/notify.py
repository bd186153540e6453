"""What a process tells its service manager (sd_notify(3)) and the journal. Silent where nobody listens.

`systemd-python` says it where it is installed; without it the same datagrams are sent from here, and lines go to standard error
as ever. The watchdog is fed by `alive` from the process's own working loop and by nothing else: a loop that is stuck is missed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

INCIDENT_OPENED = "5c4c1ecb4a3f4a9f9c1d3d2f7d0e6a01"  # MESSAGE_ID: an incident, with its cause
INCIDENT_CLOSED = "5c4c1ecb4a3f4a9f9c1d3d2f7d0e6a02"
NOTE = "5c4c1ecb4a3f4a9f9c1d3d2f7d0e6a03"  # what a process says of itself
PRIORITIES = {"security": 2, "unknown": 3, "fault": 4, "maintenance": 5}  # syslog: critical, error, warning, notice
INFO = 6
OFTEN = 3  # the watchdog is fed so many times in its interval


@dataclass(slots=True)
class Notifier:
    """Tells readiness, status and that the loop goes round.

    address   NOTIFY_SOCKET, "" where nobody listens; every: s between two signs of life, 0 where none is wanted
    """

    address: str = ""
    every: float = 0.0
    _last: float = 0.0
    _status: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Notifier:
        """As the environment says. What cannot be understood is left out."""
        wanted, whose = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        ours = wanted.isdigit() and (not whose or whose == str(os.getpid()))
        return cls(environment.get("NOTIFY_SOCKET", ""), int(wanted) * 1e-6 / OFTEN if ours else 0.0)

    def ready(self, status: str = "") -> None:
        """It serves."""
        self._status = status
        self._send(f"READY=1\nSTATUS={_line(status)}\nMAINPID={os.getpid()}" if status else "READY=1")

    def status(self, text: str) -> None:
        """One line of how it fares, where it is another than before."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={_line(text)}")

    def alive(self) -> None:
        """The working loop came round."""
        now = time.monotonic()
        if self.every and now - self._last >= self.every:
            self._last = now
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is read anew; `ready` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self.address:
            return
        with contextlib.suppress(ImportError):
            from systemd.daemon import notify

            with contextlib.suppress(OSError):  # a manager that went away is none of our troubles
                notify(text)
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
            peer.sendto(text.encode(), socket.MSG_DONTWAIT, address)


def to_journal(descriptor: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the journal reads what is written there (JOURNAL_STREAM, systemd.exec(5))."""
    try:
        told = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM", "") == f"{told.st_dev}:{told.st_ino}"


def note(line: str) -> None:
    """One line for a person: to the journal with its fields where that reads standard error, else there as text."""
    if not say(line, MESSAGE_ID=NOTE, PRIORITY=str(INFO)):
        with contextlib.suppress(OSError):  # a log on a full disk, or nobody reads: no reason to end
            sys.stderr.write(f"sekisho: {line}\n")
            sys.stderr.flush()


def say(line: str, **fields: str) -> bool:
    """One structured line to the journal; False where it does not listen, and nothing was said."""
    if not to_journal(2):
        return False
    try:
        import systemd.journal as journal
    except ImportError:
        return False
    try:
        journal.send(_line(line), SYSLOG_IDENTIFIER="sekisho", **fields)
    except OSError:
        return False
    return True


def tell_incident(record: Mapping[str, object]) -> bool:
    """An incident as a line of the journal, found again by SEKISHO_INCIDENT= and SEKISHO_CAUSE=."""
    cause, state = str(record["cause"]), str(record["state"])
    return say(
        f"incident {record['id']} ({state}): {cause}: {record['title']}",
        MESSAGE_ID=INCIDENT_CLOSED if state == "closed" else INCIDENT_OPENED,
        PRIORITY=str(PRIORITIES[cause] if state == "open" else PRIORITIES["maintenance"]),
        SEKISHO_INCIDENT=str(record["id"]),
        SEKISHO_CAUSE=cause,
        SEKISHO_REVISION=str(record["revision"]),
    )


def _line(text: str) -> str:
    return " ".join(text.split())[:2000]

"""The reporter as a process, `python -m appliance.host.reporter.process CONFIG`: without any capability, but with a network."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import appliance
from appliance.errors import ReportError, SekishoError, UsageError
from appliance.host.clock import now_ns
from appliance.host.config_file import read_config
from appliance.host.control import KEEPER, ask
from appliance.host.notify import Notifier, note
from appliance.host.privileges import keep_only
from appliance.host.reporter.reporter import Reporter, gateway_name
from appliance.host.reporter.senders.making import sender_for
from appliance.host.signals import signal_pipe
from appliance.report.event import About, Event
from appliance.report.redact import Redaction

if TYPE_CHECKING:
    from appliance.config import Config


class ReporterProcess:
    """A reporter and the signals that change it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.config, _ = read_config(path)
        self.over = False
        self.notifier = Notifier.of(os.environ)
        self.reporter = self._reporter(self.config)

    def _reporter(self, config: Config) -> Reporter:
        if config.report is None:
            raise UsageError(f"{self.path}: there is no table [report]; add it and a destination (docs/reporting.md)")
        directory, runtime = Path(config.directory), Path(config.runtime)
        for folder in (directory, runtime):
            with contextlib.suppress(OSError):  # what is wrong with it is said when it is used
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keeper = runtime / KEEPER.socket
        reporter = Reporter(config.report, directory, runtime, config.output.language, lambda asked: ask(keeper, asked), note)
        reporter.start()
        return reporter

    def serve(self) -> None:
        """Report until SIGTERM. Raises ReportError where the outbox is damaged: started anew, it sets it aside."""
        reading = signal_pipe()
        self.notifier.ready()
        while not self.over:
            wait = self.reporter.turn()
            self.notifier.alive()
            if select.select([reading], [], [], wait)[0]:
                self._signals(os.read(reading, 64))
        self.notifier.stopping()
        self.reporter.stop()

    def _signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.over = True
        elif signal.SIGHUP in numbers:
            self.notifier.reloading()
            self._reload()
            self.notifier.ready()

    def _reload(self) -> None:
        try:
            config, _ = read_config(self.path)
            if config.report is None:
                raise UsageError("there is no table [report] any more; stop the reporter instead")
        except SekishoError as error:
            note(f"reporter: configuration not taken over: {error}")
            return
        if config != self.config:
            self.reporter.stop()
            self.config, self.reporter = config, self._reporter(config)


def main(path: str) -> int:
    """Give everything up, then report; 0 when asked to end, 1 where it is to be started again, 2 where that is of no use."""
    keep_only(frozenset())
    try:
        ReporterProcess(path).serve()
    except ReportError as error:
        note(f"reporter: {error}")
        return 1
    except SekishoError as error:
        note(str(error))
        return 2
    return 0


def try_out(path: str, name: str) -> str:
    """Send one event that says it is a test; what happened, in one line. Raises SekishoError."""
    config, _ = read_config(path)
    destinations = {} if config.report is None else {one.name: one for one in config.report.destinations}
    if config.report is None or name not in destinations:
        known = ", ".join(destinations) or "none: there is no table [report]"
        raise UsageError(f"{name}: no destination of {path}; it has {known}")
    destination, now = destinations[name], now_ns()
    about = About(gateway_name(config.report), appliance.__version__, config.output.language)
    key = os.urandom(32)  # there is no address in it, and the key's file is the reporter's to make
    event = Redaction(frozenset(destination.redact), key).event(_test_event(now, config.output.language))
    sender = sender_for(destination.target)
    try:
        return f"{name}: {sender.send([event], about, now)}; the event is {about.uid(event)}"
    finally:
        sender.close()


def _test_event(now: int, language: str) -> Event:
    title = "送信テスト" if language == "ja" else "Test of the way to this destination"
    record: dict[str, Any] = {
        "type": "incident",
        "id": f"test-{now // 10**9}",
        "revision": 1,
        "state": "closed",
        "opened": now * 1e-9,
        "updated": now * 1e-9,
        "cause": "maintenance",
        "confidence": 1.0,
        "title": title,
        "technique": "",
        "assets": [],
        "advice": [],
        "impact": "",
        "findings": 0,
        "plan": "",
    }
    return Event(1, now, record, test=True, first=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
